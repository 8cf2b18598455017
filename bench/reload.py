"""What models that come and go do to the requests of another.

    ninja -C build/release bench
    build/venv/bin/python bench/reload.py beside [--pairs 7] [--engine native] [--cycles 3]
    build/venv/bin/python bench/reload.py swap   [--pairs 7]
    build/venv/bin/python bench/reload.py memory [--cycles 200] [--engine native]
    build/venv/bin/python bench/reload.py many   [--models 1000] [--on-demand]
    build/venv/bin/python bench/reload.py lookup [--models 1000] [--pairs 7]
    build/venv/bin/python bench/reload.py end

beside  A small model answers at a fixed pace, at which the server's processors are 70 % busy (bench/paced.c:
        a latency counts from when the request was due). Pairs of runs, one quiet, one while a 500 MB model
        is loaded and unloaded, again and again, by the configuration file and SIGHUP.
swap    The same, but it is the small model itself of which new versions arrive, up to five a second.
memory  Resident memory, children included, after each load and unload of a 100 MB model.
many    From exec to all models AVAILABLE; memory of each.
lookup  What a request costs a server of one model and a server of many of the same, of which one is asked; a server of
        100 and that of many, of which 100 are asked in turn: that is looking them up. And one model and all of the many
        in turn: that is their memory, too. Runs of both in turn (wrk, 16 connections, one loop thread; base paths are
        looked at once).
end     From SIGTERM to the exit of an idle server.

In beside, swap and lookup the last processor belongs to the client and to who reloads, as if they were on another
machine, and the server with all that it starts has the others: a client that shares them measures how it waits
itself. With --together all have all of them.
"""
import argparse
import array
import atexit
import bisect
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import large_model
import stalls

ROOT = large_model.ROOT
SLUICE = ROOT / "build/release/sluice"
PACED = ROOT / "build/release/bench/paced"
SMALL = ROOT / "tests/models/half_plus_two/1"
BODY = '{"instances": [1.0, 2.0, 5.0]}'
DIGITS = ROOT / "examples/models/digits/1"
ALL = sorted(os.sched_getaffinity(0))
OURS, THEIRS = set(ALL), set(ALL)  # the processors of the client, and of the server


def part():
    """From here on the client and this program have one processor, servers that are started the others."""
    global OURS, THEIRS
    if len(ALL) < 2:
        sys.exit("two processors are needed, or --together")
    OURS, THEIRS = set(ALL[-1:]), set(ALL[:-1])
    os.sched_setaffinity(0, OURS)


