/*
 * flags_table.h - what is known about each flag; for flags*.c and their tests
 */
#ifndef SL_SERVER_FLAGS_TABLE_H
#define SL_SERVER_FLAGS_TABLE_H

#include "server/flags.h"

typedef enum sl_flag_type {
    SL_FLAG_BOOL,
    SL_FLAG_INT32,
    SL_FLAG_INT64,
    SL_FLAG_FLOAT,
    SL_FLAG_STRING,
    SL_FLAG_CHOICE, /* int: position in `choices`, plus `min` */
    SL_FLAG_CUSTOM  /* `parse` does it */
} sl_flag_type;

typedef enum sl_flag_group {
    SL_FLAGS_TRANSPORT,
    SL_FLAGS_MODELS,
    SL_FLAGS_LOADING,
    SL_FLAGS_EXECUTION,
    SL_FLAGS_ENGINES,
    SL_FLAGS_LIMITS,
    SL_FLAGS_OPERATION,
    SL_FLAGS_GROUPS
} sl_flag_group;

typedef struct sl_flag {
    const char *name;
    sl_flag_type type;
    sl_flag_group group;
    size_t at;       /* where in sl_flags */
    const char *def; /* the default as it would be written behind '=' */
    const char *help;
    const char *shown;     /* (optional) the default in words, where `def` only stands for it */
    const char *no_effect; /* (optional) why it does nothing */
    bool ours;             /* not a flag of tensorflow_model_server */
    int64_t min;           /* ours, numbers: the smallest value; CHOICE: value of choices[0] */
    const char *const *choices; /* CHOICE: ends with NULL */
    const char *syntax;         /* CUSTOM: "off|errors|all|sampled[:N]" */
    bool (*parse)(sl_flags *f, const char *value);
} sl_flag;

extern const sl_flag sl_flag_table[];
extern const int sl_flag_count;
extern const char *const sl_flag_groups[SL_FLAGS_GROUPS];

/* "int32", "bool" ... as the usage text names types. */
const char *sl_flag_type_name(const sl_flag *f);
/* Sets a field from text; false if it cannot be interpreted. For bools `value` is "true" or
 * "false". */
bool sl_flag_set(sl_flags *f, const sl_flag *row, const char *value);

#endif
