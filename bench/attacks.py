"""What bad clients send: for bench/attack.py, and for tests/deep/test_attack.py. bench/attack.c sends it.

    Attack(directory, rest, grpc, tls, scale=1.0)    the ports; 1.0: 2,000 slow, 10,000 silent, 1,000 malformed a second
    with attack: ...                                 all connections are open
    attack.told                                      what became of them, afterwards
"""
import gzip
import json
import os
import pathlib
import random
import ssl
import struct
import subprocess

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PREDICT = "/v1/models/m:predict"
GRPC_PREDICT = "/tensorflow.serving.PredictionService/Predict"
ANSWER = 60_000 # numbers in the answer that a slow reader asks for: half a megabyte


def http1(method="POST", path=PREDICT, body=b"", more="", length=None):
    size = f"Content-Length: {len(body) if length is None else length}\r\n"
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{size}{more}\r\n".encode() + body


def frame(kind, flags=0, stream=0, body=b"", length=None):
    n = len(body) if length is None else length
    return struct.pack(">I", n)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body


DATA, HEADERS, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
BEGIN = PREFACE + frame(SETTINGS)


def fields(path=GRPC_PREDICT, more=(), content="application/grpc"):
    return hpack.Encoder().encode([(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"),
                                   ("content-type", content), ("te", "trailers"), *more])


def call(message, flags=1, **kw):
    return BEGIN + frame(HEADERS, 4, 1, fields(**kw)) + frame(DATA, flags, 1, message)


def malformed_http1():
    rows = b'{"instances": [1.0]}'
    chunked = "Transfer-Encoding: chunked\r\n"
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\n"
    return [
        b"\r\n\r\n\r\nnonsense\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x00\x01\x02\xff" * 20,
        b"POST / HTTP/1.1\r\n\r\n", http1(body=rows, more="Content-Length: 3\r\n"), http1(body=rows, length=-1),
        http1(body=rows, length="1e3"), http1(body=rows, length=10), http1(body=rows, length=2 ** 63),
        http1(body=rows, length=1 << 40), http1(body=rows, more=chunked),
        (head + chunked + "\r\nzz\r\n").encode(), (head + chunked + "\r\nfffffffffffffffff\r\n").encode(),
        (head + chunked + "\r\n5\r\nabc").encode(), (head + "Transfer-Encoding: gzip, chunked\r\n\r\n").encode(),
        (head + "No colon here\r\n\r\n").encode(), (head + "A\x00b: c\r\n\r\n").encode(),
        (head + " folded: x\r\n\r\n").encode(), (head + "a: b\r\n" * 300 + "\r\n").encode(),
        (head + "a: " + "b" * 70_000).encode(), b"GET /" + b"a" * 70_000, http1(path="/v1/models/nobody:predict", body=rows),
        http1(path="/%zz%00", body=rows), http1(method="BREW", body=rows), http1(method="GET", body=rows),
        http1(body=b'{"instances": [1.0'), http1(body=b"[" * 20_000), http1(body=b'{"a":' * 5_000),
        http1(body=b'{"instances": [[["a"], {}]]}'), http1(body=b'{"instances": [' + b"1" * 5_000 + b"]}"),
        http1(body=b'{"instances": [1.0, [2.0]]}'), http1(body=b"\xff\xfe\xfd"), http1(body=b""),
        http1(body=b"not gzip", more="Content-Encoding: gzip\r\n"),
        http1(body=gzip.compress(rows)[:-4], more="Content-Encoding: gzip\r\n"),
        http1(body=gzip.compress(b" " * 200_000), more="Content-Encoding: gzip\r\n"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", PREFACE[:20] + b"xx",
    ]


def malformed_http2():
    get = hpack.Encoder().encode([(":method", "GET"), (":scheme", "http"), (":path", "/v1/models/m"),
                                  (":authority", "x")])
    resets = b"".join(frame(HEADERS, 5, 1 + 2 * i, get) + frame(RST, 0, 1 + 2 * i, b"\0\0\0\x08") for i in range(100))
    return [
        PREFACE[:10], PREFACE + b"\0" * 100, PREFACE + random.Random(1).randbytes(300), BEGIN + frame(9, 4, 1, get),
        BEGIN + frame(HEADERS, 5, 0, get), BEGIN + frame(HEADERS, 5, 2, get), BEGIN + frame(HEADERS, 5, 1, b"\xff" * 50),
        BEGIN + frame(HEADERS, 1, 1, get) + frame(PING, 0, 0, b"x" * 8), BEGIN + frame(PING, 0, 0, b"x" * 7),
        BEGIN + frame(SETTINGS, 0, 0, b"x" * 5), BEGIN + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31)),
        BEGIN + frame(WINDOW, 0, 0, b"\0\0\0\0"), BEGIN + frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff") * 2,
        BEGIN + frame(DATA, 0, 1, b"x"), BEGIN + frame(DATA, 0, 0, b"x"), BEGIN + frame(PUSH, 4, 1, b"\0\0\0\2" + get),
        BEGIN + frame(DATA, 0, 1, length=(1 << 24) - 1), BEGIN + frame(RST, 0, 99, b"\0\0\0\0"), BEGIN + resets,
        BEGIN + frame(HEADERS, 1, 1, get) + frame(CONTINUATION, 0, 1, b"") * 60,
        BEGIN + frame(PING, 0, 0, b"x" * 8) * 100, BEGIN + frame(SETTINGS) * 50,
        BEGIN + frame(HEADERS, 5, 1, hpack.Encoder().encode([(":method", "GET")])),
        BEGIN + frame(HEADERS, 5, 1, hpack.Encoder().encode([("Upper", "x"), (":path", "/")])),
        BEGIN + frame(HEADERS, 5, 1, get + hpack.Encoder().encode([("x", "y" * 70_000)]), length=16_384),
        BEGIN + frame(HEADERS, 4, 1, get) + frame(DATA, 1, 1, b"body of a GET"), BEGIN + frame(GOAWAY, 0, 0, b"\0" * 8),
        BEGIN + frame(HEADERS, 13, 1, b"\xff" + get), BEGIN + frame(0x77, 0xff, 1, b"unknown") * 20,
    ]


