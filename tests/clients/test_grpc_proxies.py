"""nginx (grpc_pass), HAProxy (proto h2) and Envoy in front of the gRPC port, in plain text and with TLS on both sides: calls,
errors, streams, big tensors, a load without an error, a graceful reload of the proxy, a server that drains behind it."""
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import threading
import time

import grpc
import pytest

import build
from clients import CONFIG, run, tool, wait_for_port
from served import ROOT, free_port
from certificates import Authority

# Started by root, nginx would become somebody who may not write into the test's directory.
USER = "user root;" if os.geteuid() == 0 else ""
PREDICT = "tensorflow.serving.PredictionService/Predict"

NGINX = """{user}
daemon off; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log warn;
events {{ worker_connections 512; }}
http {{
    access_log {dir}/access.log;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f;
    uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
    client_max_body_size 64m; keepalive_requests 100000; grpc_buffer_size 64k;
    upstream sluice {{ server 127.0.0.1:{upstream}; keepalive 16; keepalive_requests 100000; }}
    server {{
        listen 127.0.0.1:{port} {ssl} http2;
        {certificate}
        location / {{
            grpc_pass {scheme}://sluice;
            {verify}
        }}
    }}
}}
"""

HAPROXY = """
global
    maxconn 512
    hard-stop-after 20s
defaults
    mode http
    http-reuse always
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend in
    bind 127.0.0.1:{port} {bind}
    default_backend sluice
backend sluice
    server s1 127.0.0.1:{upstream} {server} check inter 200ms
"""


ENVOY = ROOT / "build/venv-oip/bin/envoy"
TYPE = "type.googleapis.com/envoy."


def envoy_tls(kind, **context):
    return {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": f"{TYPE}extensions.transport_sockets.tls.v3.{kind}TlsContext", **context}}}


def envoy_cluster(upstream, ca):
    address = {"socket_address": {"address": "127.0.0.1", "port_value": upstream}}
    tls = envoy_tls("Upstream", sni="localhost", common_tls_context={"validation_context": {
        "trusted_ca": {"filename": str(ca)},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "localhost"}}]}}) if ca else {}
    return {"name": "sluice", "type": "STATIC", "connect_timeout": "5s", **tls,
            "load_assignment": {"cluster_name": "sluice", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": address}}]}]},
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{TYPE}extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}}}}}


def envoy_listener(port, pair, epoch):
    tls = envoy_tls("Downstream", common_tls_context={"alpn_protocols": ["h2"], "tls_certificates": [
        {"certificate_chain": {"filename": str(pair[0])}, "private_key": {"filename": str(pair[1])}}]}) if pair else {}
    http = {"@type": f"{TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": f"in{epoch}", "codec_type": "HTTP2", "drain_timeout": "1s",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                {"match": {"prefix": "/"}, "route": {"cluster": "sluice", "timeout": "0s"}}]}]},
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
                "@type": f"{TYPE}extensions.filters.http.router.v3.Router"}}]}
    return {"@type": f"{TYPE}config.listener.v3.Listener", "name": "in",
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
            "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": http}],
                               **tls}]}


class Proxy:
    def __init__(self, kind, directory, upstream, ca=None, pair=None):
        self.port, self.kind, self.ca, self.pair, self.epoch = free_port(), kind, ca, pair, 0
        self.directory = directory
        if kind == "envoy":
            self.listen()
            text = json.dumps({
                "node": {"id": "proxy", "cluster": "proxy"},
                "dynamic_resources": {"lds_config": {"path_config_source": {"path": str(directory / "listeners.json")}}},
                "static_resources": {"clusters": [envoy_cluster(upstream, ca)]}})
            flags = ["--concurrency", 1, "--disable-hot-restart", "--drain-time-s", 2, "-l", "info", "-c"]
        elif kind == "nginx":
            text = NGINX.format(
                user=USER, dir=directory, port=self.port, upstream=upstream, ssl="ssl" if ca else "",
                scheme="grpcs" if ca else "grpc",
                certificate=f"ssl_certificate {pair[0]}; ssl_certificate_key {pair[1]};" if ca else "",
                verify=f"grpc_ssl_verify on; grpc_ssl_trusted_certificate {ca}; grpc_ssl_name localhost;" if ca else "")
            flags = ["-p", directory, "-c"]
        else:
            if ca:
                (directory / "pair").write_bytes(pair[0].read_bytes() + pair[1].read_bytes())
            text = HAPROXY.format(
                port=self.port, upstream=upstream,
                bind=f"ssl crt {directory}/pair alpn h2" if ca else "proto h2",
                server=f"ssl ca-file {ca} verify required verifyhost localhost alpn h2" if ca else "proto h2")
            flags = ["-W", "-db", "-f"]
        self.config = directory / "config.json"  # Envoy goes by the name
        self.config.write_text(text)
        self.log = open(directory / "log", "wb")
        program = ENVOY if kind == "envoy" else tool(kind)
        if not os.path.exists(program):
            pytest.fail("envoy is not installed (tools/venv oip installs it)", pytrace=False)
        self.process = subprocess.Popen([program, *map(str, flags), str(self.config)], stdout=self.log, stderr=self.log)
        wait_for_port(self.port, self.process)

    def listen(self):
        """Envoy's listener, in a file that it watches for a rename."""
        new = self.directory / "new.json"
        new.write_text(json.dumps({"resources": [envoy_listener(self.port, self.pair, self.epoch)]}))
        new.rename(self.directory / "listeners.json")

    def reload(self):
        """Another worker (Envoy: another listener) takes the port; the old one ends when its calls have."""
        self.epoch += 1
        if self.kind == "envoy":
            self.listen()
            return
        self.process.send_signal(signal.SIGHUP if self.kind == "nginx" else signal.SIGUSR2)

    def generation(self):
        """The newest worker, or how many listeners there have been: another after a reload."""
        if self.kind == "envoy":
            return (self.directory / "log").read_text().count("add/update listener 'in'")
        return open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split()[-1]

    def channel(self):
        options = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1),
                   ("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        if self.ca:
            return grpc.secure_channel(f"localhost:{self.port}", grpc.ssl_channel_credentials(self.ca.read_bytes()),
                                       options=options)
        return grpc.insecure_channel(f"127.0.0.1:{self.port}", options=options)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


def request(rows=1):
    from tensorflow_serving.apis import predict_pb2
    r = predict_pb2.PredictRequest()
    r.model_spec.name = "my_model"
    tensor = r.inputs["input_example"]
    tensor.dtype = 1
    for n in (rows, 3):
        tensor.tensor_shape.dim.add().size = n
    tensor.float_val.extend([1, 2, 3] * rows)
    return r


def stub(channel):
    from tensorflow_serving.apis import prediction_service_pb2_grpc
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def output(reply):
    return list(reply.outputs["output"].float_val)


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=["nginx", "nginx-tls", "haproxy", "haproxy-tls", "envoy", "envoy-tls"])
def proxy(request, start, ca, tmp_path):
    kind, _, tls = request.param.partition("-")
    port, pair = free_port(), ca.issue("server") if tls else None
    flags = [f"--tls_cert_file={pair[0]}", f"--tls_key_file={pair[1]}"] if tls else []
    server = start(f"--grpc_address=127.0.0.1:{port}", *flags, config=CONFIG)
    p = Proxy(kind, tmp_path, port, ca.cert if tls else None, pair)
    p.server = server
    yield p
    p.stop()


