"""Every route of every interface goes through the guard: none answers a stranger but the probes of health.

gRPC's methods are read from the .proto files, so one that is new is asked for, too."""
import http.client
import json
import re

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_status_pb2, get_model_metadata_pb2

from conftest import ROOT, free_port, model_config
from grpc_client import fails, grpc_server, predict_request
from test_auth import bearer, make_token
from test_grpc_services import classify, example, multi, regress
from test_http2 import Client
from test_server import until

C = grpc.StatusCode
CONFIG = model_config(
    ("m", ROOT / "tests/compat/models/half_plus_two",
     'model_version_policy { all {} } version_labels { key: "stable" value: 123 }'),
    ("other", ROOT / "examples/models/my_model"))
RULES = """
token_file: "tokens"
rule { principal: "token:predict" allow: PREDICT model: "m" }
rule { principal: "token:metadata" allow: METADATA model: "m" }
rule { principal: "token:status" allow: STATUS model: "m" }
rule { principal: "token:metrics" allow: METRICS }
rule { principal: "token:admin" allow: ADMIN }
rule { principal: "token:stable" allow: [PREDICT, METADATA, STATUS] model: "m" version_label: "stable" }
"""
WHO = ("predict", "metadata", "status", "metrics", "admin", "stable", "nobody")
ROW = '{"instances": [1.0]}'
EXAMPLES = '{"examples": [{"x": 1.0}], "signature_name": "%s"}'
INFER = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1.0]}]})


class Guarded:
    def __init__(self, directory):
        self.tokens = {name: make_token(directory, name) for name in WHO}
        (directory / "auth.pbtxt").write_text(RULES)
        (directory / "monitoring.pbtxt").write_text('prometheus_config { enable: true path: "/monitoring/page" }')
        self.admin = free_port()
        self.server = grpc_server(f"--auth_config_file={directory}/auth.pbtxt", f"--admin_address=127.0.0.1:{self.admin}",
                                  f"--monitoring_config_file={directory}/monitoring.pbtxt", config=CONFIG)
        self.grpc = self.server.grpc

    def rest(self, method, path, body=None, who=None, admin=False):
        c = http.client.HTTPConnection("127.0.0.1", self.admin if admin else self.server.port, timeout=30)
        try:
            c.request(method, path, body, bearer(self.tokens[who]) if who else {})
            reply = c.getresponse()
            reply.read()
            if reply.status == 401:
                assert reply.headers["WWW-Authenticate"].startswith("Bearer")
            return reply.status
        finally:
            c.close()

    def meta(self, who):
        return [("authorization", f"Bearer {self.tokens[who]}")]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    g = Guarded(tmp_path_factory.mktemp("auth"))
    yield g
    g.grpc.close()
    assert g.server.stop() == 0


SELECTORS = ("", "/versions/123", "/labels/stable")
VERBS = (("predict", ROW), ("classify", EXAMPLES % "classify_x_to_y"), ("regress", EXAMPLES % "regress_x_to_y"))
# method, path, body, permission
REST = [
    *[("POST", f"/v1/models/m{at}:{verb}", body, "predict") for at in SELECTORS for verb, body in VERBS],
    *[("GET", f"/v1/models/m{at}", None, "status") for at in SELECTORS],
    *[("GET", f"/v1/models/m{at}/metadata", None, "metadata") for at in SELECTORS],
    ("GET", "/metrics", None, "metrics"),
    ("GET", "/monitoring/page", None, "metrics"),
    ("GET", "/v2", None, None),
    ("GET", "/v2/models/m", None, "metadata"),
    ("GET", "/v2/models/m/versions/123", None, "metadata"),
    ("GET", "/v2/models/m/ready", None, "status"),
    ("GET", "/v2/models/m/versions/123/ready", None, "status"),
    ("POST", "/v2/models/m/infer", INFER, "predict"),
    ("POST", "/v2/models/m/versions/123/infer", INFER, "predict"),
    ("POST", "/v2/repository/index", "{}", None),
    ("POST", "/v2/repository/models/m/load", "", "admin"),
    ("POST", "/v2/repository/models/m/unload", "", "admin"),
]
ADMIN = [("GET", "/sluice/v1/models"), ("GET", "/sluice/v1/models/m"), ("GET", "/sluice/v1/config"), ("POST", "/sluice/v1/config"),
         ("GET", "/sluice/v1/anything")]
HEALTH = ("/healthz", "/readyz", "/startupz", "/v2/health/live", "/v2/health/ready")
CHANGES = ("load", "unload")  # who may, is asked once at the end


