/*
 * token.c - `sluice token` makes an API token, `sluice can` explains a decision
 *
 * The token itself is printed once and kept nowhere; the file gets its hash. A credential is never
 * taken from the command line, where every user of the machine can read it, but from standard
 * input.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "guard/tokens.h"
#include "server/auth.h"

static const char token_usage[] =
    "usage: sluice token NAME --file=PATH [--expires=2027-01-31 | --expires=30d]\n"
    "       sluice can PRINCIPAL PERMISSION [MODEL] --auth_config_file=PATH [--label=LABEL]\n"
    "\n"
    "token  makes an API token, prints it, and adds its hash to the file (made if need be). "
    "Clients\n"
    "       send it as \"Authorization: Bearer <token>\"; their principal is token:NAME.\n"
    "can    says whether a principal (token:ci, jwt:corp/ann, anonymous), or the owner of a token\n"
    "       that is given on standard input (PRINCIPAL is then -), may predict, metadata, status,\n"
    "       metrics, admin or health, and which rule decides.\n";

/* "30d", "12h", or a time. False: neither. */
static bool parse_expiry(const char *text, int64_t *out)
{
    int64_t n;
    size_t len = strlen(text);
    if (len > 1 && (text[len - 1] == 'd' || text[len - 1] == 'h') &&
        sl_str_to_int64((sl_str){text, len - 1}, &n) && n > 0 && n < 36500) {
        *out = sl_wall_us() / 1000000 + n * (text[len - 1] == 'd' ? 86400 : 3600);
        return true;
    }
    return sl_time_parse(sl_str_of(text), out) && *out > sl_wall_us() / 1000000;
}

/* Has somebody left the file's last line without its end? */
static bool is_open_ended(int fd)
{
    struct stat s;
    char last;
    return fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && s.st_size > 0 &&
           pread(fd, &last, 1, s.st_size - 1) == 1 && last != '\n';
}

/* Appends the line; a file that is new can be read by its owner alone. */
static sl_code append(const char *path, const char *line, sl_status *st)
{
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    struct stat s;
    sl_text t = {0};
    if (fd < 0)
        return sl_fail(st, SL_FAILED_PRECONDITION, "%s: %s", path, strerror(errno));
    sl_text_printf(&t, "%s%s\n", is_open_ended(fd) ? "\n" : "", line);
    bool ok = !t.failed && write(fd, t.p, t.n) == (ssize_t)t.n && fsync(fd) == 0;
    int e = errno;
    sl_text_fini(&t);
    if (fstat(fd, &s) == 0 && s.st_mode & 0022)
        fprintf(stderr,
                "sluice: warning: %s can be written by others: they can let themselves in\n", path);
    close(fd);
    return ok ? SL_OK : sl_fail(st, SL_UNAVAILABLE, "%s: %s", path, strerror(e));
}

int sl_cmd_token(int argc, char **argv)
{
    const char *name = NULL, *file = NULL, *value;
    int64_t expires_s = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(token_usage, stdout);
            return SL_EXIT_OK;
        }
        if ((value = sl_cli_value(argv[i], "--file")) != NULL)
            file = value;
        else if ((value = sl_cli_value(argv[i], "--expires")) != NULL) {
            if (!parse_expiry(value, &expires_s))
                return sl_cli_usage("--expires=%s: expected a time to come, like 2027-01-31 or 30d",
                                    value);
        } else if (argv[i][0] != '-' && name == NULL)
            name = argv[i];
        else
            return sl_cli_usage("token: %s is not understood; see sluice token --help", argv[i]);
    }
    if (name == NULL || file == NULL)
        return sl_cli_usage("token: a name and --file=PATH are needed; see sluice token --help");
    if (!sl_token_name_is_sane(sl_str_of(name)))
        return sl_cli_usage("token: a name is 1 to 64 of the characters A-Z a-z 0-9 . _ @ -");
    char token[SL_TOKEN_SIZE + 1];
    sl_status st;
    sl_text line = {0};
    sl_code rc = sl_token_make(token, &st);
    if (rc == SL_OK) {
        sl_token_line(name, token, expires_s, &line);
        rc = line.failed ? sl_fail(&st, SL_RESOURCE_EXHAUSTED, "out of memory")
                         : append(file, line.p, &st);
    }
    sl_text_fini(&line);
    if (rc)
        return sl_cli_refuse(&st);
    puts(token);
    return SL_EXIT_OK;
}

/* One line of standard input, without its end. */
static bool read_line(char *buf, size_t room)
{
    if (fgets(buf, (int)room, stdin) == NULL)
        return false;
    buf[strcspn(buf, "\r\n")] = '\0';
    return *buf != '\0';
}

static void say_keys(const char *issuer, const char *url, const sl_status *st)
{
    if (st->code)
        fprintf(stderr, "sluice: jwt \"%s\": its keys cannot be fetched from %s: %s\n", issuer, url,
                st->msg);
}

static int decide(const char *path, const char *who, sl_permission what, const char *model,
                  const char *label)
{
    static char credential[32 * 1024];
    sl_guard *g;
    sl_status st;
    sl_text why = {0};
    if (strcmp(who, "-") == 0) {
        if (!read_line(credential, sizeof credential))
            return sl_cli_usage("can: no token on standard input");
        who = credential;
    } else if (strcmp(who, "anonymous") != 0 && strchr(who, ':') == NULL) {
        /* Whatever it is, it is not repeated. */
        return sl_cli_usage(
            "can: this is no principal (token:NAME, jwt:ISSUER/SUBJECT, cert:NAME, anonymous ...). "
            "A token does not belong on a command line, where others can read it: give it on "
            "standard input, and - in its place");
    }
    if (sl_guard_new(false, &g, &st))
        return sl_cli_refuse(&st);
    /* Only a token that has to be verified needs keys. */
    sl_code rc = sl_auth_read(path, who == credential ? "" : NULL, g, say_keys, &st);
    if (rc == SL_OK)
        rc = sl_guard_explain(g, sl_str_of(who), who == credential, what, sl_str_of(model),
                              sl_str_of(label), &why, &st);
    if (rc == SL_OK)
        printf("yes: %s\n", why.p);
    else
        printf("no: %s\n", st.msg);
    sl_text_fini(&why);
    sl_guard_free(g);
    return rc ? SL_EXIT_REFUSED : SL_EXIT_OK;
}

int sl_cmd_can(int argc, char **argv)
{
    const char *words[3] = {NULL, NULL, ""}, *path = NULL, *label = "", *value;
    int n = 0;
    sl_permission what;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(token_usage, stdout);
            return SL_EXIT_OK;
        }
        if ((value = sl_cli_value(argv[i], "--auth_config_file")) != NULL)
            path = value;
        else if ((value = sl_cli_value(argv[i], "--label")) != NULL)
            label = value;
        else if ((argv[i][0] != '-' || argv[i][1] == '\0') && n < 3)
            words[n++] = argv[i];
        else
            return sl_cli_usage("can: %s is not understood; see sluice can --help", argv[i]);
    }
    if (n < 2 || path == NULL)
        return sl_cli_usage("can: a principal, a permission and --auth_config_file=PATH are "
                            "needed; see sluice can --help");
    if (!sl_permission_parse(sl_str_of(words[1]), &what))
        return sl_cli_usage(
            "can: %s is no permission: predict, metadata, status, metrics, admin, health",
            words[1]);
    return decide(path, words[0], what, words[2], label);
}
