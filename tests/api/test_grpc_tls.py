"""gRPC over TLS with grpcio: --ssl_config_file as TensorFlow Serving has it, and ours."""
import subprocess

import grpc
import pytest
import requests
import tensorflow as tf
from grpc_health.v1 import health_pb2

from certificates import Authority, ssl_config
from conftest import ROOT, SLUICE, Server, free_port, model_config
from grpc_client import Client, fails, predict_request

CONFIG = model_config(("my_model", ROOT / "examples/models/my_model"))
SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def pair(ca):
    return ca.issue("server")


@pytest.fixture
def serve(start, tmp_path):
    def get(*flags, ssl=None):
        port = free_port()
        if ssl:
            (tmp_path / "ssl.pbtxt").write_text(ssl)
            (tmp_path / "ssl.pbtxt").chmod(0o600)
            flags = (*flags, f"--ssl_config_file={tmp_path}/ssl.pbtxt")
        s = start(f"--grpc_address=127.0.0.1:{port}", *flags, config=CONFIG)
        s.grpc_port = port
        return s
    return get


def client(server, ca, own=None, target=None, options=()):
    key, cert = (own[1].read_bytes(), own[0].read_bytes()) if own else (None, None)
    return Client(target or f"localhost:{server.grpc_port}", options,
                  grpc.ssl_channel_credentials(ca.cert.read_bytes(), key, cert))




def test_ssl_config_file_is_for_grpc_alone(serve, pair, ca):
    s = serve(ssl=ssl_config(*pair))
    c = client(s, ca)
    assert c.state() == SERVING
    c.close()
    assert requests.get(f"http://localhost:{s.port}/healthz").text == "ok\n"
    assert "REST is not encrypted: --ssl_config_file is for gRPC alone" in s.log
    plain = Client(f"localhost:{s.grpc_port}")
    with fails(grpc.StatusCode.UNAVAILABLE):
        plain.state()
    plain.close()


def test_client_verify(serve, pair, ca, tmp_path):
    s = serve("--access_log=all", ssl=ssl_config(*pair, ca=ca.cert, verify=True))
    for own in (None, Authority(tmp_path, "other").issue("mallory")):
        c = client(s, ca, own)
        with fails(grpc.StatusCode.UNAVAILABLE):
            c.state()
        c.close()
    c = client(s, ca, ca.issue("alice"))
    assert c.state() == SERVING
    c.close()


def test_a_unix_socket_is_encrypted_too(serve, pair, ca, tmp_path):
    s = serve(f"--grpc_socket_path={tmp_path}/s", ssl=ssl_config(*pair))
    c = client(s, ca, target=f"unix:{tmp_path}/s", options=[("grpc.ssl_target_name_override", "localhost")])
    assert c.state() == SERVING
    c.close()


def test_one_certificate_for_both(serve, pair, ca):
    s = serve(f"--tls_cert_file={pair[0]}", f"--tls_key_file={pair[1]}")
    c = client(s, ca)
    assert c.state() == SERVING
    c.close()
    assert requests.get(f"https://localhost:{s.port}/healthz", verify=str(ca.cert)).text == "ok\n"


