"""HAProxy and nginx before the server as deploy/ has them: its files, with the addresses of a test in them.

    with Proxy("nginx", tmp_path, [(rest, grpc), (rest, grpc)]) as proxy:   # the ports of the two instances
        ... proxy.port, proxy.grpc_port
"""
import collections
import os
import re
import subprocess

from clients import tool, wait_for_port
from served import ROOT, free_port

FILES = {"haproxy": ROOT / "deploy/haproxy/haproxy.cfg", "nginx": ROOT / "deploy/nginx/nginx.conf"}
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
    text = FILES[kind].read_text()
    if kind == "nginx":
        text = with_files_in(directory, text)
    listen = {"haproxy": "bind :{}", "nginx": "listen {}"}[kind]
    changes = [(listen.format(8501 - i), listen.format(front[i])) for i in (0, 1)]
    for n, ports in enumerate(instances):
        changes += [(f"10.0.0.1{n + 1}:{8501 - i}", f"127.0.0.1:{ports[i]}") for i in (0, 1)]
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    assert "10.0.0." not in text
    return text


class Proxy:
    """`changes` are made in the file before."""

    def __init__(self, kind, directory, instances, changes=()):
        self.kind, self.port, self.grpc_port = kind, free_port(), free_port()
        text = replaced(kind, directory, (self.port, self.grpc_port), instances)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        file = directory / "proxy.conf"
        file.write_text(text)
        self.log = open(directory / "log", "wb")
        self.process = subprocess.Popen([tool(kind), *FLAGS[kind], str(file)], stdout=self.log, stderr=self.log)
        try:
            for port in (self.port, self.grpc_port):
                wait_for_port(port, self.process)
        except BaseException:
            self.stop()
            raise

    def stop(self):
        self.process.terminate()
        self.process.wait(90)
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


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
    """How many requests this instance has answered, by port: "REST", "GRPC"."""
    text = server.ask("GET", "/metrics").body.decode()
    counts = collections.Counter()
    for port, n in re.findall(r'request_latency_count\{[^}]*entrypoint="(\w+)"[^}]*\} (\S+)', text):
        counts[port] += float(n)
    return counts
