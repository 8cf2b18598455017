"""What takes minutes. The server is started by tests/api/conftest.py; the request mix is here."""
import gzip
import importlib.util
import json
import pathlib
import random
import socket
import struct
import sys
import time

here = pathlib.Path(__file__).resolve().parent
spec = importlib.util.spec_from_file_location("served", here.parent / "api/conftest.py")
served = importlib.util.module_from_spec(spec)
sys.modules["served"] = served
spec.loader.exec_module(served)
servers, start = served.servers, served.start
sys.path.append(str(here.parent / "api")) # certificates.py

ROOT = served.ROOT
ROW = b'{"instances": [[1.0, 2.0, 3.0]]}'
ANSWER = {"predictions": [[4.75]]}
PATH = "/v1/models/my_model:predict"
CONFIG = served.model_config(("my_model", ROOT / "examples/models/my_model"),
                             ("digits", ROOT / "examples/models/digits"),
                             ("classifier", ROOT / "tests/compat/models/classifier"))
DIGITS = (ROOT / "examples/digits.json").read_bytes()
LARGE = json.dumps({"instances": [[1.0, 2.0, 3.0]] * 60_000}).encode()


def request(method, path, body=b"", more=""):
    size = f"Content-Length: {len(body)}\r\n" if method == "POST" else ""
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{size}{more}\r\n".encode() + body


def chunked(path, body):
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 9]), body[i:i + 9]) for i in range(0, len(body), 9))
    return (f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").encode() + pieces + b"0\r\n\r\n"


# What an honest client sends, with the status that it gets.
HONEST = [
    (request("POST", PATH, ROW), 200),
    (request("GET", "/v1/models/my_model"), 200),
    (request("GET", "/v1/models/my_model/metadata"), 200),
    (request("POST", "/v1/models/digits:predict", DIGITS), 200),
    (request("POST", PATH, gzip.compress(ROW), "Content-Encoding: gzip\r\n"), 200),
    (chunked(PATH, ROW), 200),
    (request("POST", "/v1/models/classifier:classify", b'{"examples": [{"x": 2.0}]}'), None),
    (request("POST", PATH, b'{"instances": [["a"]]}'), 400),
    (request("POST", PATH, b'{"instances": [[1.0, 2.0'), 400),
    (request("POST", "/v1/models/nobody:predict", ROW), 404),
    (request("GET", "/metrics"), 200),
]


class Closed(Exception):
    """The server closed the connection, or reset it, before a whole reply had come."""


class Connection:
    """One connection, kept; replies are read by their length."""

    def __init__(self, port, timeout=120):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.buffer = b""

    def _more(self):
        try:
            piece = self.socket.recv(1 << 18)
        except ConnectionError as e:
            raise Closed() from e
        if not piece:
            raise Closed()
        self.buffer += piece

    def reply(self):
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.split(b"\r\n")
        status = int(lines[0].split()[1])
        if status == 100:
            return self.reply()
        fields = dict(l.lower().split(b": ", 1) for l in lines[1:])
        if b"content-length" not in fields: # to an HTTP/1.0 client: until the server closes
            assert lines[0].startswith(b"HTTP/1.0"), head
            body = self.buffer
            while piece := self.socket.recv(1 << 18):
                body += piece
            self.close()
            return status, body
        length = int(fields[b"content-length"])
        while len(self.buffer) < length:
            self._more()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        if fields.get(b"connection") == b"close":
            self.close()
        return status, body

    def ask(self, data):
        try:
            self.socket.sendall(data)
        except ConnectionError as e:
            # It may have answered before it closed.
            try:
                return self.reply()
            except Closed:
                raise Closed() from e
        except OSError as e:
            raise Closed() from e
        return self.reply()

    def close(self):
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Mix:
    """Honest, malformed, cut-off, slow and large requests, from a seed. check() fails on a wrong answer."""

    def __init__(self, port, seed):
        self.port, self.random, self.done = port, random.Random(seed), 0

    def honest(self):
        with Connection(self.port) as c:
            for _ in range(self.random.randrange(1, 8)):
                data, wanted = self.random.choice(HONEST)
                status, _ = c.ask(data)
                assert wanted is None or status == wanted, (status, wanted, data[:200])

    def pipelined(self):
        with Connection(self.port) as c:
            chosen = [self.random.choice(HONEST) for _ in range(8)]
            c.socket.sendall(b"".join(data for data, _ in chosen))
            for data, wanted in chosen:
                status, _ = c.reply()
                assert wanted is None or status == wanted, (status, wanted, data[:200])

    def malformed(self):
        data = bytearray(self.random.choice(HONEST)[0])
        for _ in range(self.random.randrange(1, 6)):
            data[self.random.randrange(len(data))] = self.random.randrange(256)
        with Connection(self.port) as c:
            c.socket.sendall(data)
            c.socket.shutdown(socket.SHUT_WR)
            try:
                while True:
                    status, _ = c.reply()
                    assert status != 500, bytes(data)
            except (Closed, OSError):
                pass

    def cut_off(self):
        data = self.random.choice(HONEST)[0]
        c = Connection(self.port)
        c.socket.sendall(data[:self.random.randrange(len(data))])
        if self.random.random() < 0.5:
            c.reset()
        c.close()

    def left_before_the_answer(self):
        c = Connection(self.port)
        c.socket.sendall(request("POST", PATH, LARGE))
        c.reset()

    def slow(self):
        data, wanted = self.random.choice(HONEST)
        with Connection(self.port) as c:
            step = max(1, len(data) // 10)
            for i in range(0, len(data), step):
                c.socket.sendall(data[i:i + step])
                time.sleep(0.005) # a slow network, not a wait for something to happen
            status, _ = c.reply()
            assert wanted is None or status == wanted

    def large(self):
        with Connection(self.port) as c:
            status, body = c.ask(request("POST", PATH, LARGE))
            assert status == 200 and body.count(b"4.75") == 60_000

    def reader_that_stops(self):
        c = Connection(self.port)
        c.socket.sendall(request("POST", PATH, LARGE) * 2)
        c.socket.recv(100)
        c.reset()

    WEIGHTS = {"honest": 30, "pipelined": 10, "malformed": 20, "cut_off": 15, "slow": 5, "large": 2,
               "left_before_the_answer": 2, "reader_that_stops": 2}

    def step(self):
        getattr(self, self.random.choices(list(self.WEIGHTS), self.WEIGHTS.values())[0])()
        self.done += 1


class deep:
    """What the tests share: `from deep import ...`."""


for name in ("HONEST", "LARGE", "ROW", "ANSWER", "PATH", "CONFIG", "ROOT", "request", "chunked", "Closed",
             "Connection", "Mix"):
    setattr(deep, name, globals()[name])
sys.modules["deep"] = deep
