"""What gRPC puts on HTTP/2: frames, compression, deadlines, cancellation, limits, sockets, hostile input."""
import contextlib
import json
import socket
import struct
import threading
import time
import zlib

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import model_management_pb2

from conftest import ROOT, Server, free_port, model_config
from grpc_client import MODEL, PREDICTION, Client, fails, grpc_server, predict_request

MODELS, COMPAT = ROOT / "tests/models", ROOT / "tests/compat/models"
C = grpc.StatusCode
HALF = model_config(("half_plus_two", COMPAT / "half_plus_two"), ("identity", MODELS / "identity"))
PREDICT = PREDICTION + "Predict"


def request_of(*values, model="half_plus_two"):
    return predict_request(model, {"x": tf.make_tensor_proto(np.float32(values))})


@pytest.fixture(scope="module")
def server():
    s = grpc_server("--access_log=all", config=HALF)
    yield s
    s.grpc.close()
    assert s.stop() == 0


# ---- calls by hand: what no client sends ----

class Wire:
    """An HTTP/2 connection of our own: literal header fields, no more than a unary call needs."""

    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.frame(4, 0, 0, b""))
        self.next = 1

    @staticmethod
    def frame(kind, flags, stream, payload):
        return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

    @staticmethod
    def text(s):
        assert len(s) < 127
        return bytes([len(s)]) + s.encode()

    def head(self, path, headers, end=False, method="POST"):
        stream, self.next = self.next, self.next + 2
        fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "x"), *headers]
        block = b"".join(b"\x00" + self.text(n) + self.text(v) for n, v in fields)
        self.s.sendall(self.frame(1, 5 if end else 4, stream, block))
        return stream

    def data(self, stream, payload, end=True):
        for at in range(0, max(len(payload), 1), 16384):
            last = end and at + 16384 >= len(payload)
            self.s.sendall(self.frame(0, 1 if last else 0, stream, payload[at:at + 16384]))

    def reset(self, stream):
        self.s.sendall(self.frame(3, 0, stream, struct.pack(">I", 8)))

    def read(self, n):
        got = b""
        while len(got) < n:
            piece = self.s.recv(n - len(got))
            assert piece, "closed"
            got += piece
        return got

    def frames(self):
        while True:
            head = self.read(9)
            size = int.from_bytes(head[:3], "big")
            yield head[3], head[4], int.from_bytes(head[5:], "big"), self.read(size)

    def answer(self, stream):
        """Header blocks (not decoded: literals can be looked for) and data, until the stream ends."""
        blocks, data = b"", b""
        for kind, flags, at, payload in self.frames():
            if kind == 4 and not flags & 1:
                self.s.sendall(self.frame(4, 1, 0, b""))
            if at != stream:
                continue
            blocks += payload if kind == 1 else b""
            data += payload if kind == 0 else b""
            if kind == 3 or (kind in (0, 1) and flags & 1):
                return blocks, data

    def close(self):
        self.s.close()


GRPC = [("content-type", "application/grpc"), ("te", "trailers")]


def call(server, body, headers=(), path=PREDICT):
    """A call with these bytes as body. What came of it is read in the access log."""
    w = Wire(server.grpc_port)
    try:
        stream = w.head(path, [*GRPC, *headers])
        w.data(stream, body)
        return w.answer(stream)
    finally:
        w.close()


def log_line(server, request_id, seconds=20):
    server.wait_for(f'id="{request_id}"', seconds)
    return next(l for l in server.log.splitlines() if f'id="{request_id}"' in l)


def status_of(server, body, request_id, headers=(), path=PREDICT):
    call(server, body, [("x-request-id", request_id), *headers], path)
    return log_line(server, request_id)


def framed(message, flag=0):
    return bytes([flag]) + struct.pack(">I", len(message)) + message


GOOD = request_of(1).SerializeToString()


