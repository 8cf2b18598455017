"""A server with TLS, tokens and every protocol, and what its clients say: each scenario once, in the same order.

    s = Secured(directory, *flags)      the server, with everything loaded
    Caller(s).steps                     [(name, status, function that returns (status, body))]

A status is HTTP's, or "grpc N". A step raises Closed if the server closed before it had answered.
"""
import pathlib
import select
import socket
import ssl
import struct
import subprocess

import h2.config
import h2.connection
import h2.events
from tensorflow_serving.apis import (classification_pb2, get_model_metadata_pb2, get_model_status_pb2, predict_pb2)

from certificates import Authority
from deep import CONFIG, PATH, ROW, Closed, Connection, request
from served import SLUICE, Server, free_port

RULES = """
token_file: "tokens"
rule { principal: "token:me" allow: [PREDICT, METADATA, STATUS, METRICS] }
"""
PREDICTION = "/tensorflow.serving.PredictionService/"


def predict_message():
    m = predict_pb2.PredictRequest()
    m.model_spec.name = "my_model"
    x = m.inputs["input_example"]
    x.dtype = 1
    x.tensor_shape.dim.add().size = 1
    x.tensor_shape.dim.add().size = 3
    x.float_val.extend([1, 2, 3])
    return m.SerializeToString()


def classify_message():
    m = classification_pb2.ClassificationRequest()
    m.model_spec.name = "classifier"
    m.input.example_list.examples.add().features.feature["x"].float_list.value.append(2)
    return m.SerializeToString()


def metadata_message():
    m = get_model_metadata_pb2.GetModelMetadataRequest()
    m.model_spec.name = "my_model"
    m.metadata_field.append("signature_def")
    return m.SerializeToString()


def status_message():
    m = get_model_status_pb2.GetModelStatusRequest()
    m.model_spec.name = "my_model"
    return m.SerializeToString()


