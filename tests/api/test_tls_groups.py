"""TLS that differs by listener: REST, gRPC and the admin interface, each with what it asks for; curl and openssl."""
import pathlib
import subprocess

import pytest

from certificates import Authority, ssl_config
from conftest import ROOT, SLUICE, Server, free_port, model_config

CONFIG = model_config(("my_model", ROOT / "examples/models/my_model"))


class Place:
    def __init__(self, directory):
        self.ca, self.inner = Authority(directory, "ca"), Authority(directory, "inner")
        self.rest = self.ca.issue("rest")
        self.grpc = self.inner.issue("grpc")
        self.admin = self.inner.issue("admin")
        self.operator = self.inner.issue("operator")
        self.stranger = self.ca.issue("stranger")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("certificates"))


def pair(prefix, certificate, **more):
    flags = [f"--{prefix}tls_cert_file={certificate[0]}", f"--{prefix}tls_key_file={certificate[1]}"]
    return flags + [f"--{prefix}tls_{name}={value}" for name, value in more.items()]


def curl(port, path, *args):
    """(exit status, HTTP status)"""
    done = subprocess.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20",
                           f"https://localhost:{port}{path}", *map(str, args)], capture_output=True, text=True)
    return done.returncode, int(done.stdout or 0)


def subject(port, *args):
    """Whose certificate is shown, and what came of the handshake."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"localhost:{port}", *map(str, args)],
                          input=b"Q\n", capture_output=True, timeout=20)
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    return next((line for line in text.splitlines() if line.startswith("subject=")), "subject="), text


def client(certificate):
    return "--cert", certificate[0], "--key", certificate[1]


def test_each_listener_shows_its_own_certificate_and_only_admin_asks_for_one(place):
    grpc, admin = free_port(), free_port()
    server = Server(*pair("", place.rest), *pair("grpc_", place.grpc),
                    *pair("admin_", place.admin, client_ca_file=place.inner.cert),
                    f"--grpc_address=127.0.0.1:{grpc}", f"--admin_address=127.0.0.1:{admin}", config=CONFIG)
    try:
        for port, name, alpn in ((server.port, "rest", "http/1.1"), (grpc, "grpc", "h2"), (admin, "admin", "http/1.1")):
            assert subject(port, "-alpn", alpn)[0].endswith(f"CN = {name}")
        assert curl(server.port, "/healthz", "--cacert", place.ca.cert) == (0, 200)
        assert curl(server.port, "/metrics", "--cacert", place.ca.cert) == (0, 200)
        assert curl(server.port, "/healthz", "--cacert", place.inner.cert)[0] == 60  # another authority
        config = admin, "/sluice/v1/config", "--cacert", place.inner.cert
        assert curl(*config, *client(place.operator)) == (0, 200)
        assert curl(*config)[0] in (35, 56)  # the handshake is refused
        assert curl(*config, *client(place.stranger))[0] in (35, 56)
        done = subprocess.run(["curl", "-sS", f"http://127.0.0.1:{admin}/sluice/v1/config"], capture_output=True, text=True)
        assert "this port speaks HTTPS" in done.stdout
        for what in ("REST", "gRPC", "admin"):
            page = subprocess.run(["curl", "-sS", "--cacert", str(place.ca.cert), f"https://localhost:{server.port}/metrics"],
                                  capture_output=True, text=True).stdout
            assert f':sluice:tls:certificate_not_after_seconds{{listener="{what}"' in page
    finally:
        assert server.stop() == 0


def test_grpc_alone_asks_for_certificates_or_alone_does_not(place):
    import grpc as grpcio
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    def healthy(port, certificate=None):
        read = pathlib.Path.read_bytes
        credentials = grpcio.ssl_channel_credentials(
            read(place.ca.cert), *((read(certificate[1]), read(certificate[0])) if certificate else ()))
        with grpcio.secure_channel(f"localhost:{port}", credentials) as channel:
            try:
                health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
                return True
            except grpcio.RpcError as e:
                assert e.code() == grpcio.StatusCode.UNAVAILABLE, e
                return False

    port = free_port()
    server = Server(*pair("", place.rest), f"--grpc_tls_client_ca_file={place.inner.cert}",
                    f"--grpc_address=127.0.0.1:{port}", config=CONFIG)
    try:
        assert curl(server.port, "/healthz", "--cacert", place.ca.cert) == (0, 200)
        assert healthy(port, place.operator) and not healthy(port) and not healthy(port, place.stranger)
    finally:
        assert server.stop() == 0
    port = free_port()
    server = Server(*pair("", place.rest, client_ca_file=place.inner.cert), "--grpc_tls_client_verify=none",
                    f"--grpc_address=127.0.0.1:{port}", config=CONFIG)
    try:
        assert curl(server.port, "/healthz", "--cacert", place.ca.cert)[0] in (35, 56)
        assert healthy(port)
    finally:
        assert server.stop() == 0


def test_each_listener_sees_its_own_files_change(place, tmp_path):
    old, new = place.inner.issue("old", to=tmp_path), place.inner.issue("new", to=tmp_path)
    admin = free_port()
    server = Server(*pair("", place.rest), *pair("admin_", old), f"--admin_address=127.0.0.1:{admin}", config=CONFIG)
    try:
        assert subject(admin)[0].endswith("CN = old")
        new[0].rename(old[0])
        new[1].rename(old[1])
        server.wait_for("admin: new connections use the certificate")
        assert subject(admin)[0].endswith("CN = new") and subject(server.port)[0].endswith("CN = rest")
        assert "REST: new connections" not in server.log
    finally:
        assert server.stop() == 0


def test_the_oldest_version_can_be_1_3(place, tmp_path):
    file = tmp_path / "ssl.pbtxt"
    file.write_text(ssl_config(*place.grpc))
    file.chmod(0o600)
    grpc = free_port()
    server = Server(*pair("", place.rest), f"--ssl_config_file={file}", "--tls_min_version=1.3",
                    f"--grpc_address=127.0.0.1:{grpc}", config=CONFIG)
    try:
        for port, alpn in ((server.port, "http/1.1"), (grpc, "h2")):
            assert "protocol version" in subject(port, "-tls1_2", "-alpn", alpn)[1]
            assert "TLSv1.3" in subject(port, "-tls1_3", "-alpn", alpn)[1]
        assert curl(server.port, "/healthz", "--cacert", place.ca.cert, "--tls-max", "1.2")[0] == 35
        assert curl(server.port, "/healthz", "--cacert", place.ca.cert) == (0, 200)
    finally:
        assert server.stop() == 0


def test_tls_for_the_admin_interface_alone_and_not_on_its_unix_socket(place, tmp_path):
    admin = free_port()
    server = Server(*pair("admin_", place.admin), f"--admin_address=127.0.0.1:{admin}", config=CONFIG)
    try:
        assert server.ask("GET", "/healthz").status == 200  # plain, as nobody asked for more
        assert curl(admin, "/sluice/v1/config", "--cacert", place.inner.cert) == (0, 200)
    finally:
        assert server.stop() == 0
    path = tmp_path / "admin.sock"
    server = Server(*pair("", place.rest), f"--admin_address=unix:{path}", config=CONFIG)
    try:
        ask = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", str(path)]
        assert subprocess.run([*ask, "http://localhost/sluice/v1/config"], capture_output=True, text=True).stdout == "200"
    finally:
        assert server.stop() == 0
    admin = free_port()
    server = Server(*pair("", place.rest), f"--admin_address=http://127.0.0.1:{admin}", config=CONFIG)
    try:
        done = subprocess.run(["curl", "-sS", f"http://127.0.0.1:{admin}/sluice/v1/config"], capture_output=True, text=True)
        assert "model_config_list" in done.stdout, done
    finally:
        assert server.stop() == 0


def refused(*flags):
    done = subprocess.run([SLUICE, "serve", f"--rest_api_port={free_port()}", "--port=0", "--model_name=m",
                           f"--model_base_path={ROOT / 'examples/models/my_model'}", *map(str, flags)],
                          capture_output=True, timeout=30, text=True)
    assert done.returncode == 1, done.stderr
    return done.stderr.splitlines()[-1]


def test_half_of_it_stops_the_start(place, tmp_path):
    cert, key = place.admin
    assert "admin_tls_cert_file needs admin_tls_key_file, too" in refused(f"--admin_tls_cert_file={cert}")
    assert "grpc_tls_client_ca_file needs grpc_tls_cert_file" in refused(f"--grpc_tls_client_ca_file={place.inner.cert}")
    assert "admin_tls_client_verify needs admin_tls_client_ca_file" in \
        refused(*pair("", place.rest), "--admin_tls_client_verify=required")
    assert "does not belong to the certificate" in \
        refused("--admin_address=127.0.0.1:0", f"--admin_tls_cert_file={cert}", f"--admin_tls_key_file={place.rest[1]}")
    assert "give one" in refused(*pair("grpc_", place.grpc), "--ssl_config_file=/nonexistent")
    done = subprocess.run([SLUICE, "serve", "--tls_min_version=1.1"], capture_output=True, timeout=30, text=True)
    assert done.returncode == 2 and "tls_min_version" in done.stderr
    assert "needs a certificate" in refused("--admin_address=https://127.0.0.1:0")
