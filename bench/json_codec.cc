/*
 * json_codec.cc - JSON <-> tensor beside RapidJSON, simdjson and snprintf
 *
 *     json_codec [rounds] [millions of numbers]
 *
 * Every round runs all candidates one after the other on the same text, so that a change of the
 * machine's mood meets all of them; the medians over the rounds are compared. Reading: a request
 * of 4.8 million floats in rows of 224 * 224 * 3, as JavaScript or Python print them (doubles with
 * 16 and 17 digits), as floats are printed (9 digits), as short decimals, as integers. Writing: the
 * same numbers.
 *
 * The limit is memory: "copy" is how long memcpy takes for the same bytes, text and tensor.
 */
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include <rapidjson/document.h>
#include <simdjson.h>

extern "C" {
#include "codec_c.h"
}

/* The thread's own time: what other programs take from the processors does not count. */
struct clock_type {
    static double now()
    {
        timespec t;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
    }
};

static double seconds_since(double t)
{
    return clock_type::now() - t;
}

static double median(std::vector<double> v)
{
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
}

static const size_t row = 224 * 224 * 3;

static std::string make_text(const char *kind, const std::vector<double> &v)
{
    std::string s = "{\"instances\": [";
    char buf[64];
    for (size_t i = 0; i < v.size(); i++) {
        if (i % row == 0)
            s += i ? "], [" : "[";
        else
            s += ", ";
        snprintf(buf, sizeof buf, kind, v[i]);
        s += buf;
    }
    return s + "]]}";
}

static size_t read_rapidjson(const std::string &text, std::vector<float> &out)
{
    rapidjson::Document d;
    d.Parse<rapidjson::kParseIterativeFlag | rapidjson::kParseNanAndInfFlag |
            rapidjson::kParseStopWhenDoneFlag>(text.c_str());
    size_t n = 0;
    for (auto &r : d["instances"].GetArray())
        for (auto &v : r.GetArray())
            out[n++] = (float)v.GetDouble();
    return n;
}

static size_t read_simdjson(simdjson::ondemand::parser &parser, const simdjson::padded_string &text,
                            std::vector<float> &out)
{
    size_t n = 0;
    auto d = parser.iterate(text);
    for (auto r : d["instances"].get_array())
        for (auto v : r.get_array())
            out[n++] = (float)v.get_double().value();
    return n;
}

static void bench_reading(const char *name, const char *format, const std::vector<double> &v,
                          int rounds)
{
    std::string text = make_text(format, v);
    simdjson::padded_string padded(text);
    simdjson::ondemand::parser parser;
    std::vector<float> a(v.size()), b(v.size());
    std::vector<double> ours, rapid, simd, copy;
    std::string text_copy(text.size(), ' ');
    for (int i = 0; i < rounds; i++) {
        auto t = clock_type::now();
        size_t n = bench_decode(text.data(), text.size(), i ? nullptr : a.data());
        ours.push_back(seconds_since(t));
        t = clock_type::now();
        size_t m = read_rapidjson(text, b);
        rapid.push_back(seconds_since(t));
        t = clock_type::now();
        size_t k = read_simdjson(parser, padded, b);
        simd.push_back(seconds_since(t));
        if (n != v.size() || m != n || k != n)
            abort();
        if (i == 0 && memcmp(a.data(), b.data(), n * sizeof(float)) != 0)
            printf("simdjson and we disagree\n");
        t = clock_type::now();
        memcpy(&text_copy[0], text.data(), text.size());
        memcpy(a.data(), b.data(), b.size() * sizeof(float));
        copy.push_back(seconds_since(t));
    }
    double o = median(ours), r = median(rapid), s = median(simd), mb = (double)text.size() / 1e6;
    printf("read  %-22s %6.1f MB  ours %6.1f ms (%4.0f MB/s, %4.1f ns each)  RapidJSON %6.1f ms "
           "%4.1fx  "
           "simdjson %6.1f ms %4.2fx  copy %5.1f ms\n",
           name, mb, o * 1e3, mb / o, o / (double)v.size() * 1e9, r * 1e3, r / o, s * 1e3, s / o,
           median(copy) * 1e3);
}

/* What a loop over snprintf has to do for the same digits; nothing else of JSON. */
static size_t write_snprintf(const std::vector<float> &v, std::string &out)
{
    char buf[64];
    out.clear();
    for (float f : v) {
        int n = snprintf(buf, sizeof buf, "%.9g", (double)f);
        if (!strpbrk(buf, ".e"))
            n += snprintf(buf + n, sizeof buf - (size_t)n, ".0");
        out.append(buf, (size_t)n);
        out.append(", ", 2);
    }
    return out.size();
}

static void bench_writing(const char *name, const std::vector<double> &v, int rounds)
{
    std::vector<float> f(v.begin(), v.end());
    std::vector<double> ours, theirs;
    std::string text;
    size_t n = 0;
    for (int i = 0; i < rounds; i++) {
        auto t = clock_type::now();
        n = bench_encode(f.data(), f.size());
        ours.push_back(seconds_since(t));
        t = clock_type::now();
        write_snprintf(f, text);
        theirs.push_back(seconds_since(t));
    }
    double o = median(ours), s = median(theirs);
    printf("write %-22s %6.1f MB  ours %6.1f ms (%4.0f MB/s, %4.1f ns each)  snprintf  %6.1f ms "
           "%4.1fx\n",
           name, (double)n / 1e6, o * 1e3, (double)n / 1e6 / o, o / (double)f.size() * 1e9, s * 1e3,
           s / o);
}

static void bench_small(int rounds)
{
    std::vector<double> each;
    for (int i = 0; i < rounds; i++) {
        const int times = 100000;
        auto t = clock_type::now();
        for (int k = 0; k < times; k++)
            bench_small_request();
        each.push_back(seconds_since(t) / times);
    }
    printf("small {\"instances\": [1.0, 2.0, 5.0]}, read and answered: %.0f ns\n",
           median(each) * 1e9);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 7;
    double millions = argc > 2 ? atof(argv[2]) : 4.8;
    std::mt19937_64 random(1);
    std::uniform_real_distribution<double> unit(0, 1);
    std::vector<double> v((size_t)(millions * 1e6 / (double)row + 1) * row), w, pixels, shorts;
    for (auto &x : v)
        x = unit(random);
    for (auto x : v) {
        w.push_back((x - 0.5) * 6); /* normalised pixels, embeddings */
        pixels.push_back(std::floor(x * 256));
        shorts.push_back(std::floor(x * 10000) / 10000);
    }
    bench_reading("17 digits, 0..1", "%.17g", v, rounds);
    bench_reading("16 digits, -3..3", "%.16g", w, rounds);
    bench_reading("9 digits, -3..3", "%.9g", w, rounds);
    bench_reading("short decimals", "%.4g", shorts, rounds);
    bench_reading("integers 0..255", "%.0f", pixels, rounds);
    bench_writing("floats, -3..3", w, rounds);
    bench_writing("short decimals", shorts, rounds);
    bench_writing("integers 0..255", pixels, rounds);
    for (auto &x : v)
        x = std::exp(-x * 60); /* a softmax's tail */
    bench_writing("1 ... 1e-26", v, rounds);
    bench_small(rounds);
}
