"""A mix of honest, malformed, cut-off, slow and large requests, for SOAK_MINUTES (3), on both engines at once.

After a third of the time the server has seen everything and has its caches: from then on it may not grow. Needs a
server without sanitizers, which keep what is freed: SOAK_SLUICE, or build/release.
"""
import os
import pathlib
import random
import threading
import time

import pytest

import served
from deep import ANSWER, CONFIG, HONEST, PATH, ROOT, ROW, Connection, Mix, request

MB = 1 << 20
MINUTES = float(os.environ.get("SOAK_MINUTES", "3"))
PLAIN = pathlib.Path(os.environ.get("SOAK_SLUICE", ROOT / "build/release/sluice"))
CLIENTS = 3
MAY_GROW = {"native": 4 * MB, "tensorflow": 4 * MB}
HOST_MAY_GROW = 16 * MB # TensorFlow's own arenas, in the processes that run it


def processes(pid):
    """The server, and the processes that it has started."""
    found = [pid]
    for p in found:
        for task in pathlib.Path(f"/proc/{p}/task").iterdir():
            found += [int(c) for c in (task / "children").read_text().split()]
    return found


def resident(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Soaked:
    def __init__(self, engine):
        self.engine = engine
        self.server = served.Server(f"--engine={engine}", "--head_timeout_s=5", config=CONFIG,
                                    command=[str(PLAIN), "serve"])
        while self.server.ask("GET", "/readyz").status != 200:
            time.sleep(0.02)
        self.pid = self.server.process.pid
        self.all = processes(self.pid)
        self.errors, self.seed, self.done = [], random.randrange(1 << 30), 0
        self.idle = self.settled()

    def settled(self):
        """Descriptors when no client is there: closing is the server's turn, so it is waited for."""
        fewest = descriptors(self.pid)
        for _ in range(200):
            fewest = min(fewest, descriptors(self.pid))
            if hasattr(self, "idle") and fewest <= self.idle:
                break
            time.sleep(0.05)
        return fewest

    def client(self, number, end):
        mix = Mix(self.server.port, self.seed + number)
        try:
            while time.monotonic() < end and not self.errors:
                mix.step()
        except BaseException as e:
            self.errors.append(f"seed {self.seed + number}: {e!r}")
        self.done += mix.done

    def soak(self, seconds):
        end = time.monotonic() + seconds
        self.seed += CLIENTS
        threads = [threading.Thread(target=self.client, args=(i, end)) for i in range(CLIENTS)]
        for t in threads:
            t.start()
        return threads

    def measure(self):
        assert not self.errors, self.errors
        assert self.server.process.poll() is None, self.server.log[-5000:]
        assert processes(self.pid) == self.all, "a process of the TensorFlow engine has ended"
        with Connection(self.server.port) as c:
            for data, wanted in HONEST:
                status, _ = c.ask(data)
                assert wanted is None or status == wanted
        return self.settled(), resident(self.pid), sum(resident(p) for p in self.all[1:])


def test_nothing_grows():
    assert PLAIN.exists(), PLAIN
    soaked = [Soaked("native"), Soaked("tensorflow")]
    after = {s.engine: [] for s in soaked}
    for third in range(3):
        threads = [t for s in soaked for t in s.soak(MINUTES * 20)]
        for t in threads:
            t.join()
        for s in soaked:
            after[s.engine].append(s.measure())
    for s in soaked:
        print(f"{s.engine}: {s.done} rounds; descriptors {s.idle} at first, then "
              f"{[f for f, _, _ in after[s.engine]]}; MB of the server {[m // MB for _, m, _ in after[s.engine]]}, "
              f"of the TensorFlow host {[h // MB for _, _, h in after[s.engine]]}")
        assert s.server.stop() == 0
    for s in soaked:
        (_, first, host_first), _, (fds, last, host_last) = after[s.engine]
        assert s.done > 100
        assert fds == s.idle, f"{s.engine}: {fds - s.idle} descriptors lost"
        assert last - first <= MAY_GROW[s.engine], f"{s.engine}: grew by {(last - first) / MB:.1f} MB"
        assert host_last - host_first <= HOST_MAY_GROW, f"host grew by {(host_last - host_first) / MB:.1f} MB"
