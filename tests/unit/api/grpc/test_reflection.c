/* test_reflection.c - a stream of questions, piece by piece, and its answers */
#include "unit/api/messages.h"

#define V1 "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
#define V1ALPHA "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

/* Fields of a request. */
enum { HOST = 1, BY_FILENAME = 3, BY_SYMBOL = 4, BY_EXTENSION = 5, EXTENSIONS_OF = 6, LIST = 7 };

static sl_text question(unsigned field, const char *value)
{
    sl_text t = {0};
    put_string(&t, field, value);
    put_in_frame(&t, false);
    return t;
}

/* Opens a stream with what is asked first; `t` is given back. */
static void open_stream(world *w, const char *path, const char *headers, sl_text t)
{
    ask(w, &(request){.method = SL_HTTP_POST,
                      .target = path,
                      .headers = headers,
                      .body = as_str(&t),
                      .version = 20,
                      .stays = true});
    sl_text_fini(&t);
}

static void say(world *w, sl_text t, bool end)
{
    w->call.on_data(&w->call, as_str(&t), end);
    sl_text_fini(&t);
}

static const struct {
    unsigned field;
    const char *value, *part;
} asked[] = {
    {LIST, "", "tensorflow.serving.PredictionService"},
    {LIST, "*", "inference.GRPCInferenceService"},
    {BY_FILENAME, "tensorflow_serving/apis/predict.proto", "PredictRequest"},
    {BY_FILENAME, "tensorflow_serving/apis/predict.proto", "PredictRequest"},
    {BY_FILENAME, "none.proto", "File not found."},
    {BY_SYMBOL, "tensorflow.serving.PredictRequest", "PredictRequest"},
    {BY_SYMBOL, "tensorflow.serving.Nothing", "Symbol not found."},
    {BY_EXTENSION, "", "Extension not found."},
    {EXTENSIONS_OF, "tensorflow.serving.PredictRequest", "tensorflow.serving.PredictRequest"},
    {EXTENSIONS_OF, "tensorflow.serving.Nothing", "Type not found."},
    {2, "", "asks for nothing that is known"},
    {8, "", "asks for nothing that is known"},
    {HOST, "localhost", "localhost"},
};

static void every_question_gets_its_answer_in_both_versions(void **state)
{
    world *w = *state;
    static const char *const paths[] = {V1, V1ALPHA};
    for (int p = 0; p < 2; p++) {
        open_stream(w, paths[p], TYPE, question(asked[0].field, asked[0].value));
        for (size_t i = 1; i < SL_COUNTOF(asked); i++) {
            size_t before = w->a.n;
            say(w, question(asked[i].field, asked[i].value), false);
            if (memmem(w->a.body + before, w->a.n - before, asked[i].part, strlen(asked[i].part)) ==
                NULL)
                fail_msg("%s", asked[i].part);
            assert_int_equal(w->a.sends, i + 1);
        }
        fire(w); /* nothing is over */
        say(w, (sl_text){0}, true);
        ends(w, 0, "");
        assert_int_equal(w->a.sends, SL_COUNTOF(asked));
    }
}

static void what_is_hidden_is_not_listed(void **state)
{
    world *w = *state;
    w->grpc.opt.no_health = true;
    w->grpc.opt.oip = NULL;
    open_stream(w, V1, TYPE, question(LIST, ""));
    assert_true(body_has(w, "tensorflow.serving.ModelService"));
    assert_false(body_has(w, "grpc.health.v1.Health"));
    assert_false(body_has(w, "inference.GRPCInferenceService"));
    w->call.on_cancel(&w->call);
    ends(w, 1, "the client left");
}

static void nothing_is_sent_twice_but_what_is_asked_for(void **state)
{
    world *w = *state;
    open_stream(w, V1, TYPE, question(BY_FILENAME, "tensorflow_serving/apis/model.proto"));
    assert_true(body_has(w, "google/protobuf/wrappers.proto\x12"));
    size_t first = w->a.n;
    say(w, question(BY_FILENAME, "tensorflow_serving/apis/model.proto"), true);
    ends(w, 0, "");
    assert_true(w->a.n > first && w->a.n - first < first);
}

static void questions_may_come_in_any_pieces(void **state)
{
    world *w = *state;
    sl_text t = question(BY_FILENAME, "none.proto"), two = {0};
    open_stream(w, V1, TYPE, (sl_text){0});
    sl_str s = as_str(&t);
    for (size_t i = 0; i < s.n; i++) {
        assert_int_equal(w->a.sends, 0);
        w->call.on_data(&w->call, (sl_str){s.p + i, 1}, false);
    }
    assert_int_equal(w->a.sends, 1);
    sl_text_add(&two, s.p, s.n);
    sl_text_add(&two, s.p, s.n);
    say(w, two, true);
    ends(w, 0, "");
    sl_text_fini(&t);
}

