"""A hostile request costs at most so much more than an honest one of its size, whichever way it comes.

The rule: to decode, check, queue and answer (or refuse) 10 KB takes at most 1 MB of memory, and at most 100
times the processor time that an honest request of that size takes. (What the model itself needs is known from its
plan; what gzip and short lists expand to is bounded, and charged before it is made.)
"""
import base64
import contextlib
import gzip
import json
import pathlib
import socket
import struct
import time

import numpy as np
import pytest
import tensorflow as tf
from hpack import Encoder
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import classification_pb2

from conftest import PLAIN, ROOT, free_port, model_config
from grpc_client import predict_request
from issuer import Issuer

PATH = "/v1/models/my_model:predict"
SIZE = 10 * 1024
ROUNDS = 40


def fill(begin, piece, end):
    """begin, as many pieces as fit, end: SIZE bytes or a little less."""
    n = (SIZE - len(begin) - len(end)) // len(piece)
    return begin + piece * n + end


HONEST = fill('{"instances": [[1.0, 2.0, 3.0]', ", [0.25, 1.5, -3.125]", "]}")
HOSTILE = {
    "open_brackets": "[" * SIZE,
    "open_objects": fill("", '{"a":', ""),
    "nested_instances": fill('{"instances": ', "[", ""),
    "nested_and_closed": '{"instances": ' + "[" * 5000 + "]" * 5000 + "}",
    "empty_rows": fill('{"instances": [[]', ",[]", "]}"),
    "empty_objects": fill('{"instances": [{}', ",{}", "]}"),
    "ragged": fill('{"instances": [[1]', ",[1,2],[1]", "]}"),
    "many_inputs": '{"inputs": {' + ",".join(f'"i{k}": 1' for k in range(900)) + "}}",
    "one_name_again_and_again": fill('{"inputs": {"input_example": [[1,2,3]]', ',"input_example": [[1,2,3]]', "}}"),
    "many_keys": "{" + ",".join(f'"k{k}": 1' for k in range(900)) + "}",
    "instances_again_and_again": fill('{"instances": [[1,2,3]]', ',"instances": [[1,2,3]]', "}"),
    "long_number": '{"instances": [[' + "1" * (SIZE - 40) + ", 2, 3]]}",
    "long_fraction": '{"instances": [[0.' + "3" * (SIZE - 40) + ", 2, 3]]}",
    "long_exponent": '{"instances": [[1e' + "0" * (SIZE - 40) + "1, 2, 3]]}",
    "hard_numbers": fill('{"instances": [[1.0,2.0,3.0]', ",[2.2250738585072011e-308,1.7976931348623157e308,9007199254740993.0]", "]}"),
    "long_name": '{"inputs": {"' + "a" * (SIZE - 30) + '": 1}}',
    "long_signature": '{"signature_name": "' + "s" * (SIZE - 60) + '", "instances": [[1,2,3]]}',
    "escapes": fill('{"inputs": {"', "\\u0041", '": 1}}'),
    "surrogates": fill('{"inputs": {"', "\\ud83d\\ude00", '": 1}}'),
    "b64": fill('{"instances": [{"b64": "', "QUJD", '"}]}'),
    "many_b64": fill('{"instances": [{"b64": "QQ=="}', ',{"b64": "QQ=="}', "]}"),
    "blanks": fill('{"instances": [[1,2,3', " ", "]]}"),
    "strings_for_numbers": fill('{"instances": [["a"', ',"a"', "]]}"),
    "no_json": "\xff" * 5000,
}


def cpu(server):
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


ROW_BODY = b'{"instances": [[1.0, 2.0, 3.0]]}'


def http1(path, body, more=(), chunks=None):
    """The bytes of a request."""
    body = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    length = [("Transfer-Encoding", "chunked")] if chunks is not None else [("Content-Length", len(body))]
    lines = "".join(f"{k}: {v}\r\n" for k, v in [*length, *more])
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode() + (chunks if chunks is not None else body)


