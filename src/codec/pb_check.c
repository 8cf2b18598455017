/*
 * pb_check.c - see pb_check.h
 *
 * A table has a place for each field number up to the highest that matters; what is not in it
 * (numbers, bytes, unknown fields) has no form beyond its wire type, which the reader checks. A
 * field of another wire type than the table's is an unknown one, except that a repeated number may
 * be packed or not.
 */
#include "codec/pb_check.h"

#include "format/utf8.h"
#include "format/wire.h"

typedef enum kind { PLAIN, STRING, MESSAGE, VARINTS, FIXED32S, FIXED64S } kind;

typedef struct field {
    kind kind;
    const sl_pb_type *type; /* MESSAGE */
} field;

struct sl_pb_type {
    unsigned first, count; /* the numbers that the table has: from `first` on */
    const field *fields;
};

/* clang-format off: braces that it takes for blocks */
/* From field 0, which does not exist, or from a higher one. */
#define FIELDS(...) FIELDS_FROM(0, __VA_ARGS__)
#define FIELDS_FROM(n, ...)                                                          \
    {                                                                                \
        .first = (n), .count = sizeof((const field[]){__VA_ARGS__}) / sizeof(field), \
        .fields = (const field[])                                                    \
        {                                                                            \
            __VA_ARGS__                                                              \
        }                                                                            \
    }

#define TEXT         \
    {                \
        STRING, NULL \
    }
#define NUMBERS       \
    {                 \
        VARINTS, NULL \
    }
#define NUMBERS32      \
    {                  \
        FIXED32S, NULL \
    }
#define NUMBERS64      \
    {                  \
        FIXED64S, NULL \
    }
#define OF(type)         \
    {                    \
        MESSAGE, &(type) \
    }
/* clang-format on */

static const sl_pb_type plain = {0}; /* nothing in it has a form of its own */
static const sl_pb_type any = FIELDS([1] = TEXT);

/* ---- tensors ---- */

static const sl_pb_type dim = FIELDS([2] = TEXT);
static const sl_pb_type shape = FIELDS([2] = OF(dim));
static const sl_pb_type dtype_and_shape = FIELDS([2] = OF(shape));
static const sl_pb_type resource =
    FIELDS([1] = TEXT, [2] = TEXT, [3] = TEXT, [5] = TEXT, [6] = OF(dtype_and_shape));
static const sl_pb_type tensor;
static const sl_pb_type variant = FIELDS([1] = TEXT, [3] = OF(tensor));
static const sl_pb_type tensor =
    FIELDS([2] = OF(shape), [5] = NUMBERS32, [6] = NUMBERS64, [7] = NUMBERS, [9] = NUMBERS32,
           [10] = NUMBERS, [11] = NUMBERS, [12] = NUMBERS64, [13] = NUMBERS, [14] = OF(resource),
           [15] = OF(variant), [16] = NUMBERS, [17] = NUMBERS);

/* ---- Examples ---- */

static const sl_pb_type float_list = FIELDS([1] = NUMBERS32);
static const sl_pb_type int64_list = FIELDS([1] = NUMBERS);
static const sl_pb_type feature =
    FIELDS([1] = OF(plain), [2] = OF(float_list), [3] = OF(int64_list));
static const sl_pb_type feature_entry = FIELDS([1] = TEXT, [2] = OF(feature));
static const sl_pb_type features = FIELDS([1] = OF(feature_entry));
static const sl_pb_type example = FIELDS([1] = OF(features));
static const sl_pb_type example_list = FIELDS([1] = OF(example), [2] = OF(example));
static const sl_pb_type input = FIELDS([1] = OF(example_list), [2] = OF(example_list));

/* ---- requests ---- */

static const sl_pb_type model_spec = FIELDS([1] = TEXT, [2] = OF(plain), [3] = TEXT, [4] = TEXT);
static const sl_pb_type input_entry = FIELDS([1] = TEXT, [2] = OF(tensor));
static const sl_pb_type split_entry = FIELDS([1] = TEXT);
static const sl_pb_type streamed_options = FIELDS([2] = OF(split_entry));
static const sl_pb_type request_options = FIELDS([4] = NUMBERS, [13] = OF(plain));
static const sl_pb_type task = FIELDS([1] = OF(model_spec), [2] = TEXT);

const sl_pb_type sl_pb_predict_request =
    FIELDS([1] = OF(model_spec), [2] = OF(input_entry), [3] = TEXT, [5] = OF(streamed_options),
           [7] = OF(request_options));
const sl_pb_type sl_pb_example_request = FIELDS([1] = OF(model_spec), [2] = OF(input));
const sl_pb_type sl_pb_multi_request = FIELDS([1] = OF(task), [2] = OF(input));
const sl_pb_type sl_pb_metadata_request = FIELDS([1] = OF(model_spec), [2] = TEXT);
const sl_pb_type sl_pb_status_request = FIELDS([1] = OF(model_spec));

