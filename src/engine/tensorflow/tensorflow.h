/*
 * tensorflow.h - the engine that runs everything TensorFlow can run
 *
 * The library is the user's: libtensorflow_cc.so.2 of the PyPI package, or libtensorflow.so.2. It
 * is opened in a program of its own, sluice-tensorflow-host, which forks one child for each loaded
 * version. Nothing of TensorFlow is ever in the server's process.
 *
 *     sl_tensorflow_new(&opts, &self, st);               starts a thread, no process
 *     sl_engine_tensorflow.probe(self, model, why, st);  starts the host if it does not run yet
 *     sl_engine_tensorflow.load(self, model, ...);       forks a child, which loads the model
 *     sl_engine_tensorflow.run(session, run, st);        through shared memory (protocol.h)
 *     sl_engine_tensorflow.close(session);               ends the child; all its memory is back
 *     sl_tensorflow_free(self);                          all sessions are closed
 *
 * When a child ends by itself (an op aborts, the kernel kills it), its requests in flight fail with
 * UNAVAILABLE and the version is loaded again: after 100 ms, then 200 ms, doubling to 30 s. Until
 * it is back, run() fails with UNAVAILABLE at once. The same holds for the host. Where only memory or a
 * thread for a request is missing, that request fails with RESOURCE_EXHAUSTED, and the child goes on.
 *
 * run() honours deadline and cancellation by not waiting any longer. The slot that the request used
 * is set aside until TensorFlow has answered; when all 64 are set aside and the oldest has been for
 * ten seconds, the child is ended and started again.
 *
 * What a child is closed to, from before it reads the first byte of the model:
 *   - privileges: no_new_privs, not dumpable, not traceable by its like, no core file, ends with
 * the host; no other process of the machine can be signalled, traced or read
 *   - descriptors and environment: only its socket, its shared memory, its stderr, /dev/null;
 *     variables TF_*, OMP_*, KMP_*, MKL_*, CUDA_*, NVIDIA_*, XLA_* and LD_LIBRARY_PATH
 *   - programs: no execve, no fork (threads are allowed)
 *   - network: no socket can be made, unix sockets included
 *   - files (Landlock, Linux 5.13 or later; says so in the log where it is missing): reading only
 *     the version's directory (not what links in it lead to outside), the library's directory,
 * custom op libraries, /usr/lib, /usr/local/lib, /usr/local/cuda, /lib, /lib64, /proc/self,
 *     /proc/{cpuinfo,meminfo,stat}, /sys/devices, /sys/fs/cgroup, /etc/ld.so.cache, time zones,
 *     /dev/urandom and NVIDIA's devices; writing only /dev/null and NVIDIA's devices. No change of
 *     mode, owner, times or extended attributes
 *   - kernel: no mount, bpf, perf, keyctl, io_uring, userfaultfd, modules, ...
 * What it is not closed to: any amount of memory and processor time (set the server's cgroup),
 * reading the clock, changing the priority of the same user's processes, and filling stderr, which
 * is cut to 200 lines in ten seconds. A list of denied system calls is not a list of allowed ones:
 * a kernel bug behind another call is reachable. Custom op libraries run their constructors in the
 * host, which has none of this but no_new_privs and the empty environment.
 *
 * Any thread may call anything here at any time; the engine has one thread of its own.
 */
#ifndef SL_ENGINE_TENSORFLOW_TENSORFLOW_H
#define SL_ENGINE_TENSORFLOW_TENSORFLOW_H

#include "base/launcher.h"
#include "sluice/engine.h"

typedef struct sl_tensorflow_options {
    const char *library;      /* --tensorflow_library: file or directory; NULL: look for it */
    const char *python;       /* --tensorflow_python: interpreter that has TensorFlow; or NULL */
    const char *host_program; /* NULL: $SLUICE_TENSORFLOW_HOST, beside this program, or
                                 ../libexec/sluice/ */
    const char *const *custom_op_libs; /* opened with TF_LoadLibrary before any model */
    int n_custom_op_libs;
    /* --tensorflow_{intra_op,inter_op,session}_parallelism: with intra or inter above 0 those two
     * count, otherwise session counts for both; 0: as many as there are processors. A load's own
     * numbers (sl_load_options) come before these. All three above 0 is refused. */
    int intra_op_parallelism;
    int inter_op_parallelism;
    int session_parallelism;
    sl_str
        session_config; /* ConfigProto in wire form for every session; a load's own comes after */
    sl_launcher *launcher; /* starts the host, as operation `launch_op` and the next; NULL: this
                              process does it itself. Lives as long as the engine */
    int launch_op;
} sl_tensorflow_options;

/*
 * The operations of a launcher that starts the host (base/launcher.h), for a server that will not
 * be allowed to. Options and what they point to must live until the launcher has been forked.
 * Returns what the caller frees with sl_free after that.
 */
enum { SL_TENSORFLOW_LAUNCHES = 2 };
void *sl_tensorflow_launches(const sl_tensorflow_options *o, sl_launch ops[SL_TENSORFLOW_LAUNCHES]);

/*
 * Checks the options and copies them. INVALID_ARGUMENT: thread counts. Whether there is a library
 * is found out by the first probe() or load(). Main thread.
 */
sl_code sl_tensorflow_new(const sl_tensorflow_options *opts, void **self, sl_status *st);
/* Ends the host. All sessions have been closed. Accepts NULL. */
void sl_tensorflow_free(void *self);

/*
 * Where the library is: writes its path and, where a file beside it tells, its version ("2.21.0",
 * or
 * ""). Looks, in this order, at opts->library; $SLUICE_TENSORFLOW_LIBRARY; the site-packages of
 * opts->python; of $SLUICE_TENSORFLOW_PYTHON; then $LD_LIBRARY_PATH; /usr/local/lib, /usr/lib and
 * its multiarch directory; site-packages of $VIRTUAL_ENV, of ~/.local, of python3 and python in
 * $PATH. An interpreter is looked at as a file; it is run (`python -c`, at most 5 seconds) only if
 * that says nothing.
 *
 * Every place is told to `report` (may be NULL): node = place, reason = what was found there.
 * FAILED_PRECONDITION: nowhere; the message lists the places. A library or Python that was asked
 * for by name and is not there is an error, not a reason to look further. May take seconds.
 */
sl_code sl_tensorflow_find(const sl_tensorflow_options *opts, char *path, size_t path_size,
                           char *version, size_t version_size, const sl_report *report,
                           sl_status *st);

extern const sl_engine sl_engine_tensorflow;

#endif
