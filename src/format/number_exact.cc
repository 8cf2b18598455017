/*
 * number_exact.cc - the conversions that need more than 128 bits, done by the standard library
 *
 * The only C++ file of the program's reading and writing of numbers. <charconv> allocates nothing
 * (std::from_chars may, for inputs of more than a thousand digits) and does not look at the locale.
 */
#include <charconv>
#include <cstring>
#include <limits>
#include <system_error>

extern "C" {
double sl_number_exact(const char *p, const char *end);
int sl_number_digits(double v, int digits, char *out, int *exponent);
}

/* from_chars tells that the result is out of range, not on which side. The sign of the exponent
 * that the number would have in the form 0.ddd * 10^x does: it is far from zero then. */
static bool is_huge(const char *p, const char *end)
{
    long point = 0, e = 0;
    bool seen = false, fraction = false, minus = false;
    for (; p < end && *p != 'e' && *p != 'E'; p++) {
        if (*p == '.')
            fraction = true;
        else { /* a digit: what is read as a number is one */
            seen = seen || *p != '0';
            if (seen && !fraction)
                point++;
            else if (!seen && fraction)
                point--;
        }
    }
    if (p < end)
        p++;
    if (p < end && (*p == '-' || *p == '+'))
        minus = *p++ == '-';
    for (; p < end && e < 1000000000000; p++)
        e = e * 10 + (*p - '0');
    return point + (minus ? -e : e) > 0;
}

double sl_number_exact(const char *p, const char *end)
{
    bool negative = *p == '-';
    double v = 0;
    p += negative;
    auto r = std::from_chars(p, end, v, std::chars_format::general);
    if (r.ec == std::errc::result_out_of_range)
        v = is_huge(p, end) ? std::numeric_limits<double>::infinity() : 0;
    return negative ? -v : v;
}

int sl_number_digits(double v, int digits, char *out, int *exponent)
{
    char text[40];
    auto r = digits ? std::to_chars(text, text + sizeof text, v, std::chars_format::scientific,
                                    digits - 1)
                    : std::to_chars(text, text + sizeof text, v, std::chars_format::scientific);
    const char *e = static_cast<const char *>(std::memchr(text, 'e', r.ptr - text));
    int n = 0, x = 0;
    for (const char *p = text; p < e; p++)
        if (*p != '.')
            out[n++] = *p;
    for (const char *p = e + 2; p < r.ptr; p++)
        x = x * 10 + (*p - '0');
    *exponent = e[1] == '-' ? -x : x;
    return n;
}
