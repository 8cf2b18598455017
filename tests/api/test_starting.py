"""What the outside hears while models load, and when the server begins and ends: probes on a port of their own, and
what a service manager is told."""
import http.client
import json
import re
import shutil
import signal
import socket

import pytest

import warmup_records as wr
from conftest import ROOT, SLUICE, free_port, model_config

HALF = ROOT / "tests/models/half_plus_two"
LONG = "--num_request_iterations_for_warmup=100000000" # longer than any test


@pytest.fixture
def slow(tmp_path):
    """A model whose warm-up does not end."""
    shutil.copytree(HALF, tmp_path / "slow")
    (tmp_path / "slow/1/assets.extra").mkdir()
    (tmp_path / "slow/1/assets.extra/tf_serving_warmup_requests").write_bytes(
        wr.tfrecords(wr.predict({"x": wr.floats(1, 2, 5)})))
    return tmp_path / "slow"


def probe(port, path):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        c.request("GET", path)
        reply = c.getresponse()
        return reply.status, reply.read().decode()
    finally:
        c.close()


def probes(port):
    return [probe(port, path) for path in ("/healthz", "/startupz", "/readyz")]


def original(tmp_path):
    link = tmp_path / "tensorflow_model_server"
    link.symlink_to(SLUICE)
    return [str(link)]


LOADING = [(200, "ok\n"), (503, "models are loading\n"), (503, "models are loading\n")]
READY = [(200, "ok\n")] * 3


def test_probes_are_answered_before_the_other_ports_are_open(start, slow, tmp_path):
    port = free_port()
    server = start(f"--model_base_path={slow}", "--model_name=slow", f"--health_port={port}", LONG,
                   command=original(tmp_path), wait=False)
    server.wait_for("Starting to read warmup data")
    assert probes(port) == LOADING
    assert probe(port, "/metrics")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        server.ask("GET", "/v1/models/slow")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0


def test_nothing_but_probes_is_answered_there(start):
    port = free_port()
    server = start(f"--health_port={port}", config=model_config(("m", HALF)))
    assert probes(port) == READY
    for path in ("/", "/v1/models/m", "/v1/models/m:predict", "/v2", "/sluice/v1/models", "/healthz/"):
        assert probe(port, path) == (404, "/healthz, /readyz, /startupz and /metrics are here\n")
    assert server.ask("GET", "/healthz").status == 200 # and they stay where they were


@pytest.mark.parametrize("name", ["rest_api_port", "port"])
def test_a_port_that_is_taken_already_is_refused(start, name):
    port = free_port()
    server = start(f"--{name}={port}", f"--health_port={port}", config=model_config(("m", HALF)), wait=False)
    assert server.process.wait(20) == 1
    assert re.search(rf"health_port={port} is the port of (REST|gRPC): probes are answered there, too", server.log)


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """Something that listens as systemd does; its name."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@sluice-test-{free_port()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(name.replace("@", "\0"))
        s.settimeout(60)
        yield s, name


def test_a_service_manager_hears_when_models_answer_and_when_it_ends(start, manager):
    s, name = manager
    server = start(config=model_config(("m", HALF)), env={"NOTIFY_SOCKET": name}, wait=False)
    assert s.recv(1000) == b"STATUS=Loading models"
    assert s.recv(1000) == b"READY=1\nSTATUS=Serving"
    assert server.ask("GET", "/readyz").status == 200
    server.process.send_signal(signal.SIGTERM)
    assert s.recv(1000) == b"STOPPING=1\nSTATUS=Draining"
    assert server.process.wait(20) == 0


def test_it_is_not_ready_while_models_load(start, manager, slow):
    s, name = manager
    server = start(LONG, config=model_config(("slow", slow)), env={"NOTIFY_SOCKET": name}, wait=False)
    server.wait_for("Starting to read warmup data")
    assert s.recv(1000) == b"STATUS=Loading models"
    assert server.ask("GET", "/startupz").status == 503
    s.setblocking(False)
    with pytest.raises(BlockingIOError):
        s.recv(1000)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert s.recv(1000).startswith(b"STOPPING=1")


def test_nothing_but_probes_metrics_and_admin_is_answered_while_models_load(start, slow):
    server = start(LONG, config=model_config(("m", HALF), ("slow", slow)), wait=False)
    server.wait_for("Starting to read warmup data")
    for path in ("/v1/models/m", "/v1/models/slow", "/v1/models/m/metadata", "/v1/models", "/v2"):
        reply = server.ask("GET", path)
        assert reply.status == 503, path
        assert json.loads(reply.text) == {"error": "server is starting: models are loading"}
        assert reply.headers["Retry-After"]
    for path in ("/healthz", "/metrics", "/v2/health/live"):
        assert server.ask("GET", path).status == 200
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0


def test_a_load_that_does_not_end_does_not_hold_up_the_end(start, slow, tmp_path):
    shutil.copytree(HALF, tmp_path / "m")
    server = start(LONG, "--file_system_poll_wait_seconds=1", "--drain_timeout_s=1000",
                   config=model_config(("m", tmp_path / "m")),
                   env={"TSAN_OPTIONS": "report_thread_leaks=0"}) # they end with the process
    (tmp_path / "slow/1").rename(tmp_path / "m/1000")
    server.wait_for("Starting to read warmup data")
    assert server.ask("GET", "/v1/models/m").status == 200 # and everybody else goes on
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0


@pytest.mark.parametrize("name", ["nonsense", "/", "@", "/nowhere/notify", "/" + "x" * 200])
def test_a_manager_that_is_not_there_does_not_matter(start, name):
    server = start(config=model_config(("m", HALF)), env={"NOTIFY_SOCKET": name})
    assert f"cannot tell the service manager anything at NOTIFY_SOCKET={name}: " in server.log
    assert server.ask("GET", "/readyz").status == 200
