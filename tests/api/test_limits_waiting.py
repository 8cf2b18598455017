"""Limits of what waits, and for how long: that each flag reaches what it limits, and where exactly it does so. The exact
moments are those of tests/unit/http/test_limits.c, test_http2_limits.c and batch/test_workers.c, which hold the clock."""
import contextlib
import json
import re
import socket
import ssl
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf

from certificates import Authority
from conftest import ROOT, model_config
from grpc_client import grpc_server, predict_request
from test_amplification import cpu
from test_http2 import Client
from test_server import until
from test_tls import hello

C = grpc.StatusCode
CONFIG = model_config(("m", ROOT / "tests/models/identity"))
M = "/v1/models/m:predict"
ROW = b'{"inputs": [1.0]}'


# ---- requests that wait for a worker ----

class Counter(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([], tf.int32, name="n")])
    def count(self, n):
        return {"i": tf.while_loop(lambda i: i < n, lambda i: [i + 1], [tf.constant(0)])[0]}


@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    """A model that counts to n, which takes as long as one likes."""
    base, module = tmp_path_factory.mktemp("slow"), Counter()
    tf.saved_model.save(module, str(base / "1"), signatures={"serving_default": module.count})
    return base


def count_to(n):
    return predict_request("m", {"n": tf.make_tensor_proto(np.int32(n))})


SIZE = count_to(5).ByteSize()
assert SIZE == count_to(6).ByteSize()


class Queue:
    """A server whose one worker is busy until `free`, so that what comes waits."""

    def __init__(self, counter, *flags):
        self.server = grpc_server("--worker_threads=1", *flags, config=model_config(("m", counter)))
        begin = cpu(self.server)
        self.plug = self.send(2_000_000_000)
        until(lambda: cpu(self.server) - begin > 20)  # it runs, and does not wait itself

    def send(self, n=5, timeout=60):
        return self.server.grpc.prediction.Predict.future(count_to(n), timeout=timeout)

    def refused(self, calls, text):
        """Exactly one of these is, at once; the others wait."""
        until(lambda: any(c.done() for c in calls))
        time.sleep(0.5)  # who is refused is so at once
        done = [c for c in calls if c.done()]
        assert len(done) == 1 and done[0].code() == C.UNAVAILABLE and done[0].details() == text, [c.details() for c in done]
        return [c for c in calls if c is not done[0]]

    def rest(self):
        return self.server.ask("POST", M, '{"inputs": 5}')

    def free(self, calls):
        self.plug.cancel()
        for c in calls:
            assert c.result().outputs["i"].int_val == [5]
        until(lambda: self.rest().status == 200)


@pytest.fixture
def queue(counter):
    made = []

    def get(*flags):
        made.append(Queue(counter, *flags))
        return made[-1]
    yield get
    for q in made:
        q.plug.cancel()
        q.server.grpc.close()
        assert q.server.stop() == 0


def test_as_many_wait_as_the_queue_holds_and_one_more_does_not(queue):
    q = queue("--max_queue=3")
    text = "server is overloaded: 3 requests are waiting (limit 3)"
    waiting = q.refused([q.send() for _ in range(4)], text)
    got = q.rest()
    assert got.status == 503 and got.headers["Retry-After"] == "1" and json.loads(got.text)["error"] == text
    q.free(waiting)


@pytest.mark.parametrize("limit, fit", [(3 * SIZE, 3), (3 * SIZE - 1, 2)])
def test_as_many_bytes_wait_as_the_queue_holds_and_one_more_does_not(queue, limit, fit):
    q = queue(f"--max_queue_bytes={limit}")
    text = f"server is overloaded: {fit} requests of {fit * SIZE} bytes are waiting (limit {limit} bytes)"
    waiting = q.refused([q.send() for _ in range(fit + 1)], text)
    got = q.server.ask("POST", M, '{"inputs": 5}' + " " * SIZE)
    assert got.status == 503 and got.headers["Retry-After"] == "1" and json.loads(got.text)["error"] == text
    q.free(waiting)


def test_nobody_joins_a_queue_whose_first_has_waited_for_too_long(queue):
    q = queue("--max_queue_wait_ms=3000")
    first, second = q.send(), q.send()  # both within the three seconds
    time.sleep(1)
    assert not first.done() and not second.done()

    def refused():
        probe = q.send(timeout=0.3)
        assert probe.code() in (C.UNAVAILABLE, C.DEADLINE_EXCEEDED)  # waits for its result
        return probe.code() == C.UNAVAILABLE and probe.details()
    until(refused)
    m = re.fullmatch(r"server is overloaded: \d+ requests are waiting, the oldest for (\d+) ms \(limit 3000 ms\)", refused())
    assert m and int(m[1]) >= 3000
    assert q.rest().status == 503
    q.free([first, second])


