"""What honest clients notice of an attack: 2,000 slow clients (heads, bodies, TLS and gRPC a byte a second, readers of
large answers), 10,000 connections that never speak, 1,000 malformed requests a second (HTTP/1.1, HTTP/2, gRPC, TLS).

    ninja -C build/release sluice bench
    build/venv/bin/python bench/attack.py [--pairs 5] [--seconds 8] [--share 0.08] [--only silent,slow,reader,junk]

Pairs of runs, one quiet, one under attack, in turn one or the other first. Honest traffic (bench/paced.c) comes at a
fixed pace, a share of the highest rate that this client gets out of the server: on 16 connections that are kept, and
beside them 250 requests a second on connections of their own, whose opening counts. What is told is the median of the
pairs' ratios of p99, the ratio of the p99 of all quiet and of all attacked requests (of 250 a second the slowest
hundredth is a handful in each run, and says little), what failed, the server's largest memory, and the memory of a connection that never spoke.

The last processor belongs to the clients, good and bad, as if they were on other machines, and the server has the
others; the honest come first there, since they measure. With --together all share all of them. The share is small
since a virtual machine whose processors are nearly full is stopped by its host, for 10 ms and more, and who was kept
waiting then comes all at once. Needs `ulimit -n` of 13,000 or more, for the server too.
"""
import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import attacks
import reload
import stalls
from reload import BODY, PACED, ROOT, SLUICE, free_port

ATTACK = ROOT / "build/release/bench/attack"
MODEL = ROOT / "tests/models/half_plus_two"
MB = 1 << 20


