"""gRPC's own tools and clients in Go, Java and Python, with and without TLS."""
import json
import re
import struct
import subprocess

import pytest

import build
from clients import CONFIG, run
from served import free_port
from certificates import Authority

PREDICT = "tensorflow.serving.PredictionService/Predict"
ASK = {"model_spec": {"name": "my_model"}, "inputs": {"input_example": {
    "dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": 1}, {"size": 3}]}, "float_val": [1, 2, 3]}}}


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture
def grpc_server(servers, port):
    """A server with gRPC on a port of its own."""
    s = servers(f"--grpc_address=127.0.0.1:{port}", config=CONFIG)
    s.grpc = f"127.0.0.1:{port}"
    return s


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def tls_server(start, ca):
    cert, key = ca.issue("server")
    port = free_port()
    s = start(f"--grpc_address=127.0.0.1:{port}", f"--tls_cert_file={cert}", f"--tls_key_file={key}", config=CONFIG)
    s.grpc = f"localhost:{port}"
    return s


def call(*args, timeout=120):
    return subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=timeout)


def frame(size=1):
    """A PredictRequest of `size` rows with its gRPC prefix."""
    from tensorflow_serving.apis import predict_pb2
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "my_model"
    tensor = request.inputs["input_example"]
    tensor.dtype = 1
    for n in (size, 3):
        tensor.tensor_shape.dim.add().size = n
    tensor.tensor_content = struct.pack("<3f", 1, 2, 3) * size
    message = request.SerializeToString()
    return struct.pack(">BI", 0, len(message)) + message


def test_the_go_client(grpc_server):
    done = call(build.go_client(), grpc_server.grpc)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


def test_the_go_client_over_tls(tls_server, ca):
    done = call(build.go_client(), tls_server.grpc, ca.cert)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


def test_the_java_client(grpc_server):
    done = call(*build.java_client(), grpc_server.grpc)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


def test_the_java_client_over_tls(tls_server, ca):
    done = call(*build.java_client(), tls_server.grpc, ca.cert)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


def test_grpcio_with_tensorflow_serving_api(grpc_server):
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
    request = predict_pb2.PredictRequest.FromString(frame(1000)[5:])
    with grpc.insecure_channel(grpc_server.grpc, options=[("grpc.enable_http_proxy", 0)]) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        futures = [stub.Predict.future(request, timeout=60) for _ in range(50)]
        assert all(list(f.result().outputs["output"].float_val) == [4.75] * 1000 for f in futures)


def grpcurl(server, *args, tls=("-plaintext",)):
    done = call(build.go_program("grpcurl"), *tls, *args[:-1], server.grpc, args[-1])
    return done.returncode, done.stdout, done.stderr


def test_grpcurl_needs_no_proto_files(grpc_server):
    code, out, err = grpcurl(grpc_server, "list")
    assert code == 0, err
    assert {"grpc.health.v1.Health", "tensorflow.serving.ModelService", "tensorflow.serving.PredictionService",
            "grpc.reflection.v1.ServerReflection", "inference.GRPCInferenceService"} <= set(out.split())
    code, out, err = grpcurl(grpc_server, "-d", json.dumps(ASK), PREDICT)
    assert code == 0, err
    assert json.loads(out)["outputs"]["output"]["floatVal"] == [4.75]


def test_grpcurl_describes_what_there_is(grpc_server):
    done = call(build.go_program("grpcurl"), "-plaintext", grpc_server.grpc, "describe", PREDICT.replace("/", "."))
    assert done.returncode == 0 and "returns ( .tensorflow.serving.PredictResponse )" in done.stdout, done.stderr
    done = call(build.go_program("grpcurl"), "-plaintext", grpc_server.grpc, "describe",
                ".tensorflow.serving.PredictRequest")
    assert done.returncode == 0 and "map<string, .tensorflow.TensorProto> inputs" in done.stdout, done.stderr


def test_grpcurl_with_metadata_models_and_errors(grpc_server):
    spec = {"model_spec": {"name": "my_model"}}
    code, out, err = grpcurl(grpc_server, "-d", json.dumps({**spec, "metadata_field": ["signature_def"]}),
                             PREDICT.replace("/Predict", "/GetModelMetadata"))
    assert code == 0 and "serving_default" in out, err
    code, out, err = grpcurl(grpc_server, "-v", "-d", json.dumps(spec), "tensorflow.serving.ModelService/GetModelStatus")
    assert code == 0 and '"state": "AVAILABLE"' in out and "x-request-id:" in out, err
    code, out, err = grpcurl(grpc_server, "-d", json.dumps({"model_spec": {"name": "nobody"}}), PREDICT)
    assert code == 64 + 5 and "Code: NotFound" in err and "Servable not found for request: Latest(nobody)" in err
    code, out, err = grpcurl(grpc_server, "-d", "{}", "grpc.health.v1.Health/Check")
    assert code == 0 and '"SERVING"' in out, err