class Http1:
    """One connection that is opened again whenever the server has closed it."""

    def __init__(self, server):
        self.server, self.socket = server, None

    def send(self, request):
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.server.port), timeout=60)
            self.file = self.socket.makefile("rb")
        self.socket.sendall(request)
        status = int(self.file.readline().split()[1])
        headers = {}
        while (line := self.file.readline()) not in (b"\r\n", b""):
            name, value = line.decode("latin1").split(":", 1)
            headers[name.lower()] = value.strip()
        self.file.read(int(headers.get("content-length", 0)))
        if headers.get("connection") == "close":
            self.close()
        return status

    def close(self):
        if self.socket is not None:
            self.file.close()
            self.socket.close()
        self.socket = None


HEADERS, DATA, RESET, SETTINGS, GOAWAY, WINDOW, CONTINUATION = 1, 0, 3, 4, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def block(path, more=()):
    return Encoder().encode([(":method", "POST"), (":path", path), (":scheme", "http"), (":authority", "x"), *more])


class Http2:
    """Streams with the same block of headers and the same body, on a connection that is opened again when it ends."""

    def __init__(self, server, port):
        self.server, self.port, self.socket = server, port, None

    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        self.file = self.socket.makefile("rb")
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, (1 << 31) - 1))
                            + frame(WINDOW, 0, 0, struct.pack(">I", (1 << 31) - 1 - 65535)))
        self.stream = 1

    def send(self, request):
        """What became of it: the kind of the frame that ended it, or None if the connection went."""
        head, body, piece = request
        if self.socket is None:
            self.connect()
        stream, self.stream = self.stream, self.stream + 2
        frames = [frame(HEADERS, (0 if len(head) > 16384 else END_HEADERS) | (0 if body else END_STREAM), stream, head[:16384])]
        frames += [frame(CONTINUATION, END_HEADERS, stream, head[at:at + 16384]) for at in range(16384, len(head), 16384)]
        frames += [frame(DATA, END_STREAM * (at + piece >= len(body)), stream, body[at:at + piece]) for at in range(0, len(body), piece)]
        try:
            self.socket.sendall(b"".join(frames))
            while header := self.file.read(9):
                size, kind, flags, of = int.from_bytes(header[:3], "big"), header[3], header[4], int.from_bytes(header[5:9], "big")
                self.file.read(size)
                if kind == SETTINGS and not flags & 1:
                    self.socket.sendall(frame(SETTINGS, 1, 0))
                if of == stream and (kind == RESET or (kind in (HEADERS, DATA) and flags & END_STREAM)):
                    return kind
                if kind == GOAWAY:
                    break
        except OSError:
            pass
        self.close()
        return None

    def close(self):
        if self.socket is not None:
            self.file.close()
            with contextlib.suppress(OSError):
                self.socket.close()
        self.socket = None


def seconds_of(client, request):
    """Processor seconds of the server for one such request: as many as take a measurable time."""
    server = client.server
    n, begin = 0, cpu(server)
    end = time.monotonic() + 20
    while True:
        for _ in range(ROUNDS):
            client.send(request)
        n += ROUNDS
        ticks = cpu(server) - begin
        if ticks >= 3 or time.monotonic() > end or n >= 4000:
            return max(ticks, 1) / 100 / n


# ---- the ways that are not JSON over HTTP/1.1 to :predict ----