@pytest.mark.parametrize("name, body, status, error", [
    ("good", framed(GOOD), "OK", None),
    ("nothing", b"", "INTERNAL", "the call has no message"),
    ("cut-prefix", b"\0\0", "INTERNAL", "the message is cut off"),
    ("cut", framed(GOOD)[:-1], "INTERNAL", f"the message is cut off: {len(GOOD) - 1} of {len(GOOD)} bytes"),
    ("two", framed(GOOD) * 2, "INTERNAL", "a unary call has exactly one message"),
    ("flag", framed(GOOD, 7), "INTERNAL", "malformed frame: its first byte is 7, not 0 or 1"),
    ("packed", framed(zlib.compress(GOOD), 1), "INTERNAL",
     "the message is marked as compressed, but there is no grpc-encoding"),
    ("claims-4g", b"\0\xff\xff\xff\xff", "RESOURCE_EXHAUSTED",
     "Received message larger than max (4294967295 vs. 2147483647)"),
])
def test_frames(server, name, body, status, error):
    line = status_of(server, body, "frame-" + name)
    assert f'grpc_status="{status}"' in line
    assert error is None or f'error="{error}"' in line


@pytest.mark.parametrize("encoding, packed, status", [
    ("gzip", zlib.compress(GOOD, wbits=31), "OK"), ("deflate", zlib.compress(GOOD), "OK"),
    ("identity", None, "OK"), ("gzip", b"rubbish", "RESOURCE_EXHAUSTED"),
    ("gzip", zlib.compress(GOOD, wbits=31)[:-3], "RESOURCE_EXHAUSTED"), ("snappy", b"x", "UNIMPLEMENTED"),
])
def test_encodings(server, encoding, packed, status):
    name = f"enc-{encoding}-{len(packed or b'')}"
    body = framed(GOOD) if packed is None else framed(packed, 1)
    assert f'grpc_status="{status}"' in status_of(server, body, name, [("grpc-encoding", encoding)])


def test_a_compression_bomb_is_stopped():
    s = grpc_server("--max_decoded_bytes=100000", "--access_log=all", config=HALF)
    bomb = zlib.compress(b"\0" * 50_000_000, wbits=31)
    line = status_of(s, framed(bomb, 1), "bomb", [("grpc-encoding", "gzip")])
    assert 'grpc_status="RESOURCE_EXHAUSTED"' in line
    assert s.memory("VmHWM") < s.memory() + 20_000_000
    s.grpc.close()
    assert s.stop() == 0


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_client_that_compresses_and_a_server_that_does(algorithm):
    number = {grpc.Compression.Gzip: 2, grpc.Compression.Deflate: 1}[algorithm]
    s = grpc_server(f"--grpc_channel_arguments=grpc.default_compression_algorithm={number},grpc.nonsense=1,"
                    "grpc.max_metadata_size=x", config=HALF)
    values = np.ones(10000, np.float32)
    reply, answered = s.grpc.prediction.Predict.with_call(request_of(*values), timeout=20, compression=algorithm)
    assert np.allclose(tf.make_ndarray(reply.outputs["y"]), 2.5)
    assert "--grpc_channel_arguments: grpc.nonsense=1 has no meaning in this server" in s.log
    assert "grpc.max_metadata_size=x is ignored" in s.log
    s.grpc.close()
    assert s.stop() == 0


def http_status(server, headers, path=PREDICT, method="POST"):
    """Of a call: the first field of its header block, indexed or literal."""
    w = Wire(server.grpc_port)
    stream = w.head(path, headers, method=method)
    w.data(stream, framed(GOOD))
    blocks, _ = w.answer(stream)
    w.close()
    if blocks[0] in (0x88, 0x8d):  # RFC 7541, appendix A
        return {0x88: 200, 0x8d: 404}[blocks[0]]
    return {b"415": 415, b"405": 405, HUFFMAN_415: 415, HUFFMAN_405: 405}.get(blocks[2:2 + (blocks[1] & 127)])


