/*
 * messages.h - requests in protobuf's wire form, and gRPC's frames around them
 *
 * Each of these appends to a text of its own, which the test gives back: sl_text_fini.
 */
#ifndef SL_TEST_API_MESSAGES_H
#define SL_TEST_API_MESSAGES_H

#include "unit/api/fixture.h"

#include "format/wire.h"

static inline void put_inside(sl_text *t, unsigned field, sl_text *inner)
{
    sl_wire_put_bytes(t, field, inner->p, inner->n);
    sl_text_fini(inner);
}

static inline void put_string(sl_text *t, unsigned field, const char *s)
{
    sl_wire_put_bytes(t, field, s, strlen(s));
}

/* A ModelSpec; version < 0, NULL: not there. */
typedef struct spec {
    const char *model, *signature, *label;
    int64_t version; /* 0: none */
} spec;

static inline void put_spec(sl_text *t, unsigned field, spec s)
{
    sl_text m = {0}, version = {0};
    if (s.model != NULL)
        put_string(&m, 1, s.model);
    if (s.version) {
        sl_wire_put_varint(&version, 1, (uint64_t)s.version);
        put_inside(&m, 2, &version);
    }
    if (s.signature != NULL)
        put_string(&m, 3, s.signature);
    if (s.label != NULL)
        put_string(&m, 4, s.label);
    put_inside(t, field, &m);
}

/* A PredictRequest with x: n times 1.5. */
static inline sl_text predict_message(spec s, int n)
{
    sl_text t = {0}, entry = {0}, tensor = {0}, shape = {0}, dim = {0};
    put_spec(&t, 1, s);
    sl_wire_put_varint(&tensor, 1, SL_DT_FLOAT);
    sl_wire_put_varint(&dim, 1, (uint64_t)n);
    put_inside(&shape, 2, &dim);
    put_inside(&tensor, 2, &shape);
    for (int i = 0; i < n; i++)
        sl_wire_put_fixed32(&tensor, 5, 0x3fc00000);
    put_string(&entry, 1, "x");
    put_inside(&entry, 2, &tensor);
    put_inside(&t, 2, &entry);
    return t;
}

/* An Input of n empty Examples. */
static inline void put_examples(sl_text *t, unsigned field, int n)
{
    sl_text input = {0}, list = {0};
    for (int i = 0; i < n; i++)
        put_string(&list, 1, "");
    put_inside(&input, 1, &list);
    put_inside(t, field, &input);
}

/* A ClassificationRequest or RegressionRequest. */
static inline sl_text examples_message(spec s, int n)
{
    sl_text t = {0};
    put_spec(&t, 1, s);
    put_examples(&t, 2, n);
    return t;
}

/* A MultiInferenceRequest: classify and regress of m, with n Examples. */
static inline sl_text multi_message(const char *model, int n)
{
    static const char *const names[] = {"classify", "regress"};
    sl_text t = {0};
    for (int i = 0; i < 2; i++) {
        sl_text task = {0};
        char method[64];
        snprintf(method, sizeof method, "tensorflow/serving/%s", names[i]);
        put_spec(&task, 1, (spec){.model = model, .signature = names[i]});
        put_string(&task, 2, method);
        put_inside(&t, 1, &task);
    }
    put_examples(&t, 2, n);
    return t;
}

/* A ModelInferRequest with x: n times 1.5. */
static inline sl_text oip_message(const char *model, const char *version, int n)
{
    sl_text t = {0}, input = {0}, contents = {0};
    put_string(&t, 1, model);
    put_string(&t, 2, version);
    put_string(&input, 1, "x");
    put_string(&input, 2, "FP32");
    sl_wire_put_varint(&input, 3, (uint64_t)n);
    for (int i = 0; i < n; i++)
        sl_wire_put_fixed32(&contents, 6, 0x3fc00000);
    put_inside(&input, 5, &contents);
    put_inside(&t, 5, &input);
    return t;
}

/* ---- frames ---- */

/* `t` becomes gzip, which must be shorter. */
static inline void pack(sl_text *t)
{
    sl_chain c = {0};
    sl_chain_add(&c, t->p, t->n);
    assert_true(sl_gzip_chain(&c));
    assert_true(c.size < t->n);
    sl_chain_copy(&c, t->p);
    t->n = c.size;
    sl_chain_reset(&c);
}

/* `t` becomes a message in its frame; packed by gzip if that is asked for. */
static inline void put_in_frame(sl_text *t, bool packed)
{
    sl_chain c = {0};
    sl_text f = {0};
    sl_chain_add(&c, t->p, t->n);
    if (packed)
        assert_true(sl_zip_chain(SL_ZIP_GZIP, &c));
    char prefix[5] = {(char)packed, 0, (char)(c.size >> 16), (char)(c.size >> 8), (char)c.size};
    char *all = malloc(c.size + 1);
    sl_chain_copy(&c, all);
    sl_text_add(&f, prefix, 5);
    sl_text_add(&f, all, c.size);
    free(all);
    sl_chain_reset(&c);
    sl_text_fini(t);
    *t = f;
}

static inline sl_str as_str(const sl_text *t)
{
    return (sl_str){t->p, t->n};
}

/* A call of gRPC whose body is in `t`; `headers` begins with its TYPE. */
#define TYPE "content-type: application/grpc\n"
static inline request rpc(const char *path, const char *headers, const sl_text *t)
{
    return (request){.method = SL_HTTP_POST,
                     .target = path,
                     .headers = headers,
                     .body = as_str(t),
                     .version = 20};
}

/* The metadata of a model, in a GetModelMetadataRequest. */
static inline sl_text metadata_message(spec s)
{
    sl_text t = {0};
    put_spec(&t, 1, s);
    put_string(&t, 2, "signature_def");
    return t;
}

#endif