def malformed_grpc():
    ok = b"\n\x03\n\x01m"
    message = lambda m, flag=0: bytes([flag]) + struct.pack(">I", len(m)) + m
    return [
        call(message(ok, 7)), call(message(ok, 1)), call(b"\0\xff\xff\xff\xff"), call(b"\0\0\0\0\x09abc"), call(b""),
        call(message(b"\xff" * 40)), call(message(b"\x0a\xff\xff\xff\x7f")), call(message(ok) * 2),
        call(message(ok), path="/tensorflow.serving.PredictionService/Nothing"), call(message(ok), path="/"),
        call(message(ok), content="text/plain"), call(message(ok), more=[("grpc-timeout", "nonsense")]),
        call(message(ok), more=[("grpc-timeout", "1n")]), call(message(ok), more=[("grpc-encoding", "snappy")]),
        call(message(ok), flags=0) + frame(RST, 0, 1, b"\0\0\0\x08"), call(message(b"\x1b" * 500)),
        call(message(b"\x0a\x05\x0a\x03abc\x12\x08\x0a\x01x\x12\x03\x08\x01\x12")), call(message(ok, 1), more=[("grpc-encoding", "gzip")]),
        call(message(b"\x12" + b"\x7f" * 200)), b"".join([BEGIN, frame(HEADERS, 4, 1, fields()), frame(DATA, 0, 1, b"") * 100]),
    ]


def client_hello():
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def malformed_tls():
    hello, noise = client_hello(), random.Random(2)
    return [
        hello, hello + b"garbage", hello + b"\x17\x03\x03\x00\x20" + noise.randbytes(32), hello[:50], hello[:-1] + b"\xff",
        b"\x16\x03\x01\xff\xff" + noise.randbytes(500), b"\x16\x03\x01\x00\x05hello", b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x16\x03\x00\x00\x00", noise.randbytes(400), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", PREFACE, b"\x80\x2e\x01\x00\x02",
        hello[:5] + noise.randbytes(len(hello) - 5), b"\x14\x03\x03\x00\x01\x01" * 20, hello[:11] + b"\0" * (len(hello) - 11),
    ]


def slow(begin, rest):
    return struct.pack(">I", len(begin)) + begin + rest


def large_answer(numbers):
    body = gzip.compress(json.dumps({"instances": [1.0] * numbers}).encode())
    return http1(body=body, more="Content-Encoding: gzip\r\n")


class Attack:
    def __init__(self, program, directory, rest, grpc, tls, scale=1.0, only=None, answer=ANSWER, step_back=True):
        self.program, self.directory, self.told, self.step_back = program, pathlib.Path(directory), None, step_back
        rows, hello = b'{"instances": [' + b"1.0, " * 1000, client_hello()
        records = lambda rs: b"".join(struct.pack(">I", len(r)) + r for r in rs)
        parts = [
            ("silent", rest, 6000, None), ("silent", grpc, 2000, None), ("silent", tls, 2000, None),
            ("slow", rest, 600, slow(f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nX-Slow: ".encode(), b"a")),
            ("slow", rest, 600, slow(http1(length=100_000), rows)),
            ("slow", tls, 200, slow(hello[:6], hello[6:])),
            ("slow", grpc, 200, slow(BEGIN + frame(HEADERS, 4, 1, fields()) + frame(DATA, 1, 1, length=16_000), b"\0")),
            ("reader", rest, 400, large_answer(answer)),
            ("junk", rest, 400, records(malformed_http1())), ("junk", grpc, 250, records(malformed_http2())),
            ("junk", grpc, 200, records(malformed_grpc())), ("junk", tls, 150, records(malformed_tls())),
        ]
        self.arguments = []
        for i, (kind, port, count, data) in enumerate(parts):
            if only is not None and kind not in only:
                continue
            file = self.directory / f"attack{i}"
            if data is not None:
                file.write_bytes(data)
            n = max(1, int(count * scale))
            self.arguments.append(f"{kind}:{port}:{n}" + (f":{file}" if data is not None else ""))

    def __enter__(self):
        # Elsewhere in real life: where they share processors with the others, they take what those leave.
        def begin():
            if self.step_back:
                os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        self.process = subprocess.Popen([self.program, *self.arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, preexec_fn=begin)
        line = self.process.stdout.readline()
        assert line == "ready\n", f"the attackers did not begin: {line!r}"
        return self

    def __exit__(self, *_):
        try:
            out, _ = self.process.communicate("\n", timeout=60)
            self.told = json.loads(out)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
