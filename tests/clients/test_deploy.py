"""deploy/haproxy and deploy/nginx as they are in the repository: the programs take them, and with other addresses in
them requests and calls come through, on both ports, to whichever instance is there."""
import concurrent.futures
import os
import re
import signal
import subprocess
import time

import grpc
import pytest
import requests

from clients import ANSWER, CONFIG, PATH, ROW, run, tool, wait_for_port
from served import ROOT, free_port

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