def methods():
    """Of all services in proto/: (path, is a stream)."""
    for file in sorted((ROOT / "proto").rglob("*.proto")):
        text = file.read_text()
        package = re.search(r"^package ([\w.]+);", text, re.M)
        for service, body in re.findall(r"^service (\w+) \{(.*?)^\}", text, re.M | re.S):
            for name, takes, gives in re.findall(r"rpc (\w+)\(([^)]*)\) returns \(([^)]*)\)", body):
                yield f"/{package[1]}.{service}/{name}", takes.startswith("stream"), gives.startswith("stream")


GRPC = list(methods())
OPEN = {"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/inference.GRPCInferenceService/ServerLive",
        "/inference.GRPCInferenceService/ServerReady"}


def ask(guarded, method, who=None):
    """Its status when called with an empty message."""
    path, takes_stream, gives_stream = method
    kind = {(0, 0): "unary_unary", (0, 1): "unary_stream", (1, 1): "stream_stream"}[takes_stream, gives_stream]
    call = getattr(guarded.grpc.channel, kind)(path, request_serializer=None, response_deserializer=None)
    try:
        reply = call(iter([b"\x3a\x00"]) if takes_stream else b"", timeout=20, metadata=guarded.meta(who) if who else None)
        if gives_stream:
            next(reply)
            reply.cancel()
        return C.OK
    except grpc.RpcError as e:
        return e.code()


@pytest.mark.parametrize("method, path, body, permission", REST, ids=[f"{r[0]} {r[1]}" for r in REST])
def test_a_stranger_is_asked_who_he_is(guarded, method, path, body, permission):
    assert guarded.rest(method, path, body) == 401
    assert guarded.rest(method, path, body, "nobody") == 403
    for who in ("predict", "metadata", "status", "metrics", "admin"):
        got = guarded.rest(method, path, body, who) if who != "admin" or not path.endswith(CHANGES) else 200
        if permission is None:
            assert got == 200, who
        elif who == permission:
            assert got in (200, 400), who
        else:
            assert got == 403, who


@pytest.mark.parametrize("method, path", ADMIN, ids=[f"{r[0]} {r[1]}" for r in ADMIN])
def test_the_admin_interface_asks_as_well(guarded, method, path):
    body = "" if method == "POST" else None
    assert guarded.rest(method, path, body, admin=True) == 401
    for who in ("predict", "metrics", "stable", "nobody"):
        assert guarded.rest(method, path, body, who, admin=True) == 403
    if method == "GET":
        assert guarded.rest(method, path, body, "admin", admin=True) == (404 if path.endswith("anything") else 200)
    assert guarded.rest("GET", "/metrics", admin=True) == 401


def test_health_is_for_everybody(guarded):
    for path in HEALTH:
        assert guarded.rest("GET", path) == 200, path
    for path in HEALTH[:3]:
        assert guarded.rest("GET", path, admin=True) == 200, path


@pytest.mark.parametrize("method", GRPC, ids=[m[0] for m in GRPC])
def test_a_stranger_who_speaks_grpc_is_asked_as_well(guarded, method):
    assert len(GRPC) >= 20
    if method[0] in OPEN:
        assert ask(guarded, method) in (C.OK, C.NOT_FOUND)
        return
    assert ask(guarded, method) == C.UNAUTHENTICATED
    assert ask(guarded, method, "nobody") == C.PERMISSION_DENIED
    if not method[0].endswith("Unload"):
        assert ask(guarded, method, "admin") != C.UNAUTHENTICATED


def test_a_strangers_message_is_not_waited_for(guarded):
    """A gRPC call's model stands in its message, which may be of 2 GiB: who may do nothing is refused before."""
    for who, status in ((None, C.UNAUTHENTICATED), ("nobody", C.PERMISSION_DENIED)):
        c = Client(type("Port", (), {"port": guarded.server.grpc_port}))
        token = [("authorization", f"Bearer {guarded.tokens[who]}")] if who else []
        stream = c.request(path="/tensorflow.serving.PredictionService/Predict", body=None, end=False,
                           more=[("content-type", "application/grpc"), ("te", "trailers"), *token])
        c.answer(stream)
        fields = dict(field for e in c.events for field in getattr(e, "headers", None) or ())
        assert fields["grpc-status"] == str(status.value[0])
        c.close()


def grpc_calls(label=None, version=None):
    """(permission, a call of a client with metadata)"""
    x = tf.make_tensor_proto(np.float32([1]))
    status, metadata = get_model_status_pb2.GetModelStatusRequest(), get_model_metadata_pb2.GetModelMetadataRequest()
    metadata.metadata_field.append("signature_def")
    requests = [("predict", "prediction.Predict", predict_request("m", {"x": x})),
                ("predict", "prediction.Classify", classify([example(x=1)], signature="classify_x_to_y")),
                ("predict", "prediction.Regress", regress([example(x=1)], signature="regress_x_to_y")),
                ("predict", "prediction.MultiInference", multi(("regress_x_to_y", "regress"))),
                ("status", "model.GetModelStatus", status), ("metadata", "prediction.GetModelMetadata", metadata)]
    for permission, name, request in requests:
        spec = request.tasks[0].model_spec if hasattr(request, "tasks") else request.model_spec
        spec.name = "m"
        if label:
            spec.version_label = label
        if version:
            spec.version.value = version
        yield permission, name, request