static void what_is_no_question_ends_the_stream(void **state)
{
    world *w = *state;
    static const struct {
        sl_str piece;
        const char *headers;
        int code;
        const char *part;
    } pieces[] = {
        {SL_STR("\0\0\0\0\1\xff"), TYPE, 13, ""},
        {SL_STR("\0\0\0\0\2\x08\1"), TYPE, 0, ""}, /* fields that are no strings are skipped */
        {SL_STR("\0\0\0\0"), TYPE, 13, "cut off"},
        {SL_STR("\2\0\0\0\0"), TYPE, 13, "malformed frame"},
        {SL_STR("\0\0\1\0\1"), TYPE, 8, "larger than max"},
        {SL_STR("\1\0\0\0\1a"), TYPE, 13, "no grpc-encoding"},
        {SL_STR("\1\0\0\0\1a"), TYPE "grpc-encoding: gzip\n", 8, "damaged"},
        {SL_STR("\1\0\0\0\x14\x1f\x8b\x08\0\0\0\0\0\0\3\3\0\0\0\0\0\0\0\0\0"),
         TYPE "grpc-encoding: gzip\n", 0, ""},
    };
    for (size_t i = 0; i < SL_COUNTOF(pieces); i++) {
        open_stream(w, V1, pieces[i].headers, (sl_text){0});
        w->call.on_data(&w->call, pieces[i].piece, true);
        ends(w, pieces[i].code, pieces[i].part);
        w->call.on_data(&w->call, SL_STR("x"), true); /* what comes after the end is dropped */
    }
}

static void packed_questions_are_understood(void **state)
{
    world *w = *state;
    char name[200];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    sl_text t = {0};
    put_string(&t, BY_FILENAME, name);
    put_in_frame(&t, true);
    open_stream(w, V1, TYPE "grpc-encoding: gzip\n", t);
    assert_true(body_has(w, "File not found."));
    w->call.on_cancel(&w->call);
}

static void who_asks_and_does_not_read_is_ended(void **state)
{
    world *w = *state;
    open_stream(w, V1, TYPE, question(LIST, ""));
    w->unsent = 512 * 1024;
    say(w, question(LIST, ""), false);
    ends(w, 8, "answers are not read");
}

static void a_stream_ends_with_its_time_or_the_server(void **state)
{
    world *w = *state;
    sl_clock_fake(1000000000);
    open_stream(w, V1, TYPE "grpc-timeout: 1S\n", question(LIST, ""));
    fire(w);
    assert_false(is_replied(w));
    sl_clock_fake(2000000000);
    fire(w);
    ends(w, 4, "Deadline Exceeded");
    open_stream(w, V1, TYPE, question(LIST, ""));
    atomic_store(&w->rest.draining, true);
    fire(w);
    ends(w, 14, "server is shutting down");
}

/* A refused call's questions are dropped. */
static void a_stranger_gets_no_answers(void **state)
{
    world *w = *state;
    guarded(w, "rule { principal: 'token:ann' allow: PREDICT }");
    open_stream(w, V1, TYPE, (sl_text){0});
    ends(w, 16, "");
    w->call.on_data(&w->call, SL_STR("x"), true);
    open_stream(w, V1, TYPE ANN, question(LIST, ""));
    assert_int_equal(w->a.sends, 1);
    w->call.on_cancel(&w->call);
}

static sl_code ask_everything(void *arg, sl_status *st)
{
    world *w = arg;
    static char *questions;
    static size_t size;
    if (questions == NULL) /* made with memory that is not counted */
        for (size_t i = 0; i <= SL_COUNTOF(asked); i++) {
            bool again = i == SL_COUNTOF(asked);
            sl_text t = question(again ? LIST : asked[i].field, again ? "" : asked[i].value);
            questions = realloc(questions, size + t.n);
            memcpy(questions + size, t.p, t.n);
            size += t.n;
            sl_text_fini(&t);
        }
    ask(w, &(request){.method = SL_HTTP_POST,
                      .target = V1,
                      .headers = TYPE,
                      .body = {questions, size / 2},
                      .version = 20,
                      .stays = true});
    if (!is_replied(w))
        w->call.on_data(&w->call, (sl_str){questions + size / 2, size - size / 2}, true);
    assert_true(is_replied(w));
    bool ok = !w->a.failed && strstr(w->a.trailers, "grpc-status: 0\r\n") != NULL;
    if (w->usual.body == NULL && ok) {
        w->usual = w->a;
        w->a = (answer){0};
        return SL_OK;
    }
    if (ok && w->a.n == w->usual.n && memcmp(w->a.body, w->usual.body, w->a.n) == 0)
        return SL_OK;
    bool said = w->a.failed || w->a.refused || strstr(w->a.trailers, "grpc-status: 8\r\n") != NULL;
    return sl_fail(st, said ? SL_RESOURCE_EXHAUSTED : SL_UNKNOWN, "{%s}", w->a.trailers);
}

static void a_stream_survives_without_memory(void **state)
{
    world *w = *state;
    assert_true(fail_each_allocation(ask_everything, w) > 50);
    forget(&w->usual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_question_gets_its_answer_in_both_versions),
        T(what_is_hidden_is_not_listed),
        T(nothing_is_sent_twice_but_what_is_asked_for),
        T(questions_may_come_in_any_pieces),
        T(what_is_no_question_ends_the_stream),
        T(packed_questions_are_understood),
        T(who_asks_and_does_not_read_is_ended),
        T(a_stream_ends_with_its_time_or_the_server),
        T(a_stranger_gets_no_answers),
        T(a_stream_survives_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
