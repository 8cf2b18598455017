"""Predict over gRPC with TensorFlow Serving's own client: every dtype, every error of the contract."""
import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from conftest import ROOT, model_config
from grpc_client import PREDICTION, fails, grpc_server, predict_request

MODELS, COMPAT = ROOT / "tests/models", ROOT / "tests/compat/models"
C = grpc.StatusCode


def config():
    return model_config(
        ("half_plus_two", COMPAT / "half_plus_two", "model_version_policy { all {} }",
         'version_labels { key: "stable" value: 123 }'),
        *[(n, MODELS / n) for n in ("identity", "linear", "multiply_add", "defaults", "counter", "image_bytes")])


@pytest.fixture(scope="module")
def server():
    s = grpc_server("--access_log=all", config=config())
    yield s
    s.grpc.close()
    assert s.stop() == 0


@pytest.fixture(scope="module")
def predict(server):
    def call(model, inputs=None, **kw):
        inputs = {k: v if isinstance(v, tensor_pb2.TensorProto) else tf.make_tensor_proto(v)
                  for k, v in (inputs or {}).items()}
        return server.grpc.prediction.Predict(predict_request(model, inputs, **kw), timeout=20)

    return call


# ---- what is right ----

def test_predict_answers_with_values_and_what_was_used(predict):
    reply = predict("half_plus_two", {"x": np.float32([1, 2, 5])})
    assert tf.make_ndarray(reply.outputs["y"]).tolist() == [2.5, 3, 4.5]
    spec = reply.model_spec
    assert (spec.name, spec.signature_name, spec.version_label) == ("half_plus_two", "serving_default", "")
    assert spec.version.value in (123, 124)
    assert reply.outputs["y"].float_val and not reply.outputs["y"].tensor_content


DTYPES = [
    ("float", np.float32, [1.5, -2]), ("double", np.float64, [1e300, -0.0]), ("int32", np.int32, [-2**31, 2**31 - 1]),
    ("uint8", np.uint8, [0, 255]), ("int16", np.int16, [-2**15, 2**15 - 1]), ("int8", np.int8, [-128, 127]),
    ("string", object, [b"", b"\xff\x00" * 1000]), ("int64", np.int64, [-2**63, 2**63 - 1]), ("bool", bool, [True, False]),
    ("uint16", np.uint16, [0, 65535]), ("uint32", np.uint32, [0, 2**32 - 1]), ("uint64", np.uint64, [0, 2**64 - 1]),
    ("half", np.float16, [1.5, 65504]), ("bfloat16", tf.bfloat16.as_numpy_dtype, [1.5, -3]),
    ("complex64", np.complex64, [1 + 2j, -1j]), ("complex128", np.complex128, [1 + 2j, -1j])]


def typed(values):
    """The form with lists, which make_tensor_proto does not choose for large arrays."""
    content = tf.make_tensor_proto(values)
    if not content.tensor_content:
        return content
    out = tensor_pb2.TensorProto(dtype=content.dtype, tensor_shape=content.tensor_shape)
    name = {tf.float32: "float_val", tf.float64: "double_val", tf.int64: "int64_val", tf.bool: "bool_val",
            tf.uint32: "uint32_val", tf.uint64: "uint64_val", tf.complex64: "scomplex_val", tf.float16: "half_val",
            tf.complex128: "dcomplex_val", tf.bfloat16: "half_val"}.get(tf.as_dtype(content.dtype), "int_val")
    flat = np.asarray(values).ravel()
    if name in ("scomplex_val", "dcomplex_val"):
        flat = [part for v in flat for part in (v.real, v.imag)]
    elif name == "half_val":
        flat = flat.view(np.uint16)
    getattr(out, name).extend(v.item() if hasattr(v, "item") else v for v in flat)
    return out


@pytest.mark.parametrize("name, dtype, values", DTYPES, ids=[d[0] for d in DTYPES])
def test_every_dtype_goes_in_and_comes_out(predict, name, dtype, values):
    array = np.array(values, dtype=dtype).reshape(1, 2, 1)
    for sent in (tf.make_tensor_proto(array), typed(array)):
        reply = predict("identity", {"x": sent}, signature=name).outputs["y"]
        assert reply.dtype == sent.dtype and not reply.tensor_content
        back = tf.make_ndarray(reply)
        assert back.shape == (1, 2, 1)
        assert back.tobytes() == array.tobytes() if dtype is not object else (back == array).all()


