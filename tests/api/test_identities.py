"""Who somebody is, as real clients show it: certificates over REST and gRPC (curl, requests, grpcio), JSON Web Tokens over
gRPC; and that the rules hold for them as they do for tokens."""
import json
import subprocess

import grpc
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_management_pb2

from certificates import Authority
from conftest import ROOT, free_port, model_config
from grpc_client import Client, fails, predict_request
from issuer import Issuer
from test_auth import make_token

C = grpc.StatusCode
CONFIG = model_config(("my_model", ROOT / "examples/models/my_model"), ("digits", ROOT / "examples/models/digits"))
PREDICT = "/v1/models/my_model:predict"
ROW = '{"instances": [[1.0, 2.0, 3.0]]}'
RULES = """
client_certificates: true
token_file: "tokens"
jwt { name: "corp" issuer: "https://issuer.example/" audience: "sluice" jwks_file: "jwks.json" groups_claim: "groups" }
rule { principal: ["cert:ann", "token:ci"] allow: [PREDICT, STATUS] model: "my_*" }
rule { principal: "san:URI:spiffe://cluster/ops/*" allow: [PREDICT, METADATA, STATUS, METRICS, ADMIN] }
rule { principal: "jwt:corp/ann" allow: PREDICT model: "my_model" }
rule { principal: "group:corp/readers" allow: [METADATA, STATUS] }
rule { principal: "jwt:corp/root" allow: ADMIN }
"""


class World:
    def __init__(self, directory, start):
        self.ca, self.issuer = Authority(directory), Issuer(directory)
        self.ci = make_token(directory, "ci")
        (directory / "jwks.json").write_bytes(self.issuer.key_set("k"))
        (directory / "auth.pbtxt").write_text(RULES)
        self.ann = self.ca.issue("ann", san="DNS:laptop.example")
        self.ops = self.ca.issue("pod-7", san="URI:spiffe://cluster/ops/7")
        self.eve = self.ca.issue("eve", san="DNS:ann")  # signed, and named by no rule
        pair = self.ca.issue("server")
        self.grpc_port = free_port()
        self.server = start(f"--auth_config_file={directory}/auth.pbtxt", f"--grpc_address=127.0.0.1:{self.grpc_port}",
                            f"--tls_cert_file={pair[0]}", f"--tls_key_file={pair[1]}", f"--tls_client_ca_file={self.ca.cert}",
                            "--tls_client_verify=optional", "--access_log=all", config=CONFIG)
        self.clients = {}

    def url(self, path):
        return f"https://localhost:{self.server.port}{path}"

    def rest(self, method, path, who=None, body=None, token=None):
        return requests.request(method, self.url(path), data=body, timeout=30, verify=str(self.ca.cert),
                                cert=tuple(map(str, who)) if who else None,
                                headers={"Authorization": f"Bearer {token}"} if token else {})

    def grpc(self, who=None):
        if who not in self.clients:
            key, cert = (who[1].read_bytes(), who[0].read_bytes()) if who else (None, None)
            self.clients[who] = Client(f"localhost:{self.grpc_port}", (),
                                       grpc.ssl_channel_credentials(self.ca.cert.read_bytes(), key, cert))
        return self.clients[who]

    def predicts(self, who=None, model="my_model", token=None):
        return code(lambda **kw: self.grpc(who).prediction.Predict(
            predict_request(model, {"x": tf.make_tensor_proto([[1.0, 2.0, 3.0]])}), **kw), token)

    def describes(self, who=None, model="my_model", token=None):
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = model
        return code(lambda **kw: self.grpc(who).prediction.GetModelMetadata(request, **kw), token)

    def states(self, who=None, model="my_model", token=None):
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        return code(lambda **kw: self.grpc(who).model.GetModelStatus(request, **kw), token)

    def reloads(self, who=None, token=None, more=()):
        request = model_management_pb2.ReloadConfigRequest()
        for name in ("my_model", "digits"):
            request.config.model_config_list.config.add(name=name, base_path=str(ROOT / "examples/models" / name),
                                                        model_platform="tensorflow")
        return code(lambda **kw: self.grpc(who).model.HandleReloadConfigRequest(request, **kw), token, more)


def code(call, token=None, more=()):
    metadata = [*more, *([("authorization", f"Bearer {token}")] if token else [])]
    try:
        call(timeout=30, metadata=metadata)
        return C.OK
    except grpc.RpcError as e:
        return e.code() if e.code() != C.INVALID_ARGUMENT else C.OK  # the model's business, so it was let in


@pytest.fixture
def world(start, tmp_path):
    w = World(tmp_path, start)
    yield w
    for c in w.clients.values():
        c.close()


