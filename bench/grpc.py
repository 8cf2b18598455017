"""gRPC: unary Predict beside grpc-go and nghttpd, a 600 KB tensor each way, idle connections.

    build/venv/bin/python bench/grpc.py [small] [large] [memory] [idle] [--rounds 5] [--requests 60000]

small   Predict of three floats, native engine, h2load, 8 connections of 8 streams, against
          (a) bench/grpc_constant: a grpc-go server that decodes nothing and returns a constant, and
          (b) nghttpd serving a static file of the reply's size, one thread.
large   Predict of 150,000 floats by the identity model (600 KB each way), 2 connections of 2 streams, against the same
        bytes through nghttpd: --echo-upload, and without it (it drops the body and sends a static file).
memory  resident memory at its highest while 1 and 16 streams send a 600 KB tensor: what a request in flight adds.
idle    10,000 connections over HTTP/2, each after one Predict: what each adds to the server's resident memory.

Each round runs all candidates in turn; figures are medians, ratios are taken round by round. Processor time is user +
system of the server's own process, per call. Needs nghttpd and h2load (nghttp2-server, nghttp2-client); Go is tools/go.
"""
import argparse
import os
import pathlib
import re
import resource
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from http2 import ROOT, cpu, port, wait  # noqa: E402

SERVICE = "tensorflow.serving.PredictionService/Predict"


def frame(model, name, shape, data):
    """A PredictRequest with its gRPC prefix; protobuf by hand: tags, lengths, bytes."""
    def varint(n):
        out = b""
        while n > 127:
            out, n = out + bytes([n & 127 | 128]), n >> 7
        return out + bytes([n])

    def field(number, body):
        return varint(number << 3 | 2) + varint(len(body)) + body
    dims = b"".join(field(2, b"\x08" + varint(n)) for n in shape)
    tensor = b"\x08\x01" + field(2, dims) + field(4, data)
    message = field(1, field(1, model)) + field(2, field(1, name) + field(2, tensor))
    if model == b"identity":
        message = field(1, field(1, model) + field(3, b"float")) + message[len(field(1, field(1, model))):]
    return struct.pack(">BI", 0, len(message)) + message


class H2load:
    def __init__(self, clients, streams, body, headers=True):
        self.args = ["-c", str(clients), "-m", str(streams), "-t1", "-w", "24", "-W", "24", "-d", body]
        if headers:
            self.args += ["-H", "content-type: application/grpc", "-H", "te: trailers"]

    def __call__(self, pid, url, requests, least=0):
        """Requests a second and us of processor time a request; `least`: bytes that each answer must have."""
        before = cpu(pid)
        done = subprocess.run(["h2load", "-n", str(requests), *self.args, url], capture_output=True, text=True,
                              check=True).stdout
        if f"{requests} succeeded" not in done or f"{requests} 2xx" not in done:
            sys.exit(done)
        if int(re.search(r"\((\d+)\) data", done)[1]) < least * requests:
            sys.exit(f"the answers are too short:\n{done}")
        return float(re.search(r"([\d.]+) req/s", done)[1]), (cpu(pid) - before) / requests * 1e6


def memory(pid, key="VmRSS"):
    return next(int(line.split()[1]) * 1024 for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                if line.startswith(key))


class Sluice:
    def __init__(self, d, *flags):
        self.port = port()
        (d / "models").write_text("model_config_list {" + "".join(
            f'config {{ name: "{n}" base_path: "{ROOT / p}" model_platform: "tensorflow" }}' for n, p in
            [("my_model", "examples/models/my_model"), ("identity", "tests/models/identity")]) + "}")
        self.process = subprocess.Popen(
            [ROOT / "build/release/sluice", "serve", f"--grpc_address=127.0.0.1:{self.port}", "--rest_api_port=0",
             "--loop_threads=1", "--log_level=error", f"--model_config_file={d}/models", *flags])
        self.pid = self.process.pid
        wait(self.port)
        time.sleep(0.5)  # the models

    def url(self):
        return f"http://127.0.0.1:{self.port}/{SERVICE}"

    def stop(self):
        self.process.terminate()
        self.process.wait()


def beside(name, rounds, us, others):
    """us, others: functions that measure once; others by their names."""
    runs = []
    for _ in range(rounds):
        runs.append((us(), {k: f() for k, f in others.items()}))
    median = lambda f: statistics.median(f(r) for r in runs)
    print(f"{name}: sluice {median(lambda r: r[0][0]):.0f}/s {median(lambda r: r[0][1]):.2f} us", flush=True)
    for k in others:
        print(f"    {k} {median(lambda r: r[1][k][0]):.0f}/s {median(lambda r: r[1][k][1]):.2f} us; "
              f"requests x {median(lambda r: r[0][0] / r[1][k][0]):.2f}, "
              f"processor x {median(lambda r: r[0][1] / r[1][k][1]):.2f}", flush=True)


def grpc_go(reply, p):
    made = ROOT / "build/go/grpc_constant"
    made.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([ROOT / "tools/go", "build", "-o", made, "."], cwd=ROOT / "bench/grpc_constant", check=True)
    return subprocess.Popen([made, str(p), reply])