class H2:
    """One HTTP/2 connection; one request after another."""

    def __init__(self, sock):
        self.socket = sock
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self._flush()

    def _flush(self):
        try:
            self.socket.sendall(self.h2.data_to_send())
        except OSError as e:
            raise Closed() from e

    def _receive(self):
        try:
            data = self.socket.recv(1 << 16)
            events = self.h2.receive_data(data)
        except (OSError, h2.exceptions.ProtocolError) as e:
            raise Closed() from e
        if not data:
            raise Closed()
        return events

    def ask(self, method, path, body=b"", headers=()):
        try:
            stream = self.h2.get_next_available_stream_id()
            self.h2.send_headers(stream, [(":method", method), (":path", path), (":scheme", "https"),
                                          (":authority", "localhost"), *headers], end_stream=not body)
            if body:
                self.h2.send_data(stream, body, end_stream=True)
        except h2.exceptions.ProtocolError as e: # the server has said that it goes
            raise Closed() from e
        self._flush()
        fields, got = {}, b""
        while True:
            for e in self._receive():
                if getattr(e, "stream_id", stream) != stream:
                    continue
                if isinstance(e, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                    fields.update(e.headers)
                elif isinstance(e, h2.events.DataReceived):
                    got += e.data
                    self.h2.acknowledge_received_data(e.flow_controlled_length, stream)
                elif isinstance(e, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                    raise Closed()
                elif isinstance(e, h2.events.StreamEnded):
                    self._flush()
                    return fields, got
            self._flush()

    def call(self, path, message, headers=()):
        fields, got = self.ask("POST", path, b"\0" + struct.pack(">I", len(message)) + message,
                               [("content-type", "application/grpc"), ("te", "trailers"), *headers])
        if "grpc-status" not in fields: # refused in HTTP's terms
            return int(fields[":status"]), got
        return f"grpc {fields['grpc-status']}", got

    def close(self):
        self.socket.close()


class Caller:
    """One client: a connection for each protocol, kept until it is closed."""

    def __init__(self, secured):
        self.port, self.grpc_port, self.ca = secured.server.port, secured.grpc_port, secured.ca
        self.context = {alpn: self._context(alpn) for alpn in ("http/1.1", "h2")}
        self.kept = {}
        mine = f"Authorization: Bearer {secured.token}\r\n"
        own = [("authorization", f"Bearer {secured.token}")]
        ask, call = self._rest, self._grpc
        oip = b'{"inputs": [{"name": "input_example", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}'
        self.steps = [
            ("REST predict", 200, lambda: ask(request("POST", PATH, ROW, mine))),
            ("REST without a token", 401, lambda: ask(request("POST", PATH, ROW))),
            ("REST with a wrong token", 401,
             lambda: ask(request("POST", PATH, ROW, "Authorization: Bearer slt_no\r\n"))),
            ("REST metadata", 200, lambda: ask(request("GET", "/v1/models/my_model/metadata", more=mine))),
            ("OIP infer", 200, lambda: ask(request("POST", "/v2/models/my_model/infer", oip, mine))),
            ("REST over HTTP/2", 200, lambda: self._http2("POST", PATH, ROW, own)),
            ("gRPC Predict", "grpc 0", lambda: call(PREDICTION + "Predict", predict_message(), own)),
            ("gRPC without a token", "grpc 16", lambda: call(PREDICTION + "Predict", predict_message())),
            ("gRPC Classify", "grpc 0", lambda: call(PREDICTION + "Classify", classify_message(), own)),
            ("gRPC GetModelMetadata", "grpc 0",
             lambda: call(PREDICTION + "GetModelMetadata", metadata_message(), own)),
            ("gRPC GetModelStatus", "grpc 0",
             lambda: call("/tensorflow.serving.ModelService/GetModelStatus", status_message(), own)),
            ("gRPC health", "grpc 0", lambda: call("/grpc.health.v1.Health/Check", b"", own)),
            ("gRPC cut off", "grpc 13", lambda: call(PREDICTION + "Predict", predict_message()[:-3], own)),
        ]

    def _context(self, alpn):
        c = ssl.create_default_context(cafile=self.ca.cert)
        c.set_alpn_protocols([alpn])
        return c

    def dial(self, port, alpn):
        plain = socket.create_connection(("127.0.0.1", port), timeout=60)
        try:
            return self.context[alpn].wrap_socket(plain, server_hostname="localhost")
        except OSError as e:
            plain.close()
            raise Closed() from e

    def _get(self, kind):
        if kind not in self.kept:
            if kind == "rest":
                c = Connection.__new__(Connection)
                c.socket, c.buffer = self.dial(self.port, "http/1.1"), b""
            else:
                c = H2(self.dial(self.grpc_port if kind == "grpc" else self.port, "h2"))
            self.kept[kind] = c
        return self.kept[kind]

    def _use(self, kind, what):
        try:
            got = what(self._get(kind))
        except (Closed, OSError) as e:
            self.drop(kind)
            raise Closed() from e
        if self.kept[kind].socket.fileno() < 0: # it said that it closes
            self.drop(kind)
        return got

    def _rest(self, data):
        return self._use("rest", lambda c: c.ask(data))

    def _http2(self, *what):
        fields, body = self._use("http2", lambda c: c.ask(*what))
        return int(fields[":status"]), body

    def _grpc(self, *what):
        return self._use("grpc", lambda c: c.call(*what))

    def drop(self, kind):
        c = self.kept.pop(kind, None)
        if c is not None:
            c.close()

    def hang_up(self):
        for kind in list(self.kept):
            self.drop(kind)


class Secured:
    def __init__(self, directory, *flags, config=CONFIG, start=Server, **kw):
        self.directory = pathlib.Path(directory)
        self.ca = Authority(self.directory)
        cert, key = self.ca.issue("server")
        self.token = self.make_token("me")
        (self.directory / "auth.pbtxt").write_text(RULES)
        self.grpc_port = free_port()
        self.server = start(f"--tls_cert_file={cert}", f"--tls_key_file={key}",
                             f"--grpc_address=127.0.0.1:{self.grpc_port}",
                             f"--auth_config_file={self.directory}/auth.pbtxt", *flags, config=config, **kw)
        caller = Caller(self)
        while caller._rest(request("GET", "/startupz"))[0] != 200:
            select.select([], [], [], 0.01)
        caller.hang_up()

    def make_token(self, name):
        done = subprocess.run([SLUICE, "token", name, f"--file={self.directory}/tokens"], capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
