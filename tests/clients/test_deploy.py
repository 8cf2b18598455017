"""deploy/haproxy and deploy/nginx as they are in the repository: the programs take them, and with other addresses in
them requests and calls come through, on both ports, to whichever instance is there. deploy/kubernetes is held against
the schemas of Kubernetes, and against itself; deploy/systemd is read by systemd."""
import concurrent.futures
import os
import pathlib
import re
import signal
import subprocess
import time

import grpc
import pytest
import requests
import yaml

from clients import ANSWER, CONFIG, PATH, ROW, run, tool, wait_for_port
from served import ROOT, SLUICE, free_port

HAPROXY = (ROOT / "deploy/haproxy/haproxy.cfg").read_text()
NGINX = (ROOT / "deploy/nginx/nginx.conf").read_text()
FLAGS = {"nginx": ["-g", "daemon off;", "-c"], "haproxy": ["-W", "-db", "-f"]}


def with_files_in(directory, text):
    """nginx.conf with its files in the test's directory: it need not be root, and no service is disturbed."""
    user = "user root;" if os.geteuid() == 0 else ""
    text = text.replace("user www-data;", user).replace("/run/nginx.pid", f"{directory}/pid")
    paths = "".join(f"    {kind}_temp_path {directory}/{kind};\n" for kind in
                    ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return text.replace("/var/log/nginx/", f"{directory}/").replace("http {\n", "http {\n" + paths)


def replaced(kind, directory, front, instances):
    """The file of deploy/ with the ports of the test: front and each instance are (REST, gRPC)."""
    text = {"haproxy": HAPROXY, "nginx": with_files_in(directory, NGINX)}[kind]
    listen = {"haproxy": "bind :{}", "nginx": "listen {}"}[kind]
    changes = [(listen.format(8501 - i), listen.format(front[i])) for i in (0, 1)]
    for n, ports in enumerate(instances):
        changes += [(f"10.0.0.1{n + 1}:{8501 - i}", f"127.0.0.1:{ports[i]}") for i in (0, 1)]
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file = directory / "proxy.conf"
    file.write_text(text)
    return file


def test_haproxy_takes_the_file():
    done = run("haproxy", "-c", "-f", ROOT / "deploy/haproxy/haproxy.cfg")
    assert done.returncode == 0 and b"WARNING" not in done.stdout + done.stderr, done.stdout + done.stderr


def test_nginx_takes_the_file(tmp_path):
    (tmp_path / "nginx.conf").write_text(with_files_in(tmp_path, NGINX))
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
    front = free_port(), free_port()
    file = replaced(request.param, tmp_path, front, ports)
    log = open(tmp_path / "log", "wb")
    process = subprocess.Popen([tool(request.param), *FLAGS[request.param], str(file)], stdout=log, stderr=log)
    try:
        for port in front:
            wait_for_port(port, process)
        yield servers, *front
    finally:
        process.terminate()
        process.wait(90)
        log.close()


def predict(channel):
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
    r = predict_pb2.PredictRequest()
    r.model_spec.name = "my_model"
    tensor = r.inputs["input_example"]
    tensor.dtype = 1
    for n in (1, 3):
        tensor.tensor_shape.dim.add().size = n
    tensor.float_val.extend([1, 2, 3])
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    return list(stub.Predict(r, timeout=20).outputs["output"].float_val)


def handled(server):
    """How many requests for the model this instance has answered."""
    text = server.ask("GET", "/metrics").body.decode()
    return sum(float(n) for n in re.findall(r"request_count\{[^}]*\} (\S+)", text))


def test_both_instances_answer_on_both_ports(pair):
    servers, rest, port = pair
    for _ in range(20):
        assert requests.post(f"http://127.0.0.1:{rest}{PATH}", data=ROW).json() == ANSWER
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for _ in range(20):
            assert predict(channel) == [4.75]
    assert all(handled(s) > 0 for s in servers)
    assert requests.get(f"http://127.0.0.1:{rest}/metrics").status_code == 404


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_an_instance_that_goes_and_calls_of_grpc(pair, how, request):
    """HAProxy asks the other one; nginx says that what was sent already has failed, in a way that clients try again."""
    servers, _, port = pair
    end, lost = time.monotonic() + 3, []

    def work():
        done = 0
        with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
            while time.monotonic() < end:
                try:
                    assert predict(channel) == [4.75]
                    done += 1
                except grpc.RpcError as e:
                    lost.append((e.code(), e.details()))
        return done

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(work) for _ in range(4)]
        time.sleep(1)
        servers[0].process.send_signal(how)
        servers[0].process.wait(30)
        assert sum(call.result() for call in calls) > 100
    if "haproxy" in request.node.name:
        assert not lost
    else:
        assert {code for code, _ in lost} <= {grpc.StatusCode.UNAVAILABLE} and len(lost) <= 8, lost


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_an_instance_that_goes_costs_no_rest_request(pair, how):
    servers, rest, _ = pair
    end = time.monotonic() + 3

    def work():
        statuses = []
        with requests.Session() as s:
            while time.monotonic() < end:
                r = s.post(f"http://127.0.0.1:{rest}{PATH}", data=ROW)
                statuses.append(r.status_code if r.json() == ANSWER else "wrong")
        return statuses

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(work) for _ in range(4)]
        time.sleep(1)
        servers[0].process.send_signal(how)
        servers[0].process.wait(30)
        statuses = [s for call in calls for s in call.result()]
    assert set(statuses) == {200} and len(statuses) > 100
    assert servers[0].process.poll() is not None


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