def huffman(digits):
    """RFC 7541, appendix B, for digits."""
    codes = {"0": "00000", "1": "00001", "2": "00010", "3": "011001", "4": "011010", "5": "011011"}
    bits = "".join(codes[d] for d in digits)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


HUFFMAN_415, HUFFMAN_405 = huffman("415"), huffman("405")


@pytest.mark.parametrize("kind, expected", [
    ("application/grpc", 200), ("application/grpc+proto", 200), ("application/grpc; charset=x", 200),
    ("application/grpc+proto;x=y", 200)])
def test_content_types_that_are_grpc(server, kind, expected):
    assert http_status(server, [("content-type", kind), ("te", "trailers")]) == expected


@pytest.mark.parametrize("kind", ["application/grpc+json", "application/grpc-web", "application/grpcx", "application/json"])
def test_other_content_types_are_415(server, kind):
    assert http_status(server, [("content-type", kind)]) == 415


def test_other_methods_are_405(server):
    assert http_status(server, GRPC, method="PUT") == 405


def test_one_port_serves_all(server):
    """REST on the gRPC port, gRPC on the REST port."""
    import http.client

    c = http.client.HTTPConnection("127.0.0.1", server.grpc_port, timeout=20)
    c.request("POST", "/v1/models/half_plus_two:predict", '{"instances": [1]}')
    assert json.loads(c.getresponse().read()) == {"predictions": [2.5]}
    c.close()
    other = Client(f"127.0.0.1:{server.port}")
    assert other.prediction.Predict(request_of(1), timeout=20).outputs["y"].float_val == [2.5]
    other.close()


def test_equal_ports_are_one_port():
    port = free_port()
    s = Server(f"--port={port}", f"--rest_api_port={port}", config=HALF)
    s.port = port
    assert f"Running gRPC ModelServer at 0.0.0.0:{port} ..." in s.log
    assert s.ask("POST", "/v1/models/half_plus_two:predict", '{"instances": [1]}').status == 200
    client = Client(f"127.0.0.1:{port}")
    assert client.prediction.Predict(request_of(1), timeout=20)
    client.close()
    assert s.stop() == 0


def test_a_unix_socket(tmp_path):
    path = tmp_path / "s"
    s = Server(f"--grpc_socket_path={path}", config=HALF)
    assert f"Running gRPC ModelServer at UNIX socket {path} ..." in s.log
    client = Client(f"unix:{path}")
    assert client.prediction.Predict(request_of(1), timeout=20).outputs["y"].float_val == [2.5]
    request = model_management_pb2.ReloadConfigRequest()
    request.config.model_config_list.config.add(name="half_plus_two", base_path=str(COMPAT / "half_plus_two"),
                                                model_platform="tensorflow")
    assert client.model.HandleReloadConfigRequest(request, timeout=60).status.error_code == 0
    client.close()
    assert s.stop() == 0


# ---- sizes ----

def test_a_large_tensor_both_ways(server):
    values = np.arange(3_000_000, dtype=np.float32)
    sent = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, tensor_shape=tf.TensorShape(values.shape).as_proto(),
                                  tensor_content=values.tobytes())
    reply = server.grpc.prediction.Predict(predict_request("identity", {"x": sent}), timeout=60)
    assert (tf.make_ndarray(reply.outputs["y"]) == values).all()


def test_the_size_of_a_message_is_limited_by_flag():
    s = grpc_server("--grpc_max_message_bytes=1000", config=HALF)
    size = len(request_of(*range(300)).SerializeToString())
    with fails(C.RESOURCE_EXHAUSTED, lambda t: "larger" in t or "large" in t):
        s.grpc.prediction.Predict(request_of(*range(300)), timeout=20)
    assert size > 1000 and s.grpc.prediction.Predict(request_of(1), timeout=20)
    s.grpc.close()
    assert s.stop() == 0


def test_a_small_message_may_not_expand_without_limit(server):
    before = server.memory("VmHWM")
    bomb = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[1],
                                  tensor_shape=tf.TensorShape([1_000_000_000]).as_proto())
    with fails(C.RESOURCE_EXHAUSTED):
        server.grpc.prediction.Predict(predict_request("identity", {"x": bomb}), timeout=20)
    assert server.memory("VmHWM") - before < 64_000_000


