"""How much, and from where: rates, requests at once, bodies in flight, networks, over REST, the Open Inference Protocol
and gRPC alike, and counted together."""
import http.client
import json
import socket
import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf

from conftest import ROOT, free_port, model_config
from grpc_client import Client, fails, grpc_server, predict_request
from test_auth import bearer, make_token
from test_server import until

C = grpc.StatusCode
HALF = ROOT / "tests/compat/models/half_plus_two"
CONFIG = model_config(("m", HALF), ("n", HALF))
ROW = '{"instances": [1.0]}'
INFER = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1.0]}]})
IDENTITY = 'token_file: "tokens" rule { principal: "*" allow: [PREDICT, METADATA, STATUS, METRICS] } '


@pytest.fixture
def guarded(tmp_path):
    """A server with these limits, and two clients who may all."""
    running = []

    def get(limits, *flags, config=CONFIG, **kw):
        ann, bob = make_token(tmp_path, "ann"), make_token(tmp_path, "bob")
        (tmp_path / "auth.pbtxt").write_text(IDENTITY + limits)
        s = grpc_server(f"--auth_config_file={tmp_path}/auth.pbtxt", *flags, config=config, **kw)
        s.ann, s.bob, s.auth = ann, bob, tmp_path / "auth.pbtxt"
        running.append(s)
        return s
    yield get
    for s in running:
        s.grpc.close()
        assert s.stop() == 0


def rest(s, who, model="m"):
    return s.ask("POST", f"/v1/models/{model}:predict", ROW, bearer(who))


def oip(s, who, model="m"):
    return s.ask("POST", f"/v2/models/{model}/infer", INFER, bearer(who))


def over_grpc(s, who, model="m"):
    """The status, and the trailers if it is not OK."""
    request = predict_request(model, {"x": tf.make_tensor_proto(np.float32([1]))})
    try:
        s.grpc.prediction.Predict(request, timeout=30, metadata=[("authorization", f"Bearer {who}")])
        return C.OK, {}
    except grpc.RpcError as e:
        return e.code(), dict(e.trailing_metadata())


def all_refuse(s, who, model="m", limit="principal"):
    for ask in (rest, oip):
        got = ask(s, who, model)
        assert got.status == 429 and int(got.headers["Retry-After"]) >= 1, got.text
        assert f"too many requests for this {limit}" in got.text
    status, trailers = over_grpc(s, who, model)
    assert status == C.RESOURCE_EXHAUSTED and int(trailers["grpc-retry-pushback-ms"]) >= 1000


def all_serve(s, who, model="m"):
    assert rest(s, who, model).status == 200 and oip(s, who, model).status == 200
    assert over_grpc(s, who, model)[0] == C.OK


def test_a_rate_of_a_principal_counts_over_all_interfaces_together(guarded):
    s = guarded("limit { per: PRINCIPAL principal: 'token:ann' requests_per_second: 0.01 burst: 3 }")
    all_serve(s, s.ann)
    all_refuse(s, s.ann)
    all_serve(s, s.bob)


def test_a_rate_of_an_address_counts_whoever_asks(guarded):
    s = guarded("limit { per: ADDRESS requests_per_second: 0.01 burst: 6 }")
    all_serve(s, s.ann)
    all_serve(s, s.bob)
    all_refuse(s, s.ann, limit="address")
    all_refuse(s, s.bob, limit="address")


def test_an_ipv6_address_counts_by_its_network(guarded):
    s = guarded("trusted_proxy: '127.0.0.1' limit { per: ADDRESS requests_per_second: 0.01 burst: 3 }")

    def status(address):
        return s.ask("POST", "/v1/models/m:predict", ROW, {**bearer(s.ann), "X-Forwarded-For": address}).status
    assert [status(f"2001:db8::{i:x}:1") for i in range(1, 6)] == [200, 200, 200, 429, 429]
    assert status("2001:db8:0:1::1") == 200
    assert [status(f"192.0.2.{i}") for i in range(1, 6)] == [200] * 5


def test_a_client_at_an_ipv6_address(guarded):
    four, six = free_port(), free_port()
    s = guarded("limit { per: ADDRESS requests_per_second: 0.01 burst: 3 }", f"--rest_address=127.0.0.1:{four},[::1]:{six}")

    def status(host, port):
        c = http.client.HTTPConnection(host, port, timeout=30)
        c.request("POST", "/v1/models/m:predict", ROW, bearer(s.ann))
        status = c.getresponse().status
        c.close()
        return status
    assert [status("::1", six) for _ in range(5)] == [200, 200, 200, 429, 429]
    assert status("127.0.0.1", four) == 200  # another one