def test_large_messages_both_ways(serve, pair, ca):
    s = serve(f"--tls_cert_file={pair[0]}", f"--tls_key_file={pair[1]}")
    c = client(s, ca)
    spec = requests.get(f"https://localhost:{s.port}/v1/models/my_model/metadata", verify=str(ca.cert)).json()
    name = next(iter(spec["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]))
    rows = 300_000
    request = predict_request("my_model", {name: tf.make_tensor_proto([[1.0, 2.0, 3.0]] * rows, tf.float32)})
    reply = c.prediction.Predict(request, timeout=60)
    values = tf.make_ndarray(next(iter(reply.outputs.values())))
    assert values.size == rows and (values == 4.75).all()
    c.close()


def test_a_client_that_does_not_know_the_authority_refuses(serve, pair, tmp_path):
    s = serve(ssl=ssl_config(*pair))
    c = client(s, Authority(tmp_path, "other"))
    with fails(grpc.StatusCode.UNAVAILABLE):
        c.state()
    c.close()


def test_alpn_is_h2_alone(serve, pair, ca):
    s = serve(ssl=ssl_config(*pair))
    def ask(protocols):
        done = subprocess.run(["openssl", "s_client", "-connect", f"localhost:{s.grpc_port}", "-alpn", protocols],
                              input=b"Q\n", capture_output=True, timeout=20)
        return (done.stdout + done.stderr).decode()
    assert "ALPN protocol: h2" in ask("http/1.1,h2")
    assert "no application protocol" in ask("http/1.1")


def test_a_changed_file_is_taken(serve, pair, ca, tmp_path):
    s = serve(ssl=ssl_config(*pair))
    (tmp_path / "ssl.pbtxt").write_text("server_key: 'broken'")
    s.wait_for("gRPC keeps its certificate; the changed files cannot be used")
    (tmp_path / "ssl.pbtxt").write_text(ssl_config(*ca.issue("next")))
    s.wait_for("gRPC: new connections use the certificate")
    c = client(s, ca)
    assert c.state() == SERVING
    c.close()


@pytest.mark.parametrize("text,reason", [
    ("server_key: 'k'", "server_cert is empty"), ("server_cert: 'c'", "server_key is empty"), ("key: 'k'", "no field named"),
    ("server_key: 'k' server_cert: 'c'", "server_cert: there is no certificate in it"), (None, "No such file")])
def test_a_mistake_stops_the_start(tmp_path, text, reason):
    if text:
        (tmp_path / "ssl.pbtxt").write_text(text)
    flags = [f"--port={free_port()}", f"--ssl_config_file={tmp_path}/ssl.pbtxt", "--model_name=m",
             f"--model_base_path={ROOT / 'examples/models/my_model'}"]
    done = subprocess.run([SLUICE, "serve", *flags], capture_output=True, timeout=30, text=True)
    assert done.returncode == 1 and reason in done.stderr.splitlines()[-1], done.stderr
    done = subprocess.run([SLUICE.parent / "tensorflow_model_server", *flags], capture_output=True, timeout=30, text=True)
    assert done.returncode == 255 and done.stdout.startswith("Failed to start server. Error: "), done.stdout
    assert "Failed to BuildAndStart gRPC server" in done.stdout


def test_check_reads_the_certificates(pair, ca):
    def check(*flags):
        return subprocess.run([SLUICE, "check", "--model_name=m", f"--model_base_path={ROOT / 'examples/models/my_model'}",
                               *flags], capture_output=True, timeout=30, text=True)
    done = check(f"--tls_cert_file={pair[0]}", f"--tls_key_file={pair[1]}")
    # Made for 10 days: 9 are left when its first second is over.
    told = (f"REST: certificate {pair[0]}: good for {days} days" for days in (9, 10))
    assert done.returncode == 0 and any(line in done.stdout for line in told), done.stderr
    old = ca.issue("expired", days=-1)
    done = check(f"--tls_cert_file={old[0]}", f"--tls_key_file={old[1]}")
    assert done.returncode == 1 and "TLS: " in done.stderr and "the certificate expired on" in done.stderr


def test_predict_speaks_https(serve, pair, ca):
    s = serve(f"--tls_cert_file={pair[0]}", f"--tls_key_file={pair[1]}", f"--tls_client_ca_file={ca.cert}")
    alice = ca.issue("alice")
    command = [SLUICE, "predict", f"https://localhost:{s.port}/v1/models/my_model", "--data=[[1, 2, 3]]"]
    done = subprocess.run([*command, f"--cacert={ca.cert}", "--cert", alice[0], "--key", alice[1]], capture_output=True,
                          timeout=30, text=True)
    assert done.returncode == 0 and "4.75" in done.stdout, done.stderr
    for flags in ([], ["--cacert", ca.cert]):
        done = subprocess.run([*command, *flags], capture_output=True, timeout=30, text=True)
        assert done.returncode == 1 and "TLS" in done.stderr
