"""Python's requests, the client that most people use."""
import gzip
import json
import threading

import requests

from clients import ANSWER, CONFIG, PATH, ROW


def url(server):
    return f"http://127.0.0.1:{server.port}{PATH}"


def local_port(reply):
    return reply.raw.connection.sock.getsockname()[1] if reply.raw.connection else None


def test_a_session_keeps_its_connection(server):
    ports = set()
    with requests.Session() as s:
        for _ in range(50):
            with s.post(url(server), data=ROW, stream=True) as reply:
                ports.add(local_port(reply))
                assert reply.json() == ANSWER
    assert len(ports) == 1


def test_an_error_keeps_the_connection_too(server):
    ports = set()
    with requests.Session() as s:
        for body, status in [(ROW, 200), (b"{", 400), (ROW, 200), (b'{"instances": [["a"]]}', 400), (ROW, 200)]:
            with s.post(url(server), data=body, stream=True) as reply:
                ports.add(local_port(reply))
                assert reply.status_code == status
                assert reply.json()
    assert len(ports) == 1


def test_a_gzip_request(server):
    reply = requests.post(url(server), data=gzip.compress(ROW), headers={"Content-Encoding": "gzip"})
    assert reply.status_code == 200 and reply.json() == ANSWER


def test_a_gzip_reply_is_undone_by_the_client(servers):
    server = servers("--rest_api_compress_min_bytes=1000", config=CONFIG)
    rows = [[float(i), 0.5, -1.0] for i in range(2000)]
    with requests.post(url(server), json={"instances": rows}, stream=True) as reply:
        assert reply.headers["Content-Encoding"] == "gzip"
        raw = reply.raw.read(decode_content=False)
    packed = json.loads(gzip.decompress(raw))
    plain = requests.post(url(server), json={"instances": rows}, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert packed == plain.json() and len(packed["predictions"]) == 2000
    assert len(raw) < len(plain.content) / 2


def test_a_body_from_a_generator_is_chunked(server):
    def pieces():
        for i in range(len(ROW)):
            yield ROW[i:i + 1]
    reply = requests.post(url(server), data=pieces())
    assert reply.request.headers["Transfer-Encoding"] == "chunked"
    assert reply.status_code == 200 and reply.json() == ANSWER


def test_many_sessions_at_once_get_their_own_answers(server):
    wrong = []

    def client(k):
        with requests.Session() as s:
            for i in range(100):
                x = float(k * 1000 + i)
                got = s.post(url(server), json={"instances": [[x, 0.0, 0.0], [0.0, 0.0, 0.0]]}).json()["predictions"]
                slope = got[0][0] - got[1][0]
                if abs(slope - x * weight) > 1e-3 * (1 + abs(x)):
                    wrong.append((x, got))

    one, zero = requests.post(url(server), json={"instances": [[1.0, 0, 0], [0, 0, 0]]}).json()["predictions"]
    weight = one[0] - zero[0]
    threads = [threading.Thread(target=client, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert weight != 0 and wrong == []


def test_the_urls_of_the_tutorials(server):
    base = f"http://127.0.0.1:{server.port}/v1/models/my_model"
    status = requests.get(base).json()["model_version_status"]
    assert status[0]["state"] == "AVAILABLE" and status[0]["version"] == "1"
    signatures = requests.get(base + "/metadata").json()["metadata"]["signature_def"]["signature_def"]
    assert "serving_default" in signatures
    assert requests.post(base + "/versions/1:predict", data=ROW).json() == ANSWER