def test_guesses_count_for_their_address(guarded):
    """Each may cost a few signatures to check, so whoever has guessed too often is not looked at any more."""
    admin = free_port()
    s = guarded("limit { per: ADDRESS requests_per_second: 0.01 burst: 3 }", f"--admin_address=127.0.0.1:{admin}")
    assert [rest(s, "slt_guess").status for _ in range(2)] == [401, 401]
    assert over_grpc(s, "slt_guess")[0] == C.UNAUTHENTICATED
    all_refuse(s, "slt_another", limit="address")
    got = s.ask("GET", "/metrics", headers=bearer("slt_guess"))
    assert got.status == 429 and int(got.headers["Retry-After"]) >= 1
    assert admin_status(admin, "slt_guess") == 429
    all_refuse(s, s.ann, limit="address")  # it is the address that is over its limit
    assert s.ask("GET", "/metrics", headers=bearer(s.ann)).status == 200  # which is not counted


def test_a_rate_of_a_model_leaves_the_others_alone(guarded):
    s = guarded("limit { per: MODEL model: 'm' requests_per_second: 0.01 burst: 3 }")
    all_serve(s, s.ann, "m")
    all_refuse(s, s.bob, "m", limit="model")
    all_serve(s, s.ann, "n")


def test_status_and_metadata_count_as_well(guarded):
    s = guarded("limit { per: PRINCIPAL requests_per_second: 0.01 burst: 4 }")
    for path in ("/v1/models/m", "/v1/models/m/metadata", "/v2/models/m", "/v2/models/m/ready"):
        assert s.ask("GET", path, headers=bearer(s.ann)).status == 200
    for path in ("/v1/models/m", "/v1/models/m/metadata", "/v2/models/m", "/v2/models/m/ready"):
        assert s.ask("GET", path, headers=bearer(s.ann)).status == 429, path
    # Who looks after the server is not kept from seeing why.
    assert s.ask("GET", "/metrics", headers=bearer(s.ann)).status == 200
    assert s.ask("GET", "/healthz").status == 200


# ---- requests at once ----

@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    """A model that counts to n, which takes as long as one likes."""
    base = tmp_path_factory.mktemp("slow")

    class Counter(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([], tf.int32, name="n")])
        def count(self, n):
            return {"i": tf.while_loop(lambda i: i < n, lambda i: [i + 1], [tf.constant(0)])[0]}

    module = Counter()
    tf.saved_model.save(module, str(base / "1"), signatures={"serving_default": module.count})
    return base


@pytest.mark.parametrize("per, whose", [("PRINCIPAL", "principal"), ("ADDRESS", "address"), ("MODEL", "model")])
def test_requests_at_once(guarded, counter, per, whose):
    s = guarded(f"limit {{ per: {per} model: 'm' concurrent: 1 }}", "--worker_threads=2",
                config=model_config(("m", counter)))
    meta = [("authorization", f"Bearer {s.ann}")]

    def count_to(n):
        return predict_request("m", {"n": tf.make_tensor_proto(np.int32(n))})
    running = s.grpc.prediction.Predict.future(count_to(2_000_000_000), timeout=60, metadata=meta)
    with pytest.raises(grpc.FutureTimeoutError):  # it has its place, and keeps it
        running.result(timeout=0.5)

    def refused():
        got = s.ask("POST", "/v1/models/m:predict", '{"inputs": 1}', bearer(s.ann))
        assert got.status in (200, 429)
        return got.status == 429 and f"too many requests at once for this {whose}: the limit is 1" in got.text and \
            got.headers["Retry-After"] == "1"
    until(refused)
    with fails(C.RESOURCE_EXHAUSTED, lambda t: "too many requests at once" in t):
        s.grpc.prediction.Predict(count_to(1), timeout=20, metadata=meta)
    running.cancel()
    until(lambda: not refused())  # its place is free when it has ended
    assert s.grpc.prediction.Predict(count_to(5), timeout=20, metadata=meta).outputs["i"].int_val == [5]


# ---- bodies in flight ----

