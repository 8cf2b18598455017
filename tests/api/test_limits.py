"""Each limit that a flag sets, at its boundary: what is at the limit is served, one more is refused with the right
status, over HTTP/1.1, HTTP/2 and gRPC. docs/security.md has the table; those of time are tests/unit/http/test_limits.c's
and test_http2_limits.c's, which hold the clock."""
import gzip
import json
import select
import socket
import struct
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from hyperframe.frame import PingFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame
from tensorflow.core.example import example_pb2
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import classification_pb2

from conftest import ROOT, free_port, model_config
from grpc_client import Client as GrpcClient
from grpc_client import fails, grpc_server, predict_request
from test_http2 import CALM, PREFACE, Client, data, goaway, head, headers, read_until, talk

C = grpc.StatusCode
CONFIG = model_config(("m", ROOT / "tests/models/identity"), ("s", ROOT / "tests/compat/models/ident_string"),
                      ("half", ROOT / "examples/models/my_model"))
M, S, V2 = "/v1/models/m:predict", "/v1/models/s:predict", "/v2/models/m/infer"
ROW = b'{"inputs": [1.0]}'


@pytest.fixture(scope="module")
def server():
    s = grpc_server("--max_head_bytes=2048", "--max_header_lines=20", "--max_body_bytes=4000", "--max_decoded_bytes=6000",
                    "--max_json_depth=5", "--max_tensor_elements=100", "--max_string_bytes=300", "--max_tensor_rank=3",
                    "--max_chunks=5", "--grpc_max_message_bytes=4000", "--max_expanded_bytes=1000", config=CONFIG)
    yield s
    s.grpc.close()
    assert s.stop() == 0


def http1(server, path, body, more=None):
    return server.ask("POST", path, body, more).status


def http2(server, path, body, more=None):
    c = Client(server)
    try:
        return c.answer(c.request(path=path, body=body, more=[(k.lower(), v) for k, v in (more or {}).items()]))[0]
    finally:
        c.close()


def np_of(values):
    array = np.array(values)
    return array.astype(np.float32) if array.dtype == np.float64 else array


BOTH = pytest.mark.parametrize("ask", [http1, http2])


def predict(server, model, tensor, **kw):
    if not isinstance(tensor, tensor_pb2.TensorProto):
        tensor = tf.make_tensor_proto(tensor)
    return server.grpc.prediction.Predict(predict_request(model, {"x": tensor}), timeout=20, **kw)


# ---- heads ----

def test_bytes_of_a_head(server):
    start = f"POST {M} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(ROW)}\r\nx-fill: "
    for size, status in ((2048, b"200"), (2049, b"431")):
        fill = "f" * (size - len(start) - 4)
        reply = server.raw(f"{start}{fill}\r\n\r\n".encode() + ROW, timeout=0.5)
        assert reply.startswith(b"HTTP/1.1 " + status), reply[:200]
    fields = [(":method", "POST"), (":path", M), (":scheme", "http"), (":authority", "x"), ("x-fill", "")]
    used = sum(len(k) + len(v) + 32 for k, v in fields)
    for size, status in ((2048, 200), (2049, 431)):
        assert http2(server, M, ROW, {"x-fill": "f" * (size - used)}) == status
    with fails(C.RESOURCE_EXHAUSTED):
        predict(server, "m", np_of([1.0]), metadata=[("x-fill", "f" * 2048)])
    predict(server, "m", np_of([1.0]), metadata=[("x-fill", "f" * 1000)])


def test_lines_of_a_head(server):
    for lines, status in ((18, b"200"), (19, b"431")):
        more = "".join(f"x-{i}: y\r\n" for i in range(lines))  # and Host and Content-Length
        reply = server.raw(f"POST {M} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(ROW)}\r\n{more}\r\n".encode() + ROW, timeout=0.5)
        assert reply.startswith(b"HTTP/1.1 " + status), reply[:200]
    for lines, status in ((19, 200), (20, 431)):  # and :authority
        assert http2(server, M, ROW, {f"x-{i}": "y" for i in range(lines)}) == status


# ---- bodies ----

def padded(size):
    return ROW + b" " * (size - len(ROW))


