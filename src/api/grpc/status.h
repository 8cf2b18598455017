/*
 * status.h - how a gRPC call says how it ended, and until when it may take
 *
 * The status stands in the trailers, behind the messages; where there are none, http/ sends head
 * and trailers as one ("Trailers-Only").
 *
 * Source: grpc/doc/PROTOCOL-HTTP2.md; grpc.md 2.3.
 */
#ifndef SL_API_GRPC_STATUS_H
#define SL_API_GRPC_STATUS_H

#include "base/chain.h"
#include "base/str.h"

enum { SL_GRPC_MESSAGE_MAX = 1024 };

/* Adds "grpc-status: <n>" and, unless the message is empty, "grpc-message: <percent-encoded>"; a
 * message of more than 1024 bytes is cut there, and "...TRUNCATED" follows. st may be NULL for
 * SL_OK. */
void sl_grpc_put_status(sl_chain *lines, sl_code code, const sl_status *st);

/* "1S", "250m": digits (1 to 8) and a unit of H M S m u n; more than 2147483647 ms become that.
 * False: it is none. */
bool sl_grpc_timeout_parse(sl_str value, uint64_t *ns);

/* The status that stands for an error that HTTP itself found. */
sl_code sl_grpc_code_of_http(int status);

#endif
