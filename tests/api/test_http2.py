"""HTTP/2 on REST's port: curl's prior knowledge, and raw hostile frames by the h2 package's parts."""
import gzip
import json
import shutil
import socket
import struct
import subprocess
import time

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from hpack import Encoder
from hyperframe.frame import (ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, PriorityFrame,
                              RstStreamFrame, SettingsFrame, WindowUpdateFrame)

from conftest import PLAIN, ROOT, model_config

PATH = "/v1/models/my_model:predict"
ROW = b'{"instances": [[1.0, 2.0, 3.0]]}'
ANSWER = {"predictions": [[4.75]]}
CONFIG = model_config(("my_model", ROOT / "examples/models/my_model"),
                      ("ident_int32", ROOT / "tests/compat/models/ident_int32"))
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.fixture
def server(servers):
    server = servers("--head_timeout_s=2", "--max_body_bytes=2000000", config=CONFIG)
    yield server
    got = server.ask("POST", PATH, ROW)  # others are served whatever happened
    assert got.status == 200 and json.loads(got.text) == ANSWER


# ---- a client that is right ----

class Client:
    def __init__(self, server, **settings):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings({getattr(h2.settings.SettingCodes, k): v for k, v in settings.items()})
        self.events, self.closed = [], False
        self.flush()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def request(self, method="POST", path=PATH, body=ROW, end=True, more=()):
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "x"), *more]
        self.h2.send_headers(stream, head, end_stream=body is None and end)
        if body is not None:
            self.send(stream, body, end)
        self.flush()
        return stream

    def send(self, stream, body, end):
        while body:
            n = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(body))
            if n == 0:
                self.flush()
                self.turn()
                assert not self.closed
                continue
            self.h2.send_data(stream, body[:n])
            body = body[n:]
        if end:
            self.h2.end_stream(stream)

    def turn(self, acknowledge=True):
        data = self.socket.recv(1 << 20)
        if not data:
            self.closed = True
            return
        for event in self.h2.receive_data(data):
            self.events.append(event)
            if acknowledge and isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                try:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                except h2.exceptions.StreamClosedError:
                    pass
        self.flush()

    def of(self, stream, kind):
        return [e for e in self.events if isinstance(e, kind) and getattr(e, "stream_id", stream) == stream]

    def answer(self, stream):
        """Status, head and body; or the error code of a reset."""
        while not (self.of(stream, h2.events.StreamEnded) or self.of(stream, h2.events.StreamReset) or self.closed):
            self.turn()
        head = self.of(stream, h2.events.ResponseReceived)
        if not head:
            return self.of(stream, h2.events.StreamReset)[0].error_code, None, None
        head = dict(head[0].headers)
        return int(head[":status"]), head, b"".join(e.data for e in self.of(stream, h2.events.DataReceived))

    def close(self):
        self.socket.close()


@pytest.fixture
def client(server):
    c = Client(server)
    yield c
    c.close()


def test_many_calls_of_a_connection_are_in_flight_at_once(client):
    streams = [client.request(body=json.dumps({"instances": [[float(i), 0, 0]]}).encode()) for i in range(100)]
    for stream in reversed(streams):
        status, head, body = client.answer(stream)
        assert status == 200 and head["content-type"] == "application/json"
        assert head["content-length"] == str(len(body))


def test_replies_are_those_of_http1(server, client):
    for method, path, body in [("GET", "/v1/models/my_model", None), ("GET", "/nope", None), ("POST", PATH, b"{"),
                               ("POST", PATH, ROW), ("HEAD", "/v1/models/my_model", None),
                               ("POST", "/v1/models/nope:predict", ROW), ("OPTIONS", "/v1/x", None)]:
        one = server.ask(method, path, body)
        status, head, text = client.answer(client.request(method, path, body))
        assert (status, text) == (one.status, one.body)
        assert head.get("content-type") == one.headers.get("Content-Type")
        assert head.get("content-length") == one.headers.get("Content-Length")


def test_a_large_tensor_goes_both_ways(server):
    client = Client(server, INITIAL_WINDOW_SIZE=1 << 20)
    values = list(range(150000))
    body = json.dumps({"instances": values}).encode()
    status, _, text = client.answer(client.request(path="/v1/models/ident_int32:predict", body=body))
    assert status == 200 and json.loads(text)["predictions"] == values
    client.close()


