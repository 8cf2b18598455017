/*
 * config_dir.h - a list of models from a directory
 *
 * Two kinds of directory give a list:
 *
 *     --model_config_file=DIR   files *.pbtxt, *.textproto, *.conf, *.config, each a
 *                               ModelServerConfig: their lists are one after the other, in the
 * order of the files' names
 *     --models_dir=DIR          each directory in it that holds a version is a model of that name,
 *                               with the default policy
 *
 * Names that begin with a dot are left out: a mounted ConfigMap has such.
 *
 * Called by config.c and reload.c; any thread.
 */
#ifndef SL_SERVER_CONFIG_DIR_H
#define SL_SERVER_CONFIG_DIR_H

#include "server/config.h"

/* Where the list of models is read from, again and again. */
typedef struct sl_model_source {
    const char *config; /* a file or a directory; "": none */
    const char *models; /* a directory; "": none */
} sl_model_source;

/*
 * Reads it. Errors are those of sl_model_list_read, with the file's name; a model that two files
 * list: INVALID_ARGUMENT, with both names. A directory in which nothing is found gives an empty
 * list
 * (`empty`): nothing is to be done. `now` is what was read before, or NULL: a directory of models
 * that is served goes on being a model while it holds no version, as long as it is there.
 */
sl_code sl_model_list_from(const sl_model_source *s, const sl_model_list *now, sl_model_list *out,
                           sl_status *st);

/*
 * For `sluice check`, when sl_model_list_from has failed for that file or directory of files: takes
 * each model by itself, tells what is wrong with those that cannot be taken, and makes the list of
 * the others. False if it had nothing to tell; *out is then all zeros, as it is without memory.
 */
bool sl_model_list_salvage(const char *config, sl_model_list *out, const sl_config_complaint *to);

/* The names of the files of a directory that sl_model_list_from reads. */
bool sl_model_list_is_config(const char *name);

#endif
