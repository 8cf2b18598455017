#!/usr/bin/env python3
"""Makes pb/*.bin: messages as protobuf's own library writes them, for test_predict_pb.c and its like.

    build/venv/bin/python tests/unit/codec/make_pb_fixtures.py

A file is a sequence of parts, each a little-endian uint32 length and that many bytes; pb_fixture.h reads
them. What the parts are stands with each function below.
"""
import pathlib
import struct

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    classification_pb2, get_model_metadata_pb2, get_model_status_pb2, inference_pb2,
    model_management_pb2, model_pb2, predict_pb2, regression_pb2)

HERE = pathlib.Path(__file__).resolve().parent / "pb"

# dtype, values: all that has a typed list and a tensor_content
DTYPES = ["float32", "float64", "int32", "uint8", "int16", "int8", "complex64", "int64", "bool", "uint16",
          "complex128", "half", "bfloat16", "uint32", "uint64", "float8_e5m2", "float8_e4m3fn"]


class Parts:
    def __init__(self):
        self.out = bytearray()

    def add(self, data):
        self.out += struct.pack("<I", len(data)) + bytes(data)

    def save(self, name):
        (HERE / name).write_bytes(self.out)


def values(name):
    dtype = tf.as_dtype(name).as_numpy_dtype
    if name == "bool":
        return np.array([[True, False, True], [False, False, True]])
    numbers = np.array([[0, 1, 2], [100, 7, 127]])
    if name.startswith("complex"):
        return (numbers + 1j * (numbers - 3)).astype(dtype)
    if name.startswith("int"):
        numbers = numbers - 64
    if name in ("int32", "int64"):
        numbers[1][0] = np.iinfo(dtype).min + 1
    if name in ("uint32", "uint64", "uint16"):
        return np.array([[0, 1, 2], [100, 7, np.iinfo(dtype).max]], dtype)
    if "float" in name or name == "half":
        numbers = numbers * 0.5 - 1
    return numbers.astype(dtype)


def typed(array):
    """The TensorProto with the dtype's own list, every value of it: what the original answers with."""
    dtype = tf.as_dtype(array.dtype)
    p = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum)
    for n in array.shape:
        p.tensor_shape.dim.add(size=n)
    flat = array.flatten()
    if dtype.name in ("float32",):
        p.float_val.extend(flat.tolist())
    elif dtype.name == "float64":
        p.double_val.extend(flat.tolist())
    elif dtype.name == "int64":
        p.int64_val.extend(flat.tolist())
    elif dtype.name == "uint32":
        p.uint32_val.extend(flat.tolist())
    elif dtype.name == "uint64":
        p.uint64_val.extend(flat.tolist())
    elif dtype.name == "bool":
        p.bool_val.extend(flat.tolist())
    elif dtype.name == "complex64":
        p.scomplex_val.extend(flat.view(np.float32).tolist())
    elif dtype.name == "complex128":
        p.dcomplex_val.extend(flat.view(np.float64).tolist())
    elif dtype.name in ("float16", "bfloat16"):
        p.half_val.extend(flat.view(np.uint16).tolist())
    elif dtype.name.startswith("float8"):
        p.float8_val = flat.tobytes()
    else:
        p.int_val.extend(flat.tolist())
    assert (tf.make_ndarray(p) == array).all() or dtype.name.startswith("float8")
    return p


def content(array):
    p = typed(array)
    q = tensor_pb2.TensorProto(dtype=p.dtype, tensor_shape=p.tensor_shape,
                               tensor_content=array.tobytes())
    return q


def spec(**kwargs):
    version = kwargs.pop("version", None)
    s = model_pb2.ModelSpec(**kwargs)
    if version is not None:
        s.version.value = version
    return s


def predict():
    """For each dtype: its number, the elements' bytes; a PredictRequest with x as a typed list, one as
    tensor_content; the PredictResponse of model m, version 7, with y as a list, and as content."""
    parts = Parts()
    for name in DTYPES:
        array = values(name)
        parts.add(struct.pack("<I", tf.as_dtype(name).as_datatype_enum))
        parts.add(array.tobytes())
        for make in (typed, content):
            request = predict_pb2.PredictRequest(model_spec=spec(name="m"))
            request.inputs["x"].CopyFrom(make(array))
            parts.add(request.SerializeToString())
        for make in (typed, content):
            response = predict_pb2.PredictResponse(
                model_spec=spec(name="m", version=7, signature_name="serving_default"))
            response.outputs["y"].CopyFrom(make(array))
            parts.add(response.SerializeToString())
    parts.save("predict.bin")


def strings():
    """Of the strings "a", "" and 300 times "b": two requests, two responses, as above."""
    parts = Parts()
    all_ = [b"a", b"", b"b" * 300]
    lists = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=all_)
    joined = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING,
                                    tensor_content=b"\x01\x00\xac\x02" + b"".join(all_))
    for p in (lists, joined):
        p.tensor_shape.dim.add(size=3)
        request = predict_pb2.PredictRequest(model_spec=spec(name="m"))
        request.inputs["x"].CopyFrom(p)
        parts.add(request.SerializeToString())
    for p in (lists, joined):
        response = predict_pb2.PredictResponse(
            model_spec=spec(name="m", version=7, signature_name="serving_default"))
        response.outputs["y"].CopyFrom(p)
        parts.add(response.SerializeToString())
    parts.save("strings.bin")


