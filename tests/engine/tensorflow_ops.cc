// Custom ops for the tests of the TensorFlow engine: one that ends its process in a way that the input
// names, and one that tries what a model's process must not be able to do.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::tstring;

static absl::Status same_shape(tensorflow::shape_inference::InferenceContext *c)
{
    c->set_output(0, c->input(0));
    return absl::OkStatus();
}

REGISTER_OP("SluiceEnd").Input("how: string").Output("out: string").SetIsStateful().SetShapeFn(
    same_shape);
REGISTER_OP("SluiceTry").Input("what: string").Output("out: string").SetIsStateful().SetShapeFn(
    same_shape);

class EndOp : public OpKernel {
public:
    explicit EndOp(OpKernelConstruction *c) : OpKernel(c) {}
    void Compute(OpKernelContext *c) override
    {
        const std::string how = c->input(0).flat<tstring>()(0);
        if (how == "abort")
            abort();
        if (how == "segfault") {
            signal(SIGSEGV, SIG_DFL); // a sanitizer's handler would exit
            raise(SIGSEGV);
        }
        if (how == "exit")
            _exit(7);
        if (how == "hang")
            for (;;)
                pause();
        c->set_output(0, c->input(0));
    }
};
REGISTER_KERNEL_BUILDER(Name("SluiceEnd").Device(tensorflow::DEVICE_CPU), EndOp);

static int try_fork()
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    if (pid > 0)
        waitpid(pid, nullptr, 0);
    return pid;
}

static int attempt(const std::string &what)
{
    char *const none[] = {nullptr};
    if (what == "inet")
        return socket(AF_INET, SOCK_STREAM, 0);
    if (what == "inet6")
        return socket(AF_INET6, SOCK_DGRAM, 0);
    if (what == "unix")
        return socket(AF_UNIX, SOCK_STREAM, 0);
    if (what == "exec")
        return execve("/bin/true", none, none);
    if (what == "fork")
        return try_fork();
    if (what == "passwd")
        return open("/etc/passwd", O_RDONLY);
    if (what == "write")
        return open("/tmp/sluice-must-not-be", O_CREAT | O_WRONLY, 0600);
    if (what == "kill")
        return kill(getppid(), 0);
    if (what == "ptrace")
        return (int)ptrace(PTRACE_ATTACH, getppid(), nullptr, nullptr);
    if (what == "chmod")
        return chmod("/tmp", 0777);
    if (what == "mem")
        return open(("/proc/" + std::to_string(getppid()) + "/mem").c_str(), O_RDONLY);
    if (what == "fds") { // how many descriptors above 2 are open
        int n = 0;
        for (int fd = 3; fd < 256; fd++)
            n += fcntl(fd, F_GETFD) >= 0;
        return n;
    }
    if (what == "environment") {
        int n = 0;
        for (char **e = environ; *e; e++)
            n += strncmp(*e, "SLUICE", 6) == 0 || strncmp(*e, "PATH=", 5) == 0;
        return n;
    }
    return 0;
}

class TryOp : public OpKernel {
public:
    explicit TryOp(OpKernelConstruction *c) : OpKernel(c) {}
    void Compute(OpKernelContext *c) override
    {
        Tensor *out = nullptr;
        OP_REQUIRES_OK(c, c->allocate_output(0, c->input(0).shape(), &out));
        auto what = c->input(0).flat<tstring>();
        for (int i = 0; i < what.size(); i++) {
            errno = 0;
            int r = attempt(what(i));
            out->flat<tstring>()(i) =
                r < 0 ? std::string(strerrorname_np(errno)) : std::to_string(r);
        }
    }
};
REGISTER_KERNEL_BUILDER(Name("SluiceTry").Device(tensorflow::DEVICE_CPU), TryOp);
