"""The table of docs/rest.md, "What a client can make big": row by row.

Each test sends the input, looks at status, text and connection, measures the server's peak memory, and asks for
a prediction on another connection. Memory is only measured on a binary without sanitizers.
"""
import gzip
import json
import os
import pathlib
import socket
import struct
import time
import zlib

import pytest

from conftest import PLAIN, ROOT, model_config

MB = 1 << 20
PATH = "/v1/models/my_model:predict"
ROW = b'{"instances": [[1.0, 2.0, 3.0]]}'
CONFIG = model_config(("my_model", ROOT / "examples/models/my_model"),
                      ("ident_int32", ROOT / "tests/compat/models/ident_int32"))


@pytest.fixture
def server(servers):
    server = servers("--head_timeout_s=2", config=CONFIG)
    yield server
    got = server.ask("POST", PATH, ROW)
    assert got.status == 200 and json.loads(got.text) == {"predictions": [[4.75]]}


class Peak:
    """Peak of resident memory during a block, above what it was before."""

    def __init__(self, server, limit):
        self.server, self.limit = server, limit

    def __enter__(self):
        pathlib.Path(f"/proc/{self.server.process.pid}/clear_refs").write_text("5")
        self.before = self.server.memory("VmRSS")
        return self

    def __exit__(self, kind, *_):
        if PLAIN and kind is None:
            grown = self.server.memory("VmHWM") - self.before
            assert grown <= self.limit, f"{grown / MB:.1f} MB, allowed {self.limit / MB:.1f} MB"


def head(length=None, more=""):
    size = f"Content-Length: {length}\r\n" if length is not None else ""
    return f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{size}{more}\r\n".encode()


def status_of(reply):
    return int(reply.split(b" ", 2)[1]) if reply.startswith(b"HTTP/1.1 ") else None


def error_of(reply):
    return json.loads(reply.split(b"\r\n\r\n", 1)[1])["error"]


def closes(server, data, status, **kw):
    """Sends bytes; the answer must have that status and the server must close."""
    begin = time.monotonic()
    reply = server.raw(data, timeout=30, **kw)
    assert status_of(reply) == status, reply[:300]
    assert time.monotonic() - begin < 25, "the server did not close"
    return reply


