"""A mix of honest, malformed, cut-off, slow and large requests, for SOAK_MINUTES (3), on three servers at once: both
engines in plain HTTP, and one with TLS, tokens, HTTP/2 and gRPC, whose configuration, tokens and certificates change.

After a tenth of the time the server has seen everything and has its caches: from then on it may not grow. Whenever all
clients have left it holds exactly the descriptors of the beginning, kind by kind. No honest request fails. Needs a
server without sanitizers, which keep what is freed (SOAK_SLUICE, or build/release), and root, because the server's
processes hide from others what they hold.
"""
import collections
import os
import pathlib
import random
import re
import signal
import socket
import struct
import sys
import threading
import time
import traceback

from deep import CONFIG, HONEST, ROOT, Closed, Connection, Mix
from secured import Caller, Secured, predict_message

MB = 1 << 20
MINUTES = float(os.environ.get("SOAK_MINUTES", "3"))
PLAIN = pathlib.Path(os.environ.get("SOAK_SLUICE", ROOT / "build/release/sluice"))
CLIENTS = 3
MAY_GROW = 4 * MB
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


REGION = "/memfd:sluice-slot (deleted)"


def descriptors(pid):
    """How many there are of each kind, and of each file; and the regions of the TensorFlow engine: of these there is
    one for each request that was ever inside TensorFlow at the same time as others."""
    found, regions = collections.Counter(), []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            path = os.readlink(f"/proc/{pid}/fd/{fd}")
            if path == REGION:
                regions.append(os.stat(f"/proc/{pid}/fd/{fd}").st_ino)
            else:
                found[re.sub(r":\[\d+\]$", "", path)] += 1
        except OSError: # closed meanwhile
            pass
    return found, regions


class SecuredMix:
    """Honest clients, and such as do not finish, or talk nonsense, below or above TLS."""

    def __init__(self, secured, seed):
        self.secured, self.random, self.done = secured, random.Random(seed), 0
        self.caller = Caller(secured)

    def honest(self):
        for _ in range(self.random.randrange(1, 12)):
            name, wanted, step = self.random.choice(self.caller.steps)
            try:
                status, body = step()
            except Closed:  # a kept connection that was idle may have been closed: once
                status, body = step()
            assert status == wanted, (name, status, body[:200])
        if self.random.random() < 0.3:
            self.caller.hang_up()

    def _port(self):
        return self.random.choice([self.secured.server.port, self.secured.grpc_port])

    def plain_bytes(self):
        what = self.random.choice([b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                                   b"\x16\x03\x01\x00\x05hello", self.random.randbytes(200)])
        with socket.create_connection(("127.0.0.1", self._port()), timeout=60) as s:
            try:
                s.sendall(what)
                s.shutdown(socket.SHUT_WR)
                while s.recv(4096):
                    pass
            except OSError:
                pass

    def left_during_the_handshake(self):
        with socket.create_connection(("127.0.0.1", self._port()), timeout=60) as s:
            s.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[: self.random.randrange(1, 11)])
            if self.random.random() < 0.5:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def nonsense_over_tls(self):
        port = self._port()
        alpn = "h2" if port == self.secured.grpc_port else self.random.choice(["h2", "http/1.1"])
        s = self.caller.dial(port, alpn)
        try:
            s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" if self.random.random() < 0.7 else b"")
            s.sendall(self.random.randbytes(self.random.randrange(1, 300)))
            s.settimeout(0.2)
            while s.recv(4096):
                pass
        except OSError:
            pass
        s.close()

    def call_cut_off(self):
        caller = Caller(self.secured)
        try:
            c = caller._get("grpc")
            message = predict_message()
            c.h2.send_headers(1, [(":method", "POST"), (":path", "/tensorflow.serving.PredictionService/Predict"),
                                  (":scheme", "https"), (":authority", "x"), ("content-type", "application/grpc"),
                                  ("te", "trailers"), ("authorization", f"Bearer {self.secured.token}")])
            c.h2.send_data(1, b"\0" + struct.pack(">I", len(message)) + message[:self.random.randrange(len(message))],
                           end_stream=self.random.random() < 0.5)
            if self.random.random() < 0.3:
                c.h2.reset_stream(1)
            c._flush()
        except Closed:
            pass
        caller.hang_up()

    WEIGHTS = {"honest": 30, "plain_bytes": 8, "left_during_the_handshake": 8, "nonsense_over_tls": 4,
               "call_cut_off": 8}

    def step(self):
        getattr(self, self.random.choices(list(self.WEIGHTS), self.WEIGHTS.values())[0])()
        self.done += 1


