"""Instances are changed under load: behind HAProxy and nginx one after the other, and on one port (--reuse_port) one by the
next. Clients repeat nothing themselves here: what they see is what is counted."""
import collections
import re
import signal
import threading
import time

import grpc
import pytest
import requests

import test_grpc_proxies as pb
import test_proxies
from clients import ANSWER, CONFIG, PATH, ROW
from served import SLUICE, free_port

# Predictions may be computed twice, so that both proxies send again what a server took and did not answer; HAProxy
# can only do so if it had the whole request before (http-buffer-request): clients send head and body one after the other.
NGINX = """{user}
daemon off; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log {dir}/access.log;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f;
    uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
    keepalive_requests 100000;
    upstream sluice {{
        zone sluice 64k;
        server 127.0.0.1:{one} max_fails=1 fail_timeout=1s;
        server 127.0.0.1:{two} max_fails=1 fail_timeout=1s;
        keepalive 16; keepalive_requests 100000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://sluice;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_next_upstream error non_idempotent;
            proxy_next_upstream_tries 2;
        }}
    }}
}}
"""

HAPROXY = """
global
    maxconn 512
defaults
    mode http
    option http-keep-alive
    http-reuse always
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    retries 2
    option redispatch 1
    option http-buffer-request
    retry-on {retry}
    option httpchk GET /readyz
frontend in
    bind 127.0.0.1:{port}
    default_backend sluice
backend sluice
    timeout check 5s
    default-server check inter 200ms fall 2 rise 1
    server s1 127.0.0.1:{one}
    server s2 127.0.0.1:{two}
"""


class Proxy(test_proxies.Proxy):
    def __init__(self, kind, directory, one, two, retry):
        text = {"nginx": NGINX, "haproxy": HAPROXY}[kind]
        self.text = text.replace("{one}", str(one)).replace("{two}", str(two)).replace("{retry}", retry)
        super().__init__(kind, directory, one, text=self.text)


class Load:
    """Threads that ask until the end of the block. `ask` makes what one thread calls again and again."""

    def __init__(self, *asks, threads=3):
        self.counts, self.failures, self.over = collections.Counter(), [], threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(ask,)) for ask in asks for _ in range(threads)]

    def run(self, ask):
        one = ask()
        while not self.over.is_set():
            try:
                wrong = one()
            except Exception as e:
                wrong = f"{type(e).__name__}: {e}"
            self.counts[ask.__name__] += 1
            if wrong:
                self.failures.append((ask.__name__, wrong))

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for t in self.threads:
            t.join(60)
        print(dict(self.counts), len(self.failures), "failed")


def wrong(reply):
    return None if reply.status_code == 200 and reply.json() == ANSWER else f"{reply.status_code} {reply.text[:200]}"


def rest(port):
    url = f"http://127.0.0.1:{port}{PATH}"

    def kept():
        s = requests.Session()
        s.trust_env = False
        return lambda: wrong(s.post(url, data=ROW, timeout=30))

    def new():
        def one():
            with requests.Session() as s:
                s.trust_env = False
                return wrong(s.post(url, data=ROW, timeout=30))
        return one

    return kept, new


