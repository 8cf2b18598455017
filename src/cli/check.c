/*
 * check.c - `sluice check`: would the server start with these flags and files, and serve its
 * models?
 *
 * Reads what `serve` would read, with the same complaints, and then tries what the server would
 * only find out while it runs: versions that are not there, not complete or cannot be read, engines,
 * labels and arms of a split without a version, memory, files that it cannot read once it has
 * locked itself up, addresses to listen on. One finding does not keep the next ones from being
 * found. Changes nothing, serves nothing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/check.h"
#include "cli/cli.h"
#include "cli/flags_cli.h"
#include "cli/outside.h"
#include "server/auth.h"

/* ---- findings ---- */

static void print_clean(FILE *to, const char *begin, const char *fmt, va_list ap)
{
    char *text = NULL;
    int n = vasprintf(&text, fmt, ap);
    fputs(begin, to);
    for (int i = 0; i < n; i++) {
        unsigned char b = (unsigned char)text[i];
        if (b < ' ' || b == 127)
            fprintf(to, "\\x%02x", b);
        else
            putc(b, to);
    }
    putc('\n', to);
    if (n >= 0)
        free(text);
}

void sl_check_say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print_clean(stdout, "", fmt, ap);
    va_end(ap);
}

void sl_check_find(sl_check *c, bool fatal, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print_clean(stderr, fatal ? "sluice: " : "sluice: warning: ", fmt, ap);
    va_end(ap);
    c->fatal += fatal;
    c->warnings += !fatal;
}

/* What reading the configuration has to say. */
static void tell(void *arg, const sl_status *st)
{
    sl_check_find(arg, true, "%s", st->msg);
}

/* ---- permissions ---- */

/* From this machine: the server may be another one, so this is only remarked. */
static void say_keys(const char *issuer, const char *url, const sl_status *st)
{
    if (st->code == SL_OK)
        sl_check_say("jwt %s: keys fetched from %s", issuer, url);
    else
        sl_check_say("jwt %s: its keys cannot be fetched from here, and a server that cannot fetch "
                     "them refuses its tokens: %s",
                     issuer, st->msg);
}

static void check_auth(sl_check *c)
{
    const sl_flags *f = c->flags;
    sl_status st = {0};
    if (*f->auth_config_file == '\0')
        return;
    sl_code rc = sl_guard_new(false, &c->guard, &st);
    if (rc == SL_OK)
        rc = sl_auth_read(f->auth_config_file, f->remote_helper, c->guard, say_keys, &st);
    if (rc)
        sl_check_find(c, true, "auth_config_file: %s", st.msg);
    c->bad_auth = rc != SL_OK;
}

/* ---- certificates ---- */

/* One that has expired has been refused; of one that soon will the log has just warned. */
static void check_dates(sl_check *c, const sl_certificate_source *source)
{
    enum { DAY = 24 * 3600, SOON = 14 };
    int64_t t, now = sl_wall_us() / 1000000;
    for (int i = 0; source->tls != NULL && (t = sl_tls_not_after(source->tls, i)) != 0; i++) {
        sl_check_say("%s: certificate %s: good for %" PRId64 " days", source->what,
                     source->files[i], (t - now) / DAY);
        c->warnings += t - now < SOON * (int64_t)DAY;
    }
}

/* Keys and certificates, as the server would take them: dates, chain, do they belong together. */
static void check_certificates(sl_check *c)
{
    sl_status st = {0};
    if (sl_certificates_open(&c->certificates, c->flags, &st)) {
        sl_check_find(c, true, "TLS: %s", st.msg);
        c->bad_certificates = true;
        return;
    }
    check_dates(c, &c->certificates.rest);
    check_dates(c, &c->certificates.grpc);
    check_dates(c, &c->certificates.admin);
}

/* ---- the command ---- */

static const char usage_text[] =
    "usage: sluice check [--reload] [--flag=value ...]\n"
    "  Reads flags and configuration files as \"sluice serve\" would (its --help lists the flags), "
    "and says\n"
    "  what is wrong: paths, versions and whether they are complete, engines, signatures, labels, "
    "memory,\n"
    "  certificates, what it may read and write as --run_as and in the sandbox, addresses to "
    "listen\n"
    "  on. Changes nothing, serves nothing.\n"
    "  --reload          for a server that runs: what a reload would refuse is fatal (labels of "
    "versions\n"
    "                    that are not there); addresses are in use, as they should be\n"
    "  --strict_startup  what a start with it would refuse is fatal\n"
    "  exit status: 0 all is well, or there are only warnings; 1 a finding is fatal; 2 usage\n"
    "or: sluice check --from-outside HOST:PORT ...  (sluice check --from-outside lists the rest)";

static int sum_up(const sl_check *c)
{
    const char *s = c->warnings == 1 ? "" : "s";
    if (c->fatal > 0)
        printf("not ok: %d fatal, %d warning%s\n", c->fatal, c->warnings, s);
    else if (c->warnings > 0)
        printf("ok, with %d warning%s\n", c->warnings, s);
    else
        puts("ok");
    return c->fatal ? SL_EXIT_REFUSED : SL_EXIT_OK;
}

static sl_code check(sl_check *c, sl_status *st)
{
    const sl_config_complaint to = {tell, c};
    sl_flags *f = c->flags;
    sl_log_set_level(sl_flags_given(f, "log_level") ? (sl_log_level)f->log_level : SL_WARNING);
    sl_flags_choose_port(f);
    sl_code rc = sl_config_survey(f, &c->config, &to, st);
    if (rc)
        return rc;
    check_certificates(c); /* with its warnings: a key that everybody can read ... */
    /* What follows says all this itself. */
    sl_log_set_level(SL_FATAL);
    check_auth(c);
    sl_check_models(c);
    sl_check_lockup(c);
    sl_check_ports(c);
    for (int i = 0; i < c->n_versions; i++)
        sl_free(c->versions[i].path);
    sl_free(c->versions);
    sl_certificates_close(&c->certificates);
    sl_guard_free(c->guard);
    sl_config_fini(&c->config);
    return SL_OK;
}

int sl_cmd_check(int argc, char **argv)
{
    sl_flags f;
    sl_check c = {.flags = &f};
    sl_status st = {0};
    int exit_status, n = 1; /* argv[1 ... n - 1]: the flags of serve */
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--from-outside", 14) == 0)
            return sl_check_outside(argc, argv);
        if (strcmp(argv[i], "--help") == 0) {
            puts(usage_text);
            return SL_EXIT_OK;
        }
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--reload") == 0)
            c.reload = true;
        else
            argv[n++] = argv[i];
    }
    if (!sl_cli_flags(n, argv, &f, &exit_status))
        return exit_status;
    setvbuf(stdout, NULL, _IOLBF, 0); /* in order with what stderr gets */
    if (check(&c, &st))
        return sl_cli_refuse(&st);
    return sum_up(&c);
}