/* ---- ModelServerConfig ---- */

static const sl_pb_type specific = FIELDS([1] = NUMBERS);
static const sl_pb_type version_policy =
    FIELDS_FROM(100, [0] = OF(plain), [1] = OF(plain), [2] = OF(specific));
static const sl_pb_type collector = FIELDS([1] = TEXT, [2] = TEXT);
static const sl_pb_type task_sampling = FIELDS([1] = TEXT);
static const sl_pb_type sampling = FIELDS([3] = OF(task_sampling));
static const sl_pb_type logging = FIELDS([1] = OF(collector), [2] = OF(sampling), [3] = OF(any));
static const sl_pb_type label_entry = FIELDS([1] = TEXT);
static const sl_pb_type model_config = FIELDS([1] = TEXT, [2] = TEXT, [4] = TEXT, [6] = OF(logging),
                                              [7] = OF(version_policy), [8] = OF(label_entry));
static const sl_pb_type model_config_list = FIELDS([1] = OF(model_config));
static const sl_pb_type server_config = FIELDS([1] = OF(model_config_list), [2] = OF(any));

const sl_pb_type sl_pb_reload_request = FIELDS([1] = OF(server_config), [2] = TEXT);

/* ---- Open Inference Protocol ---- */

static const sl_pb_type parameter = FIELDS([3] = TEXT);
static const sl_pb_type parameter_entry = FIELDS([1] = TEXT, [2] = OF(parameter));
static const sl_pb_type contents =
    FIELDS([1] = NUMBERS, [2] = NUMBERS, [3] = NUMBERS, [4] = NUMBERS, [5] = NUMBERS,
           [6] = NUMBERS32, [7] = NUMBERS64);
static const sl_pb_type infer_input =
    FIELDS([1] = TEXT, [2] = TEXT, [3] = NUMBERS, [4] = OF(parameter_entry), [5] = OF(contents));
static const sl_pb_type infer_output = FIELDS([1] = TEXT, [2] = OF(parameter_entry));

const sl_pb_type sl_pb_infer_request =
    FIELDS([1] = TEXT, [2] = TEXT, [3] = TEXT, [4] = OF(parameter_entry), [5] = OF(infer_input),
           [6] = OF(infer_output));
const sl_pb_type sl_pb_model_request = FIELDS([1] = TEXT, [2] = TEXT);
const sl_pb_type sl_pb_change_request = FIELDS([1] = TEXT, [2] = TEXT, [3] = OF(parameter_entry));

/* ---- the walk ---- */

/* Each number ends in a byte without the high bit, its tenth at the latest. Small ones go by four
 * at a time. */
static bool varints_ok(sl_str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t run = 0, i = 0;
    while (i < s.n) {
        uint32_t four = 0x80808080;
        if (s.n - i >= 4)
            memcpy(&four, p + i, 4);
        if (run == 0 && (four & 0x80808080) == 0) {
            i += 4;
            continue;
        }
        run = p[i++] & 0x80 ? run + 1 : 0;
        if (run == 10)
            return false;
    }
    return run == 0;
}

typedef struct frame {
    const unsigned char *end;
    const sl_pb_type *type;
} frame;

bool sl_pb_check(sl_str wire, const sl_pb_type *type)
{
    frame stack[SL_WIRE_MAX_DEPTH];
    size_t depth = 0;
    sl_wire w = sl_wire_open(wire);
    for (;;) {
        if (!sl_wire_next(&w)) {
            if (w.bad != NULL || depth == 0)
                return w.bad == NULL;
            depth--;
            w.end = stack[depth].end;
            type = stack[depth].type;
            continue;
        }
        unsigned nth = w.field - type->first; /* below `first`: wraps, and is not in the table */
        if (w.type != SL_WIRE_BYTES || nth >= type->count)
            continue;
        const field *f = &type->fields[nth];
        switch (f->kind) {
        case PLAIN:
            break;
        case STRING:
            if (!sl_utf8_ok(w.bytes))
                return false;
            break;
        case VARINTS:
            if (!varints_ok(w.bytes))
                return false;
            break;
        case FIXED32S:
        case FIXED64S:
            if (w.bytes.n % (f->kind == FIXED32S ? 4 : 8))
                return false;
            break;
        default: /* MESSAGE */
            if (depth == SL_WIRE_MAX_DEPTH)
                return false;
            stack[depth++] = (frame){w.end, type};
            type = f->type;
            w.at = (const unsigned char *)w.bytes.p;
            w.end = w.at + w.bytes.n;
            break;
        }
    }
}

sl_code sl_pb_must(sl_str wire, const sl_pb_type *type, sl_status *st)
{
    if (sl_pb_check(wire, type))
        return SL_OK;
    return sl_fail(st, SL_INTERNAL, "%s", "");
}
