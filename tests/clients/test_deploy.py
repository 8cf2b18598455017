"""deploy/haproxy and deploy/nginx as they are in the repository: the programs take them, and with other addresses in
them requests and calls come through, on both ports, to both instances; test_rolling.py has what happens when one goes
away. deploy/kubernetes is held against the schemas of Kubernetes, and against itself; deploy/systemd is read by systemd."""
import pathlib
import re
import signal
import subprocess
import time

import grpc
import pytest
import requests
import yaml

from clients import ANSWER, CONFIG, PATH, ROW, run
from proxies import FILES, Proxy, handled, predict, with_files_in
from served import ROOT, SLUICE, free_port


def test_haproxy_takes_the_file():
    done = run("haproxy", "-c", "-f", FILES["haproxy"])
    assert done.returncode == 0 and b"WARNING" not in done.stdout + done.stderr, done.stdout + done.stderr


def test_nginx_takes_the_file(tmp_path):
    (tmp_path / "nginx.conf").write_text(with_files_in(tmp_path, FILES["nginx"].read_text()))
    done = run("nginx", "-t", "-c", tmp_path / "nginx.conf")
    assert done.returncode == 0 and b"[warn]" not in done.stderr, done.stderr


@pytest.fixture(params=["haproxy", "nginx"])
def pair(request, start, tmp_path):
    """Two instances and the proxy: (servers, REST port, gRPC port)."""
    servers, ports = [], []
    for _ in range(2):
        port = free_port()
        servers.append(start(f"--grpc_address=127.0.0.1:{port}", config=CONFIG))
        ports.append((servers[-1].port, port))
    with Proxy(request.param, tmp_path, ports) as proxy:
        yield servers, proxy.port, proxy.grpc_port


def test_both_instances_answer_on_both_ports(pair):
    servers, rest, port = pair
    for _ in range(20):
        assert requests.post(f"http://127.0.0.1:{rest}{PATH}", data=ROW).json() == ANSWER
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for _ in range(20):
            assert predict(channel) == [4.75]
    assert all(handled(s)[port] > 0 for s in servers for port in ("REST", "GRPC"))
    assert requests.get(f"http://127.0.0.1:{rest}/metrics").status_code == 404


MANIFESTS = sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))
VALIDATE = ROOT / "build/venv-oip/bin/kubernetes-validate"


@pytest.mark.parametrize("version", ["1.30", "1.37"])
def test_kubernetes_takes_the_manifests(version):
    if not VALIDATE.exists():
        pytest.fail("kubernetes-validate is not installed (tools/venv oip installs it)", pytrace=False)
    done = subprocess.run([VALIDATE, "--strict", "-k", version, *MANIFESTS], capture_output=True, text=True)
    out = done.stdout + done.stderr
    assert done.returncode == 0 and out.count(" passed ") == len(MANIFESTS) == 5, out


def test_the_manifests_fit_each_other_and_the_server(start, tmp_path):
    kinds = {m["kind"]: m for m in (yaml.safe_load(f.read_text()) for f in MANIFESTS)}
    pod = kinds["Deployment"]["spec"]["template"]
    spec, labels = pod["spec"], pod["metadata"]["labels"]
    container = spec["containers"][0]
    flags = dict(a.removeprefix("--").split("=", 1) for a in container["args"])
    assert spec["terminationGracePeriodSeconds"] > int(flags["drain_timeout_s"]) + int(flags["drain_grace_ms"]) / 1000
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert kinds[kind]["spec"]["selector"]["matchLabels"] == labels
    assert kinds["Service"]["spec"]["selector"] == labels
    ports = {p["name"]: p["containerPort"] for p in container["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501}
    assert {p["targetPort"] for p in kinds["Service"]["spec"]["ports"]} == set(ports)
    assert kinds["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == kinds["Deployment"]["metadata"]["name"]
    # The server takes the flags and the configuration, and answers the probes.
    text = kinds["ConfigMap"]["data"][pathlib.PurePath(flags.pop("model_config_file")).name]
    assert "/models/my_model" in text
    server = start(*(f"--{k}={v}" for k, v in flags.items()),
                   config=text.replace("/models/my_model", str(ROOT / "examples/models/my_model")))
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == "rest"
        assert server.ask("GET", container[probe]["httpGet"]["path"]).status == 200
    assert requests.post(f"http://127.0.0.1:{server.port}{PATH}", data=ROW).json() == ANSWER
    # A Pod that ends is not ready, but serves who has not heard of it.
    server.process.send_signal(signal.SIGTERM)
    end = time.monotonic() + 5
    while server.ask("GET", container["readinessProbe"]["httpGet"]["path"]).status != 503:
        assert time.monotonic() < end
    assert server.ask("GET", container["livenessProbe"]["httpGet"]["path"]).status == 200
    assert requests.post(f"http://127.0.0.1:{server.port}{PATH}", data=ROW).json() == ANSWER
    assert server.stop() == 0  # a second signal


UNIT = ROOT / "deploy/systemd/sluice.service"
PROGRAM = "/usr/local/bin/sluice"


@pytest.fixture
def unit(tmp_path):
    """The unit, with the program where it is here."""
    text = UNIT.read_text()
    assert text.count(PROGRAM) == 1
    file = tmp_path / UNIT.name
    file.write_text(text.replace(PROGRAM, str(SLUICE)))
    return file


def test_systemd_takes_the_unit(unit):
    """Without a word: what it does not know, or cannot start, it names. Other units of the machine do not matter."""
    done = run("systemd-analyze", "verify", "--man=no", unit)
    said = [line for line in (done.stdout + done.stderr).decode().splitlines() if unit.name in line or str(unit) in line]
    assert not said
    # It would have said so.
    unit.write_text(unit.read_text().replace("LockPersonality=yes", "LockPersonalty=yes").replace(str(SLUICE), "/nowhere"))
    done = run("systemd-analyze", "verify", "--man=no", unit)
    said = (done.stdout + done.stderr).decode()
    assert "LockPersonalty" in said and "/nowhere is not executable" in said


def test_the_unit_exposes_little(unit):
    """10 is a service that may do everything; what is missing below 2 is told by the table."""
    done = run("systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=20", unit)
    out = (done.stdout + done.stderr).decode()
    level = re.search(r"Overall exposure level for sluice.service: (\S+)", out)
    assert done.returncode == 0 and level and float(level[1]) < 2.0, out


def test_the_server_takes_the_flags_of_the_unit(start):
    command = re.search(r"^ExecStart=(.*)$", UNIT.read_text(), re.M)[1].split()
    assert command[:2] == [PROGRAM, "serve"]
    flags = dict(a.removeprefix("--").split("=", 1) for a in command[2:])
    assert flags.pop("model_config_file") == "/etc/sluice/config.pbtxt"
    assert (flags.pop("rest_api_port"), flags.pop("port")) == ("8501", "8500")
    server = start(*(f"--{k}={v}" for k, v in flags.items()), config=CONFIG)
    assert requests.post(f"http://127.0.0.1:{server.port}{PATH}", data=ROW).json() == ANSWER