@BOTH
def test_bytes_of_a_body(server, ask):
    assert ask(server, M, padded(4000)) == 200
    assert ask(server, M, padded(4001)) == 413
    assert ask(server, V2, v2_body([1.0], pad=4000)) == 200
    assert ask(server, V2, v2_body([1.0], pad=4001)) == 413


def chunked(server, *chunks):
    body = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"
    reply = server.raw(f"POST {M} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + body, timeout=0.5)
    return int(reply.split(b" ")[1])


def test_bytes_and_number_of_chunks(server):
    assert chunked(server, padded(2000), b" " * 2000) == 200
    assert chunked(server, padded(2000), b" " * 2001) == 413
    assert chunked(server, padded(100), *[b" "] * 4) == 200
    assert chunked(server, padded(100), *[b" "] * 5) == 413


def filled(message, size):
    """Its wire form, with an unknown field (two bytes of tag, two of length) that makes it as long as this."""
    n = size - message.ByteSize() - 4
    return message.SerializeToString() + b"\xfa\x07" + bytes([n & 0x7f | 0x80, n >> 7]) + b"z" * n


def test_bytes_of_a_message(server):
    def request(size):
        message = predict_request("m", {"x": tf.make_tensor_proto(np.float32([1]))})
        message.model_spec.signature_name = "serving_default"
        return filled(message, size)
    method = "/tensorflow.serving.PredictionService/Predict"
    assert len(request(4000)) == 4000
    server.grpc.raw(method, request(4000))
    with fails(C.RESOURCE_EXHAUSTED, lambda t: "too large" in t):
        server.grpc.raw(method, request(4001))


@BOTH
def test_bytes_after_decompression(server, ask):
    gz = {"Content-Encoding": "gzip"}
    assert ask(server, M, gzip.compress(padded(6000)), gz) == 200
    assert ask(server, M, gzip.compress(padded(6001)), gz) == 400


def test_bytes_of_a_message_after_decompression(server):
    def send(size):
        request = predict_request("m", {"x": tf.make_tensor_proto(np.float32([1]))})
        body = gzip.compress(filled(request, size))
        framed = b"\x01" + struct.pack(">I", len(body)) + body
        c = Client(Port(server.grpc_port))
        try:
            stream = c.request(path="/tensorflow.serving.PredictionService/Predict", body=framed,
                               more=[("content-type", "application/grpc"), ("te", "trailers"), ("grpc-encoding", "gzip")])
            c.answer(stream)
            for e in c.events:
                for name, value in getattr(e, "headers", None) or ():
                    if name == "grpc-status":
                        return int(value)
        finally:
            c.close()
    assert send(6000) == 0
    assert send(6001) == C.RESOURCE_EXHAUSTED.value[0]


class Port:
    def __init__(self, port):
        self.port = port


def exact_gzip(content, size):
    """Of exactly that many bytes: the header's file name fills up what is missing."""
    packed = gzip.compress(content, mtime=0)
    fill = size - len(packed) - 1
    assert fill >= 0
    return packed[:3] + bytes([packed[3] | 8]) + packed[4:10] + b"n" * fill + b"\0" + packed[10:]


def test_ratio_of_a_compressed_body(start):
    server = start("--max_compression_ratio=10", config=CONFIG)
    gz = {"Content-Encoding": "gzip"}
    for ask in (http1, http2):
        assert ask(server, M, exact_gzip(padded(2000), 200), gz) == 200
        assert ask(server, M, exact_gzip(padded(2001), 200), gz) == 400


# ---- what is in them ----

@BOTH
def test_depth_of_json(server, ask):
    rank3 = b'{"inputs": [[[1.0]]], "x": %s}'
    assert ask(server, M, rank3 % b"[[[[]]]]") == 200
    assert ask(server, M, rank3 % b"[[[[[]]]]]") == 400
    assert ask(server, V2, v2_body([1.0], more=b'"x": [[[[]]]], ')) == 200
    assert ask(server, V2, v2_body([1.0], more=b'"x": [[[[[]]]]], ')) == 400


def v2_body(values, shape=None, more=b"", pad=0):
    body = b'{%s"inputs": [{"name": "x", "datatype": "FP32", "shape": %s, "data": %s}]}' % (
        more, json.dumps(shape or [len(values)]).encode(), json.dumps(values).encode())
    return body + b" " * (pad - len(body))


@BOTH
def test_elements(server, ask):
    for n, status in ((100, 200), (101, 429)):
        values = [1.0] * n
        assert ask(server, M, json.dumps({"inputs": values}).encode()) == status
        assert ask(server, V2, v2_body(values)) == status
        binary = np.ones(n, np.float32).tobytes()
        text = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [%d], "parameters": {"binary_data_size": %d}}]}' % (
            n, len(binary))
        assert ask(server, V2, text + binary, {"Inference-Header-Content-Length": str(len(text))}) == status