def stays(server, data, status):
    """The same connection answers the next request."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as s:
        s.sendall(data)
        reply = read_reply(s)
        assert status_of(reply) == status, reply[:300]
        s.sendall(head(len(ROW)) + ROW)
        assert status_of(read_reply(s)) == 200
    return reply


def read_reply(s):
    got = b""
    while b"\r\n\r\n" not in got:
        piece = s.recv(65536)
        assert piece, got[:300]
        got += piece
    top, rest = got.split(b"\r\n\r\n", 1)
    length = next(int(l.split(b":")[1]) for l in top.split(b"\r\n") if l.lower().startswith(b"content-length"))
    while len(rest) < length:
        piece = s.recv(65536)
        assert piece
        rest += piece
    return top + b"\r\n\r\n" + rest


def test_five_million_brackets(server):
    body = b"[" * 5_000_000
    with Peak(server, len(body) * 2 + 8 * MB):
        reply = stays(server, head(len(body)) + body, 400)
    assert "nested deeper than 10000" in error_of(reply)


def test_five_million_brackets_as_instances(server):
    body = b'{"instances": ' + b"[" * 5_000_000
    with Peak(server, len(body) * 2 + 8 * MB):
        reply = stays(server, head(len(body)) + body, 400)
    assert "nested deeper than 10000" in error_of(reply)


def test_content_length_of_two_gigabytes(server):
    with Peak(server, MB):
        reply = closes(server, head(2 << 30), 413)
    assert str(1 << 30) in error_of(reply)


def test_content_length_at_the_limit_allocates_nothing_yet(server):
    with Peak(server, MB), socket.create_connection(("127.0.0.1", server.port)) as s:
        s.sendall(head(1 << 30) + b'{"instances": [')
        s.settimeout(1)
        with pytest.raises(TimeoutError):
            s.recv(1)


def test_a_head_that_never_ends(server):
    with Peak(server, MB):
        begin = time.monotonic()
        reply = server.raw(b"POST " + PATH.encode(), timeout=20)
        assert status_of(reply) == 408
        assert time.monotonic() - begin < 15


def test_a_body_of_a_byte_a_second(server):
    with Peak(server, MB), socket.create_connection(("127.0.0.1", server.port)) as s:
        s.sendall(head(100_000))
        s.settimeout(1)
        begin = time.monotonic()
        got = b""
        while not got:
            assert time.monotonic() - begin < 45, "still waiting for a byte a second"
            s.sendall(b" ")
            try:
                got = s.recv(4096)
            except TimeoutError:
                pass
        assert status_of(got) == 408


def test_a_client_that_leaves_in_the_middle(server):
    with Peak(server, 4 * MB):
        for _ in range(200):
            with socket.create_connection(("127.0.0.1", server.port)) as s:
                s.sendall(head(1000) + ROW[:10])
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_ten_thousand_idle_connections(server):
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wanted = 10_000
    assert hard > wanted + 100, f"the machine allows only {hard} descriptors"
    idle = []
    try:
        with Peak(server, wanted * 4096 + 4 * MB):
            for i in range(wanted):
                # More than 28,000 ports of one address could run out: spread over two.
                idle.append(socket.create_connection(("127.0.0.1", server.port),
                                                     source_address=(f"127.0.0.{2 + i % 4}", 0)))
            assert server.ask("POST", PATH, ROW).status == 200
    finally:
        for s in idle:
            s.close()


def test_a_head_of_more_than_64_kib(server):
    big = head(len(ROW), "X-Filler: " + "a" * 70_000 + "\r\n") + ROW
    with Peak(server, MB):
        reply = closes(server, big, 431)
    assert "65536" in error_of(reply)


def test_a_head_just_below_the_limit_is_served(server):
    more = "X-Filler: " + "a" * 60_000 + "\r\n"
    assert status_of(stays(server, head(len(ROW), more) + ROW, 200)) == 200


def test_nan_for_an_integer_input(server):
    got = server.ask("POST", "/v1/models/ident_int32:predict", '{"inputs": [NaN]}')
    assert got.status == 400
    assert json.loads(got.text)["error"] == "JSON Value:  Type: Number is not of expected type: int32"


def test_nan_for_a_float_input_is_a_number(server):
    got = server.ask("POST", PATH, '{"instances": [[NaN, 0, 0]]}')
    assert got.status == 200 and "NaN" in got.text


def test_an_input_name_of_a_megabyte(server):
    name = "n" * MB
    body = json.dumps({"instances": [{name: 1.0}]}).encode()
    with Peak(server, 12 * MB):
        reply = stays(server, head(len(body)) + body, 400)
    assert name in error_of(reply)


def gzip_bomb(size):
    c = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = b" " * MB
    return b"".join(c.compress(piece) for _ in range(size // MB)) + c.flush()


def test_a_gzip_bomb(server):
    body = gzip_bomb(1 << 30)
    with Peak(server, 100 * MB + 16 * MB):
        reply = stays(server, head(len(body), "Content-Encoding: gzip\r\n") + body, 400)
    assert "gzip" in error_of(reply)


def test_gzip_of_an_honest_request(server):
    body = gzip.compress(ROW)
    stays(server, head(len(body), "Content-Encoding: gzip\r\n") + body, 200)


@pytest.mark.parametrize("name, data", [
    ("length and chunked", head(5, "Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n"),
    ("two lengths", head(5, "Content-Length: 6\r\n") + b"hello!"),
    ("list of lengths", head("5, 6") + b"hello!"),
    ("negative length", head(-1)),
    ("length with a plus", head("+5") + b"hello"),
    ("bare LF after a chunk size", head(None, "Transfer-Encoding: chunked\r\n") + b"5\nhello\r\n0\r\n\r\n"),
    ("bare LF after a chunk", head(None, "Transfer-Encoding: chunked\r\n") + b"5\r\nhello\n0\r\n\r\n"),
    ("chunk size that overflows", head(None, "Transfer-Encoding: chunked\r\n") + b"ffffffffffffffffff\r\n"),
    ("negative chunk size", head(None, "Transfer-Encoding: chunked\r\n") + b"-5\r\nhello\r\n0\r\n\r\n"),
    ("another transfer coding", head(None, "Transfer-Encoding: gzip, chunked\r\n") + b"0\r\n\r\n"),
    ("blank before the colon", head(5, "X-A : b\r\n") + b"hello"),
    ("folded header", head(5, "X-A: b\r\n c\r\n") + b"hello"),
    ("NUL in a header", head(5, "X-A: b\0c\r\n") + b"hello"),
])
def test_request_smuggling(server, name, data):
    with Peak(server, MB):
        closes(server, data, 400)


def test_many_tiny_chunks(server):
    body = b'{"instances": [[1.0, 2.0, 3.0]]' + b" " * 100_000 + b"}"
    data = head(None, "Transfer-Encoding: chunked\r\n") + b"".join(b"1\r\n%c\r\n" % c for c in body) + b"0\r\n\r\n"
    with Peak(server, 8 * MB):
        stays(server, data, 200)


def test_a_full_queue_answers_503_at_once(start):
    """One worker, a queue of one, bodies that must go to the worker."""
    server = start("--worker_threads=1", "--max_queue=1", config=CONFIG)
    rows = b"[1.0, 2.0, 3.0]," * 400_000
    body = b'{"instances": [' + rows[:-1] + b"]}"
    socks = [socket.create_connection(("127.0.0.1", server.port), timeout=120) for _ in range(8)]
    for s in socks:
        s.sendall(head(len(body)))
    for s in socks:
        s.sendall(body)
    replies = [read_reply(s) for s in socks]
    assert {status_of(r) for r in replies} <= {200, 503}
    refused = [r for r in replies if status_of(r) == 503]
    assert refused and all(b"Retry-After: 1" in r and "overloaded" in error_of(r) for r in refused)
    for s in socks:
        s.close()
    assert server.ask("POST", PATH, ROW).status == 200


def test_as_many_header_lines_as_the_flag_says_and_not_one_more(start):
    server = start("--max_header_lines=20", config=CONFIG)
    lines = "".join(f"x-{i}: y\r\n" for i in range(18))  # and Host and Content-Length
    stays(server, head(len(ROW), lines) + ROW, 200)
    reply = closes(server, head(len(ROW), lines + "z: z\r\n") + ROW, 431)
    assert "20 header lines" in error_of(reply)