def test_the_bodies_of_all_requests_share_a_budget(guarded):
    s = guarded('rule { principal: "anonymous" allow: PREDICT }', "--max_inflight_bytes=1900000")
    body = json.dumps({"instances": [1.0] * 240000})  # 1.2 MB
    request = predict_request("m", {"x": tf.make_tensor_proto(np.ones(225000, np.float32))})
    # Who does not send the end of it, and holds less than the half that the slow may hold.
    with socket.create_connection(("127.0.0.1", s.port), timeout=30) as held:
        held.sendall(b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n" + b" " * 899000)
        time.sleep(1)  # it is read before others want their part
        got = s.ask("POST", "/v1/models/m:predict", body)
        why = "no room for the request's body: the server holds too much for requests now"
        assert got.status == 503 and got.headers["Retry-After"] == "1" and json.loads(got.text)["error"] == why
        with fails(C.UNAVAILABLE, why):
            s.grpc.prediction.Predict(request, timeout=20)
        assert s.ask("POST", "/v1/models/m:predict", ROW).status == 200  # small ones are not counted
    until(lambda: s.ask("POST", "/v1/models/m:predict", body).status == 200)
    until(lambda: is_answered(s, request))  # a reply may be there before its request's body is given back


def is_answered(s, request):
    try:
        return s.grpc.prediction.Predict(request, timeout=20) is not None
    except grpc.RpcError:
        return False


# ---- from where ----

def connects(port):
    """Is anything but the end of the connection there?"""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as c:
        try:
            c.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            return c.recv(1000) != b""
        except ConnectionError:
            return False


def admin_status(port, token):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    c.request("GET", "/sluice/v1/models", headers=bearer(token))
    status = c.getresponse().status
    c.close()
    return status


@pytest.mark.parametrize("kind", ["REST", "GRPC", "ADMIN"])
def test_networks_of_one_kind_of_listener(guarded, kind):
    admin = free_port()
    s = guarded('rule { principal: "token:bob" allow: ADMIN } '
                f"listener {{ kind: {kind} deny_network: ['127.0.0.0/8', '::1'] }}", f"--admin_address=127.0.0.1:{admin}")
    assert connects(s.port) == (kind != "REST")
    assert connects(s.grpc_port) == (kind != "GRPC")
    if kind != "GRPC":
        assert over_grpc(s, s.ann)[0] == C.OK
    assert admin_status(admin, s.bob) == (403 if kind == "ADMIN" else 200)
    # The others are kept when the file changes.
    new = s.auth.with_name("new")
    new.write_text(IDENTITY + f"listener {{ kind: {kind} allow_network: ['127.0.0.1', '::1'] }}")
    new.rename(s.auth)
    until(lambda: connects(s.port) and connects(s.grpc_port))


def test_networks_for_all_and_for_one_kind_hold_both(guarded):
    s = guarded("allow_network: '127.0.0.0/8' listener { kind: GRPC allow_network: '10.0.0.0/8' }")
    assert connects(s.port) and not connects(s.grpc_port)
    assert rest(s, s.ann).status == 200


def test_behind_a_proxy_the_client_is_looked_at(guarded):
    s = guarded("trusted_proxy: '127.0.0.1' listener { kind: REST deny_network: '203.0.113.0/24' }")
    for forwarded, status in (("192.0.2.1", 200), ("203.0.113.7", 403)):
        got = s.ask("POST", "/v1/models/m:predict", ROW, {**bearer(s.ann), "X-Forwarded-For": forwarded})
        assert got.status == status
    client = Client(f"127.0.0.1:{s.grpc_port}")  # another kind
    request = predict_request("m", {"x": tf.make_tensor_proto(np.float32([1]))})
    client.prediction.Predict(request, timeout=20, metadata=[("authorization", f"Bearer {s.ann}"), ("x-forwarded-for", "203.0.113.7")])
    client.close()


def test_many_threads_at_a_limit_get_what_it_allows_and_no_more(guarded):
    s = guarded("limit { per: PRINCIPAL principal: 'token:ann' requests_per_second: 0.001 burst: 20 }")
    got, lock = [], threading.Lock()

    def work(ask):
        for _ in range(10):
            result = ask(s, s.ann)
            with lock:
                got.append(result.status == 200 if ask is not over_grpc else result[0] == C.OK)
    threads = [threading.Thread(target=work, args=(ask,)) for ask in (rest, oip, over_grpc, rest)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(got) == 40 and sum(got) == 20
