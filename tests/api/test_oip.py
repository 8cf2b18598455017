"""The Open Inference Protocol over REST: /v2."""
import json
import struct
import time

import numpy as np
import pytest

from conftest import ROOT, model_config

MODELS = ROOT / "tests/models"
NAMES = ("linear", "identity", "multiply_add", "defaults", "image_bytes")
CONFIG = model_config(*((m, MODELS / m) for m in NAMES))


@pytest.fixture(scope="module")
def server(servers):
    return servers(config=CONFIG)


def get(server, path, status=200):
    answer = server.ask("GET", f"/v2{path}")
    assert answer.status == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    return json.loads(answer.text)


def post(server, path, body=b"", status=200, **headers):
    body = body if isinstance(body, bytes) else json.dumps(body)
    answer = server.ask("POST", f"/v2{path}", body, headers)
    assert answer.status == status, answer.text
    return json.loads(answer.text) if answer.text else None


def infer(server, model, request, status=200):
    return post(server, f"/models/{model}/infer", request, status)


def tensor(name, datatype, value):
    value = np.asarray(value)
    return {"name": name, "datatype": datatype, "shape": list(value.shape), "data": value.flatten().tolist()}


def test_the_server_says_what_it_is_and_that_it_lives(server):
    assert get(server, "") == {"name": "sluice", "version": "0.1.0",
                               "extensions": ["binary_tensor_data", "model_repository"]}
    assert get(server, "/health/live") == {"live": True}
    assert get(server, "/health/ready") == {"ready": True}


def test_models_are_ready_or_not(server):
    assert get(server, "/models/linear/ready") == {"name": "linear", "ready": True}
    assert get(server, "/models/linear/versions/1/ready") == {"name": "linear", "ready": True}
    assert "Could not find" in get(server, "/models/linear/versions/7/ready", 404)["error"]
    assert "Could not find" in get(server, "/models/nothing/ready", 404)["error"]