# ---- deadlines and cancellation ----

@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """A model that counts to n, on one worker."""
    base = tmp_path_factory.mktemp("slow")

    class Counter(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([], tf.int32, name="n")])
        def count(self, n):
            return {"i": tf.while_loop(lambda i: i < n, lambda i: [i + 1], [tf.constant(0)])[0]}

    module = Counter()
    tf.saved_model.save(module, str(base / "1"), signatures={"serving_default": module.count})
    s = grpc_server("--worker_threads=1", "--access_log=all", config=model_config(
        ("slow", base), ("half_plus_two", COMPAT / "half_plus_two")))
    yield s
    s.grpc.close()
    assert s.stop() == 0


def count_to(n):
    return predict_request("slow", {"n": tf.make_tensor_proto(np.int32(n))})


FOREVER = 2_000_000_000


def test_a_deadline_ends_a_run_that_is_under_way(slow):
    assert slow.grpc.prediction.Predict(count_to(5), timeout=60).outputs["i"].int_val == [5]
    begin = time.monotonic()
    with fails(C.DEADLINE_EXCEEDED):
        slow.grpc.prediction.Predict(count_to(FOREVER), timeout=0.5, metadata=[("x-request-id", "runs-too-long")])
    line = log_line(slow, "runs-too-long")
    assert time.monotonic() - begin < 15
    assert 'grpc_status="DEADLINE_EXCEEDED"' in line or 'grpc_status="CANCELLED"' in line


def test_a_client_that_leaves_ends_its_run_and_what_it_queued(slow):
    running = slow.grpc.prediction.Predict.future(count_to(FOREVER), timeout=60, metadata=[("x-request-id", "left-1")])
    time.sleep(0.3)
    queued = slow.grpc.prediction.Predict.future(count_to(FOREVER), timeout=60, metadata=[("x-request-id", "left-2")])
    time.sleep(0.1)
    queued.cancel()
    running.cancel()
    for name in ("left-1", "left-2"):
        assert 'grpc_status="CANCELLED"' in log_line(slow, name)
    assert slow.grpc.prediction.Predict(count_to(5), timeout=20).outputs["i"].int_val == [5]


def test_a_call_that_waits_past_its_deadline_is_not_started(slow):
    assert slow.grpc.prediction.Predict(request_of(1), timeout=20)  # its plan is made
    blocker = slow.grpc.prediction.Predict.future(count_to(FOREVER), timeout=60)
    time.sleep(0.2)
    with fails(C.DEADLINE_EXCEEDED):
        slow.grpc.prediction.Predict(count_to(FOREVER), timeout=0.2, metadata=[("x-request-id", "waited")])
    # What is cheap does not wait for the worker that is busy.
    assert slow.grpc.prediction.Predict(request_of(1), timeout=20).outputs["y"].float_val == [2.5]
    blocker.cancel()
    line = log_line(slow, "waited")
    assert 'grpc_status="OK"' not in line and "run_us=0" in line


def test_a_deadline_that_has_passed_and_one_that_is_none(server):
    assert 'grpc_status="DEADLINE_EXCEEDED"' in status_of(server, framed(GOOD), "zero", [("grpc-timeout", "0m")])
    assert 'grpc_status="INTERNAL"' in status_of(server, framed(GOOD), "no-unit", [("grpc-timeout", "10")])
    assert 'grpc_status="OK"' in status_of(server, framed(GOOD), "long", [("grpc-timeout", "99999999H")])


