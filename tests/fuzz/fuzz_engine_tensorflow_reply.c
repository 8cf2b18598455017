/*
 * What a hostile child writes into a slot's region must not harm the server.
 *
 * A session whose child is a thread of this program: it waits for a request and answers it with the
 * input's bytes. First byte: how much larger than it is the region is said to be; then the reply,
 * from its header on. Every output that run() accepts is read to its end.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/thread.h"
#include "engine/tensorflow/internal.h"
#include "engine/tensorflow/ipc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sl_session *session;
static int child_socket;
static const uint8_t *answer;
static size_t answer_size;

static void write_answer(sl_tf_slot *slot, int fd)
{
    static const uint64_t claims[] = {0, 1, 1u << 20, 1ull << 46, UINT64_MAX, 1ull << 63};
    size_t size = atomic_load(&slot->region_size);
    char *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    sl_tf_request head;
    if (base == MAP_FAILED)
        abort();
    memcpy(&head, base, sizeof head);
    size_t n = SL_MIN(answer_size - 1, size - head.reply_at);
    memset(base + head.reply_at, 0, size - head.reply_at);
    memcpy(base + head.reply_at, answer + 1, n);
    munmap(base, size);
    uint64_t claim = answer[0] < SL_COUNTOF(claims) ? claims[answer[0]] : 0;
    atomic_store(&slot->region_size, size + claim);
}

/* Serves slot 0 only: there is one request at a time. Never returns. */
static void *child(void *control)
{
    sl_tf_slot *slot = &((sl_tf_control *)control)->slots[0];
    int fd = -1;
    for (;;) {
        sl_tf_msg m;
        int next, n = 0;
        for (uint32_t state; (state = atomic_load(&slot->state)) != SL_TF_REQUEST;)
            sl_tf_futex_wait(&slot->state, state, 0);
        while (sl_tf_receive(child_socket, &m, &next, 1, &n) == 1 && n == 1) {
            if (fd >= 0)
                close(fd);
            fd = next;
        }
        write_answer(slot, fd);
        sl_tf_hand_over(&slot->state, SL_TF_REPLY, &slot->server_sleeps);
    }
    return NULL;
}

static void set_up(void)
{
    int sockets[2];
    pthread_t thread;
    tf_child *c = sl_calloc(1, sizeof *c);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sockets) != 0)
        abort();
    c->refs = 1;
    c->socket = sockets[0];
    child_socket = sockets[1];
    c->control =
        mmap(NULL, sizeof *c->control, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    atomic_store(&c->control->slots[0].child_sleeps, 1);
    session = sl_calloc(1, sizeof *session);
    session->label = sl_strdup("model");
    static const sl_tensor_info infos[] = {{.key = "a", .rank = -1}, {.key = "b", .rank = -1}};
    static const sl_signature one = {
        .key = "s", .inputs = infos, .n_inputs = 1, .outputs = infos, .n_outputs = 2};
    session->signatures = sl_signatures_try_dup(&(sl_signatures){&one, 1, false});
    session->ready = c;
    pthread_mutex_init(&session->lock, NULL);
    sl_cond_init(&session->freed);
    if (pthread_create(&thread, NULL, child, c->control) != 0)
        abort();
    pthread_detach(thread);
}

static unsigned char touch(const sl_tensor *t)
{
    unsigned char sum = 0;
    if (t->dtype == SL_DT_STRING)
        for (int64_t i = 0; i < sl_tensor_count(t); i++)
            for (size_t k = 0; k < ((sl_str *)t->data)[i].n; k++)
                sum ^= (unsigned char)((sl_str *)t->data)[i].p[k];
    else
        for (size_t k = 0; k < t->size; k++)
            sum ^= ((unsigned char *)t->data)[k];
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int indices[] = {0, 1};
    static volatile unsigned char sink __attribute__((unused));
    if (size == 0)
        return 0;
    if (session == NULL)
        set_up();
    answer = data;
    answer_size = size;
    float x = 1;
    sl_tensor in = {.dtype = SL_DT_FLOAT, .size = sizeof x, .data = &x}, out[2];
    sl_run run = {.n_inputs = 1,
                  .input_index = indices,
                  .inputs = &in,
                  .n_outputs = 2,
                  .output_index = indices,
                  .outputs = out};
    sl_status st;
    if (tf_run(session, &run, &st) != SL_OK)
        return 0;
    for (int i = 0; i < 2; i++) {
        sink ^= touch(&out[i]);
        sl_tensor_release(&out[i]);
    }
    return 0;
}