def test_gzip_cookies_host_and_request_id(client):
    status, head, text = client.answer(client.request(
        body=gzip.compress(ROW), more=[("content-encoding", "gzip"), ("cookie", "a=b"), ("cookie", "c=d"),
                                       ("x-request-id", "mine")]))
    assert status == 200 and json.loads(text) == ANSWER and head["x-request-id"] == "mine"


def test_expect_is_answered_before_the_body(client):
    stream = client.request(body=None, end=False, more=[("expect", "100-continue"), ("content-length", str(len(ROW)))])
    while not client.of(stream, h2.events.InformationalResponseReceived):
        client.turn()
    client.send(stream, ROW, True)
    client.flush()
    assert client.answer(stream)[0] == 200


def test_trailers_of_the_client_are_read_over(client):
    stream = client.request(end=False)
    client.h2.send_headers(stream, [("x-checksum", "1")], end_stream=True)
    client.flush()
    assert client.answer(stream)[0] == 200


@pytest.mark.parametrize("length", ["5", "500"])
def test_a_length_that_is_not_true_is_a_protocol_error(server, length):
    c = Client(server)
    assert c.answer(c.request(more=[("content-length", length)]))[0] == 1
    assert c.answer(c.request())[0] == 200
    c.close()


def test_a_body_too_large_is_refused_and_the_connection_goes_on(client):
    assert client.answer(client.request(body=None, end=False, more=[("content-length", "3000000")]))[0] == 413
    stream = client.request(body=b"x" * 1900000, end=False)
    client.h2.send_data(stream, b"y" * 16000)
    try:
        for _ in range(10):
            client.send(stream, b"z" * 16000, False)
            client.flush()
    except h2.exceptions.ProtocolError:
        pass
    assert client.answer(stream)[0] == 413
    assert client.answer(client.request())[0] == 200


def test_the_client_may_close_its_window(client):
    client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
    client.flush()
    while not any(isinstance(e, h2.events.SettingsAcknowledged) for e in client.events):
        client.turn()
    first, second = client.request(), client.request("OPTIONS", "/v1/x", None, more=[("origin", "http://x")])
    assert client.answer(second)[0] == 200  # needs none
    assert not client.of(first, h2.events.DataReceived)
    client.h2.increment_flow_control_window(100000, first)
    client.flush()
    assert client.answer(first)[0] == 200


def test_curl_by_prior_knowledge(server, tmp_path):
    if not shutil.which("curl"):
        pytest.fail("curl is not installed", pytrace=False)
    big = tmp_path / "big.json"
    big.write_text(json.dumps({"instances": list(range(100000))}))
    url = f"http://127.0.0.1:{server.port}"
    done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "-w", "%{http_version} %{http_code}\n", "-o",
                           tmp_path / "out", "-d", f"@{big}", f"{url}/v1/models/ident_int32:predict"],
                          capture_output=True, timeout=60, text=True)
    assert done.stdout == "2 200\n", done.stderr
    assert json.loads((tmp_path / "out").read_text())["predictions"] == list(range(100000))


def test_ten_thousand_idle_connections_are_cheap(servers):
    """1000 here, each of which has been answered; under 20 KB each of the server's own memory."""
    server = servers(config=CONFIG)
    block = Encoder().encode([(":method", "GET"), (":path", "/healthz"), (":scheme", "http"), (":authority", "x")])
    frame = HeadersFrame(1, block)
    frame.flags.add("END_HEADERS"), frame.flags.add("END_STREAM")
    hello = PREFACE + SettingsFrame(0).serialize() + frame.serialize()
    sockets = []
    for i in range(1100):
        if i == 100:
            before = server.memory()
        s = socket.create_connection(("127.0.0.1", server.port))
        s.sendall(hello)
        s.recv(4096)
        sockets.append(s)
    each = (server.memory() - before) / 1000
    for s in sockets:
        s.close()
    if PLAIN:
        assert each < 20000, f"{each:.0f} bytes a connection"


# ---- raw frames ----

def flagged(frame, *flags):
    for flag in flags:
        frame.flags.add(flag)
    return frame.serialize()


def head(method="POST", path=PATH, more=()):
    return Encoder().encode([(":method", method), (":path", path), (":scheme", "http"), (":authority", "x"), *more])


def headers(stream=1, block=None, end=False):
    flags = ["END_HEADERS"] + (["END_STREAM"] if end else [])
    return flagged(HeadersFrame(stream, head() if block is None else block), *flags)