def test_elements_over_grpc(server):
    predict(server, "m", np_of([1.0] * 100))
    with fails(C.RESOURCE_EXHAUSTED, "request holds more than 100 elements"):
        predict(server, "m", np_of([1.0] * 101))


@BOTH
def test_rank(server, ask):
    assert ask(server, M, b'{"inputs": [[[1.0]]]}') == 200
    assert ask(server, M, b'{"inputs": [[[[1.0]]]]}') == 400
    assert ask(server, V2, v2_body([1.0], [1, 1, 1])) == 200
    assert ask(server, V2, v2_body([1.0], [1, 1, 1, 1])) == 400


def test_rank_over_grpc(server):
    predict(server, "m", np_of([[[1.0]]]))
    with fails(C.INVALID_ARGUMENT, "a tensor of rank 4 is not supported: at most 3"):
        predict(server, "m", np_of([[[[1.0]]]]))


@BOTH
def test_bytes_of_strings(server, ask):
    for n, status in ((150, 200), (151, 429)):
        assert ask(server, S, json.dumps({"inputs": ["a" * 150, "b" * n]}).encode()) == status


def test_bytes_of_strings_over_grpc(server):
    predict(server, "s", np_of(["a" * 150, "b" * 150]))
    with fails(C.RESOURCE_EXHAUSTED, "request holds more than 300 bytes of strings"):
        predict(server, "s", np_of(["a" * 150, "b" * 151]))


def test_what_a_short_list_expands_to(start):
    port = free_port()
    server = start(f"--grpc_address=127.0.0.1:{port}", "--max_expanded_bytes=1000", config=CONFIG)
    server.grpc = GrpcClient(f"127.0.0.1:{port}")

    def short(n):
        return tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[1], tensor_shape=tf.TensorShape([n]).as_proto())
    predict(server, "m", short(250))
    with fails(C.RESOURCE_EXHAUSTED):
        predict(server, "m", short(252))
    server.grpc.close()


@pytest.fixture(scope="module")
def expanding():
    s = grpc_server("--max_expanded_bytes=1000", config=model_config(("m", ROOT / "tests/compat/models/half_plus_two")))
    yield s
    s.grpc.close()
    assert s.stop() == 0


@pytest.mark.parametrize("way", ["json", "protobuf", "grpc"])
def test_what_a_context_for_each_example_expands_to(expanding, way):
    """At 1000 bytes the model is asked (and has no x); beyond, there would be a gigabyte of 100 KB."""
    def answer(examples, n):
        context = example_pb2.Example()
        context.features.feature["c"].bytes_list.value.append(b"c" * n)
        total = context.ByteSize() * examples
        request = classification_pb2.ClassificationRequest()
        request.model_spec.name, request.model_spec.signature_name = "m", "classify_x_to_y"
        request.input.example_list_with_context.context.CopyFrom(context)
        for _ in range(examples):
            request.input.example_list_with_context.examples.add()
        path = "/v1/models/m:classify"
        if way == "grpc":
            try:
                expanding.grpc.prediction.Classify(request, timeout=20)
            except grpc.RpcError as e:
                return total, e.code(), e.details()
        if way == "protobuf":
            got = expanding.ask("POST", path, request.SerializeToString(), {"Content-Type": "application/x-protobuf"})
        else:
            got = expanding.ask("POST", path, json.dumps({"signature_name": "classify_x_to_y", "context": {"c": "c" * n}, "examples": [{}] * examples}))
        return total, got.status, got.text
    refused = "that a request may expand to"
    total, code, text = answer(10, 87)
    assert total == 1000 and refused not in text and code in (400, C.INVALID_ARGUMENT), text
    total, code, text = answer(10, 88)
    assert total == 1010 and refused in text and code == (C.RESOURCE_EXHAUSTED if way == "grpc" else 429), text