def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number, content):
    """Of type 2: a string, a message, a packed list."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def times(piece, size=SIZE):
    return piece * (size // len(piece))


def nested(open_, levels):
    """Messages in messages: each level is a field with all the others in it."""
    content = b""
    for _ in range(levels):
        content = field(open_, content)
        if len(content) > SIZE:
            break
    return content


SPEC = field(1, field(1, b"my_model"))


def tensor(content, shape=b""):
    """A PredictRequest with one input whose TensorProto is DT_FLOAT with that content."""
    return SPEC + field(2, field(1, b"input_example") + field(2, b"\x08\x01" + (field(2, shape) if shape else b"") + content))


ROWS = SIZE // 12 - 20
PROTO_HONEST = predict_request("my_model", {"input_example": tf.make_tensor_proto(np.ones([ROWS, 3], np.float32))}).SerializeToString()
PROTO = {
    "unknown_fields": SPEC + times(b"\xf8\x01\x00"),
    "empty_unknown_strings": SPEC + times(b"\xfa\x01\x00"),
    "fields_of_one_byte_twice": SPEC + times(b"\x0a\x00"),
    "groups_that_open": SPEC + times(b"\xfb\x01"),
    "groups_in_groups": SPEC + b"\xfb\x01" * (SIZE // 4) + b"\xfc\x01" * (SIZE // 4),
    "messages_in_messages": SPEC + nested(2, 5000),
    "many_inputs": SPEC + b"".join(field(2, field(1, b"i%d" % k) + field(2, b"\x08\x01")) for k in range(SIZE // 12)),
    "many_empty_inputs": SPEC + times(b"\x12\x00"),
    "one_input_again_and_again": SPEC + times(field(2, field(1, b"input_example") + field(2, b"\x08\x01"))),
    "many_outputs_wanted": SPEC + times(b"\x1a\x00"),
    "many_different_outputs_wanted": SPEC + b"".join(field(3, b"o%d" % k) for k in range(SIZE // 7)),
    "one_output_again_and_again": SPEC + times(field(3, b"prediction")),
    "floats_one_by_one": tensor(times(b"\x2d\x00\x00\x80\x3f"), field(2, b"\x08\x03")),
    "packed_lists_of_nothing": tensor(times(b"\x2a\x00")),
    "packed_lists_of_one": tensor(times(field(5, b"\x00\x00\x80\x3f"))),
    "a_packed_list": tensor(field(5, b"\x00\x00\x80\x3f" * (SIZE // 4))),
    "integers_of_ten_bytes": tensor(times(b"\x38" + b"\xff" * 9 + b"\x01")),
    "packed_integers_of_ten_bytes": tensor(field(7, times(b"\xff" * 9 + b"\x01"))),
    "packed_integers_of_one_byte": tensor(field(7, b"\x01" * SIZE)),
    "empty_strings": tensor(times(b"\x42\x00")),
    "empty_dimensions": tensor(b"", times(b"\x12\x00")),
    "dimensions_of_one": tensor(b"\x2d\x00\x00\x80\x3f", times(field(2, b"\x08\x01"))),
    "names_of_dimensions": tensor(b"", times(field(2, b"\x08\x01\x12\x01a"))),
    "a_long_name": SPEC + field(2, field(1, b"n" * SIZE) + field(2, b"\x08\x01")),
    "a_long_signature": field(1, field(1, b"my_model") + field(3, b"s" * SIZE)),
    "no_utf8": field(1, field(1, b"my_model") + field(3, b"\xff" * SIZE)),
    "a_length_that_is_not_there": SPEC + b"\x12\xff\xff\xff\xff\x07" + b"\x00" * SIZE,
    "zeros": bytes(SIZE),
    "varints_without_end": b"\xff" * SIZE,
}

CLASSIFY = "/v1/models/half:classify"
CLASSIFY_HONEST = '{"signature_name": "classify_x_to_y", "examples": [' + ",".join(['{"x": 1.5}'] * (SIZE // 12)) + "]}"
CLASSIFY_JSON = {
    "empty_examples": fill('{"signature_name": "classify_x_to_y", "examples": [{}', ",{}", "]}"),
    "many_features": '{"signature_name": "classify_x_to_y", "examples": [{' + ",".join(f'"f{k}": 1' for k in range(900)) + "}]}",
    "a_feature_of_each_example": '{"signature_name": "classify_x_to_y", "examples": [' + ",".join(f'{{"f{k}": 1}}' for k in range(700)) + "]}",
    "lists_of_nothing": fill('{"signature_name": "classify_x_to_y", "examples": [{"x": []}', ',{"x": []}', "]}"),
    "one_feature_again_and_again": fill('{"signature_name": "classify_x_to_y", "examples": [{"x": 1', ',"x": 1', "}]}"),
    "a_long_list": fill('{"signature_name": "classify_x_to_y", "examples": [{"x": [1', ",1", "]}]}"),
    "a_large_context": '{"signature_name": "classify_x_to_y", "context": {' + ",".join(f'"c{k}": 1' for k in range(400))
                       + '}, "examples": [' + ",".join(["{}"] * 1500) + "]}",
    "nested": fill('{"signature_name": "classify_x_to_y", "examples": [{"x": ', "[", ""),
    "b64": fill('{"signature_name": "classify_x_to_y", "examples": [{"x": {"b64": "QQ=="}}', ',{"x": {"b64": "QQ=="}}', "]}"),
}


def classify(examples, spec=b""):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = "half", "classify_x_to_y"
    return request.SerializeToString() + field(2, examples)


ONE = example_pb2.Example()
ONE.features.feature["x"].float_list.value.append(1.5)
CLASSIFY_PROTO_HONEST = classify(field(1, times(field(1, ONE.SerializeToString()))))
CLASSIFY_PROTO = {
    "empty_examples": classify(field(1, times(b"\x0a\x00"))),
    "empty_features": classify(field(1, times(field(1, b"\x0a\x00")))),
    "many_features": classify(field(1, field(1, field(1, b"".join(field(1, field(1, b"f%d" % k) + b"\x12\x00") for k in range(900)))))),
    "one_feature_again_and_again": classify(field(1, field(1, field(1, times(field(1, field(1, b"x") + b"\x12\x00")))))),
    "empty_lists": classify(field(1, times(field(1, field(1, field(1, field(1, b"x") + field(2, b"\x12\x00"))))))),
    "lists_in_pieces": classify(field(1, field(1, field(1, field(1, field(1, b"x") + field(2, field(2, times(b"\x0a\x00")))))))),
    "a_context_for_each": classify(field(2, times(b"\x0a\x00", SIZE // 2) + field(2, field(1, b"".join(
        field(1, field(1, b"c%d" % k) + b"\x12\x00") for k in range(400)))))),
    "messages_in_messages": classify(nested(1, 5000)),
}

INFER = "/v2/models/my_model/infer"


def v2(rows, more=""):
    return f'{{{more}"inputs": [{{"name": "input_example", "datatype": "FP32", "shape": [{rows}, 3], "data": ['


V2_HONEST = v2(700) + ",".join(["1.5"] * 2100) + "]}]}"
V2_JSON = {
    "many_inputs": '{"inputs": [' + ",".join(f'{{"name":"i{k}","datatype":"FP32","shape":[],"data":[]}}' for k in range(180)) + "]}",
    "empty_inputs": fill('{"inputs": [{}', ",{}", "]}"),
    "one_input_again_and_again": fill('{"inputs": [{"name":"input_example"}', ',{"name":"input_example"}', "]}"),
    "many_dimensions": fill('{"inputs": [{"name": "input_example", "datatype": "FP32", "shape": [1', ",1", '], "data": [1]}]}'),
    "large_dimensions": fill('{"inputs": [{"name": "input_example", "datatype": "FP32", "shape": [9', ",9999999999999", '], "data": [1]}]}'),
    "nested_data": fill(v2(1), "[", ""),
    "nested_and_closed": v2(1) + "[" * 4900 + "]" * 4900 + "]}]}",
    "many_parameters": '{"parameters": {' + ",".join(f'"p{k}": 1' for k in range(900)) + "}, " + v2(1)[1:] + "1,2,3]}]}",
    "many_outputs": '{"outputs": [' + ",".join(f'{{"name": "o{k}"}}' for k in range(500)) + "], " + v2(1)[1:] + "1,2,3]}]}",
    "one_output_again_and_again": fill('{"outputs": [{"name": "prediction"}', ',{"name": "prediction"}', "], " + v2(1)[1:] + "1,2,3]}]}"),
    "strings": fill('{"inputs": [{"name": "input_example", "datatype": "BYTES", "shape": [4000], "data": [""', ',""', "]}]}"),
    "a_long_id": '{"id": "' + "i" * 9000 + '", ' + v2(1)[1:] + "1,2,3]}]}",
}


def binary(text, data):
    return http1(INFER, text.encode() + data, [("Inference-Header-Content-Length", len(text))])


def described(name, datatype, shape, size):
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}


V2_BINARY_HONEST = binary(json.dumps({"inputs": [described("input_example", "FP32", [ROWS, 3], ROWS * 12)]}), bytes(ROWS * 12))
V2_BINARY = {
    "empty_strings": binary(json.dumps({"inputs": [described("input_example", "BYTES", [2500], 10000)]}), bytes(10000)),
    "many_inputs_of_nothing": binary(json.dumps({"inputs": [described(f"i{k}", "FP32", [0], 0) for k in range(100)]}), b""),
    "a_string_that_is_not_there": binary(json.dumps({"inputs": [described("input_example", "BYTES", [1], 10000)]}), b"\xff" * 10000),
    "bools": binary(json.dumps({"inputs": [described("input_example", "BOOL", [10000], 10000)]}), bytes(10000)),
    "many_rows": binary(json.dumps({"inputs": [described("input_example", "UINT8", [10000, 1], 10000)]}), b"\xff" * 10000),
}


def in_chunks(body, size, extension=b""):
    return b"".join(b"%x%s\r\n%s\r\n" % (len(body[i:i + size]), extension, body[i:i + size]) for i in range(0, len(body), size)) + b"0\r\n\r\n"


CHUNKS_BODY = ('{"instances": [[1.0, 2.0, 3.0]' + ", [0.25, 1.5, -3.125]" * 79 + "]}").encode()  # of SIZE in chunks of a byte
CHUNKED = {
    "chunks_of_one_byte": in_chunks(CHUNKS_BODY, 1),
    "extensions": in_chunks(b'{"instances": [[1.0, 2.0, 3.0]]}', 4, b";" + b"e" * 1200),
    "many_extensions": in_chunks(b'{"instances": [[1.0, 2.0, 3.0]]}', 4, b";a=b" * 300),
    "long_sizes": b"".join(b"0000000000000001\r\n%c\r\n" % c for c in CHUNKS_BODY[:500]) + b"0\r\n\r\n",
    "trailers": in_chunks(b'{"instances": [[1.0, 2.0, 3.0]]}', 100)[:-2] + b"".join(b"x-%d: y\r\n" % k for k in range(200)) + b"\r\n",
}


def raw_deflate(blocks):
    """A gzip file of these blocks of deflate, with a wrong end."""
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + blocks + bytes(8)


GZIP = {
    "empty_stored_blocks": raw_deflate(times(b"\x00\x00\x00\xff\xff") + b"\x03\x00"),
    "empty_fixed_blocks": raw_deflate(times(b"\x02\x08\x20\x80\x00")),
    "one_byte_stored_blocks": raw_deflate(times(b"\x00\x01\x00\xfe\xff ") + b"\x03\x00"),
    "many_members": times(gzip.compress(b"")),
    "many_members_of_a_byte": times(gzip.compress(b" ")),
    "a_long_name_of_a_file": b"\x1f\x8b\x08\x08\0\0\0\0\0\xff" + b"n" * SIZE,
    "noise": b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + b"\xa5" * SIZE,
}
GZIP_HONEST = gzip.compress(json.dumps({"instances": np.random.default_rng(1).random([330, 3]).tolist()}).encode())


def literal(name, value, index=False):
    return bytes([0x40 if index else 0]) + bytes([len(name)]) + name + number(len(value), 7) + value


def number(n, bits):
    most = (1 << bits) - 1
    return bytes([n]) if n < most else bytes([most]) + varint(n - most)


START = block(PATH)
HPACK = {
    "one_large_field_again_and_again": START + literal(b"x-a", b"v" * 3900, True) + b"\xbe" * 6000,
    "one_small_field_again_and_again": START + literal(b"x-a", b"v", True) + b"\xbe" * 10000,
    "method_again_and_again": START + b"\x83" * SIZE,
    "empty_fields": START + times(b"\x00\x01a\x00"),
    "fields_that_are_kept": START + b"".join(literal(b"x-%d" % k, b"", True) for k in range(1200)),
    "crumbs_of_cookies": START + times(b"\x0f\x11\x01c"),
    "sizes_of_the_table": times(b"\x20\x3f\xe1\x1f") + START,
    "huffman": START + b"".join(b"\x00\x03x-a" + bytes([0x80 | 120]) + b"\x00" * 120 for _ in range(80)),
    "huffman_of_long_codes": START + b"".join(b"\x00\x03x-a" + bytes([0x80 | 120]) + b"\xff" * 120 for _ in range(80)),
    "an_index_that_is_not_there": START + b"\xff" + b"\xff" * 5000,
    "a_number_without_end": START + b"\x7f" + b"\xff" * SIZE,
    "a_long_path": block("/v1/models/" + "m" * 9000 + ":predict"),
    "encoded_path": block("/v1/models/" + "%6d" * 3000 + ":predict"),
    "a_query": block(PATH + "?" + "a=b&" * 2400),
}


def b64(text):
    data = text if isinstance(text, bytes) else text.encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


NOW = int(time.time())
GOOD_HEAD, GOOD_CLAIMS = {"alg": "RS256", "kid": "a"}, {"iss": "https://issuer.example/", "aud": "sluice", "sub": "ann", "exp": NOW + 36000}
TOKENS = {
    "dots": "." * 9000,
    "three_large_parts": ".".join(["A" * 3300] * 3),
    "no_base64": ".".join(["!" * 3300] * 3),
    "nested_head": b64('{"alg":' + "[" * 7000) + ".e30.AAAA",
    "many_claims": b64(json.dumps(GOOD_HEAD)) + "." + b64(json.dumps({**GOOD_CLAIMS, **{f"c{k}": 1 for k in range(600)}})) + ".AAAA",
    "many_audiences": b64(json.dumps(GOOD_HEAD)) + "." + b64(json.dumps({**GOOD_CLAIMS, "aud": ["x"] * 1400 + ["sluice"]})) + "." + "A" * 342,
    "many_groups": b64(json.dumps(GOOD_HEAD)) + "." + b64(json.dumps({**GOOD_CLAIMS, "groups": [f"g{k}" for k in range(900)]})) + "." + "A" * 342,
    "a_false_signature": b64(json.dumps(GOOD_HEAD)) + "." + b64(json.dumps({**GOOD_CLAIMS, "x": "x" * 6000})) + "." + b64(b"\x01" * 256),
    "a_false_signature_in_short": b64(json.dumps(GOOD_HEAD)) + "." + b64(json.dumps(GOOD_CLAIMS)) + "." + b64(b"\x01" * 256),
    "a_large_signature": b64(json.dumps(GOOD_HEAD)) + "." + b64(json.dumps(GOOD_CLAIMS)) + "." + "A" * 8000,
    "an_unknown_key": b64(json.dumps({**GOOD_HEAD, "kid": "k" * 6000})) + "." + b64(json.dumps(GOOD_CLAIMS)) + "." + b64(b"\x01" * 256),
    "an_api_token_that_is_none": "slt_" + "A" * 9000,
}

GRPC = "/tensorflow.serving.PredictionService/"
GRPC_MORE = [("content-type", "application/grpc"), ("te", "trailers")]
PB = [("Content-Type", "application/x-protobuf")]


def grpc(method, message, piece=16384):
    return block(GRPC + method, GRPC_MORE), b"\0" + struct.pack(">I", len(message)) + message, piece


def call(path, *messages):
    return block(path, GRPC_MORE), b"".join(b"\0" + struct.pack(">I", len(m)) + m for m in messages), 16384


OIP = "/inference.GRPCInferenceService/ModelInfer"


def model_infer(inputs, more=b""):
    return field(1, b"my_model") + inputs + more


def input_tensor(shape, content=b"", name=b"input_example", datatype=b"FP32"):
    return field(5, field(1, name) + field(2, datatype) + field(3, b"".join(varint(d) for d in shape)) + content)


OIP_HONEST = model_infer(input_tensor([ROWS, 3]), field(7, bytes(ROWS * 12)))
OIP_GRPC = {
    "many_inputs": model_infer(b"".join(input_tensor([0], name=b"i%d" % k) for k in range(500))),
    "empty_inputs": model_infer(times(b"\x2a\x00")),
    "many_dimensions": model_infer(input_tensor([1] * 9000)),
    "large_dimensions": model_infer(input_tensor([1 << 62] * 1000)),
    "contents_one_by_one": model_infer(input_tensor([700, 3], field(5, times(b"\x35\x00\x00\x80\x3f")))),
    "empty_contents": model_infer(input_tensor([1], times(b"\x2a\x00"))),
    "empty_strings": model_infer(input_tensor([5000], field(5, times(b"\x42\x00")), datatype=b"BYTES")),
    "raw_contents_of_nothing": model_infer(input_tensor([1, 3]), times(b"\x3a\x00")),
    "raw_empty_strings": model_infer(input_tensor([2500], datatype=b"BYTES"), field(7, bytes(10000))),
    "many_outputs": model_infer(input_tensor([1, 3]), times(b"\x32\x00") + field(7, bytes(12))),
    "many_parameters": model_infer(b"", b"".join(field(4, field(1, b"p%d" % k)) for k in range(1000))),
}
MULTI_HONEST = field(1, field(1, field(1, b"half") + field(3, b"classify_x_to_y")) + field(2, b"tensorflow/serving/classify")) + field(
    2, field(1, times(field(1, ONE.SerializeToString()))))
MULTI = {
    "many_tasks": times(field(1, field(1, field(1, b"half") + field(3, b"classify_x_to_y")) + field(2, b"tensorflow/serving/classify"))),
    "empty_tasks": times(b"\x0a\x00"),
    "tasks_and_examples": times(field(1, field(1, field(1, b"half") + field(3, b"regress_x_to_y")) + field(2, b"tensorflow/serving/regress")),
                                SIZE // 2) + field(2, field(1, times(b"\x0a\x00", SIZE // 2))),
}
METADATA_HONEST = field(1, field(1, b"my_model")) + field(2, b"signature_def")
METADATA = {
    "signature_def_again_and_again": field(1, field(1, b"my_model")) + times(field(2, b"signature_def")),
    "empty_fields": field(1, field(1, b"my_model")) + times(b"\x12\x00"),
}
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
SYMBOL = field(4, b"inference.GRPCInferenceService")
SYMBOLS = ["tensorflow.serving.PredictionService", "tensorflow.serving.ModelService", "grpc.health.v1.Health", "tensorflow.TensorProto",
           "tensorflow.GraphDef", "tensorflow.NodeDef", "tensorflow.DataType", "inference.InferParameter"]


def each(make, bodies):
    return {name: make(body) for name, body in bodies.items()}


# interface: (client, an honest request, hostile ones)
WAYS = {
    "json": ("http1", http1(PATH, HONEST), each(lambda b: http1(PATH, b), HOSTILE)),
    "protobuf": ("http1", http1(PATH, PROTO_HONEST, PB), each(lambda b: http1(PATH, b, PB), PROTO)),
    "grpc": ("grpc", grpc("Predict", PROTO_HONEST), each(lambda b: grpc("Predict", b), PROTO)),
    "classify": ("http1", http1(CLASSIFY, CLASSIFY_HONEST), each(lambda b: http1(CLASSIFY, b), CLASSIFY_JSON)),
    "classify_protobuf": ("http1", http1(CLASSIFY, CLASSIFY_PROTO_HONEST, PB), each(lambda b: http1(CLASSIFY, b, PB), CLASSIFY_PROTO)),
    "classify_grpc": ("grpc", grpc("Classify", CLASSIFY_PROTO_HONEST), each(lambda b: grpc("Classify", b), CLASSIFY_PROTO)),
    "v2": ("http1", http1(INFER, V2_HONEST), each(lambda b: http1(INFER, b), V2_JSON)),
    "v2_binary": ("http1", V2_BINARY_HONEST, V2_BINARY),
    "chunks": ("http1", http1(PATH, HONEST), each(lambda c: http1(PATH, b"", chunks=c), CHUNKED)),
    "gzip": ("http1", http1(PATH, GZIP_HONEST, [("Content-Encoding", "gzip")]),
             each(lambda b: http1(PATH, b, [("Content-Encoding", "gzip")]), GZIP)),
    "hpack": ("http2", (START, HONEST.encode(), 16384), each(lambda h: (h, ROW_BODY, 16384), HPACK)),
    "frames": ("http2", (START, HONEST.encode(), 16384),
               {"frames_of_one_byte": (START, CHUNKS_BODY[:1000], 1), "grpc_in_frames_of_one_byte": grpc("Predict", PROTO_HONEST[:1000], 1)}),
    "oip_grpc": ("grpc", call(OIP, OIP_HONEST), each(lambda b: call(OIP, b), OIP_GRPC)),
    "multi_grpc": ("grpc", grpc("MultiInference", MULTI_HONEST), each(lambda b: grpc("MultiInference", b), MULTI)),
    "metadata_grpc": ("grpc", grpc("GetModelMetadata", METADATA_HONEST), each(lambda b: grpc("GetModelMetadata", b), METADATA)),
    "reflection": ("grpc", call(REFLECTION, *[field(4, s.encode()) for s in SYMBOLS] * 30), {
        **{symbol: call(REFLECTION, *[field(4, symbol.encode())] * (SIZE // (len(symbol) + 7))) for symbol in SYMBOLS},
        "the_largest_file_again_and_again": call(REFLECTION, *[SYMBOL] * (SIZE // (len(SYMBOL) + 5))),
        "lists_again_and_again": call(REFLECTION, *[field(7, b"")] * (SIZE // 7)),
        "empty_messages": call(REFLECTION, *[b""] * (SIZE // 5)),
        "unknown_symbols": call(REFLECTION, *[field(4, b"x")] * (SIZE // 8)),
    }),
    "token": ("guarded", None, each(lambda t: http1(PATH, ROW_BODY, [("Authorization", f"Bearer {t}")]), TOKENS)),
}



class Guarded:
    """A server that asks for tokens, with the keys of an issuer."""

    def __init__(self, directory):
        issuer = Issuer(directory)
        (directory / "keys.json").write_bytes(issuer.key_set("a"))
        self.token = issuer.token("a")
        self.file = directory / "auth.pbtxt"
        self.file.write_text('jwt { name: "corp" issuer: "https://issuer.example/" audience: "sluice" jwks_file: "keys.json" groups_claim: "groups" }'
                             ' rule { principal: "jwt:corp/*" allow: [PREDICT, METADATA] }')


@pytest.fixture(scope="module")
def world(servers, tmp_path_factory):
    """For each kind of client what makes one, and an honest request of its server."""
    port, guarded = free_port(), Guarded(tmp_path_factory.mktemp("auth"))
    config = model_config(("my_model", ROOT / "examples/models/my_model"), ("half", ROOT / "tests/compat/models/half_plus_two"))
    # What a context for each Example expands to is bounded by a flag, not by the rule.
    open_ = servers("--max_queue=64", "--max_expanded_bytes=200000", f"--grpc_address=127.0.0.1:{port}", config=config)
    closed = servers(f"--auth_config_file={guarded.file}", config=config)
    bearer = http1(PATH, HONEST, [("Authorization", f"Bearer {guarded.token}")])
    return {"http1": (lambda: Http1(open_), None), "http2": (lambda: Http2(open_, open_.port), None),
            "grpc": (lambda: Http2(open_, port), None), "guarded": (lambda: Http1(closed), bearer)}


@pytest.fixture(scope="module")
def honest(world):
    """Processor seconds of an honest request, of each way."""
    known = {}

    def get(way):
        if way not in known:
            kind, request, _ = WAYS[way]
            make, own = world[kind]
            client, request = make(), request or own
            assert client.send(request) in (200, HEADERS, DATA), "the honest request of this way is none"
            known[way] = request, seconds_of(client, request)
            client.close()
        return known[way]
    return get


def size_of(request):
    return len(request) if isinstance(request, bytes) else len(request[0]) + len(request[1]) + 9 * (len(request[1]) // request[2])


@pytest.mark.parametrize("way, name", [(way, name) for way in WAYS for name in WAYS[way][2]])
def test_ten_kilobytes_cost_little(world, honest, way, name):
    request = WAYS[way][2][name]
    assert size_of(request) <= SIZE + 1100, size_of(request)  # with its head
    (decent, least), client = honest(way), world[WAYS[way][0]][0]()
    server = client.server
    client.send(decent)
    pathlib.Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")  # the peak begins anew
    before = server.memory("VmRSS")
    status = client.send(request)
    assert status in (200, 400, 401, 404, 408, 413, 429, 431, HEADERS, DATA, RESET, None), status
    grown = server.memory("VmHWM") - before
    seconds = seconds_of(client, request)
    client.close()
    print(f"{way} {name}: {status}, {grown} bytes, {seconds * 1e6:.0f} us of {least * 1e6:.0f} us")
    if PLAIN:
        assert grown <= 1 << 20, f"{grown} bytes"
    assert seconds <= 100 * least, f"{seconds * 1e6:.0f} us, an honest one {least * 1e6:.0f} us"
    assert client.send(decent) in (200, HEADERS, DATA)
    client.close()
