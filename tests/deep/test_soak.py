"""A mix of honest, malformed, cut-off, slow and large requests, for SOAK_MINUTES (3), on three servers at once: both
engines in plain HTTP, and one with TLS, tokens, HTTP/2 and gRPC, whose configuration, tokens and certificates change.

After a tenth of the time the server has seen everything and has its caches: from then on it may not grow, and when
all clients have left it holds the descriptors of the beginning. No honest request fails. Needs a server without
sanitizers, which keep what is freed: SOAK_SLUICE, or build/release.
"""
import os
import pathlib
import random
import signal
import socket
import struct
import threading
import time
import traceback

import served
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


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


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
    def __init__(self, name, server):
        self.name, self.server = name, server
        self.pid = self.server.process.pid
        self.all = processes(self.pid)
        self.errors, self.seed, self.done = [], random.randrange(1 << 30), 0
        self.idle = self.settled()

    def settled(self):
        """Descriptors when no client is there: closing is the server's turn, so it is waited for."""
        fewest = descriptors(self.pid)
        for _ in range(400):
            fewest = min(fewest, descriptors(self.pid))
            if hasattr(self, "idle") and fewest <= self.idle:
                break
            time.sleep(0.05)
        return fewest

    def mix(self, seed):
        return Mix(self.server.port, seed)

    def client(self, number, end):
        mix = self.mix(self.seed + number)
        try:
            while time.monotonic() < end and not self.errors:
                mix.step()
        except BaseException as e:
            self.errors.append(f"seed {self.seed + number}: {e!r}\n{traceback.format_exc()}")
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
                assert wanted is None or status == wanted

    def measure(self):
        assert not self.errors, "\n".join(self.errors) + self.server.log[-3000:]
        assert self.server.process.poll() is None, self.server.log[-5000:]
        assert processes(self.pid) == self.all, "a process of the TensorFlow engine has ended"
        self.check()
        return self.settled(), resident(self.pid), sum(resident(p) for p in self.all[1:])


def plain(engine):
    server = served.Server(f"--engine={engine}", "--head_timeout_s=5", config=CONFIG, command=[str(PLAIN), "serve"])
    while server.ask("GET", "/readyz").status != 200:
        time.sleep(0.02)
    return Soaked(engine, server)


class SoakedSecured(Soaked):
    """And while its clients ask: models come and go, tokens are added, certificates are made anew."""

    def __init__(self, directory):
        self.secured = Secured(directory, "--engine=native", "--head_timeout_s=5", "--tls_handshake_timeout_s=5",
                               "--ended_version_ttl_s=5", command=[str(PLAIN), "serve"])
        self.changes = 0
        super().__init__("secured", self.secured.server)

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
            while time.monotonic() < end and not self.errors:
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
            self.errors.append(f"change: {e!r}")

    def soak(self, seconds):
        changing = threading.Thread(target=self.change, args=(time.monotonic() + seconds,))
        changing.start()
        return [changing, *super().soak(seconds)]


def test_nothing_grows(tmp_path):
    assert PLAIN.exists(), PLAIN
    soaked = [plain("native"), plain("tensorflow"), SoakedSecured(tmp_path)]
    after = {s.name: [] for s in soaked}
    for part in (0.1, 0.45, 0.45):
        threads = [t for s in soaked for t in s.soak(MINUTES * 60 * part)]
        for t in threads:
            t.join()
        for s in soaked:
            after[s.name].append(s.measure())
    for s in soaked:
        print(f"{s.name}: {s.done} rounds; descriptors {s.idle} at first, then "
              f"{[f for f, _, _ in after[s.name]]}; MB of the server {[round(m / MB, 1) for _, m, _ in after[s.name]]}, "
              f"of the TensorFlow host {[h // MB for _, _, h in after[s.name]]}")
        assert s.server.stop() == 0
    for s in soaked:
        (first_fds, first, host_first), _, (fds, last, host_last) = after[s.name]
        assert s.done > 100
        # Each place for a request of the TensorFlow engine has a region of memory, made when it is first needed.
        allowed = first_fds if s.name == "tensorflow" else s.idle
        assert fds <= allowed, f"{s.name}: {fds - allowed} descriptors lost"
        assert last - first <= MAY_GROW, f"{s.name}: grew by {(last - first) / MB:.1f} MB"
        assert host_last - host_first <= HOST_MAY_GROW, f"host grew by {(host_last - host_first) / MB:.1f} MB"
