/*
 * guard_check.c - what it costs to ask who it is, whether they may, and how much already
 *
 *     bench_guard_check [rounds]
 *
 * A whole admission: identify, may, count, leave. Nanoseconds of the thread's own processor time,
 * the median of seven runs, with 1,000 tokens and ten rules: without a configuration; an API token;
 * a JWT that was verified before; a JWT that is verified each time (the cache is emptied by reading
 * the configuration again); and a token under a limit. The issuer is made here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "format/textpb.h"
#include "guard/guard.h"
#include "guard/tokens.h"
#include "proto/auth_config.pb-c.h"
#include "unit/guard/jwt_maker.h"

enum { RUNS = 7, TOKENS = 1000 };

static sl_guard *guard;
static sl_arena arena;
static char dir[] = "/tmp/guard_check.XXXXXX";

static void write_file(const char *name, const sl_text *t)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    if (f == NULL || fwrite(t->p, 1, t->n, f) != t->n || fclose(f) != 0)
        exit(1);
}

static void remove_files(void)
{
    char path[256];
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, i ? "tokens" : "jwks");
        unlink(path);
    }
    rmdir(dir);
}

static void configure(const char *more)
{
    sl_text text = {0}, wire = {0};
    sl_status st;
    sl_text_puts(&text, "token_file: 'tokens' jwt { name: 'i' issuer: 'https://i' audience: "
                        "'sluice' jwks_file: 'jwks' } ");
    for (int i = 0; i < 9; i++)
        sl_text_printf(&text, "rule { principal: 'token:other%d' allow: PREDICT model: 'm%d_*' } ",
                       i, i);
    sl_text_printf(&text, "rule { principal: '*' allow: PREDICT } %s", more);
    if (sl_textpb_parse((sl_str){text.p, text.n}, &sluice__auth_config__descriptor, NULL, 0, &wire,
                        &st))
        exit(fprintf(stderr, "%s\n", st.msg));
    Sluice__AuthConfig *c = sluice__auth_config__unpack(NULL, wire.n, (const uint8_t *)wire.p);
    if (sl_guard_configure(guard, c, dir, NULL, &st))
        exit(fprintf(stderr, "%s\n", st.msg));
    sluice__auth_config__free_unpacked(c, NULL);
    sl_text_fini(&text);
    sl_text_fini(&wire);
}

static void admit(sl_str authorization)
{
    sl_http_header h = {SL_STR("authorization"), authorization};
    sl_http_call call = {.peer = SL_STR("192.0.2.7:4711"),
                         .headers = &h,
                         .n_headers = authorization.n > 0,
                         .arena = &arena};
    sl_admission a;
    sl_status st;
    sl_str model = SL_STR("fraud_eu"), none = SL_STR("");
    if (sl_guard_identify(guard, &call, &a, &st) ||
        sl_guard_may(guard, &a, SL_MAY_PREDICT, model, none, &st) ||
        sl_guard_count(guard, &a, model, &st))
        exit(fprintf(stderr, "%s\n", st.msg));
    sl_guard_leave(guard, &a);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const char *what, sl_str authorization, int rounds)
{
    double ns[RUNS];
    for (int r = 0; r < RUNS; r++) {
        double begin = now();
        for (int i = 0; i < rounds; i++)
            admit(authorization);
        ns[r] = (now() - begin) / rounds;
    }
    qsort(ns, RUNS, sizeof *ns, compare);
    printf("%-40s %8.0f ns\n", what, ns[RUNS / 2]);
}

/* Each admission meets an empty cache; what reading the configuration costs is not counted. */
static void measure_first(const char *what, sl_str authorization)
{
    double ns[101];
    for (int r = 0; r < 101; r++) {
        configure("");
        double begin = now();
        admit(authorization);
        ns[r] = now() - begin;
        sl_arena_reset(&arena);
    }
    qsort(ns, 101, sizeof *ns, compare);
    printf("%-40s %8.0f ns\n", what, ns[50]);
}

int main(int argc, char **argv)
{
    static const struct {
        sl_key_alg alg;
        const char *header, *name;
    } kinds[] = {{SL_RS256, "{\"alg\":\"RS256\"}", "RS256"},
                 {SL_ES256, "{\"alg\":\"ES256\"}", "ES256"},
                 {SL_EDDSA, "{\"alg\":\"EdDSA\"}", "EdDSA"}};
    int rounds = argc > 1 ? atoi(argv[1]) : 1000000;
    sl_text t = {0}, jwt = {0}, value = {0};
    sl_status st;
    maker m;
    if (mkdtemp(dir) == NULL || sl_guard_new(false, &guard, &st) || sl_arena_init(&arena, 0))
        return 1;
    atexit(remove_files);
    measure("without a configuration", SL_STR(""), rounds);
    for (int i = 0; i < TOKENS; i++) {
        char token[32];
        snprintf(token, sizeof token, "slt_%d", i);
        sl_token_line("ci", token, 0, &t);
        sl_text_putc(&t, '\n');
    }
    write_file("tokens", &t);
    t.n = 0;
    maker_init(&m);
    maker_jwks(&m, &t);
    write_file("jwks", &t);
    configure("");
    measure("an API token", SL_STR("Bearer slt_77"), rounds);
    for (size_t i = 0; i < 3; i++) {
        char what[64];
        maker_token(&m, kinds[i].alg, kinds[i].header,
                    "{\"iss\":\"https://i\",\"sub\":\"ann\",\"aud\":\"sluice\",\"exp\":4000000000}",
                    &jwt);
        value.n = 0;
        sl_text_printf(&value, "Bearer %.*s", (int)jwt.n, jwt.p);
        snprintf(what, sizeof what, "a JWT (%s) that was verified before", kinds[i].name);
        measure(what, (sl_str){value.p, value.n}, rounds);
        snprintf(what, sizeof what, "a JWT (%s) for the first time", kinds[i].name);
        measure_first(what, (sl_str){value.p, value.n});
    }
    configure("limit { per: PRINCIPAL requests_per_second: 1e9 concurrent: 100 }");
    measure("an API token under a limit", SL_STR("Bearer slt_77"), rounds);
    maker_fini(&m);
    sl_guard_free(guard);
    sl_arena_fini(&arena);
    return 0;
}
