/*
 * config_files.h - readers of the smaller configuration files; for config*.c
 */
#ifndef SL_SERVER_CONFIG_FILES_H
#define SL_SERVER_CONFIG_FILES_H

#include "proto/server_config.pb-c.h"
#include "server/config.h"

/* Takes and checks the message; lists and strings stay where they are. */
sl_code sl_batching_take(const Tensorflow__Serving__BatchingParameters *p, sl_batching_config *b,
                         sl_status *st);

/* *metrics_path: NULL where Prometheus is not enabled. */
sl_code sl_monitoring_read(const char *path, sl_arena *arena, const char **metrics_path,
                           sl_status *st);

/* Reads --platform_config_file, or makes the one platform "tensorflow" of the flags. */
sl_code sl_platforms_read(const sl_flags *f, sl_arena *arena, sl_platform **out, int *count,
                          sl_status *st);

#endif
