/*
 * certificates.h - from key and certificate files to TLS, and again when the files change
 *
 *     sl_certificates c;
 *     rc = sl_certificates_open(&c, &flags, st);      a mistake ends the start: never plain text
 *     ... listen with c.rest.tls, c.grpc.tls, c.admin.tls (NULL: plain, as nobody asked for TLS)
 *     sl_certificates_poll(&c, false);                every SL_CERTIFICATES_POLL_NS
 *     sl_certificates_close(&c);
 *
 * --tls_cert_file and --tls_key_file are for all listeners, --grpc_tls_... and --admin_tls_... for
 * some. --ssl_config_file is TensorFlow Serving's and for gRPC alone, where it goes before the
 * others.
 *
 * Files are watched by their identity (device, inode, size, times), behind symbolic links: a new
 * file in the place of the old one, a file written over and a swapped link (as Kubernetes mounts
 * secrets) are all seen. A change is taken when the files have been still for one period, so that
 * nobody reads half a file. What cannot be used is logged, and the old certificate stays.
 *
 * Main thread.
 */
#ifndef SL_SERVER_CERTIFICATES_H
#define SL_SERVER_CERTIFICATES_H

#include "net/tls.h"
#include "server/flags.h"

#define SL_CERTIFICATES_POLL_NS 1000000000u

enum { SL_CERTIFICATES_MAX_FILES = 2 * SL_TLS_MAX_PAIRS + 1 };

typedef struct sl_file_id {
    uint64_t device, inode, size, modified_ns, changed_ns; /* all 0: it is not there */
} sl_file_id;

/* What one kind of listener speaks with. */
typedef struct sl_certificate_source {
    const char *what;            /* "REST", "gRPC", "admin" */
    const char *ssl_config_file; /* or NULL: the others */
    const char *cert_files, *key_files, *ca_file;
    sl_tls_verify verify;
    const char *alpn;
    bool only_13;
    sl_tls *tls; /* NULL: plain */

    char *files[SL_CERTIFICATES_MAX_FILES];
    sl_file_id taken[SL_CERTIFICATES_MAX_FILES]; /* as of the last attempt */
    sl_file_id seen[SL_CERTIFICATES_MAX_FILES];  /* as of the last look */
    int n_files;
    int64_t warn_at; /* seconds: when to speak of the end of the certificate again */
} sl_certificate_source;

typedef struct sl_certificates {
    sl_certificate_source rest, grpc, admin;
} sl_certificates;

/* INVALID_ARGUMENT, NOT_FOUND ...: a sentence with the file's name. sl_certificates_close
 * afterwards in any case. */
sl_code sl_certificates_open(sl_certificates *c, const sl_flags *f, sl_status *st);
/* Is there any TLS, so that files have to be looked at? */
bool sl_certificates_are_there(const sl_certificates *c);
/* Looks at the files; `now`: does not wait for them to be still (SIGHUP). */
void sl_certificates_poll(sl_certificates *c, bool now);
/* Accepts what is all zeros. Listeners keep what they have. */
void sl_certificates_close(sl_certificates *c);

#endif
