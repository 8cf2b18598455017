"""Bodies that become so large when unpacked that it is not the loop that unpacks them."""
import concurrent.futures
import gzip
import json

import pytest

from conftest import ROOT, model_config
from test_reload import Admin, until

MODELS = ROOT / "tests/models"
CONFIG = model_config(("half_plus_two", MODELS / "half_plus_two"), ("linear", MODELS / "linear"))
GZIP = {"Content-Encoding": "gzip"}
PREDICT = "/v1/models/half_plus_two:predict"
NUMBERS = [i / 4 for i in range(50_000)]
HALF = [x / 2 + 2 for x in NUMBERS]


def packed(value, padding=0):
    return gzip.compress(json.dumps(value).encode() + b" " * padding)


@pytest.fixture(scope="module")
def server(servers):
    return servers("--max_inflight_bytes=2000000", "--max_decoded_bytes=1500000", "--rest_api_compress_min_bytes=1000",
                   config=CONFIG)


def test_a_prediction(server):
    answer = server.ask("POST", PREDICT, packed({"instances": NUMBERS}), {**GZIP, "Accept-Encoding": "gzip"})
    assert answer.status == 200 and answer.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(answer.body))["predictions"] == HALF


def test_with_padding_up_to_the_limit(server):
    request = packed({"instances": [1.0]}, 1_400_000)
    assert len(request) < 2000
    assert json.loads(server.ask("POST", PREDICT, request, GZIP).text)["predictions"] == [2.5]
    answer = server.ask("POST", PREDICT, packed({"instances": [1.0]}, 1_500_000), GZIP)
    assert answer.status == 400 and "gzip" in answer.text


def test_damaged_behind_its_first_half(server):
    body = bytearray(packed({"instances": NUMBERS}))
    body[len(body) // 2] ^= 0xff
    answer = server.ask("POST", PREDICT, bytes(body), GZIP)
    assert answer.status == 400 and "gzip" in answer.text
    assert server.ask("POST", PREDICT, b'{"instances": [1.0]}').status == 200


def test_more_at_once_than_there_is_room_for(server):
    body = packed({"instances": [1.0]}, 1_000_000)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: server.ask("POST", PREDICT, body, GZIP), range(64)))
    for answer in answers:
        assert answer.status in (200, 503), answer.text
        if answer.status == 503:
            assert "no room for the request's body" in answer.text and answer.headers["Retry-After"]
        else:
            assert json.loads(answer.text)["predictions"] == [2.5]
    until(lambda: server.ask("POST", PREDICT, body, GZIP).status == 200)  # the last one may still be going


def test_open_inference(server):
    request = {"inputs": [{"name": "x", "shape": [50_000], "datatype": "FP32", "data": NUMBERS}]}
    answer = server.ask("POST", "/v2/models/half_plus_two/infer", packed(request), GZIP)
    assert answer.status == 200, answer.text
    assert json.loads(answer.text)["outputs"][0]["data"] == HALF
    answer = server.ask("POST", "/v2/models/half_plus_two/infer", packed(request)[:-9], GZIP)
    assert answer.status == 400 and "gzip" in answer.text
    for padding in (0, 70_000): # on the loop; elsewhere
        for headers, body in (({}, json.dumps({"ready": True}) + " " * padding), (GZIP, packed({"ready": True}, padding))):
            answer = server.ask("POST", "/v2/repository/index", body, headers)
            assert answer.status == 200, answer.text
            assert {m["name"] for m in json.loads(answer.text)} == {"half_plus_two", "linear"}
        answer = server.ask("POST", "/v2/repository/index", gzip.compress(b"{" + b" " * padding), GZIP)
        assert answer.status == 400, answer.text


def test_a_configuration(start, tmp_path):
    admin = Admin(start, tmp_path, CONFIG)
    config = model_config(("half_plus_two", MODELS / "half_plus_two")) + "\n" * 100_000
    status, body, _ = admin.ask("POST", "/sluice/v1/config", gzip.compress(config.encode()), content_encoding="gzip")
    assert status == 200, body
    assert b"linear" not in admin.ask("GET", "/sluice/v1/config")[1]
    status, body, _ = admin.ask("POST", "/sluice/v1/config", gzip.compress(config.encode())[:-5], content_encoding="gzip")
    assert status == 400 and b"gzip" in body