def test_calls_in_progress_are_limited_by_flag(tmp_path, slow):
    base = slow.log_path.parent  # only for its configuration
    s = grpc_server("--grpc_max_threads=1", "--worker_threads=1",
                    config=(base / "config.pbtxt").read_text())
    assert s.grpc.prediction.Predict(request_of(1), timeout=20)
    running = s.grpc.prediction.Predict.future(count_to(FOREVER), timeout=60)
    end, pause = time.monotonic() + 20, 0.001
    while True:
        if running.done():  # the other call was there first: let this one go ahead
            running = s.grpc.prediction.Predict.future(count_to(FOREVER), timeout=60)
            time.sleep(pause)
            pause *= 2
        try:
            s.grpc.prediction.Predict(request_of(1), timeout=20)
        except grpc.RpcError as e:
            assert (e.code(), e.details()) == (C.RESOURCE_EXHAUSTED, "Server Threadpool Exhausted")
            break
        assert time.monotonic() < end
    running.cancel()
    end = time.monotonic() + 20
    while True:
        try:
            assert s.grpc.prediction.Predict(request_of(1), timeout=20)
            break
        except grpc.RpcError:
            assert time.monotonic() < end
    s.grpc.close()
    assert s.stop() == 0


# ---- starting and ending ----

def test_calls_in_flight_are_answered_when_the_server_ends(slow):
    s = grpc_server(config=(slow.log_path.parent / "config.pbtxt").read_text())
    running = s.grpc.prediction.Predict.future(count_to(300_000), timeout=60)
    time.sleep(0.1)
    threading.Thread(target=s.stop).start()
    assert running.result().outputs["i"].int_val == [300_000]
    s.process.wait(30)
    s.grpc.close()


def test_as_the_original_the_port_opens_when_the_models_are_there(tmp_path):
    from conftest import SLUICE

    link = tmp_path / "tensorflow_model_server"
    link.symlink_to(SLUICE)
    port = free_port()
    s = Server(f"--port={port}", f"--model_base_path={COMPAT / 'half_plus_two'}", "--model_name=half_plus_two",
               command=[str(link)])
    assert s.log.index("Successfully loaded servable version") < s.log.index(f"Running gRPC ModelServer at 0.0.0.0:{port} ...")
    client = Client(f"127.0.0.1:{port}")
    assert client.prediction.Predict(request_of(1), timeout=20)
    client.close()
    s.stop()


# ---- input that means harm ----

def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def variants(depth):
    """A variant_val that holds a tensor that holds a variant_val ..."""
    inner = b""
    for _ in range(depth):
        inner = field(15, field(3, inner))
    return inner


def tensor(*parts):
    return field(2, field(1, b"x") + field(2, b"".join(parts)))


SPEC = field(1, field(1, b"identity"))
FLOAT = b"\x08\x01"


def shape(*dims):
    return field(2, b"".join(field(2, b"\x08" + varint(d & (1 << 64) - 1)) for d in dims))