def nghttpd(p, d, *flags):
    return subprocess.Popen(["nghttpd", "--no-tls", "-d", d, "-n1", "-w24", "-W24", *flags, str(p)])


def exchange(target, body):
    """One call, by curl: the reply's gRPC message with its prefix."""
    return subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "-H", "content-type: application/grpc", "-H",
                           "te: trailers", "--data-binary", f"@{body}", target], capture_output=True, check=True).stdout


def small(d, a):
    (d / "frame").write_bytes(frame(b"my_model", b"input_example", (1, 3), struct.pack("<3f", 1, 2, 3)))
    s = Sluice(d)
    reply = exchange(s.url(), d / "frame")
    if struct.pack("<f", 4.75) not in reply:
        sys.exit(f"the answer is wrong: {reply}")
    (d / "reply").write_bytes(reply[5:])
    folder = d / SERVICE.split("/")[0]
    folder.mkdir(exist_ok=True)
    (folder / "Predict").write_bytes(reply)
    ports = port(), port()
    others = grpc_go(d / "reply", ports[0]), nghttpd(ports[1], d)
    try:
        for p in ports:
            wait(p)
        load = H2load(8, 8, d / "frame")
        n = a.requests
        beside(f"small, {len(reply)} bytes back", a.rounds, lambda: load(s.pid, s.url(), n, len(reply)), {
            "grpc-go": lambda: load(others[0].pid, f"http://127.0.0.1:{ports[0]}/{SERVICE}", n, len(reply)),
            "nghttpd": lambda: load(others[1].pid, f"http://127.0.0.1:{ports[1]}/{SERVICE}", n, len(reply))})
    finally:
        s.stop()
        for o in others:
            o.terminate()
            o.wait()


def big(d):
    if not (d / "big").exists():
        (d / "big").write_bytes(frame(b"identity", b"x", (150000,), os.urandom(600000)))
    return d / "big"


def large(d, a):
    s, ports = Sluice(d), (port(), port())
    (d / "file").write_bytes(os.urandom(600000))
    others = nghttpd(ports[0], d, "--echo-upload"), nghttpd(ports[1], d)
    try:
        for p in ports:
            wait(p)
        load, n = H2load(2, 2, big(d)), max(a.requests // 100, 100)
        beside("large, 600 KB each way", a.rounds, lambda: load(s.pid, s.url(), n, 600000), {
            "nghttpd, echo (by way of a file)": lambda: load(others[0].pid, f"http://127.0.0.1:{ports[0]}/file", n, 600000),
            "nghttpd, drops it and sends a file": lambda: load(others[1].pid, f"http://127.0.0.1:{ports[1]}/file", n, 600000)})
    finally:
        s.stop()
        for o in others:
            o.terminate()
            o.wait()


def in_flight(d, _):
    for connections, streams in (1, 1), (4, 4), (8, 8):
        s = Sluice(d)
        try:
            before = memory(s.pid)
            H2load(connections, streams, big(d))(s.pid, s.url(), 600, 600000)
            added = memory(s.pid, "VmHWM") - before
            print(f"memory: {connections * streams} calls of 600 KB each way in flight: {added / 1e6:.1f} MB more at most, "
                  f"{added / connections / streams / 600e3:.1f} times the tensor each; afterwards "
                  f"{(memory(s.pid) - before) / 1e6:.1f} MB")
        finally:
            s.stop()


def idle(d, a):
    """The preface, SETTINGS and one Predict on each of `n` connections, as bytes."""
    n, hard = a.idle, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(n + 1000, hard), hard))

    def http2(kind, flags, stream, body):
        return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body

    def header(name, value):
        return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
    head = b"\x83\x86" + header(b":path", b"/" + SERVICE.encode()) + header(b":authority", b"localhost") \
        + header(b"content-type", b"application/grpc") + header(b"te", b"trailers")
    body = frame(b"my_model", b"input_example", (1, 3), struct.pack("<3f", 1, 2, 3))
    hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + http2(4, 0, 0, b"") + http2(1, 4, 1, head) + http2(0, 1, 1, body)
    s = Sluice(d)
    try:
        kept, before = [], 0
        for i in range(n + 100):
            if i == 100:
                before = memory(s.pid)
            c = socket.create_connection(("127.0.0.1", s.port))
            c.sendall(hello)
            got = b""
            while struct.pack("<f", 4.75) not in got:
                more = c.recv(65536)
                if not more:
                    sys.exit(f"connection {i} was closed: {got}")
                got += more
            kept.append(c)
        time.sleep(2)
        print(f"idle: {n} connections after a Predict each: {(memory(s.pid) - before) / n / 1000:.1f} KB each")
    finally:
        s.stop()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("parts", nargs="*", default=["small", "large", "memory", "idle"])
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--requests", type=int, default=60000)
    ap.add_argument("--idle", type=int, default=10000)
    a = ap.parse_args()
    for tool in "nghttpd", "h2load", "curl":
        if not shutil.which(tool):
            sys.exit(f"{tool} is not installed")
    with tempfile.TemporaryDirectory() as d:
        for part in a.parts:
            {"small": small, "large": large, "memory": in_flight, "idle": idle}[part](pathlib.Path(d), a)


if __name__ == "__main__":
    main()