def over_grpc(port):
    options = [("grpc.enable_http_proxy", 0), ("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]

    def call(channel):
        got = pb.output(pb.stub(channel).Predict(pb.request(), timeout=30))
        return None if got == [4.75] else str(got)

    def kept_grpc():
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=options)
        return lambda: call(channel)

    def new_grpc():
        def one():
            with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
                return call(channel)
        return one

    return kept_grpc, new_grpc


def taken(server):
    """How many predictions this process has answered."""
    found = re.search(r'^:tensorflow:serving:request_count\{.*"OK"\} (\d+)', server.ask("GET", "/metrics").text, re.M)
    return int(found[1]) if found else 0


def until_it_takes_requests(server, n=20):
    end = time.monotonic() + 20
    first = taken(server)
    while taken(server) < first + n:
        assert time.monotonic() < end, "nobody asks the server"
        time.sleep(0.05)


@pytest.fixture
def instance(start, tmp_path):
    """Started by the name of the original: nothing listens before the models are there, so that nginx, which does not
    know of /readyz, gets no 503."""
    link = tmp_path / "tensorflow_model_server"
    link.symlink_to(SLUICE)

    def get(port, *flags):
        s = start(*flags, f"--rest_api_port={port}", config=CONFIG, command=[str(link)])
        s.port = port
        return s
    return get


def roll(instance, ports, servers, end, *flags):
    """One after the other: ended, seen to be gone, started again, and left in peace until it takes requests again."""
    for i, port in enumerate(ports):
        until_it_takes_requests(servers[i])
        end(servers[i])
        time.sleep(0.3)
        servers[i] = instance(port, *flags)
        until_it_takes_requests(servers[i])


def drained(server):
    assert server.stop() == 0


def killed(server):
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(30)


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_a_rolling_restart_loses_no_request_of_the_proxy(kind, instance, tmp_path):
    """Nor does a server that is killed: the reply of a small prediction leaves in one piece or not at all, and what got none
    is sent again, to the other one. Large requests that do not fit the proxy's buffer would not be."""
    ports = [free_port(), free_port()]
    servers = [instance(p) for p in ports]
    proxy = Proxy(kind, tmp_path, *ports, "conn-failure empty-response")
    try:
        with Load(*rest(proxy.port)) as load:
            for _ in range(2):
                roll(instance, ports, servers, drained)
                roll(instance, ports, servers, killed)
    finally:
        proxy.stop()
    assert not load.failures, load.failures[:10]
    assert load.counts["kept"] > 50 and load.counts["new"] > 50


def test_with_a_grace_period_nothing_has_to_be_sent_twice(instance, tmp_path):
    """For models that do more than compute: the proxy repeats nothing that a server may have seen, so it must have
    heard that the server leaves before connections close."""
    ports, grace = [free_port(), free_port()], "--drain_grace_ms=1500"
    servers = [instance(p, grace) for p in ports]
    proxy = Proxy("haproxy", tmp_path, *ports, "conn-failure")
    try:
        with Load(*rest(proxy.port)) as load:
            roll(instance, ports, servers, drained, grace)
    finally:
        proxy.stop()
    assert not load.failures, load.failures[:10]


def test_a_port_is_handed_on_from_process_to_process(start):
    """New connections and kept ones, REST and gRPC; each process joins the port when it can answer, and the one before
    is told to end then."""
    port, grpc_port = free_port(), free_port()

    def instance():
        s = start("--reuse_port", f"--rest_api_port={port}", f"--port={grpc_port}", config=CONFIG)
        s.port = port
        return s

    old = instance()
    with Load(*rest(port), *over_grpc(grpc_port), threads=2) as load:
        for _ in range(4):
            time.sleep(0.5)
            young = instance()
            time.sleep(0.5)  # both serve
            assert old.stop() == 0
            old = young
        time.sleep(0.5)
    assert not load.failures, load.failures[:10]
    assert all(load.counts[kind] > 50 for kind in ("kept", "new", "kept_grpc", "new_grpc")), load.counts


def test_a_port_is_not_shared_with_whoever_did_not_ask_for_it(start):
    first = start("--reuse_port", config=CONFIG)
    second = start("--strict_startup", f"--rest_api_port={first.port}", config=CONFIG, wait=False)
    assert second.process.wait(30) == 1
    assert "Address already in use" in second.log
    assert first.ask("POST", PATH, ROW).status == 200


def test_a_process_that_cannot_load_its_models_does_not_join(start, tmp_path):
    first = start("--reuse_port", config=CONFIG)
    bad = CONFIG.replace("examples/models/my_model", "examples/models/nowhere")
    assert bad != CONFIG
    second = start("--reuse_port", "--strict_startup", f"--rest_api_port={first.port}", config=bad, wait=False)
    assert second.process.wait(30) == 1
    assert "Exporting" not in second.log
    for _ in range(20):
        assert first.ask("POST", PATH, ROW).status == 200
