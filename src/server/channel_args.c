/* channel_args.c - see channel_args.h */
#include "server/channel_args.h"

#include "base/log.h"
#include "base/mem.h"

/* Values of grpc.default_compression_algorithm. */
static const sl_grpc_encoding algorithms[] = {SL_GRPC_IDENTITY, SL_GRPC_DEFLATE, SL_GRPC_GZIP};

/* An argument whose value is a whole number in [min, max]. */
typedef struct argument {
    const char *key;
    int64_t min, max;
    void (*apply)(sl_http_options *o, int64_t value); /* or NULL: looked at elsewhere */
} argument;

static void max_head(sl_http_options *o, int64_t v)
{
    o->limits.max_head = (size_t)v;
}

static void max_streams(sl_http_options *o, int64_t v)
{
    o->limits.max_streams = (int)v;
}

#define SETS(member)                                  \
    static void member(sl_http_options *o, int64_t v) \
    {                                                 \
        o->h2.member = (int)v;                        \
    }
SETS(keepalive_time_ms)
SETS(keepalive_timeout_ms)
SETS(permit_without_calls)
SETS(min_ping_interval_without_data_ms)
SETS(max_ping_strikes)
SETS(max_connection_age_ms)
SETS(max_connection_age_grace_ms)
SETS(max_connection_idle_ms)

static const argument arguments[] = {
    {"grpc.default_compression_algorithm", 0, SL_COUNTOF(algorithms) - 1, NULL},
    {"grpc.max_receive_message_length", -1, INT32_MAX, NULL},
    {"grpc.max_metadata_size", 1, INT32_MAX, max_head},
    {"grpc.max_concurrent_streams", 1, INT32_MAX, max_streams},
    {"grpc.keepalive_time_ms", 1, INT32_MAX, keepalive_time_ms},
    {"grpc.keepalive_timeout_ms", 1, INT32_MAX, keepalive_timeout_ms},
    {"grpc.keepalive_permit_without_calls", 0, 1, permit_without_calls},
    {"grpc.http2.min_ping_interval_without_data_ms", 0, INT32_MAX,
     min_ping_interval_without_data_ms},
    /* what gRPC called it before */
    {"grpc.http2.min_recv_ping_interval_without_data_ms", 0, INT32_MAX,
     min_ping_interval_without_data_ms},
    {"grpc.http2.max_ping_strikes", 0, INT32_MAX, max_ping_strikes},
    {"grpc.max_connection_age_ms", 1, INT32_MAX, max_connection_age_ms},
    {"grpc.max_connection_age_grace_ms", 0, INT32_MAX, max_connection_age_grace_ms},
    {"grpc.max_connection_idle_ms", 1, INT32_MAX, max_connection_idle_ms},
};

static bool value_of(const sl_flags *f, const argument *a, int64_t *out)
{
    sl_str text;
    return sl_flags_channel_argument(f, a->key, &text) && sl_str_to_int64(text, out) &&
           *out >= a->min && *out <= a->max;
}

static bool number(const sl_flags *f, const char *key, int64_t *out)
{
    for (size_t i = 0; i < SL_COUNTOF(arguments); i++)
        if (strcmp(arguments[i].key, key) == 0)
            return value_of(f, &arguments[i], out);
    return false;
}

static const argument *find(sl_str item)
{
    const char *equals = memchr(item.p, '=', item.n);
    sl_str key = {item.p, equals != NULL ? (size_t)(equals - item.p) : item.n};
    for (size_t i = 0; i < SL_COUNTOF(arguments); i++)
        if (sl_str_is(key, arguments[i].key))
            return &arguments[i];
    return NULL;
}

void sl_channel_args_tell(const sl_flags *f)
{
    sl_str item;
    int64_t value;
    for (size_t at = 0; sl_flags_item(f->grpc_channel_arguments, &at, &item);) {
        const argument *a = find(item);
        if (a == NULL)
            sl_log(SL_WARNING, "--grpc_channel_arguments: %.*s has no meaning in this server",
                   SL_STR_ARG(item));
        else if (!value_of(f, a, &value))
            sl_log(
                SL_WARNING,
                "--grpc_channel_arguments: %.*s is ignored, it is not a number from %lld to %lld",
                SL_STR_ARG(item), (long long)a->min, (long long)a->max);
    }
}

void sl_channel_args_apply(const sl_flags *f, sl_http_options *o)
{
    int64_t value;
    for (size_t i = 0; i < SL_COUNTOF(arguments); i++)
        if (arguments[i].apply != NULL && value_of(f, &arguments[i], &value))
            arguments[i].apply(o, value);
}

sl_grpc_encoding sl_channel_args_encoding(const sl_flags *f)
{
    int64_t value;
    return number(f, "grpc.default_compression_algorithm", &value) ? algorithms[value]
                                                                   : SL_GRPC_IDENTITY;
}

size_t sl_channel_args_max_message(const sl_flags *f)
{
    int64_t value;
    if (!sl_flags_given(f, "grpc_max_message_bytes") &&
        number(f, "grpc.max_receive_message_length", &value) && value >= 0)
        return (size_t)value;
    return (size_t)f->grpc_max_message_bytes;
}
