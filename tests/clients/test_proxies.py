"""nginx and HAProxy before the server, with connections to it that are kept, as deploy/ has them."""
import concurrent.futures
import json

import pytest
import requests

from clients import ANSWER, CONFIG, PATH, ROW, run
from proxies import Proxy
from served import free_port

def before(kind, directory, server):
    """Both instances of the file are this one, which has no gRPC: that is for test_deploy.py."""
    return Proxy(kind, directory, [(server.port, free_port())] * 2)


@pytest.fixture(params=["nginx", "haproxy"])
def proxy(request, server, tmp_path):
    with before(request.param, tmp_path, server) as p:
        yield p


def established(server):
    """Connections to the server that are open now, seen by the kernel: the ports of the other side."""
    ports = set()
    for name in ("tcp", "tcp6"):
        for line in open(f"/proc/net/{name}").readlines()[1:]:
            local, remote, state = line.split()[1:4]
            if state == "01" and int(local.rsplit(":", 1)[1], 16) == server.port:
                ports.add(remote)
    return ports


def url(proxy):
    return f"http://127.0.0.1:{proxy.port}{PATH}"


def test_predictions_come_through(proxy):
    reply = requests.post(url(proxy), data=ROW)
    assert reply.status_code == 200 and reply.json() == ANSWER


def test_connections_to_the_server_are_kept(proxy, server):
    with requests.Session() as s:
        s.post(url(proxy), data=ROW)
        first = established(server)
        for _ in range(200):
            assert s.post(url(proxy), data=ROW).json() == ANSWER
        assert first and established(server) & first == first


def test_errors_come_through_as_they_are(proxy, server):
    for path, body in [(PATH, b"{"), ("/v1/models/nobody:predict", ROW), ("/v1/nothing", ROW)]:
        straight = server.ask("POST", path, body)
        through = requests.post(f"http://127.0.0.1:{proxy.port}{path}", data=body)
        assert (through.status_code, through.text) == (straight.status, straight.text)


def test_a_big_body_and_a_big_reply(proxy):
    rows = [[1.0, 2.0, 3.0]] * 150_000
    reply = requests.post(url(proxy), json={"instances": rows})
    assert reply.json()["predictions"] == [[4.75]] * 150_000


def test_a_chunked_body(proxy):
    reply = requests.post(url(proxy), data=(ROW[i:i + 3] for i in range(0, len(ROW), 3)))
    assert reply.status_code == 200 and reply.json() == ANSWER


def test_many_clients_without_an_error(proxy, tmp_path):
    (tmp_path / "body.json").write_bytes(ROW)
    done = run("h2load", "--h1", "-n", "10000", "-c", "16", "-d", tmp_path / "body.json", url(proxy))
    out = done.stdout.decode()
    assert "10000 succeeded, 0 failed, 0 errored, 0 timeout" in out and "10000 2xx" in out, out


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_a_server_that_drains_loses_no_request_of_the_proxy(kind, start, tmp_path):
    """Requests in flight when SIGTERM comes are answered; after that the proxy says that nobody is there."""
    server = start(config=CONFIG)
    body = json.dumps({"instances": [[1.0, 2.0, 3.0]] * 100_000})
    with before(kind, tmp_path, server) as proxy:
        assert requests.post(url(proxy), data=ROW).status_code == 200
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            replies = [pool.submit(requests.post, url(proxy), data=body) for _ in range(4)]
            concurrent.futures.wait(replies, return_when=concurrent.futures.FIRST_COMPLETED)
            assert server.stop() == 0
            got = [r.result() for r in replies]
        assert {r.status_code for r in got} <= {200, 502, 503}
        assert all(len(r.json()["predictions"]) == 100_000 for r in got if r.status_code == 200)
        assert any(r.status_code == 200 for r in got)
        assert requests.post(url(proxy), data=ROW).status_code in (502, 503)