def free_port():
    with socket.socket(socket.AF_INET6) as s:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        s.bind(("::", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, models, *flags):
        """models: {name: base path, or (base path, more)}"""
        self.directory = pathlib.Path(tempfile.mkdtemp())
        self.config = self.directory / "config.pbtxt"
        self.port = free_port()
        self.configure(models)
        self.log = open(self.directory / "log", "wb")
        self.begin = time.perf_counter()
        self.process = subprocess.Popen(
            [SLUICE, "serve", f"--rest_api_port={self.port}", "--port=0", f"--model_config_file={self.config}", *flags],
            stderr=self.log, stdout=self.log, preexec_fn=their_processors,
            env={k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"})
        atexit.register(self.process.kill)  # nothing, if it has ended
        while b"Exporting HTTP/REST API" not in (self.directory / "log").read_bytes():
            if self.process.poll() is not None:
                sys.exit((self.directory / "log").read_text())
            time.sleep(0.001)
        self.took = time.perf_counter() - self.begin

    def configure(self, models):
        lines = []
        for name, path in models.items():
            path, more = path if isinstance(path, tuple) else (path, "")
            lines.append(f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" {more} }}')
        part = self.config.with_suffix(".new")
        part.write_text("model_config_list {\n" + "\n".join(lines) + "\n}\n")
        os.rename(part, self.config)

    def reload(self, models):
        self.configure(models)
        self.process.send_signal(signal.SIGHUP)

    def state(self, model, version=1):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/models/{model}/versions/{version}") as r:
                return json.loads(r.read())["model_version_status"][0]["state"]
        except OSError:
            return None

    def until(self, model, state, version=1):
        end = time.time() + 120
        while self.state(model, version) != state:
            if time.time() > end:
                sys.exit(f"{model} is not {state}:\n" + (self.directory / "log").read_text()[-3000:])
            time.sleep(0.1)  # asking is work, too: the less of it the better

    def run_delay(self):
        """Nanoseconds that loop threads were ready to run and did not."""
        total = 0
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            if (task / "comm").read_text().startswith("loop"):
                total += int((task / "schedstat").read_text().split()[1])
        return total

    def worked(self):
        """Nanoseconds of processor time of all its threads."""
        return sum(int((task / "schedstat").read_text().split()[0])
                   for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir())

    def family(self):
        """The server and all its descendants."""
        parents = {}
        for p in pathlib.Path("/proc").iterdir():
            if p.name.isdigit():
                try:
                    parents[int(p.name)] = int((p / "stat").read_text().rsplit(")", 1)[1].split()[1])
                except OSError:
                    pass
        family, grown = {self.process.pid}, True
        while grown:
            grown = {c for c, p in parents.items() if p in family} - family
            family |= grown
        return family

    def resident(self):
        """MB of them."""
        kb = 0
        for pid in self.family():
            try:
                for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        kb += int(line.split()[1])
            except OSError:
                pass
        return kb / 1024

    def stop(self):
        begin = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        took = time.perf_counter() - begin
        shutil.rmtree(self.directory)
        return code, took


def digits(rows=32):
    """A request that costs a server more than the client that sends it."""
    some = json.loads((ROOT / "examples/digits.json").read_text())["instances"]
    return json.dumps({"instances": [some[i % len(some)] for i in range(rows)]})


def their_processors():
    """In the process that becomes a server."""
    os.sched_setaffinity(0, THEIRS)


def come_first():
    """In the process that becomes a client that measures: nobody on its processor comes before it, if that may be
    asked for."""
    if OURS != THEIRS:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        except PermissionError:
            pass


def load(server, rate, seconds, file=None):
    return subprocess.Popen([PACED, str(server.port), "/v1/models/small:predict", digits(), str(rate), str(seconds), "32",
                             *([file] if file else [])], stdout=subprocess.PIPE, preexec_fn=come_first)


def result(process):
    return json.loads(process.communicate()[0])


class Runs:
    """What several runs of the client saw, together."""

    def __init__(self, stalled):
        self.stalled = stalled
        self.dues, self.latencies, self.failed, self.delay, self.seconds = array.array("Q"), array.array("Q"), 0, 0, 0

    def measure(self, server, rate, seconds, meanwhile=None):
        before = server.run_delay()
        file = server.directory / "latencies"
        client = load(server, rate, seconds, file)
        if meanwhile:
            meanwhile(client)
        self.failed += result(client)["failed"]
        dues, latencies = stalls.read(file)
        self.dues.extend(dues)
        self.latencies.extend(latencies)
        self.delay += server.run_delay() - before
        self.seconds += seconds

    def show(self, name):
        all_of_them, count = sorted(self.latencies), sorted(stalls.outside(self.dues, self.latencies, self.stalled.windows()))
        n = len(all_of_them)
        self.p99, self.late = all_of_them[n * 99 // 100], n - bisect.bisect_right(all_of_them, 5000)
        self.p99_alone = count[len(count) * 99 // 100]
        print(f"  {name} p50 {all_of_them[n // 2]:5} p90 {all_of_them[n * 9 // 10]:5} p99 {self.p99:6} "
              f"p99.9 {all_of_them[n * 999 // 1000]:6} max {all_of_them[-1]:7} us, > 5 ms: {self.late:4} of {n}, "
              f"failed {self.failed}, loops waited {self.delay / 1e6 / self.seconds:.2f} ms/s; "
              f"without the machine's stalls ({1 - len(count) / n:.1%}) p99 {self.p99_alone}", flush=True)


def pairs(server, rate, a, meanwhile):
    """Each pair is several runs in turn, quiet and not: what the machine does by itself meets both."""
    ratios, alone, late, stalled = [], [], [0, 0], stalls.Stalls(ALL)
    for i in range(a.pairs):
        quiet, busy = Runs(stalled), Runs(stalled)
        for k in range(a.turns):
            for runs in ((quiet, busy), (busy, quiet))[k % 2]:
                runs.measure(server, rate, a.seconds, meanwhile if runs is busy else None)
        quiet.show(f"{i + 1} quiet")
        busy.show(f"{i + 1} busy ")
        ratios.append(busy.p99 / quiet.p99)
        alone.append(busy.p99_alone / quiet.p99_alone)
        late[0] += quiet.late
        late[1] += busy.late
    print(f"p99 busy / quiet: median {statistics.median(ratios):.2f} of {', '.join(f'{r:.2f}' for r in ratios)}; "
          f"slower than 5 ms: quiet {late[0]}, busy {late[1]}")
    print(f"without the machine's stalls: median {statistics.median(alone):.2f} of {', '.join(f'{r:.2f}' for r in alone)}"
          if stalled.known else "the machine's stalls are not known: that takes the right to a real-time priority")


def rested(which):
    """Seconds that these processors had nothing to do, since the machine started."""
    ticks = 0
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name[:3] == "cpu" and name[3:].isdigit() and int(name[3:]) in which:
            ticks += int(fields[3]) + int(fields[4])
    return ticks / os.sysconf("SC_CLK_TCK")


def busy(which, seconds, run):
    """How much of their time these processors were busy during that; what interrupts cost is in it."""
    before, begin = [rested(w) for w in which], time.monotonic()
    run(seconds)
    took = time.monotonic() - begin
    return [1 - (rested(w) - b) / took / len(w) for w, b in zip(which, before)]


def pace(server, share):
    """The rate at which the server's processors are busy for `share` of their time. (The rate that a client reaches
    who waits for answers says little: the busier both are the less often they sleep.)"""
    best = result(load(server, 0, 2))["rps"]
    low, high, theirs, ours = 0, best, 0, 0
    for _ in range(8):
        rate = (low + high) / 2
        now = busy((THEIRS, OURS), 2, lambda seconds: result(load(server, rate, seconds)))
        if now[0] < share:
            low, (theirs, ours) = rate, now
        else:
            high = rate
    print(f"{best:.0f} requests/s by a client that waits for answers; at {low:.0f} the server's processors {sorted(THEIRS)} "
          f"are {theirs:.0%} busy, the client's {sorted(OURS)} {ours:.0%}")
    alone = result(load(server, 500, 4))
    print(f"the machine by itself, at 500 requests/s: p50 {alone['p50']} p99 {alone['p99']} p99.9 {alone['p999']} "
          f"max {alone['max']} us", flush=True)
    return low


def step_back():
    """From here on this program works only where nobody else wants to; not so the clients that it starts."""
    os.sched_setscheduler(0, os.SCHED_IDLE | os.SCHED_RESET_ON_FORK, os.sched_param(0))


def beside(a):
    a.together or part()
    big = large_model.make(500).parent
    with tempfile.TemporaryDirectory() as d:
        shutil.copytree(DIGITS, pathlib.Path(d) / "small/1")
        small = {"small": pathlib.Path(d) / "small"}
        server = Server(small, f"--engine={a.engine}")
        both = {**small, "big": big}
        cycles = 0
        step_back()

        def meanwhile(client):
            nonlocal cycles
            while client.poll() is None:
                server.reload(both)
                server.until("big", "AVAILABLE")
                server.reload(small)
                server.until("big", "END")
                cycles += 1

        rate = pace(server, a.share)
        pairs(server, rate, a, meanwhile)
        print(f"{cycles} loads and unloads of 500 MB")
        server.stop()


def swap(a):
    a.together or part()
    with tempfile.TemporaryDirectory() as d:
        base = pathlib.Path(d) / "small"
        shutil.copytree(DIGITS, base / "1")
        server = Server({"small": base}, f"--engine={a.engine}", "--version_settle_ms=0")
        version = 1
        step_back()

        def meanwhile(client):
            nonlocal version
            while client.poll() is None:
                time.sleep(0.2)
                version += 1
                shutil.copytree(DIGITS, pathlib.Path(d) / "part")
                os.rename(pathlib.Path(d) / "part", base / str(version))
                server.until("small", "AVAILABLE", version)
                shutil.rmtree(base / str(version - 1))

        pairs(server, pace(server, a.share), a, meanwhile)
        print(f"{version - 1} new versions")
        server.stop()


def memory(a):
    model = large_model.make(100).parent
    with tempfile.TemporaryDirectory() as d:
        shutil.copytree(SMALL, pathlib.Path(d) / "small/1")
        small = {"small": pathlib.Path(d) / "small"}
        server = Server(small, f"--engine={a.engine}")
        print(f"before: {server.resident():.1f} MB")
        for i in range(a.cycles):
            server.reload({**small, "big": model})
            server.until("big", "AVAILABLE")
            loaded = server.resident()
            server.reload(small)
            server.until("big", "END")
            time.sleep(0.05)
            after = server.resident()
            if i == 0:
                first = after
            if i == 0 or (i + 1) % 50 == 0:
                print(f"cycle {i + 1}: loaded {loaded:.1f} MB, unloaded {after:.1f} MB", flush=True)
        print(f"after {a.cycles} cycles: {after - first:+.1f} MB over the first")
        server.stop()


def copies(directory, count, more=""):
    """{name: (base path, more)} of small models."""
    models = {}
    for i in range(count):
        path = pathlib.Path(directory) / f"m{i:05}"
        shutil.copytree(SMALL, path / "1")
        models[path.name] = (path, more)
    return models


def many(a):
    with tempfile.TemporaryDirectory() as d:
        models = copies(d, a.models, "load: ON_DEMAND" if a.on_demand else "")
        if a.on_demand:
            time.sleep(61)  # what is older is not looked into
        for _ in range(3):
            server = Server(models, "--engine=native")
            wanted = "START" if a.on_demand else "AVAILABLE"
            assert all(server.state(f"m{i:05}") == wanted for i in (0, a.models // 2, a.models - 1))
            print(f"{a.models} models: {server.took:.2f} s from exec to ready, {server.resident():.1f} MB", end="; ")
            print(f"end after SIGTERM: {server.stop()[1] * 1000:.0f} ms", flush=True)


class Asked:
    """Models first to first + count - 1 of a server, asked in turn: requests per second, and processor time of each."""

    def __init__(self, server, first, count):
        self.server, self.env = server, {**os.environ, "FIRST": str(first), "COUNT": str(count), "BODY": BODY}

    def measure(self, seconds):
        before = self.server.worked()
        done = subprocess.run(["wrk", "-t1", "-c16", f"-d{seconds}s", "-s", pathlib.Path(__file__).parent / "models.lua",
                               f"http://127.0.0.1:{self.server.port}/"], env=self.env, capture_output=True, text=True,
                              check=True)
        cost = self.server.worked() - before
        assert "Non-2xx" not in done.stdout and "Socket errors" not in done.stdout, done.stdout
        requests = int(re.search(r"(\d+) requests in", done.stdout)[1])
        return float(re.search(r"Requests/sec: +(\S+)", done.stdout)[1]), cost / requests


def compare(name, one, other, a):
    """Pairs of runs; the order changes from pair to pair."""
    rates, costs, shown = [], [], []
    for i in range(a.pairs):
        got = {}
        for who in ((one, other), (other, one))[i % 2]:
            got[who] = who.measure(max(1, round(a.seconds)))
        rates.append(got[other][0] / got[one][0])
        costs.append(got[other][1] / got[one][1])
        shown.append(got[one] + got[other])
    rate, cost, their_rate, their_cost = (statistics.median(column) for column in zip(*shown))
    print(f"{name}: {rate:.0f} and {their_rate:.0f} requests/s, {cost / 1000:.2f} and {their_cost / 1000:.2f} us of processor "
          f"time each; ratio of the rates {statistics.median(rates):.3f} ({min(rates):.3f} to {max(rates):.3f}), of the times "
          f"{statistics.median(costs):.3f} ({min(costs):.3f} to {max(costs):.3f}), medians of {a.pairs} pairs", flush=True)


def lookup(a):
    a.together or part()
    with tempfile.TemporaryDirectory() as d:
        models = copies(d, a.models)
        middle = a.models // 2
        name = f"m{middle:05}"
        flags = ("--engine=native", "--loop_threads=1", "--file_system_poll_wait_seconds=0")
        some = dict(list(models.items())[:100])
        one, again, few, other = (Server(m, *flags) for m in ({name: models[name]}, {name: models[name]}, some, models))
        asked = Asked(one, middle, 1)
        Asked(other, 0, a.models).measure(1)  # warm
        compare("1 model, and 1 model again", asked, Asked(again, middle, 1), a)
        compare(f"1 model, and 1 of {a.models}", asked, Asked(other, middle, 1), a)
        compare(f"{len(some)} models in turn, and {len(some)} of {a.models}", Asked(few, 0, len(some)),
                Asked(other, 0, len(some)), a)
        compare(f"1 model, and {a.models} in turn", asked, Asked(other, 0, a.models), a)
        for server in (one, again, few, other):
            server.stop()


def end(a):
    took = []
    for _ in range(11):
        server = Server({"small": SMALL.parent}, f"--engine={a.engine}")
        took.append(server.stop()[1] * 1000)
    print(f"idle: SIGTERM to exit {statistics.median(took):.1f} ms, at most {max(took):.1f} ms, over {len(took)} ends")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["beside", "swap", "memory", "many", "lookup", "end"])
    p.add_argument("--pairs", type=int, default=7)
    p.add_argument("--seconds", type=float, default=4, help="of each run")
    p.add_argument("--turns", type=int, default=4, help="runs of each kind that make one of a pair")
    p.add_argument("--cycles", type=int, default=200)
    p.add_argument("--models", type=int, default=1000)
    p.add_argument("--share", type=float, default=0.7)
    p.add_argument("--engine", default="native")
    p.add_argument("--together", action="store_true")
    p.add_argument("--on-demand", action="store_true")
    a = p.parse_args()
    globals()[a.what](a)


if __name__ == "__main__":
    main()