def test_short_lists_repeat_their_last_value_and_none_means_zeros(predict):
    shape = tf.TensorShape([4]).as_proto()
    two = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, tensor_shape=shape, float_val=[1, 2])
    assert list(predict("identity", {"x": two}).outputs["y"].float_val) == [1, 2, 2, 2]
    none = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, tensor_shape=shape)
    assert list(predict("identity", {"x": none}).outputs["y"].float_val) == [0, 0, 0, 0]
    elsewhere = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, tensor_shape=shape, double_val=[7])
    assert list(predict("identity", {"x": elsewhere}).outputs["y"].float_val) == [0, 0, 0, 0]


def test_scalars_and_empty_tensors(predict):
    reply = predict("identity", {"x": np.float32(7)}).outputs["y"]
    assert reply.HasField("tensor_shape") and not reply.tensor_shape.dim and list(reply.float_val) == [7]
    reply = predict("identity", {"x": np.zeros((0, 3), np.float32)}).outputs["y"]
    assert [d.size for d in reply.tensor_shape.dim] == [0, 3] and not reply.float_val and not reply.tensor_content


def test_output_filter_chooses(predict):
    sent = {"a": np.float32([3]), "b": np.float32([4])}
    assert set(predict("multiply_add", sent).outputs) == {"product", "sum"}
    reply = predict("multiply_add", sent, output_filter=["sum"])
    assert set(reply.outputs) == {"sum"} and list(reply.outputs["sum"].float_val) == [7]


def test_inputs_with_defaults_may_be_left_out(predict):
    reply = predict("defaults", {"x": np.float32([1, 2])})
    assert list(reply.outputs["y"].float_val) == [3, 5]
    reply = predict("defaults", {"x": np.float32([1]), "scale": np.float32(10)})
    assert list(reply.outputs["y"].float_val) == [11]


def test_signatures_without_inputs(predict):
    assert tf.make_ndarray(predict("counter", signature="reset_counter").outputs["output"]) == 0
    assert tf.make_ndarray(predict("counter", signature="incr_counter").outputs["output"]) == 1


def test_versions_and_labels(predict):
    x = {"x": np.float32([1])}
    assert predict("half_plus_two", x, version=123).model_spec.version.value == 123
    reply = predict("half_plus_two", x, label="stable")
    assert reply.model_spec.version.value == 123 and reply.model_spec.version_label == ""


def test_requests_without_a_known_use_are_accepted(predict, server):
    request = predict_request("half_plus_two", {"x": tf.make_tensor_proto(np.float32([1]))})
    request.predict_streamed_options.request_state = 1
    request.client_id = b"me"
    request.request_options.return_stoptokens.append(3)
    body = request.SerializeToString() + b"\xf8\x7f\x01\xfa\x7f\x03abc"  # unknown fields
    assert server.grpc.raw(PREDICTION + "Predict", body)


# ---- errors, in the words of the contract ----

X = {"x": np.float32([1])}


@pytest.mark.parametrize("code, text, args", [
    (C.INVALID_ARGUMENT, "ModelSpec has no name specified.", dict(model="", inputs=X)),
    (C.NOT_FOUND, "Servable not found for request: Latest(nobody)", dict(model="nobody", inputs=X)),
    (C.NOT_FOUND, "Servable not found for request: Specific(half_plus_two, 7)",
     dict(model="half_plus_two", inputs=X, version=7)),
    (C.NOT_FOUND, "Servable not found for request: Specific(half_plus_two, 0)",
     dict(model="half_plus_two", inputs=X, version=0)),
    (C.NOT_FOUND, "Servable not found for request: Specific(half_plus_two, -5)",
     dict(model="half_plus_two", inputs=X, version=-5)),
    (C.INVALID_ARGUMENT, "Unrecognized servable version label: canary",
     dict(model="half_plus_two", inputs=X, label="canary")),
    (C.INVALID_ARGUMENT, "Unrecognized servable version label: canary", dict(model="nobody", inputs=X, label="canary")),
    (C.FAILED_PRECONDITION, 'Serving signature key "nope" not found.',
     dict(model="half_plus_two", inputs=X, signature="nope")),
    (C.FAILED_PRECONDITION, 'Serving signature key "serving_default" not found.', dict(model="counter", inputs=X)),
    (C.INVALID_ARGUMENT, "input size does not match signature: 2!=1 len({x,z}) != len({x}). "
     "Sent extra: {z}. Missing but required: {}.", dict(model="half_plus_two", inputs={**X, "z": np.float32([1])})),
    (C.INVALID_ARGUMENT, "input size does not match signature: 0!=1 len({}) != len({x}). "
     "Sent extra: {}. Missing but required: {x}.", dict(model="half_plus_two")),
    (C.INVALID_ARGUMENT, "Signature input alias: x(feed name: x:0) not found in request and no default value provided. "
     "Inputs expected to be in the request {z}, or default input alias set: ",
     dict(model="half_plus_two", inputs={"z": np.float32([1])})),
    (C.INVALID_ARGUMENT, "tensor parsing error: x",
     dict(model="half_plus_two", inputs={"x": tensor_pb2.TensorProto(dtype=99)})),
    (C.INVALID_ARGUMENT, "output tensor alias not found in signature: z Outputs expected to be in the set {y}.",
     dict(model="half_plus_two", inputs=X, output_filter=["z"])),
    (C.INVALID_ARGUMENT, "duplicate output tensor alias: y",
     dict(model="half_plus_two", inputs=X, output_filter=["y", "y"])),
], ids=lambda v: v[:40] if isinstance(v, str) else "")
def test_errors_in_the_original_s_words(predict, code, text, args):
    with fails(code, text):
        predict(args.pop("model"), **args)