def data(stream=1, body=b"", end=False):
    return flagged(DataFrame(stream, body), *(["END_STREAM"] if end else []))


def frames_of(got):
    out = []
    while len(got) >= 9:
        frame, n = Frame.parse_frame_header(memoryview(got[:9]))
        frame.parse_body(memoryview(got[9:9 + n]))
        out.append(frame)
        got = got[9 + n:]
    return out


def talk(server, *parts, timeout=0.3):
    return frames_of(server.raw(PREFACE + SettingsFrame(0).serialize() + b"".join(parts), timeout=timeout))


def goaway(frames):
    got = [f for f in frames if isinstance(f, GoAwayFrame)]
    return (got[0].error_code, bytes(got[0].additional_data)) if got else None


def read_until(s, done):
    """Frames, until one of which `done` is true."""
    got = b""
    while not any(done(f) for f in frames_of(got)):
        piece = s.recv(65536)
        assert piece, frames_of(got)
        got += piece
    return frames_of(got)


def test_goaway_lets_calls_in_flight_finish(start):
    server = start(config=CONFIG)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as s:
        s.sendall(PREFACE + SettingsFrame(0).serialize() + headers() + PingFrame(0, b"arrived?").serialize())
        read_until(s, lambda f: isinstance(f, PingFrame))
        server.process.terminate()
        got = read_until(s, lambda f: isinstance(f, PingFrame))
        assert [f.last_stream_id for f in got if isinstance(f, GoAwayFrame)] == [2**31 - 1]
        s.sendall(headers(3) + data(3, ROW, True))  # it was on its way
        s.sendall(flagged(PingFrame(0, got[-1].opaque_data), "ACK"))
        got = read_until(s, lambda f: isinstance(f, GoAwayFrame))
        got += read_until(s, lambda f: isinstance(f, DataFrame)) if not any(isinstance(f, DataFrame) for f in got) else []
        assert [f.last_stream_id for f in got if isinstance(f, GoAwayFrame)] == [3]
        s.sendall(data(1, ROW, True))
        read_until(s, lambda f: isinstance(f, DataFrame) and f.stream_id == 1 and b"4.75" in f.data)
        assert s.recv(4096) == b""
    assert server.process.wait(20) == 0


CALM = 11


@pytest.mark.parametrize("name,parts,code,text", [
    ("rapid reset", [headers(i) + RstStreamFrame(i, 8).serialize() for i in range(1, 2401, 2)], CALM, b"too_many_resets"),
    ("pings", [PingFrame(0, b"12345678").serialize()] * 10100, CALM, b"too_many_frames"),
    ("settings", [SettingsFrame(0).serialize()] * 10100, CALM, b"too_many_frames"),
    ("empty data", [headers()] + [data()] * 10100, CALM, b"too_many_frames"),
    ("window updates", [headers()] + [WindowUpdateFrame(1, 1).serialize()] * 10100, CALM, b"too_many_frames"),
    ("continuations", [HeadersFrame(1, head()).serialize()] + [ContinuationFrame(1, b"").serialize()] * 80, CALM,
     b"header block too large"),
    ("header block", [HeadersFrame(1, head()).serialize()] +
     [ContinuationFrame(1, b"\x00\x01a\x7f\x81\x7f" + b"v" * 16000 + b"\x00").serialize()] * 12, None, None),
    ("header list", [headers(1, head() + b"\x40\x01x\x7f\xa1\x1e" + b"v" * 4000 + b"\xbe" * 2000, True)], CALM,
     b"header list too large"),
    ("data on an idle stream", [data(5, b"x")], 1, None),
    ("headers on an even stream", [headers(2)], 1, None),
    ("push promise", [bytes([0, 0, 4, 5, 4, 0, 0, 0, 1, 0, 0, 0, 2])], 1, None),
    ("a frame too long", [b"\xff\xff\xff\0\0\0\0\0\1"], 6, None),
    ("window overflow", [WindowUpdateFrame(0, 2**31 - 1).serialize()] * 2, 3, None),
    ("compression", [headers(1, b"\xff\xff\xff\xff\xff")], 9, None),
    ("a settings value", [bytes([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 255, 255, 255, 255])], 3, None),
    ("huge settings", [bytes([0, 0x1f, 0xfe, 4, 0, 0, 0, 0, 0]) + b"\0\x77\0\0\0\0" * 1365], CALM, None),
])
def test_frames_that_end_the_connection(server, name, parts, code, text):
    got = goaway(talk(server, *parts, timeout=5))
    if code is not None:
        assert got is not None and got[0] == code
    if text is not None:
        assert got[1] == text


