"""Protobuf instead of JSON over plain HTTP: POST ...:predict, :classify, :regress."""
import json

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import classification_pb2, predict_pb2, regression_pb2

from conftest import ROOT, model_config

MODELS = ROOT / "tests/models"
TYPE = {"Content-Type": "application/x-protobuf"}


@pytest.fixture(scope="module")
def server(servers):
    return servers(config=model_config(*((m, MODELS / m) for m in (
        "linear", "half_plus_two", "identity", "multiply_add", "defaults"))))


def post(server, path, request, **headers):
    body = request if isinstance(request, bytes) else request.SerializeToString()
    return server.ask("POST", f"/v1/models/{path}", body, {**TYPE, **headers})


def predict(server, path, inputs, **kwargs):
    request = predict_pb2.PredictRequest(**kwargs)
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(value if isinstance(value, tensor_pb2.TensorProto)
                                      else tf.make_tensor_proto(value))
    return post(server, f"{path}:predict", request)


def outputs(answer):
    assert answer.status == 200, answer.text
    assert answer.headers["content-type"] == "application/x-protobuf"
    response = predict_pb2.PredictResponse.FromString(answer.body)
    return response, {k: tf.make_ndarray(v) for k, v in response.outputs.items()}


def error(answer, status):
    assert answer.status == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    return json.loads(answer.text)["error"]


def test_a_request_is_answered_in_kind(server):
    x = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    response, out = outputs(predict(server, "linear", {"input_example": x}))
    np.testing.assert_allclose(out["output"], [[5.5, 8.5], [14.5, 16]])
    assert response.outputs["output"].float_val and not response.outputs["output"].tensor_content
    assert response.model_spec.name == "linear"
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "serving_default"


def test_every_dtype_comes_back(server):
    for name, dtype in {"float": "float32", "double": "float64", "int32": "int32", "int64": "int64",
                        "uint8": "uint8", "int8": "int8", "bool": "bool"}.items():
        x = np.array([[0, 1], [1, 0]], dtype)
        _, out = outputs(predict(server, "identity", {"x": x}, model_spec={"signature_name": name}))
        assert out["y"].dtype == x.dtype
        np.testing.assert_array_equal(out["y"], x)


def test_a_filter_chooses_outputs(server):
    v = np.array([2.0, 3.0], np.float32)
    _, out = outputs(predict(server, "multiply_add", {"a": v, "b": v}, output_filter=["sum"]))
    assert list(out) == ["sum"]
    np.testing.assert_allclose(out["sum"], [4, 6])


def test_the_url_chooses_model_and_version(server):
    x = {"x": np.float32([1])}
    _, out = outputs(predict(server, "defaults/versions/1", x,
                             model_spec={"name": "defaults", "version": {"value": 1}}))
    np.testing.assert_allclose(out["y"], [3])
    assert error(predict(server, "defaults", x, model_spec={"name": "linear"}), 400) == (
        'model_spec names the model "linear", the URL "defaults"')
    assert "the URL, which chooses" in error(
        predict(server, "defaults", x, model_spec={"version": {"value": 1}}), 400)
    assert error(predict(server, "nothing", x), 404) == "Servable not found for request: Latest(nothing)"


def test_errors_are_json_with_the_words_of_grpc(server):
    assert error(predict(server, "linear", {}), 400) == (
        "input size does not match signature: 0!=1 len({}) != len({input_example}). Sent extra: {}. "
        "Missing but required: {input_example}.")
    assert error(predict(server, "linear", {}, model_spec={"signature_name": "none"}), 400) == (
        'Serving signature key "none" not found.')
    assert error(post(server, "linear:predict", b"\x0a\xff"), 400) == (
        "the body is not a PredictRequest in protobuf's wire form")
    assert error(post(server, "linear:classify", b"\x0a\xff"), 400) == (
        "the body is not a ClassificationRequest in protobuf's wire form")
    huge = tensor_pb2.TensorProto(dtype=1, float_val=[1.0])
    huge.tensor_shape.dim.add(size=1 << 33)
    assert "would expand" in error(predict(server, "linear", {"input_example": huge}), 429)


def test_examples_are_classified_and_regressed(server):
    example = tf.train.Example(features=tf.train.Features(feature={
        "x": tf.train.Feature(float_list=tf.train.FloatList(value=[4]))}))
    request = regression_pb2.RegressionRequest(model_spec={"signature_name": "regress_x_to_y"})
    request.input.example_list.examples.append(example)
    answer = post(server, "half_plus_two:regress", request)
    assert answer.status == 200, answer.text
    response = regression_pb2.RegressionResponse.FromString(answer.body)
    assert [r.value for r in response.result.regressions] == [4.0]

    request = classification_pb2.ClassificationRequest(model_spec={"signature_name": "classify_x_to_y"})
    request.input.example_list_with_context.examples.append(tf.train.Example())
    request.input.example_list_with_context.context.CopyFrom(example)
    answer = post(server, "half_plus_two:classify", request)
    assert answer.status == 200, answer.text
    response = classification_pb2.ClassificationResponse.FromString(answer.body)
    assert [c.score for c in response.result.classifications[0].classes] == [4.0]
    assert error(post(server, "half_plus_two:regress", regression_pb2.RegressionRequest(
        model_spec={"signature_name": "regress_x_to_y"})), 400) == "Input is empty."


def test_large_tensors_go_both_ways(server):
    x = np.arange(300000, dtype=np.float32).reshape(100000, 3)
    _, out = outputs(predict(server, "identity", {"x": x}))
    np.testing.assert_array_equal(out["y"], x)


def test_content_is_sent_if_that_is_asked_for(servers):
    server = servers("--enable_serialization_as_tensor_content=true",
                     config=model_config(("identity", MODELS / "identity")))
    response, out = outputs(predict(server, "identity", {"x": np.float32([1, 2])}))
    assert response.outputs["y"].tensor_content and not response.outputs["y"].float_val
    np.testing.assert_array_equal(out["y"], np.float32([1, 2]))


def test_json_stays_json_and_the_original_looks_at_no_content_type(servers):
    server = servers("--extra_routes=false", config=model_config(("linear", MODELS / "linear")))
    answer = server.ask("POST", "/v1/models/linear:predict", '{"instances": [[1, 2, 3]]}', TYPE)
    assert answer.status == 200
    assert json.loads(answer.text)["predictions"] == [[5.5, 8.5]]