def test_a_model_says_what_it_takes(server):
    assert get(server, "/models/linear") == {
        "name": "linear", "versions": ["1"], "platform": "tensorflow_savedmodel",
        "inputs": [{"name": "input_example", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [{"name": "output", "datatype": "FP32", "shape": [-1, 2]}]}
    assert get(server, "/models/linear/versions/1") == get(server, "/models/linear")
    assert get(server, "/models/linear/versions/one", 400)["error"] == (
        '"one" is no version: versions are numbers')


def test_inference_in_json(server):
    x = [[1, 2, 3], [4, 5, 6]]
    request = {"id": "42", "inputs": [tensor("input_example", "FP32", x)],
               "outputs": [{"name": "output"}]}
    assert infer(server, "linear", request) == {
        "model_name": "linear", "model_version": "1", "id": "42",
        "outputs": [{"name": "output", "datatype": "FP32", "shape": [2, 2],
                     "data": [5.5, 8.5, 14.5, 16.0]}]}
    nested = {"inputs": [{"name": "input_example", "datatype": "FP32", "shape": [2, 3], "data": x}]}
    assert infer(server, "linear/versions/1", nested)["outputs"][0]["data"] == [5.5, 8.5, 14.5, 16.0]


@pytest.mark.parametrize("datatype, signature, values", [
    ("BOOL", "bool", [True, False]), ("UINT8", "uint8", [0, 255]), ("INT8", "int8", [-128, 127]),
    ("INT32", "int32", [-5, 6]), ("INT64", "int64", [-2 ** 63, 2 ** 63 - 1]),
    ("FP32", "float", [0.5, -1.0]), ("FP64", "double", [0.1, 1e300]), ("BYTES", "string", ["a", "\u00fc"])])
def test_every_datatype_comes_back(server, datatype, signature, values):
    request = {"inputs": [{"name": "x", "datatype": datatype, "shape": [2], "data": values}],
               "parameters": {"signature_name": signature}}
    answer = infer(server, "identity", request)["outputs"]
    assert answer == [{"name": "y", "datatype": datatype, "shape": [2], "data": values}]


def binary(server, model, header, *blobs, status=200, **kw):
    text = json.dumps(header).encode()
    answer = server.ask("POST", f"/v2/models/{model}/infer", text + b"".join(blobs),
                        {"Inference-Header-Content-Length": str(len(text)),
                         "Content-Type": "application/octet-stream"}, **kw)
    assert answer.status == status, answer.text
    if status != 200:
        return json.loads(answer.text)["error"]
    n = int(answer.headers["inference-header-content-length"])
    assert answer.headers["content-type"] == "application/octet-stream"
    return json.loads(answer.body[:n]), answer.body[n:]


def blob(name, datatype, shape, data):
    return {"name": name, "datatype": datatype, "shape": shape,
            "parameters": {"binary_data_size": len(data)}}


@pytest.mark.parametrize("n", [3, 300000])
def test_binary_tensors_go_both_ways(server, n):
    x = np.arange(n, dtype=np.float32)
    header = {"inputs": [blob("x", "FP32", [n], x.tobytes())], "parameters": {"binary_data_output": True}}
    answer, data = binary(server, "identity", header, x.tobytes())
    assert answer["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [n],
                                  "parameters": {"binary_data_size": 4 * n}}]
    np.testing.assert_array_equal(np.frombuffer(data, np.float32), x)


def test_16_bit_floats_and_bytes_are_binary(server):
    x = np.array([0.5, -2], np.float16)
    header = {"inputs": [blob("x", "FP16", [2], x.tobytes())],
              "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
              "parameters": {"signature_name": "half"}}
    answer, data = binary(server, "identity", header, x.tobytes())
    assert answer["outputs"][0]["datatype"] == "FP16" and data == x.tobytes()
    del header["outputs"]
    assert binary(server, "identity", header, x.tobytes(), status=400) == (
        'output "y": JSON cannot hold FP16, ask for binary_data')

    image = struct.pack("<I", 4) + b"\xff\0\x80a"
    header = {"inputs": [blob("image_bytes", "BYTES", [1], image)],
              "outputs": [{"name": "label", "parameters": {"binary_data": True}}]}
    answer, data = binary(server, "image_bytes", header, image)
    assert data == struct.pack("<I", 6) + b"<\xff\0\x80a>"


def test_outputs_are_chosen_and_each_has_its_form(server):
    v = np.array([2, 3], np.float32)
    header = {"inputs": [blob("b", "FP32", [2], v.tobytes()), tensor("a", "FP32", v)],
              "outputs": [{"name": "sum", "parameters": {"binary_data": True}}, {"name": "product"}]}
    answer, data = binary(server, "multiply_add", header, v.tobytes())
    assert [o["name"] for o in answer["outputs"]] == ["sum", "product"]
    assert answer["outputs"][1]["data"] == [4.0, 9.0]
    assert data == np.array([4, 6], np.float32).tobytes()


def test_inputs_that_have_defaults_may_be_left_out(server):
    answer = infer(server, "defaults", {"inputs": [tensor("x", "FP32", [1.0])]})
    assert answer["outputs"][0]["data"] == [3.0]


def test_errors_are_json_with_a_status(server):
    ok = tensor("input_example", "FP32", [[1, 2, 3]])
    assert infer(server, "nothing", {"inputs": [ok]}, 404)["error"] == (
        "Servable not found for request: Latest(nothing)")
    assert infer(server, "linear", {"inputs": []}, 400)["error"] == (
        'missing inference input "input_example" of signature "serving_default"')
    assert infer(server, "linear", {"inputs": [tensor("q", "FP32", [1])]}, 400)["error"] == (
        'unexpected inference input "q": signature "serving_default" has "input_example"')
    assert infer(server, "linear", b"{", 400)["error"].startswith("JSON Parse error: ")
    assert infer(server, "linear", {"inputs": [{**ok, "shape": [9]}]}, 400)["error"] == (
        'input "input_example": its data has not the 9 elements of shape [9]')
    assert get(server, "/nothing", 404)["error"] == "there is nothing at /v2/nothing"
    assert get(server, "/models/linear/infer", 405)["error"] == "GET is not for this path"
    header = {"inputs": [blob("input_example", "FP32", [1, 3], b"1234")]}
    assert binary(server, "linear", header, b"1234", status=400) == (
        'input "input_example": 4 bytes are not a FP32 tensor of shape [1,3]')
    answer = server.ask("POST", "/v2/models/linear/infer", b"{}", {"Inference-Header-Content-Length": "3"})
    assert (answer.status, json.loads(answer.text)["error"]) == (
        400, "Inference-Header-Content-Length goes beyond the body")


def test_models_are_unloaded_and_loaded(start):
    server = start(config=model_config(("linear", MODELS / "linear"), ("identity", MODELS / "identity")))
    ready = {"version": "1", "state": "READY", "reason": ""}
    assert sorted(post(server, "/repository/index"), key=lambda m: m["name"]) == [
        {"name": "identity", **ready}, {"name": "linear", **ready}]
    assert post(server, "/repository/models/linear/unload", {}) is None
    end = time.monotonic() + 20
    while server.ask("GET", "/v2/models/linear/ready").status == 200:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert [m["name"] for m in post(server, "/repository/index", {"ready": True})] == ["identity"]
    x = {"inputs": [tensor("input_example", "FP32", [[1, 2, 3]])]}
    assert infer(server, "linear", x, 404)["error"] == "Servable not found for request: Latest(linear)"
    assert post(server, "/repository/models/linear/load") is None
    assert infer(server, "linear", x)["outputs"][0]["data"] == [5.5, 8.5]
    assert post(server, "/repository/models/linear/load") is None
    assert post(server, "/repository/models/nothing/load", {}, 404)["error"] == (
        'no model "nothing" is configured')


def test_a_model_on_demand_is_ready_and_loaded_by_the_first_that_asks(start):
    server = start(config=model_config(("linear", MODELS / "linear", "load: ON_DEMAND"),
                                       ("identity", MODELS / "identity", "load: ON_DEMAND")))
    assert get(server, "/models/linear/ready") == {"name": "linear", "ready": True}
    x = {"inputs": [tensor("input_example", "FP32", [[1, 2, 3]])]}
    assert infer(server, "linear", x)["outputs"][0]["data"] == [5.5, 8.5]
    assert get(server, "/models/identity")["versions"] == ["1"]


def test_without_extra_routes_there_is_nothing(servers):
    server = servers("--extra_routes=false", config=model_config(("linear", MODELS / "linear")))
    assert server.ask("GET", "/v2").status == 404