def example(x):
    return tf.train.Example(features=tf.train.Features(feature={
        "x": tf.train.Feature(float_list=tf.train.FloatList(value=[x, -x])),
        "n": tf.train.Feature(int64_list=tf.train.Int64List(value=[int(x), -1])),
        "s": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"\xff\0"]))}))


def examples():
    """ClassificationRequest (version 3, signature s) of two Examples; those two; a RegressionRequest
    (label l) with context and one Example; context and Example, behind one another; a
    MultiInferenceRequest of two tasks and one Example."""
    parts = Parts()
    one, two = example(1), example(2)
    request = classification_pb2.ClassificationRequest(
        model_spec=spec(name="m", version=3, signature_name="s"))
    request.input.example_list.examples.extend([one, two])
    # As the list's fields hold them: a map's order may differ from one serialization to the next.
    wire = request.input.example_list.SerializeToString(deterministic=True)
    request = classification_pb2.ClassificationRequest.FromString(request.SerializeToString(deterministic=True))
    parts.add(request.SerializeToString(deterministic=True))
    parts.add(one.SerializeToString(deterministic=True))
    parts.add(two.SerializeToString(deterministic=True))
    assert one.SerializeToString(deterministic=True) in wire
    request = regression_pb2.RegressionRequest(model_spec=spec(name="m", version_label="l"))
    request.input.example_list_with_context.examples.append(one)
    request.input.example_list_with_context.context.CopyFrom(two)
    parts.add(request.SerializeToString(deterministic=True))
    parts.add(two.SerializeToString(deterministic=True) + one.SerializeToString(deterministic=True))
    request = inference_pb2.MultiInferenceRequest()
    request.tasks.add(model_spec=spec(name="m", signature_name="a"),
                      method_name="tensorflow/serving/classify")
    request.tasks.add(model_spec=spec(name="m", signature_name="b"),
                      method_name="tensorflow/serving/regress")
    request.input.example_list.examples.append(one)
    parts.add(request.SerializeToString(deterministic=True))
    parts.save("examples.bin")


LABELS = [["a", "b"], ["", "d"]]
SCORES = [[0.5, 0.0], [-0.0, 3.0]]
VALUES = [1.5, 0.0, -2.0]


def classes(labels, scores):
    result = classification_pb2.ClassificationResult()
    for row in range(2):
        c = result.classifications.add()
        for k in range(2):
            one = c.classes.add()
            if labels:
                one.label = LABELS[row][k]
            if scores:
                one.score = SCORES[row][k]
    return result


def regressions():
    result = regression_pb2.RegressionResult()
    for v in VALUES:
        result.regressions.add(value=v)
    return result


def answers():
    """ClassificationResponse with labels and scores, with labels only, with scores only; a
    RegressionResponse; a MultiInferenceResponse of the first and the fourth."""
    parts = Parts()
    used = spec(name="m", version=0, signature_name="s")
    for labels, scores in ((1, 1), (1, 0), (0, 1)):
        parts.add(classification_pb2.ClassificationResponse(
            result=classes(labels, scores), model_spec=used).SerializeToString())
    parts.add(regression_pb2.RegressionResponse(
        result=regressions(), model_spec=used).SerializeToString())
    multi = inference_pb2.MultiInferenceResponse()
    multi.results.add(model_spec=used, classification_result=classes(1, 1))
    multi.results.add(model_spec=used, regression_result=regressions())
    parts.add(multi.SerializeToString())
    parts.save("answers.bin")


def models():
    """GetModelMetadataRequest; its response with the signatures a (method p) and b (none);
    GetModelStatusRequest; its response: 12 is AVAILABLE, 3 is END with NOT_FOUND "gone";
    ReloadConfigRequest of one model; its response: OK, metric m +5, n +0."""
    from google.protobuf import any_pb2
    parts = Parts()
    request = get_model_metadata_pb2.GetModelMetadataRequest(
        model_spec=spec(name="m", version=2), metadata_field=["signature_def"])
    parts.add(request.SerializeToString())
    signatures = get_model_metadata_pb2.SignatureDefMap()
    signatures.signature_def["a"].method_name = "p"
    signatures.signature_def["b"].SetInParent()
    response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=spec(name="m", version=2))
    response.metadata["signature_def"].CopyFrom(any_pb2.Any(
        type_url="type.googleapis.com/tensorflow.serving.SignatureDefMap",
        value=signatures.SerializeToString(deterministic=True)))
    parts.add(response.SerializeToString())
    parts.add(get_model_status_pb2.GetModelStatusRequest(model_spec=spec(name="m")).SerializeToString())
    status = get_model_status_pb2.GetModelStatusResponse()
    status.model_version_status.add(version=12, state=30).status.SetInParent()
    gone = status.model_version_status.add(version=3, state=50)
    gone.status.error_code = 5
    gone.status.error_message = "gone"
    parts.add(status.SerializeToString())
    reload_ = model_management_pb2.ReloadConfigRequest(metric_names=["m", "n"])
    config = reload_.config.model_config_list.config.add(
        name="m", base_path="/models/m", model_platform="tensorflow")
    config.model_version_policy.specific.versions.extend([1, 2])
    config.version_labels["stable"] = 1
    parts.add(reload_.SerializeToString())
    answer = model_management_pb2.ReloadConfigResponse()
    answer.status.SetInParent()
    answer.metric.add(name="m", int64_value_increase=5)
    answer.metric.add(name="n", int64_value_increase=0)
    parts.add(answer.SerializeToString())
    parts.save("models.bin")


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    predict()
    strings()
    examples()
    answers()
    models()
