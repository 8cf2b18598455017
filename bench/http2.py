"""HTTP/2 without gRPC and without models: the HTTP layer beside nghttpd, one thread each, the same nghttp2.

    build/venv/bin/python bench/http2.py [--rounds 5] [--requests 100000]

small  POST of 20 bytes, 8 connections of 8 streams: bench_http_constant answers 62 bytes, nghttpd a file of 62 bytes.
large  600 KB each way (echo), 2 connections of 2 streams.

Each round runs both, in turn; figures are medians, the ratio is taken round by round. Processor time is user + system of
the server's own process, per request. Needs nghttpd and h2load (nghttp2-server, nghttp2-client).
"""
import argparse
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait(p):
    for _ in range(500):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", p)) == 0:
                return
        time.sleep(0.01)
    sys.exit(f"nothing listens on {p}")


def load(pid, url, requests, clients, streams, body):
    before = cpu(pid)
    done = subprocess.run(["h2load", "-n", str(requests), "-c", str(clients), "-m", str(streams), "-t1", "-w", "24", "-W",
                           "24", "-d", body, url], capture_output=True, text=True, check=True).stdout
    if f"{requests} succeeded" not in done:
        sys.exit(done)
    return float(re.search(r"([\d.]+) req/s", done).group(1)), (cpu(pid) - before) / requests * 1e6


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--requests", type=int, default=100000)
    a = a.parse_args()
    with tempfile.TemporaryDirectory() as d:
        d = pathlib.Path(d)
        (d / "small").write_bytes(b"x" * 62)
        (d / "echo").write_bytes(b"x")
        (d / "20").write_bytes(b"y" * 20)
        (d / "600k").write_bytes(os.urandom(600000))
        ports = [port() for _ in range(3)]
        servers = [subprocess.Popen([ROOT / "build/release/bench/bench_http_constant", str(ports[0])]),
                   subprocess.Popen(["nghttpd", "--no-tls", "-d", d, "-n1", "-w24", "-W24", str(ports[1])]),
                   subprocess.Popen(["nghttpd", "--no-tls", "--echo-upload", "-d", d, "-n1", "-w24", "-W24",
                                     str(ports[2])])]
        try:
            for p in ports:
                wait(p)
            for name, ours, theirs, their_pid, n, c, m, body in [
                    ("small", "small", f"{ports[1]}/small", 1, a.requests, 8, 8, d / "20"),
                    ("large", "echo", f"{ports[2]}/echo", 2, max(a.requests // 200, 20), 2, 2, d / "600k")]:
                runs = []
                for _ in range(a.rounds):
                    us = load(servers[0].pid, f"http://127.0.0.1:{ports[0]}/{ours}", n, c, m, body)
                    them = load(servers[their_pid].pid, f"http://127.0.0.1:{theirs}", n, c, m, body)
                    runs.append((us, them))
                median = lambda f: statistics.median(f(r) for r in runs)
                print(f"{name}: sluice {median(lambda r: r[0][0]):.0f}/s {median(lambda r: r[0][1]):.2f} us, "
                      f"nghttpd {median(lambda r: r[1][0]):.0f}/s {median(lambda r: r[1][1]):.2f} us; "
                      f"requests x {median(lambda r: r[0][0] / r[1][0]):.2f}, "
                      f"processor x {median(lambda r: r[0][1] / r[1][1]):.2f}", flush=True)
        finally:
            for s in servers:
                s.terminate()
                s.wait()


if __name__ == "__main__":
    main()