class Soaked:
    """A server, its clients, and what it had before they came. `failed` is shared: one failure ends all clients."""

    def __init__(self, name, server, failed):
        self.name, self.server, self.failed = name, server, failed
        self.pid = server.process.pid
        self.seed, self.done = random.randrange(1 << 30), 0
        self.check() # each thing once: what is opened when it is first needed is there
        self.all = processes(self.pid)
        self.idle = self.usual()

    def usual(self):
        """Its descriptors when no client is there: what is mostly seen (it looks at its models' folders every second)."""
        seen = collections.Counter()
        for _ in range(100):
            seen[frozenset(descriptors(self.pid)[0].items())] += 1
            time.sleep(0.01)
        return collections.Counter(dict(seen.most_common(1)[0][0]))

    def settled(self):
        """The same, when clients were there. Closing is the server's turn, and late heads and lingering connections are
        gone after 5 s: until they are those of the beginning they are waited for."""
        end = time.monotonic() + 15
        while (now := descriptors(self.pid)[0]) != self.idle and time.monotonic() < end:
            time.sleep(0.01)
        return now

    def mix(self, seed):
        return Mix(self.server.port, seed)

    def client(self, number, end):
        mix = self.mix(self.seed + number)
        try:
            while time.monotonic() < end and not self.failed:
                mix.step()
        except BaseException as e:
            self.failed.append(f"{self.name}, seed {self.seed + number}: {e!r}\n{traceback.format_exc()}")
        self.done += mix.done
        if hasattr(mix, "caller"):
            mix.caller.hang_up()

    def soak(self, seconds):
        end = time.monotonic() + seconds
        self.seed += CLIENTS
        threads = [threading.Thread(target=self.client, args=(i, end)) for i in range(CLIENTS)]
        for t in threads:
            t.start()
        return threads

    def check(self):
        with Connection(self.server.port) as c:
            for data, wanted in HONEST:
                status, _ = c.ask(data)
                assert wanted is None or status == wanted, (self.name, status, data[:100])

    def measure(self):
        assert self.server.process.poll() is None, self.server.log[-5000:]
        assert processes(self.pid) == self.all, "a process of the TensorFlow engine has ended"
        self.check()
        now = self.settled()
        assert now == self.idle, f"{self.name}: descriptors {now - self.idle} more, {self.idle - now} fewer"
        # A region that no process of TensorFlow has is one that was replaced, and is lost.
        regions = descriptors(self.pid)[1]
        theirs = {r for p in self.all[1:] for r in descriptors(p)[1]}
        assert len(set(regions)) == len(regions) and set(regions) <= theirs, (regions, theirs)
        return resident(self.pid), sum(resident(p) for p in self.all[1:])


def plain(engine, start, failed):
    # TensorFlow's library is looked for where this Python is.
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    server = start(f"--engine={engine}", "--head_timeout_s=5", config=CONFIG, command=[str(PLAIN), "serve"],
                   env={"PATH": path})
    end = time.monotonic() + 60
    while (answer := server.ask("GET", "/startupz")).status != 200:
        assert time.monotonic() < end, answer.text
        time.sleep(0.02)
    return Soaked(engine, server, failed)


class SoakedSecured(Soaked):
    """And while its clients ask: models come and go, tokens are added, certificates are made anew."""

    def __init__(self, directory, start, failed):
        self.secured = Secured(directory, "--engine=native", "--head_timeout_s=5", "--tls_handshake_timeout_s=5",
                               "--ended_version_ttl_s=5", command=[str(PLAIN), "serve"], start=start)
        self.changes = 0
        super().__init__("secured", self.secured.server, failed)

    def mix(self, seed):
        return SecuredMix(self.secured, seed)

    def check(self):
        caller = Caller(self.secured)
        for name, wanted, step in caller.steps:
            status, body = step()
            assert status == wanted, (name, status, body[:200])
        caller.hang_up()

    def _put(self, path, text):
        part = path.with_name("part")
        part.write_text(text)
        part.chmod(0o600)
        part.rename(path)

    def change(self, end):
        base = self.secured.directory / "tokens"
        own = base.read_text()
        try:
            while time.monotonic() < end and not self.failed:
                self.changes += 1
                more = f'  config {{ name: "x{self.changes % 7}" base_path: "{ROOT}/tests/models/half_plus_two" ' \
                       'model_platform: "tensorflow" }\n'
                self._put(pathlib.Path(self.server.directory.name) / "config.pbtxt",
                          CONFIG.replace("model_config_list {\n", "model_config_list {\n" + more))
                if self.changes % 3 == 0:
                    self._put(base, own)
                    self.secured.make_token(f"other{self.changes}")
                if self.changes % 5 == 0:
                    fresh = self.secured.directory / "fresh"
                    fresh.mkdir(exist_ok=True)
                    for file in self.secured.ca.issue("server", to=fresh):
                        file.rename(self.secured.directory / file.name)
                self.server.process.send_signal(signal.SIGHUP)
                time.sleep(1)
        except BaseException as e:
            self.failed.append(f"change: {e!r}\n{traceback.format_exc()}")

    def soak(self, seconds):
        changing = threading.Thread(target=self.change, args=(time.monotonic() + seconds,))
        changing.start()
        return [changing, *super().soak(seconds)]


def test_nothing_grows(tmp_path, start):
    assert PLAIN.exists(), PLAIN
    failed = []
    soaked = [plain("native", start, failed), plain("tensorflow", start, failed),
              SoakedSecured(tmp_path, start, failed)]
    after = {s.name: [] for s in soaked}
    for part in (0.1, 0.45, 0.45):
        threads = [t for s in soaked for t in s.soak(MINUTES * 60 * part)]
        for t in threads:
            t.join()
        assert not failed, "\n".join(failed) + "".join(s.server.log[-3000:] for s in soaked)
        for s in soaked:
            after[s.name].append(s.measure())
    for s in soaked:
        print(f"{s.name}: {s.done} rounds; {s.idle.total()} descriptors; MB of the server "
              f"{[round(m / MB, 1) for m, _ in after[s.name]]}, of its processes "
              f"{[h // MB for _, h in after[s.name]]}")
    for s in soaked:
        (first, host_first), _, (last, host_last) = after[s.name]
        assert s.done > 100
        assert last - first <= MAY_GROW, f"{s.name}: grew by {(last - first) / MB:.1f} MB"
        assert host_last - host_first <= HOST_MAY_GROW, f"host grew by {(host_last - host_first) / MB:.1f} MB"
        assert s.server.stop() == 0