# ---- connections ----

def test_streams_of_a_connection(start):
    server = start("--max_concurrent_streams=3", config=CONFIG)
    block = head("POST", M)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as s:
        s.sendall(PREFACE + SettingsFrame(0).serialize() + b"".join(headers(i, block) for i in (1, 3, 5, 7)))
        frames = read_until(s, lambda f: isinstance(f, RstStreamFrame))
        settings = next(f for f in frames if isinstance(f, SettingsFrame) and f.settings)
        assert settings.settings[SettingsFrame.MAX_CONCURRENT_STREAMS] == 3
        refused = [f for f in frames if isinstance(f, RstStreamFrame)]
        assert [(f.stream_id, f.error_code) for f in refused] == [(7, 7)]  # REFUSED_STREAM: safe to try again
        for i in (1, 3, 5):
            s.sendall(data(i, ROW, True))
        read_until(s, lambda f: f.stream_id == 5 and "END_STREAM" in f.flags)


def test_connections_of_all_listeners(start):
    """Who is being served stays, and one more is told; who is idle makes room, at whichever port."""
    other = free_port()
    server = start("--max_connections=2", f"--grpc_address=127.0.0.1:{other}", config=CONFIG)
    held = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(2)]
    body = b'{"instances": [1.0]}'
    head = f"POST {M} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for s in held:
        s.sendall(head)
        assert s.recv(1000).startswith(b"HTTP/1.1 100")
    assert server.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 503")
    for s in held:
        s.sendall(body)
        assert s.recv(1000).startswith(b"HTTP/1.1 ")
    with socket.create_connection(("127.0.0.1", other), timeout=20) as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert s.recv(1000).startswith(b"HTTP/1.1 200")
    gone = select.select(held, [], [], 20)[0]
    assert len(gone) == 1 and gone[0].recv(1000) == b""
    for s in held:
        s.close()


def resets(count):
    return b"".join(headers(i, head("POST", M)) + RstStreamFrame(i, 8).serialize() for i in range(1, 2 * count, 2))


def window_updates(count):
    return WindowUpdateFrame(0, 1).serialize() * count


@pytest.mark.parametrize("flag, make, text", [("--max_resets=50", resets, b"too_many_resets"),
                                              ("--max_useless_frames=50", window_updates, b"too_many_frames")])
def test_what_a_connection_may_waste(start, flag, make, text):
    """50 at once, and 50 in 10 seconds."""
    server = start(flag, config=CONFIG)
    last = PingFrame(0, b"are you?").serialize()
    got = talk(server, make(45), last)
    assert goaway(got) is None and any(isinstance(f, PingFrame) for f in got)
    assert goaway(talk(server, make(120), last)) == (CALM, text)


def test_replies_that_are_not_taken(start):
    server = start("--max_unsent_bytes=2000", config=CONFIG)
    body = json.dumps({"inputs": [1.0] * 2000}).encode()
    window = SettingsFrame(0)
    window.settings = {SettingsFrame.INITIAL_WINDOW_SIZE: 0}

    def served():
        page = server.ask("GET", "/metrics").text
        return sum(int(line.rsplit(" ", 1)[1]) for line in page.splitlines()
                   if line.startswith(":tensorflow:serving:request_count{"))

    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as s:
        s.sendall(PREFACE + window.serialize())
        end = time.monotonic() + 20
        for i in (1, 3, 5):
            s.sendall(headers(i, head("POST", M)) + b"".join(data(i, body[at:at + 16000], at + 16000 >= len(body))
                                                              for at in range(0, len(body), 16000)))
            while served() < 1:
                assert time.monotonic() < end
        time.sleep(0.3)
        assert served() == 1  # the others wait until the first reply is taken
        for i in (0, 1, 3, 5):
            s.sendall(WindowUpdateFrame(i, 1 << 20).serialize())
        read_until(s, lambda f: f.stream_id == 5 and "END_STREAM" in f.flags)
        assert served() == 3
