/* host/listing.c and ops.c: a library that answers, one that cannot, and one that hangs. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/tensorflow/host/api.h"
#include "engine/tensorflow/host/listing.h"

enum { SECOND = 1000000000 };

/* ---- a library: an OpList of Add and Mul, a GraphDef of version 7 ---- */

tf_api TF;

static int gate[2]; /* the list is made when it is closed */
static bool none, version_hangs;

static TF_Status *new_status(void)
{
    return NULL;
}
static int get_code(const TF_Status *st)
{
    (void)st;
    return SL_OK;
}
static TF_Graph *new_graph(void)
{
    return NULL;
}
static TF_Buffer *new_buffer(void)
{
    return calloc(1, sizeof(TF_Buffer));
}
static void write_graph(TF_Graph *g, TF_Buffer *out, TF_Status *st)
{
    (void)g, (void)st;
    if (version_hangs)
        pause();
    *out = (TF_Buffer){.data = "\x22\x02\x08\x07", .length = 4};
}
static TF_Buffer *list_ops(void)
{
    static TF_Buffer list = {.data = "\x0a\x05\x0a\x03Mul\x0a\x05\x0a\x03"
                                     "Add",
                             .length = 14};
    char end;
    close(gate[1]);
    if (read(gate[0], &end, 1) != 0 || none)
        list.length = 0;
    return &list;
}

/* ---- the host ---- */

static struct {
    uint64_t id, value, version;
    int n;
} answered;

static void answer(uint64_t id, uint64_t value, uint64_t version)
{
    answered.version = version;
    answered.id = id;
    answered.value = value;
    answered.n++;
}

static void begin(void)
{
    TF = (tf_api){.NewStatus = new_status,
                  .GetCode = get_code,
                  .NewGraph = new_graph,
                  .NewBuffer = new_buffer,
                  .GraphToGraphDef = write_graph,
                  .GetAllOpList = list_ops};
    memset(&answered, 0, sizeof answered);
    assert_int_equal(pipe(gate), 0);
    tf_listing_begin(answer);
    close(gate[0]);
}

static void open_gate(void)
{
    close(gate[1]);
}

/* The file belongs to who answers; what is returned is the test's. */
static int ask(uint64_t id, const char *names)
{
    int file = memfd_create("names", MFD_CLOEXEC);
    assert_int_equal(write(file, names, strlen(names)), strlen(names));
    tf_listing_ask(id, dup(file));
    return file;
}

static void wait_for_end(void)
{
    siginfo_t info;
    assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT), 0);
    tf_listing_reap();
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void expect_left(int file, const char *names)
{
    char text[64] = "";
    assert_int_equal(answered.value, strlen(names));
    assert_int_equal(pread(file, text, sizeof text - 1, 0) >= (ssize_t)strlen(names), 1);
    assert_memory_equal(text, names, strlen(names));
    close(file);
}

/* These two are a library that could not be asked: the ops, once known, stay. */
static void who_asks_a_library_that_hangs_is_answered_after_a_while(void **state)
{
    (void)state;
    begin();
    assert_true(tf_listing_keep(UINT64_MAX - 1) == UINT64_MAX); /* as long as nobody asks */
    uint64_t before = sl_now_ns();
    close(ask(1, "Add\n"));
    close(ask(2, "Add\n"));
    uint64_t due = tf_listing_keep(before);
    assert_true(due >= before + 10ull * SECOND && due < sl_now_ns() + 30ull * SECOND);
    tf_listing_reap();
    assert_int_equal(answered.n, 0);
    assert_true(tf_listing_keep(due) > due); /* and again, should it not end */
    wait_for_end();
    assert_int_equal(answered.n, 2);
    assert_true(answered.value == UINT64_MAX);
    assert_true(tf_listing_keep(due + 60ull * SECOND) == UINT64_MAX);
    close(ask(3, "Add\n"));
    assert_int_equal(answered.n, 3);
    assert_true(answered.id == 3 && answered.value == UINT64_MAX);
    open_gate();
}

/* The host has begun all the same. */
static void a_library_that_hangs_in_its_version_holds_up_nobody_else(void **state)
{
    (void)state;
    version_hangs = true;
    begin();
    version_hangs = false;
    open_gate();
    close(ask(1, "Add\n"));
    tf_listing_reap();
    assert_int_equal(answered.n, 0);
    tf_listing_keep(sl_now_ns() + 60ull * SECOND);
    wait_for_end();
    assert_true(answered.n == 1 && answered.value == UINT64_MAX && answered.version == 0);
}

static void a_library_without_ops_could_not_be_asked(void **state)
{
    (void)state;
    none = true;
    begin();
    none = false;
    close(ask(1, "Add\n"));
    open_gate();
    wait_for_end();
    assert_true(answered.n == 1 && answered.value == UINT64_MAX);
}

static void who_asks_early_is_answered_when_the_ops_are_known(void **state)
{
    (void)state;
    begin();
    int first = ask(1, "Add\nDiv\nMul\n");
    tf_listing_reap();
    assert_int_equal(answered.n, 0);
    open_gate();
    wait_for_end();
    assert_int_equal(answered.n, 1);
    expect_left(first, "Div\n");
    assert_int_equal(answered.version, 7);
    int second = ask(2, "Mod\nMul\nPow\n");
    assert_true(answered.n == 2 && answered.id == 2);
    expect_left(second, "Mod\nPow\n");
    tf_listing_reap(); /* another child */
    assert_int_equal(answered.n, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_asks_a_library_that_hangs_is_answered_after_a_while),
        cmocka_unit_test(a_library_that_hangs_in_its_version_holds_up_nobody_else),
        cmocka_unit_test(a_library_without_ops_could_not_be_asked),
        cmocka_unit_test(who_asks_early_is_answered_when_the_ops_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
