"""Honest clients beside silent, slow and malformed ones: none of their requests fails, memory is bounded, and nothing is left
of it all. bench/attacks.py says what is sent, bench/attack.c sends it; bench/attack.py measures what is only asserted here.

ATTACK_SECONDS (15), and a tenth of the attack. Needs a release build, as memory is looked at.
"""
import os
import pathlib
import subprocess
import sys
import threading
import time

import pytest

from deep import ROOT, Connection, request
from secured import H2
from served import free_port, model_config
from test_soak import PLAIN, descriptors

sys.path.append(str(ROOT / "bench"))
import attacks

SECONDS = float(os.environ.get("ATTACK_SECONDS", "15"))
MB = 1 << 20
BUDGET = 64 * MB
CONFIG = model_config(("m", ROOT / "tests/models/half_plus_two"))
ROW = b'{"instances": [1.0, 2.0]}'
ANSWER = b"2.5"


@pytest.fixture(scope="module")
def program():
    build = PLAIN.parent
    done = subprocess.run(["ninja", "-C", str(build), "bench/attack"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return build / "bench/attack"


class Target:
    """A server with three kinds of ports, and honest clients of each."""

    def __init__(self, start, directory, *flags):
        from certificates import Authority
        cert, key = Authority(directory).issue("server")
        self.rest, self.grpc, self.tls = free_port(), free_port(), free_port()
        self.server = start(f"--rest_address=http://127.0.0.1:{self.rest},https://127.0.0.1:{self.tls}",
                            f"--grpc_address=http://127.0.0.1:{self.grpc}", f"--tls_cert_file={cert}",
                            f"--tls_key_file={key}", f"--max_inflight_bytes={BUDGET}", "--head_timeout_s=5", *flags,
                            config=CONFIG, command=[str(PLAIN), "serve"])
        while self.ask_rest()[0] != 200:
            time.sleep(0.02)
        self.ask_grpc()
        self.ask_tls(directory)
        self.directory = directory
        self.largest = self.server.memory()
        time.sleep(0.5)
        self.idle = descriptors(self.server.process.pid)[0]

    def ask_rest(self):
        with Connection(self.rest, timeout=30) as c:
            return c.ask(request("POST", attacks.PREDICT, ROW))

    def ask_grpc(self):
        import socket
        c = H2(socket.create_connection(("127.0.0.1", self.grpc), timeout=30))
        try:
            fields, _ = c.ask("POST", attacks.PREDICT, ROW)
            return int(fields[":status"])
        finally:
            c.close()

    def ask_tls(self, directory):
        done = subprocess.run(["curl", "-sS", "--cacert", f"{directory}/ca.pem", "--data", ROW.decode(), "-m", "30",
                               f"https://localhost:{self.tls}{attacks.PREDICT}"], capture_output=True)
        assert ANSWER in done.stdout, done.stderr

    def honest(self, seconds):
        """Of each kind new connections, and one that is kept. What fails is told."""
        failed, counts = [], {}

        def again(name, ask):
            end = time.monotonic() + seconds
            try:
                while time.monotonic() < end and not failed:
                    ask()
                    counts[name] = counts.get(name, 0) + 1
                    self.largest = max(self.largest, self.server.memory())
                    time.sleep(0.01) # a pace; not a wait for something to happen
            except BaseException as e:
                failed.append(f"{name}: {e!r}")

        def rest():
            status, body = self.ask_rest()
            assert status == 200 and ANSWER in body, (status, body)

        def grpc():
            assert self.ask_grpc() == 200

        kept = Connection(self.rest, timeout=30)

        def keep():
            status, body = kept.ask(request("POST", attacks.PREDICT, ROW))
            assert status == 200 and ANSWER in body, (status, body)

        threads = [threading.Thread(target=again, args=what) for what in (
            ("new REST", rest), ("kept REST", keep), ("new HTTP/2", grpc), ("new TLS", lambda: self.ask_tls(self.directory)))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        kept.close()
        assert not failed, failed
        return counts

    def settle(self):
        end = time.monotonic() + 15
        while (now := descriptors(self.server.process.pid)[0]) != self.idle:
            assert time.monotonic() < end, f"{now - self.idle} more, {self.idle - now} fewer"
            time.sleep(0.02)


def test_no_honest_request_fails_under_attack(start, program, tmp_path):
    t = Target(start, tmp_path)
    before = t.server.memory()
    with attacks.Attack(program, tmp_path, t.rest, t.grpc, t.tls, scale=0.1) as attack:
        counts = t.honest(SECONDS)
    t.settle()
    print(f"{counts} honest requests; memory {before // MB} MB, at most {t.largest // MB} MB; {attack.told}")
    assert min(counts.values()) > 10
    assert attack.told["failed_connects"] == 0
    assert t.largest - before < BUDGET + 16 * MB
    assert t.server.stop() == 0


@pytest.mark.parametrize("kind", ["silent", "slow"])
def test_honest_clients_come_in_when_all_places_are_taken(start, program, tmp_path, kind):
    """More attackers than there may be connections: who comes takes the place of one that never asked for anything."""
    t = Target(start, tmp_path, "--max_connections=150")
    with attacks.Attack(program, tmp_path, t.rest, t.grpc, t.tls, scale=0.1, only=[kind]) as attack:
        counts = t.honest(SECONDS / 3)
    t.settle()
    print(f"{kind}: {counts} honest requests; {attack.told}")
    assert min(counts.values()) > 10
    assert sum(g["closed"] for g in attack.told["groups"]) > 50
    assert t.server.stop() == 0


def test_clients_that_do_not_read_cannot_fill_the_memory(start, program, tmp_path):
    t = Target(start, tmp_path)
    before = t.server.memory()
    # Answers of 5 MB, of which the system takes 4 at most: 40 of them would be more than the budget.
    with attacks.Attack(program, tmp_path, t.rest, t.grpc, t.tls, scale=0.2, only=["reader"], answer=1_000_000) as attack:
        counts = t.honest(SECONDS / 2)
    t.settle()
    assert attack.told["groups"][0]["closed"] > 20 # what the system held for them is gone, too
    print(f"{counts} honest requests; memory {before // MB} MB, at most {t.largest // MB} MB; {attack.told}")
    assert t.largest - before < BUDGET + 80 * MB # beside it, two workers have the tensors and answers of requests of 5 MB
    assert t.server.stop() == 0