HARMFUL = {
    "garbage": (b"\xff\xff\xff\xff", {"INTERNAL"}),
    "endless varint": (b"\x08" + b"\xff" * 11, {"INTERNAL"}),
    "length beyond the end": (b"\x0a\x7fabc", {"INTERNAL"}),
    "huge length": (b"\x0a" + varint(2**63), {"INTERNAL"}),
    "not utf-8": (field(1, field(1, b"\xff")), {"INTERNAL"}),
    "field 0": (b"\x02\x00", {"INTERNAL"}),
    "group never ends": (b"\x0b", {"INTERNAL"}),
    "model_spec as varint": (b"\x08\x01", {"INVALID_ARGUMENT"}),
    "variants 10000 deep": (SPEC + tensor(b"\x08\x15", variants(5000)), {"INTERNAL"}),
    "groups 10000 deep": (SPEC + b"\x7b" * 10000 + b"\x7c" * 10000, {"INTERNAL"}),
    "shape overflows": (SPEC + tensor(FLOAT, shape(2**62, 2**62)), {"INVALID_ARGUMENT"}),
    "negative dim": (SPEC + tensor(FLOAT, shape(-1)), {"INVALID_ARGUMENT"}),
    "300 dims": (SPEC + tensor(FLOAT, shape(*[1] * 300)), {"INVALID_ARGUMENT"}),
    "content too short": (SPEC + tensor(FLOAT, shape(2), field(4, b"abc")), {"INVALID_ARGUMENT"}),
    "content too long": (SPEC + tensor(FLOAT, shape(1), field(4, b"abcde")), {"INVALID_ARGUMENT"}),
    "strings cut": (SPEC + tensor(b"\x08\x07", shape(2), field(4, b"\x05\x05abc")), {"INVALID_ARGUMENT"}),
    "a bool of 2": (SPEC + tensor(b"\x08\x0a", shape(1), field(4, b"\x02")), {"INVALID_ARGUMENT"}),
    "dtype ref": (SPEC + tensor(b"\x08\x65", shape(1)), {"INVALID_ARGUMENT"}),
    "resource": (SPEC + tensor(b"\x08\x14", shape(1)), {"INVALID_ARGUMENT", "UNIMPLEMENTED"}),
    "short list expands": (SPEC + tensor(FLOAT, shape(2**31), b"\x2d\0\0\x80\x3f"), {"RESOURCE_EXHAUSTED"}),
    "floats not whole": (SPEC + tensor(FLOAT, shape(1), field(5, b"abc")), {"INTERNAL"}),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_harmful_messages(server, name):
    body, statuses_ = HARMFUL[name]
    try:
        server.grpc.raw(PREDICT, body)
        got = "OK"
    except grpc.RpcError as e:
        got = e.code().name
    assert got in statuses_, got


@pytest.mark.parametrize("method", ["Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata"])
def test_a_message_cut_anywhere_is_an_error_or_another_message(server, method):
    body = {
        "Predict": request_of(1, 2).SerializeToString(),
        "GetModelMetadata": field(1, field(1, b"half_plus_two")) + field(2, b"signature_def"),
    }.get(method, field(1, field(1, b"half_plus_two") + field(3, b"regress_x_to_y")) + field(2, field(1, field(1, field(
        1, field(1, field(1, b"x") + field(2, field(2, field(1, b"\0\0\x80\x3f")))))))))
    calls = [server.grpc.channel.unary_unary(PREDICTION + method).future(body[:n], timeout=20)
             for n in range(len(body))]
    for c in calls:
        assert c.code() in (C.OK, C.INTERNAL, C.INVALID_ARGUMENT, C.NOT_FOUND, C.FAILED_PRECONDITION), c.details()


def test_streams_that_are_cut_in_every_state(server):
    for step in range(6):
        w = Wire(server.grpc_port)
        stream = w.head(PREDICT, GRPC)
        if step > 0:
            w.data(stream, framed(GOOD)[:3], end=False)
        if step > 1:
            w.data(stream, framed(GOOD)[3:], end=False)
        if step > 2:
            w.data(stream, b"", end=True)
        if step % 2:
            w.reset(stream)
        w.close()
    assert server.grpc.prediction.Predict(request_of(1), timeout=20)


def test_large_metadata_is_refused(server):
    with fails(C.RESOURCE_EXHAUSTED):
        server.grpc.prediction.Predict(request_of(1), timeout=20,
                                       metadata=[(f"x{i}", "a" * 20_000) for i in range(4)])
    assert server.grpc.prediction.Predict(request_of(1), timeout=20)


def test_others_are_not_held_up_by_one_that_does_not_read(server):
    w = Wire(server.grpc_port)
    values = np.zeros(1_000_000, np.float32)
    body = framed(predict_request("identity", {"x": tf.make_tensor_proto(values)}).SerializeToString())
    w.s.sendall(w.frame(8, 0, 0, struct.pack(">I", 2**30)))
    stream = w.head(PREDICT, GRPC)
    def send():
        with contextlib.suppress(OSError):  # it is cut at the end
            w.data(stream, body)

    threading.Thread(target=send, daemon=True).start()
    for _ in range(20):
        assert server.grpc.prediction.Predict(request_of(1), timeout=20)
    w.close()