class Server:
    def __init__(self, directory, *flags):
        self.log = directory / "log"
        self.rest, self.grpc, self.tls = free_port(), free_port(), free_port()
        if not (directory / "cert").exists():
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-keyout", directory / "key", "-out", directory / "cert", "-days", "2", "-subj",
                            "/CN=localhost"], check=True, capture_output=True)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [SLUICE, "serve", "--port=0", f"--rest_address=http://127.0.0.1:{self.rest},https://127.0.0.1:{self.tls}",
                 f"--grpc_address=http://127.0.0.1:{self.grpc}", f"--tls_cert_file={directory}/cert",
                 f"--tls_key_file={directory}/key", "--model_name=m", f"--model_base_path={MODEL}", *flags],
                stdout=log, stderr=log, preexec_fn=reload.their_processors)
        while b"Exporting HTTP/REST API" not in self.log.read_bytes():
            if self.process.poll() is not None:
                sys.exit(self.log.read_text())
            time.sleep(0.01)
        time.sleep(0.5)

    def memory(self, key="VmRSS"):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) * 1024

    def processor(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def paced(server, rate, seconds, connections, *more):
    return subprocess.Popen([PACED, str(server.rest), attacks.PREDICT, BODY, str(rate), str(seconds), str(connections), *more],
                            stdout=subprocess.PIPE, text=True, preexec_fn=reload.come_first)


def told(process):
    out, _ = process.communicate(timeout=120)
    return json.loads(out)


class Largest(threading.Thread):
    """The server's largest memory while this runs."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.memory, self.end = server, 0, threading.Event()
        self.start()

    def run(self):
        while not self.end.wait(0.1):
            self.memory = max(self.memory, self.server.memory())

    def stop(self):
        self.end.set()
        self.join()
        return self.memory


def honest(server, rate, seconds, stalled):
    largest, before = Largest(server), server.processor()
    files = [server.log.parent / kind for kind in ("kept", "fresh")]
    kept, fresh = paced(server, rate, seconds, 16, files[0]), paced(server, 250, seconds, 16, "fresh", files[1])
    kept, fresh = told(kept), told(fresh)
    for what, file in (kept, files[0]), (fresh, files[1]):
        dues, latencies = stalls.read(file)
        count = sorted(stalls.outside(dues, latencies, stalled.windows()))
        what["left out"] = 1 - len(count) / len(dues)
        what["all"], what["all alone"] = sorted(latencies), count
        what["p99 alone"] = count[len(count) * 99 // 100] if count else what["p99"]
    return {"kept": kept, "fresh": fresh, "memory": largest.stop(), "processor": (server.processor() - before) / seconds}


def under_attack(server, directory, args, rate, stalled):
    with attacks.Attack(ATTACK, directory, server.rest, server.grpc, server.tls, args.scale, args.only,
                        step_back=args.together) as attack:
        time.sleep(1)
        got = honest(server, rate, args.seconds, stalled)
    time.sleep(2) # all of them leave at once
    return got, attack.told


def memory_of_silent(directory, flags):
    """Bytes of the server for a connection that never spoke: plain, TLS, gRPC."""
    found = {}
    for name in ("rest", "tls", "grpc"):
        server = Server(directory, *flags)
        try:
            before = server.memory()
            process = subprocess.Popen([ATTACK, f"silent:{getattr(server, name)}:10000"], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True)
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.5)
            found[name] = (server.memory() - before) / 10000
            process.communicate("\n")
        finally:
            server.stop()
    return found


def p99_of(runs, which):
    together = sorted(us for r in runs for us in r[which])
    return together[len(together) * 99 // 100]


def show(name, r):
    print(f"  {name:9} kept: p50 {r['kept']['p50']:5} p99 {r['kept']['p99']:6} ({r['kept']['p99 alone']} without the {r['kept']['left out']:.1%} in stalls) max {r['kept']['max']:6} us, failed "
          f"{r['kept']['failed']}; new: p50 {r['fresh']['p50']:5} p99 {r['fresh']['p99']:6} max {r['fresh']['max']:6} us, "
          f"failed {r['fresh']['failed']}; server {r['memory'] / MB:.0f} MB, {r['processor']:.2f} processors", flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--pairs", type=int, default=5)
    p.add_argument("--seconds", type=float, default=8)
    p.add_argument("--share", type=float, default=0.08)
    p.add_argument("--scale", type=float, default=1.0)
    p.add_argument("--only", type=lambda s: s.split(","))
    p.add_argument("--together", action="store_true")
    p.add_argument("--no-memory", action="store_true")
    p.add_argument("flags", nargs="*", default=["--max_inflight_bytes=268435456"], help="of the server, after --")
    args = p.parse_args()
    args.together or reload.part()
    resource.setrlimit(resource.RLIMIT_NOFILE, [resource.getrlimit(resource.RLIMIT_NOFILE)[1]] * 2)
    directory = pathlib.Path(tempfile.mkdtemp())
    if not args.no_memory:
        print("bytes of a silent connection: " +
              ", ".join(f"{k} {v:.0f}" for k, v in memory_of_silent(directory, args.flags).items()))
    server = Server(directory, *args.flags)
    try:
        most = max(told(paced(server, 0, 2, 16))["rps"] for _ in range(2))
        rate = int(most * args.share)
        print(f"highest rate {most}, pace {rate} requests a second; memory {server.memory() / MB:.0f} MB")
        pairs, stalled = [], stalls.Stalls(reload.ALL)
        for i in range(args.pairs):
            runs = {}
            for what in (("quiet", "attacked"), ("attacked", "quiet"))[i % 2]:
                if what == "quiet":
                    runs[what] = honest(server, rate, args.seconds, stalled)
                else:
                    runs[what], attack = under_attack(server, directory, args, rate, stalled)
                    runs["junk"] = sum(g["opened"] for g in attack["groups"] if g["kind"] == "junk") / attack["seconds"]
                show(what, runs[what])
            pairs.append(runs)
        print("the last attack:", json.dumps(attack))
        print("malformed requests a second, in each: " + ", ".join(f"{r['junk']:.0f}" for r in pairs))
        for kind in ("kept", "fresh"):
            ratios = [r["attacked"][kind]["p99"] / r["quiet"][kind]["p99"] for r in pairs]
            print(f"p99 under attack / quiet, {kind}: median {statistics.median(ratios):.2f}  "
                  f"({', '.join(f'{r:.2f}' for r in ratios)})")
            alone = [r["attacked"][kind]["p99 alone"] / r["quiet"][kind]["p99 alone"] for r in pairs]
            print(f"  without the machine's stalls: median {statistics.median(alone):.2f}  "
                  f"({', '.join(f'{r:.2f}' for r in alone)})" if stalled.known else
                  "  the machine's stalls are not known: that takes the right to a real-time priority")
            for which, how in ("all", "of all requests"), ("all alone", "  and without the machine's stalls"):
                both = [p99_of([r[w][kind] for r in pairs], which) for w in ("quiet", "attacked")]
                print(f"  p99 {how}: {both[0]} and {both[1]} us, {both[1] / both[0]:.2f}")
        print("failed honest requests:", sum(r[w][k]["failed"] for r in pairs for w in ("quiet", "attacked")
                                              for k in ("kept", "fresh")),
              f"of {sum(r[w][k]['requests'] for r in pairs for w in ('quiet', 'attacked') for k in ('kept', 'fresh'))}; "
              f"largest memory {max(r['attacked']['memory'] for r in pairs) / MB:.0f} MB, "
              f"afterwards {server.memory() / MB:.0f} MB")
    finally:
        server.stop()


if __name__ == "__main__":
    main()