def test_a_missing_model_spec(server):
    with fails(C.INVALID_ARGUMENT, "Missing ModelSpec"):
        server.grpc.raw(PREDICTION + "Predict", b"")


def test_an_input_that_a_default_hides(predict):
    with fails(C.INVALID_ARGUMENT,
               "Inputs contains invalid name. Used request inputs: x, request input: nope,x"):
        predict("defaults", {"x": np.float32([1]), "nope": np.float32([1])})


def test_what_the_model_refuses(predict):
    with fails(C.INVALID_ARGUMENT, lambda t: t.startswith("Matrix size-incompatible: In[0]: [1,2], In[1]: [3,2]")):
        predict("linear", {"input_example": np.float32([[1, 2]])})
    with fails(C.INVALID_ARGUMENT, "Expects arg[0] to be float but int32 is provided"):
        predict("linear", {"input_example": np.int32([[1, 2, 3]])})


def test_a_long_message_is_cut_after_1024_bytes(predict):
    with fails(C.INVALID_ARGUMENT, lambda t: len(t) == 1024 + len("...TRUNCATED") and t.endswith("...TRUNCATED")):
        predict("half_plus_two", X, output_filter=["z" * 3000])


def test_text_beyond_ascii_comes_back_whole(predict):
    with fails(C.FAILED_PRECONDITION, 'Serving signature key "ä\n%" not found.'):
        predict("half_plus_two", X, signature="ä\n%")


# ---- flags ----

def test_tensor_content_and_method_names_by_flag():
    s = grpc_server("--enable_serialization_as_tensor_content", "--enable_signature_method_name_check",
                    config=config())
    sent = {"x": tf.make_tensor_proto(np.float32([1, 2]))}
    reply = s.grpc.prediction.Predict(predict_request("half_plus_two", sent), timeout=20).outputs["y"]
    assert tf.make_ndarray(reply).tolist() == [2.5, 3] and reply.tensor_content and not reply.float_val
    sent = {"x": tf.make_tensor_proto([b"a", b"", b"ccc"])}
    reply = s.grpc.prediction.Predict(predict_request("identity", sent, "string"), timeout=20).outputs["y"]
    assert reply.tensor_content == b"\x01\x00\x03accc" and not reply.string_val
    s.grpc.close()
    assert s.stop() == 0


# ---- observed from outside ----

def test_metrics_and_access_log_know_grpc(predict, server):
    predict("half_plus_two", X)
    page = server.ask("GET", "/metrics").text
    assert ':tensorflow:serving:request_count{model_name="half_plus_two",status="OK"}' in page
    assert (':tensorflow:serving:request_latency_count{model_name="half_plus_two",API="Predict",entrypoint="GRPC"}'
            in page)
    assert ':tensorflow:serving:request_count{model_name="nobody",status="NOT_FOUND"}' in page
    request = predict_request("half_plus_two", {"x": tf.make_tensor_proto(np.float32([1]))})
    _, call = server.grpc.prediction.Predict.with_call(request, timeout=20, metadata=[("x-request-id", "it-is-me")])
    assert dict(call.initial_metadata())["x-request-id"] == "it-is-me"
    server.wait_for('id="it-is-me"')
    line = next(l for l in server.log.splitlines() if 'id="it-is-me"' in l)
    for part in ('path="/tensorflow.serving.PredictionService/Predict"', 'model="half_plus_two"', 'status=200',
                 'grpc_status="OK"', 'client="127.0.0.1:'):
        assert part in line