def test_a_certificate_over_rest(world):
    assert world.rest("POST", PREDICT, body=ROW).status_code == 401
    assert world.rest("POST", PREDICT, world.ann, ROW).status_code == 200
    assert world.rest("GET", "/v1/models/my_model", world.ann).status_code == 200
    got = world.rest("GET", "/v1/models/my_model/metadata", world.ann)
    assert got.status_code == 403 and got.json()["error"] == 'cert:ann has no permission "metadata" for model my_model'
    assert world.rest("GET", "/v1/models/digits", world.ann).status_code == 403
    assert world.rest("GET", "/metrics", world.ann).status_code == 403
    for method, path in (("GET", "/v1/models/digits/metadata"), ("GET", "/metrics"), ("GET", "/v2/models/digits"),
                         ("POST", "/v2/repository/models/digits/load")):
        assert world.rest(method, path, world.ops).status_code == 200, path
    # An alternative name is not a common name, and being signed is not being allowed.
    got = world.rest("POST", PREDICT, world.eve, ROW)
    assert got.status_code == 403 and "cert:eve" in got.json()["error"]
    index = world.rest("POST", "/v2/repository/index", world.ann, "{}")
    assert {m["name"] for m in index.json()} == {"my_model"}


def test_a_certificate_over_rest_with_curl(world):
    def curl(*args):
        done = subprocess.run(["curl", "-sS", "--cacert", world.ca.cert, *map(str, args), "-d", ROW, world.url(PREDICT)],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    for version in ("--http1.1", "--http2"):
        assert "predictions" in curl(version, "--cert", world.ann[0], "--key", world.ann[1])
        assert "cert:eve" in curl(version, "--cert", world.eve[0], "--key", world.eve[1])["error"]
        assert "credentials are needed" in curl(version)["error"]


def test_a_certificate_over_grpc(world):
    assert world.predicts() == world.states() == world.describes() == C.UNAUTHENTICATED
    assert world.predicts(world.ann) == world.states(world.ann) == C.OK
    assert world.describes(world.ann) == world.states(world.ann, "digits") == C.PERMISSION_DENIED
    assert world.reloads(world.ann) == C.PERMISSION_DENIED
    assert world.predicts(world.eve) == world.states(world.eve) == C.PERMISSION_DENIED
    assert world.describes(world.ops, "digits") == world.states(world.ops) == world.reloads(world.ops) == C.OK
    request = predict_request("digits", {})
    with fails(C.PERMISSION_DENIED, 'cert:ann has no permission "predict" for model digits'):
        world.grpc(world.ann).prediction.Predict(request, timeout=30)
    world.server.wait_for("tls_client=")


def test_a_token_goes_before_the_certificate_of_its_connection(world):
    assert world.rest("GET", "/metrics", world.ops, token=world.ci).status_code == 403
    assert world.rest("POST", PREDICT, world.eve, ROW, world.ci).status_code == 200
    assert world.rest("POST", PREDICT, world.ops, ROW, "slt_no").status_code == 401
    assert world.describes(world.ops, token=world.ci) == C.PERMISSION_DENIED
    assert world.predicts(world.eve, token=world.ci) == C.OK
    assert world.predicts(world.ops, token="slt_no") == C.UNAUTHENTICATED


def test_a_jwt_over_grpc(world):
    token = world.issuer.token
    ann, reader, root = token("k"), token("k", sub="bob", groups=["x", "readers"]), token("k", sub="root")
    for _ in range(2):  # verified, and remembered
        assert world.predicts(token=ann) == C.OK
        assert world.describes(token=ann) == world.predicts(model="digits", token=ann) == C.PERMISSION_DENIED
        assert world.describes(token=reader) == world.states(model="digits", token=reader) == C.OK
        assert world.predicts(token=reader) == C.PERMISSION_DENIED
        assert world.reloads(token=root) == C.OK and world.reloads(token=ann) == C.PERMISSION_DENIED
    head, claims, signature = ann.split(".")
    for bad in (f"{head}.{reader.split('.')[1]}.{signature}",  # somebody else's claims
                f"{head}.{claims}.", f"{head}.{claims}", f"{head}.{claims}.{signature[:-4]}AAAA",
                token("k", exp=1700000000), token("k", aud="another"), token("k", iss="https://evil.example/"),
                token("k", nbf=4000000000), token("other")):
        assert world.predicts(token=bad) == C.UNAUTHENTICATED, bad
        assert world.predicts(world.ann, token=bad) == C.UNAUTHENTICATED  # the certificate does not stand in
    assert ann not in world.server.log and ann.split(".")[2] not in world.server.log


def test_what_comes_from_a_web_page_does_not_administer_over_grpc(world):
    """By a proxy of gRPC-Web, which passes the Origin on."""
    root = world.issuer.token("k", sub="root")
    page = [("origin", "https://evil.example")]
    assert world.reloads(token=root, more=page) == world.reloads(world.ops, more=page) == C.PERMISSION_DENIED
    unload = b"\x12\x06digits"  # RepositoryModelUnloadRequest {2 model_name}
    for more, want in ((page, C.PERMISSION_DENIED), ((), C.OK)):
        assert code(lambda **kw: world.grpc().channel.unary_unary(
            "/inference.GRPCInferenceService/RepositoryModelUnload", request_serializer=None,
            response_deserializer=None)(unload, **kw), root, more) == want
