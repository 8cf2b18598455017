"""gRPC clients for the tests: TensorFlow Serving's own stubs, and calls of raw bytes."""
import contextlib

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (model_service_pb2_grpc, predict_pb2, prediction_service_pb2_grpc)

from conftest import Server, free_port

PREDICTION = "/tensorflow.serving.PredictionService/"
MODEL = "/tensorflow.serving.ModelService/"


class Client:
    """One channel to a server, with all its services."""

    def __init__(self, target, options=(), credentials=None, **kw):
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
                     ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        options = [*unlimited, *options]
        self.channel = (grpc.secure_channel(target, credentials, options=options, **kw) if credentials
                        else grpc.insecure_channel(target, options=options, **kw))
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def raw(self, method, body, timeout=20, **kw):
        """A unary call of bytes as they are."""
        call = self.channel.unary_unary(method, request_serializer=None, response_deserializer=None)
        return call(body, timeout=timeout, **kw)

    def state(self, service=""):
        return self.health.Check(health_pb2.HealthCheckRequest(service=service), timeout=20).status

    def close(self):
        self.channel.close()


def grpc_server(*flags, **kw):
    """A server with gRPC on a port of its own; server.grpc is a client of it."""
    port = free_port()
    server = Server(f"--grpc_address=127.0.0.1:{port}", *flags, **kw)
    server.grpc_port = port
    server.grpc = Client(f"127.0.0.1:{port}")
    return server


@contextlib.contextmanager
def fails(code, text=None):
    """The block ends with that status; text: the whole message, or a regular expression's match object's test."""
    try:
        yield
    except grpc.RpcError as e:
        assert e.code() == code, (e.code(), e.details())
        if callable(text):
            assert text(e.details()), e.details()
        elif text is not None:
            assert e.details() == text
        return
    raise AssertionError(f"it succeeded, instead of {code}")


def predict_request(model, inputs=None, signature="", version=None, label=None, output_filter=()):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    for key, tensor in (inputs or {}).items():
        request.inputs[key].CopyFrom(tensor)
    request.output_filter.extend(output_filter)
    return request