def call(guarded, name, request, who):
    stub, method = name.split(".")
    return getattr(getattr(guarded.grpc, stub), method)(request, timeout=20, metadata=guarded.meta(who) if who else None)


def test_each_permission_opens_its_own_methods_of_grpc(guarded):
    for permission, name, request in grpc_calls():
        with fails(C.UNAUTHENTICATED):
            call(guarded, name, request, None)
        for who in ("predict", "metadata", "status", "metrics", "admin"):
            if who == permission:
                call(guarded, name, request, who)
            else:
                with fails(C.PERMISSION_DENIED):
                    call(guarded, name, request, who)


def test_a_rule_for_a_label_holds_for_requests_by_that_label_alone(guarded):
    for method, path, body, permission in REST:
        if permission in ("predict", "metadata", "status"):
            assert guarded.rest(method, path, body, "stable") == (200 if "/labels/stable" in path else 403), path
    assert guarded.rest("POST", "/v1/models/m/labels/other:predict", ROW, "stable") == 403
    assert guarded.rest("POST", "/v1/models/other/labels/stable:predict", ROW, "stable") == 403
    for permission, name, request in grpc_calls(label="stable"):
        call(guarded, name, request, "stable")
    for chosen in ({}, {"version": 123}, {"label": "other"}):
        for permission, name, request in grpc_calls(**chosen):
            with fails(C.PERMISSION_DENIED):
                call(guarded, name, request, "stable")
    for name in ("ModelReady", "ModelMetadata", "ModelInfer"):  # no labels there
        with fails(C.PERMISSION_DENIED):
            guarded.grpc.raw(f"/inference.GRPCInferenceService/{name}", b"\x0a\x01m", metadata=guarded.meta("stable"))


def test_a_message_cannot_name_another_model_than_the_path(guarded):
    request = predict_request("other", {"x": tf.make_tensor_proto(np.float32([[1, 2, 3]]))}).SerializeToString()
    c = http.client.HTTPConnection("127.0.0.1", guarded.server.port, timeout=30)
    c.request("POST", "/v1/models/m:predict", request,
              {"Content-Type": "application/x-protobuf", **bearer(guarded.tokens["predict"])})
    assert c.getresponse().status in (400, 403)
    c.close()


def test_what_the_index_shows_is_what_somebody_may_see(guarded):
    c = http.client.HTTPConnection("127.0.0.1", guarded.server.port, timeout=30)
    for who, models in (("status", {"m"}), ("predict", set())):
        c.request("POST", "/v2/repository/index", "{}", bearer(guarded.tokens[who]))
        assert {x["name"] for x in json.loads(c.getresponse().read())} == models
    c.close()


def test_an_administrator_may_unload_and_load(guarded):
    assert guarded.rest("POST", "/v2/repository/models/other/unload", "", "admin") == 200
    assert guarded.rest("POST", "/v2/repository/models/other/load", "", "admin") == 200


def probes(server, health_port, who=None):
    """What each probe answers: REST's on all ports of them, gRPC's."""
    headers = bearer(who) if who else {}
    for port in (server.port, health_port):
        for path in HEALTH if port == server.port else HEALTH[:3]:
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            c.request("GET", path, headers=headers)
            yield c.getresponse().status
            c.close()
    g = type("", (), {"grpc": server.grpc, "meta": staticmethod(lambda t: [("authorization", f"Bearer {t}")])})
    for method in GRPC:
        if method[0] in OPEN:
            yield {C.OK: 200, C.UNAUTHENTICATED: 401, C.PERMISSION_DENIED: 403}[ask(g, method, who)]


def test_probes_that_are_closed(tmp_path):
    kubelet, other = make_token(tmp_path, "kubelet"), make_token(tmp_path, "other")
    rules = "token_file: 'tokens' rule { principal: 'token:kubelet' allow: HEALTH } rule { principal: 'token:other' allow: ADMIN } "
    auth, health = tmp_path / "auth.pbtxt", free_port()
    auth.write_text(rules + "closed_health: true")
    server = grpc_server(f"--auth_config_file={auth}", f"--health_port={health}", config=CONFIG)
    try:
        for who, status in ((None, 401), ("slt_no", 401), (other, 403), (kubelet, 200)):
            got = list(probes(server, health, who))
            assert len(got) == 12 and set(got) == {status}, (who, got)
        auth.write_text(rules)
        until(lambda: set(probes(server, health)) == {200})
        auth.write_text(rules + "closed_health: true\n")
        until(lambda: set(probes(server, health)) == {401})
    finally:
        server.grpc.close()
        assert server.stop() == 0