def test_every_call_of_a_client_comes_through(proxy):
    """The Go client: Predict, big and many at once, compressed; metadata, status, health, streams, errors, deadlines."""
    target = f"localhost:{proxy.port}" if proxy.ca else f"127.0.0.1:{proxy.port}"
    done = subprocess.run([build.go_client(), target, *([proxy.ca] if proxy.ca else [])], capture_output=True, text=True,
                          timeout=120)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


def test_a_load_without_an_error(proxy, tmp_path):
    message = request().SerializeToString()
    (tmp_path / "frame").write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
    scheme = "https" if proxy.ca else "http"
    out = run("h2load", "-n", 10000, "-c", 4, "-m", 4, "-d", tmp_path / "frame", "-H", "content-type: application/grpc", "-H",
              "te: trailers", f"{scheme}://127.0.0.1:{proxy.port}/{PREDICT}").stdout.decode()
    assert "10000 succeeded, 0 failed, 0 errored, 0 timeout" in out and "10000 2xx" in out, out
    assert int(re.search(r"\((\d+)\) data", out)[1]) >= 10000 * len(message) // 2, out


def test_a_graceful_reload_of_the_proxy_loses_no_call(proxy):
    """Calls go on over three reloads; grpc tries again only what the proxy says it has not begun (GOAWAY)."""
    stop, begun, counts, errors = threading.Event(), threading.Semaphore(0), [], []

    def work():
        n = 0
        with proxy.channel() as channel:
            s = stub(channel)
            while not stop.is_set():
                try:
                    assert output(s.Predict(request(), timeout=20, wait_for_ready=True)) == [4.75]
                    n += 1
                except Exception as e:
                    errors.append(e)
                    break
                finally:
                    if n < 2: # its first call
                        begun.release()
        counts.append(n)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    generations = {proxy.generation()}
    try:
        for _ in threads:
            assert begun.acquire(timeout=60)
        for _ in range(3):
            time.sleep(0.7)
            proxy.reload()
            end = time.monotonic() + 60
            while proxy.generation() in generations:
                assert time.monotonic() < end, generations
                time.sleep(0.05)
            generations.add(proxy.generation())
            time.sleep(0.7) # a call that is refused twice is not tried again
    finally:
        stop.set()
    for t in threads:
        t.join()
    assert not errors, errors
    assert min(counts) > 20, counts


def test_a_server_that_drains_behind_it_answers_what_it_has_begun(proxy):
    """Calls in progress when SIGTERM comes are answered; what comes later is UNAVAILABLE and not a wrong answer."""
    big = request(100_000)
    with proxy.channel() as channel, concurrent.futures.ThreadPoolExecutor(4) as pool:
        s = stub(channel)
        assert output(s.Predict(request(), timeout=20)) == [4.75]
        calls = [pool.submit(s.Predict, big, timeout=60) for _ in range(4)]
        concurrent.futures.wait(calls, return_when=concurrent.futures.FIRST_COMPLETED)
        assert proxy.server.stop() == 0
        good = 0
        for call in calls:
            try:
                assert output(call.result()) == [4.75] * 100_000
                good += 1
            except grpc.RpcError as e:
                assert e.code() == grpc.StatusCode.UNAVAILABLE, e
        assert good
        with pytest.raises(grpc.RpcError) as failed:
            s.Predict(request(), timeout=20)
        assert failed.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN)