@pytest.mark.parametrize("name,block", [
    ("upper case", head(more=[]) + b"\x00\x03Abc\x01x"), ("connection", head(more=[("connection", "close")])),
    ("no path", Encoder().encode([(":method", "GET"), (":scheme", "http"), (":authority", "x")])),
    ("pseudo field late", head() + b"\x00\x05:path\x02/x"), ("control character", head() + b"\x00\x01a\x03b\x00c"),
    ("two lengths", head(more=[("content-length", "1"), ("content-length", "2")])),
    ("transfer-encoding", head(more=[("transfer-encoding", "chunked")])),
])
def test_malformed_requests_lose_their_stream_only(server, name, block):
    got = talk(server, headers(1, block, True), headers(3, None), data(3, ROW, True), timeout=1)
    assert [f.error_code for f in got if isinstance(f, RstStreamFrame) and f.stream_id == 1] == [1]
    assert any(isinstance(f, DataFrame) and f.stream_id == 3 and b"4.75" in f.data for f in got)


def test_priorities_are_taken_and_mean_nothing(server):
    got = talk(server, PriorityFrame(3, depends_on=1, stream_weight=200, exclusive=True).serialize(),
               flagged(HeadersFrame(1, head(), depends_on=5, stream_weight=1), "END_HEADERS", "PRIORITY"),
               data(1, ROW, True), bytes([0, 0, 9, 0x10, 0, 0, 0, 0, 0]) + struct.pack("!I", 1) + b"u=1,i", timeout=1)
    assert any(isinstance(f, DataFrame) and b"4.75" in f.data for f in got)


WHOLE = (PREFACE + SettingsFrame(0).serialize() + headers() + data(1, ROW) + data(1, b"", True) +
         WindowUpdateFrame(0, 1000).serialize() + RstStreamFrame(1, 8).serialize())


def test_a_connection_may_be_cut_anywhere(server):
    for n in range(1, len(WHOLE)):
        with socket.create_connection(("127.0.0.1", server.port)) as s:
            s.sendall(WHOLE[:n])


def test_heads_that_do_not_come_are_given_up(server):
    start = time.monotonic()
    got = talk(server, HeadersFrame(1, head()).serialize(), timeout=10)
    assert goaway(got) == (CALM, b"request head did not arrive in time") and time.monotonic() - start < 8


def test_a_client_that_reads_nothing_cannot_make_us_hold_much(server):
    before = server.memory()
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.sendall(PREFACE + SettingsFrame(0).serialize())
        s.settimeout(1)
        try:
            for i in range(1, 100001, 2):  # each refused one would want a RST_STREAM
                s.sendall(headers(i, head("GET", "/v1/models/my_model"), True))
        except (TimeoutError, ConnectionError):
            pass
        if PLAIN:
            assert server.memory() - before < 64 << 20


def test_streams_that_are_only_begun_are_held_within_the_budget(servers):
    """A head of 56 KB comes in twenty bytes of HPACK: a megabyte of them would be two gigabytes."""
    server = servers("--max_inflight_bytes=40000000", config=CONFIG)
    begin = b"\x83\x84\x86\x01\x01a"
    field = b"\x40\x01x\x7f\xa1\x1e" + b"v" * 4000  # from now on it is one byte
    hello = PREFACE + SettingsFrame(0).serialize() + headers(1, begin + field)
    before = server.memory()
    sockets = []
    for _ in range(30):
        s = socket.create_connection(("127.0.0.1", server.port))
        s.sendall(hello + b"".join(headers(i, begin + b"\xbe" * 14) for i in range(3, 800, 2)))
        sockets.append(s)
    for s in sockets[:20]:  # who came later stays: on each loop one, at least
        s.settimeout(60)
        try:
            while s.recv(65536):
                pass
        except ConnectionError:
            pass
    if PLAIN:
        assert server.memory() - before < 150 << 20
    got = server.ask("POST", PATH, ROW)
    assert got.status == 200 and json.loads(got.text) == ANSWER
    for s in sockets:
        s.close()