# ---- bodies of all connections together: the budget itself is test_guard_limits.py's and unit/http/test_body.c's ----

def test_a_body_larger_than_all_may_be_together_is_refused_when_it_is_announced(start):
    server = start("--max_inflight_bytes=300000", config=CONFIG)
    for length, status in ((300_000, b"100"), (300_001, b"503")):
        head = f"POST {M} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        reply = server.raw(head.encode(), timeout=1)
        assert reply.startswith(b"HTTP/1.1 " + status), reply
    # What nobody keeps is read over, however much it is.
    reply = server.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 300001\r\n\r\n" + bytes(300001), timeout=5)
    assert reply.startswith(b"HTTP/1.1 200"), reply
    c = Client(server)
    stream = c.request(path=M, body=None, end=False, more=[("content-length", "300001")])
    assert c.answer(stream)[0] == 503
    assert c.answer(c.request(path=M, body=ROW))[0] == 200
    c.close()


# ---- time ----

def seconds_until_closed(s, most=15):
    s.settimeout(most)
    begin = time.monotonic()
    while s.recv(65536):
        pass
    return time.monotonic() - begin


def test_an_idle_connection_is_closed_and_one_that_is_used_stays(start):
    server = start("--idle_timeout_s=2", config=CONFIG)
    get = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as used:
        for _ in range(8):  # for longer than two seconds
            used.sendall(get)
            assert used.recv(1000).startswith(b"HTTP/1.1 200")
            time.sleep(0.5)
        assert 1 < seconds_until_closed(used) < 10
    c = Client(server)
    for _ in range(8):
        assert c.answer(c.request(path=M, body=ROW))[0] == 200
        time.sleep(0.5)
    assert 1 < seconds_until_closed(c.socket) < 10
    c.close()


def test_a_head_must_arrive_in_the_time_that_is_given(start):
    server = start("--head_timeout_s=1", config=CONFIG)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as s:
        begin = time.monotonic()
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        assert s.recv(1000).startswith(b"HTTP/1.1 408") and 0.9 < time.monotonic() - begin < 10


def test_the_pace_of_a_body_is_what_the_flag_says(start):
    """Both get the same 500 bytes a second. Ten seconds any pace will do, and from then on it is that of ten seconds."""
    strict, mild = start("--min_rate=2000", config=CONFIG), start("--min_rate=100", config=CONFIG)
    n = 12000
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.create_connection(("127.0.0.1", s.port), timeout=20)) for s in (strict, mild)]
        for s in socks:
            s.sendall(f"POST {M} HTTP/1.1\r\nHost: x\r\nContent-Length: {n}\r\n\r\n".encode() + ROW)
            s.setblocking(False)
        left, got = n - len(ROW), b""
        begin = time.monotonic()
        while left > 0:
            piece = min(125, left)
            for s in socks:
                with contextlib.suppress(OSError):  # the first has heard enough
                    s.sendall(b" " * piece)
            left -= piece
            time.sleep(0.25)
            with contextlib.suppress(BlockingIOError, ConnectionResetError):
                if not got:
                    got = socks[0].recv(1000)
                    refused_after = time.monotonic() - begin
        assert got.startswith(b"HTTP/1.1 408") and 19 < refused_after < 24, (got, refused_after)
        socks[1].settimeout(20)
        assert socks[1].recv(1000).startswith(b"HTTP/1.1 200")


# ---- TLS handshakes ----

def test_as_many_handshakes_as_the_flag_says_and_one_more_cuts_the_oldest(start, tmp_path):
    ca = Authority(tmp_path)
    cert, key = ca.issue("server")
    server = start(f"--tls_cert_file={cert}", f"--tls_key_file={key}", "--max_tls_handshakes=3", "--loop_threads=1", config=CONFIG)

    def stalls():
        s = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        s.sendall(hello())
        assert s.recv(65536)  # the server's part: it is under way
        return s

    def is_open(s):
        s.settimeout(0.3)
        try:
            while s.recv(65536):
                pass
            return False
        except TimeoutError:
            return True
    held = [stalls() for _ in range(3)]
    assert [is_open(s) for s in held] == [True] * 3
    held.append(stalls())
    assert [is_open(s) for s in held] == [False, True, True, True]
    held.append(stalls())
    assert [is_open(s) for s in held] == [False, False, True, True, True]
    # Who is quick comes in, at the cost of who is not.
    with socket.create_connection(("localhost", server.port), timeout=20) as s:
        with ssl.create_default_context(cafile=ca.cert).wrap_socket(s, server_hostname="localhost") as t:
            t.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert t.recv(1000).startswith(b"HTTP/1.1 200")
            t.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            page = b""
            while piece := t.recv(65536):
                page += piece
    assert re.search(rb':sluice:tls:handshake_failures\{reason="overload"\} 3\b', page), page
    for s in held:
        s.close()