def test_grpcurl_over_tls(tls_server, ca):
    code, out, err = grpcurl(tls_server, "-d", json.dumps(ASK), PREDICT, tls=("-cacert", ca.cert))
    assert code == 0 and json.loads(out)["outputs"]["output"]["floatVal"] == [4.75], err


def test_grpc_health_probe(grpc_server, tls_server, ca):
    probe = build.go_program("grpc-health-probe")
    for service in ([], ["-service=my_model"]):
        done = call(probe, f"-addr={grpc_server.grpc}", *service)
        assert done.returncode == 0 and "SERVING" in done.stderr + done.stdout, done.stderr
        done = call(probe, f"-addr={tls_server.grpc}", "-tls", f"-tls-ca-cert={ca.cert}", *service)
        assert done.returncode == 0, done.stderr
    done = call(probe, f"-addr={grpc_server.grpc}", "-service=nobody")
    assert done.returncode != 0 and "NotFound" in done.stderr


def test_ghz(grpc_server):
    done = call(build.go_program("ghz"), "--insecure", "--call", PREDICT, "-d", json.dumps(ASK), "-n", 5000, "-c", 32,
                "--connections", 4, "-O", "json", grpc_server.grpc)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["count"] == 5000 and report["statusCodeDistribution"] == {"OK": 5000}, report


def h2load(target, body, n, *args):
    return run("h2load", "-n", n, "-d", body, "-H", "content-type: application/grpc", "-H", "te: trailers", *args,
               f"{target}/{PREDICT}").stdout.decode()


@pytest.mark.parametrize("rows,n", [(1, 40000), (50_000, 200)])
def test_h2load_over_grpc(grpc_server, tmp_path, rows, n):
    (tmp_path / "frame").write_bytes(frame(rows))
    out = h2load(f"http://{grpc_server.grpc}", tmp_path / "frame", n, "-c", 8, "-m", 8)
    assert f"{n} succeeded, 0 failed, 0 errored, 0 timeout" in out and f"{n} 2xx" in out, out
    # What came is what a Predict of that many rows answers, and not an error in a trailer.
    data = int(re.search(r"\((\d+)\) data", out)[1])
    assert data >= n * (4 * rows + 5), out


def test_a_big_call_waits_for_no_fresh_memory(grpc_server, tmp_path):
    """What one call gives back stays for the next: the kernel's count of page faults."""
    def faults():
        stat = open(f"/proc/{grpc_server.process.pid}/stat").read()
        return int(stat.rsplit(")", 1)[1].split()[7])

    (tmp_path / "frame").write_bytes(frame(50_000))
    h2load(f"http://{grpc_server.grpc}", tmp_path / "frame", 100, "-c", 2, "-m", 2)
    before = faults()
    h2load(f"http://{grpc_server.grpc}", tmp_path / "frame", 200, "-c", 2, "-m", 2)
    assert (faults() - before) / 200 < 30  # 600 KB are 147 pages


def test_h2load_over_tls(tls_server, tmp_path):
    (tmp_path / "frame").write_bytes(frame())
    out = h2load(f"https://{tls_server.grpc}", tmp_path / "frame", 10000, "-c", 8, "-m", 8)
    assert "10000 succeeded, 0 failed, 0 errored, 0 timeout" in out and "Application protocol: h2" in out, out


def test_curl_speaks_grpc(grpc_server, tmp_path):
    (tmp_path / "frame").write_bytes(frame())
    done = run("curl", "-sS", "--http2-prior-knowledge", "-D", "-", "-o", tmp_path / "out", "-H",
               "content-type: application/grpc", "-H", "te: trailers", "--data-binary", f"@{tmp_path}/frame",
               f"http://{grpc_server.grpc}/{PREDICT}")
    head = done.stdout.decode()
    assert done.returncode == 0 and head.startswith("HTTP/2 200") and "grpc-status: 0" in head, head
    out = (tmp_path / "out").read_bytes()
    assert struct.unpack(">BI", out[:5]) == (0, len(out) - 5) and struct.pack("<f", 4.75) in out
