"""Instances are changed under load: behind HAProxy and nginx one after the other, and on one port (--reuse_port) one by the
next. Clients repeat nothing themselves here: what they see is what is counted."""
import collections
import signal
import threading
import time

import grpc
import pytest
import requests

from clients import ANSWER, CONFIG, PATH, ROW
from proxies import Proxy, handled, predict
from served import SLUICE, free_port


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
    import tensorflow_serving.apis.prediction_service_pb2_grpc  # takes seconds: before the load begins
    options = [("grpc.enable_http_proxy", 0), ("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]

    def call(channel):
        got = predict(channel)
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


def asks(proxy):
    return *rest(proxy.port), *over_grpc(proxy.grpc_port)


def until_it_takes_requests(server, n=20):
    """On each port: nginx leaves one that was away alone for a while, for each by itself."""
    end, first = time.monotonic() + 20, handled(server)
    while any((handled(server) - first)[port] < n for port in ("REST", "GRPC")):
        assert time.monotonic() < end, "nobody asks the server"
        time.sleep(0.05)


@pytest.fixture
def instance(start, tmp_path):
    """Started by the name of the original: nothing listens before the models are there, so that nginx, which does not
    know of /readyz, gets no 503."""
    link = tmp_path / "tensorflow_model_server"
    link.symlink_to(SLUICE)

    def get(ports, *flags):
        s = start(*flags, f"--rest_api_port={ports[0]}", f"--port={ports[1]}", config=CONFIG, command=[str(link)])
        s.port = ports[0]
        return s
    return get


def roll(instance, ports, servers, end, *flags, away=0.3):
    """One after the other: ended, seen to be gone, started again, and left in peace until it takes requests again."""
    for i in range(len(servers)):
        until_it_takes_requests(servers[i])
        end(servers[i])
        time.sleep(away)
        servers[i] = instance(ports[i], *flags)
        until_it_takes_requests(servers[i])


def drained(server):
    assert server.stop() == 0


def killed(server):
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(30)


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_a_rolling_restart_loses_no_request_of_the_proxy(kind, instance, tmp_path):
    """Nor does a server that is killed: the reply of a small prediction leaves in one piece or not at all, and what got
    none is sent again, to the other one, as the files of deploy/ allow. A request that does not fit the proxy's buffer, or
    one to a model for which they do not, would be lost. Calls of gRPC likewise, with HAProxy: nginx says of what was sent
    already that it has failed, in a way that clients try again. One that stays away is tried again by nginx, which costs
    nothing either."""
    ports = [(free_port(), free_port()) for _ in range(2)]
    servers = [instance(p) for p in ports]
    with Proxy(kind, tmp_path, ports) as proxy, Load(*asks(proxy), threads=2) as load:
        for end in (drained, killed):
            roll(instance, ports, servers, end, away=2.5)  # longer than fail_timeout
    lost = [text for ask, text in load.failures if kind == "nginx" and ask.endswith("_grpc")]
    assert all("StatusCode.UNAVAILABLE" in text for text in lost) and len(lost) <= 4 * 8, lost
    assert len(load.failures) == len(lost), load.failures[:10]
    assert all(load.counts[ask.__name__] > 50 for ask in asks(proxy)), load.counts


def test_with_a_grace_period_nothing_has_to_be_sent_twice(instance, tmp_path):
    """For models that do more than compute: the proxy repeats nothing that a server may have seen, so it must have
    heard that the server leaves before connections close."""
    grace = "--drain_grace_ms=3000"  # longer than two of the checks
    ports = [(free_port(), free_port()) for _ in range(2)]
    servers = [instance(p, grace) for p in ports]
    once = ("retry-on conn-failure empty-response", "retry-on conn-failure")
    with Proxy("haproxy", tmp_path, ports, [once]) as proxy, Load(*asks(proxy), threads=2) as load:
        roll(instance, ports, servers, drained, grace)
    assert not load.failures, load.failures[:10]
    assert all(load.counts[ask.__name__] > 50 for ask in asks(proxy)), load.counts


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
            old.process.send_signal(signal.SIGTERM)
            assert old.process.wait(30) == 0
            assert "still come here" not in old.log
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
