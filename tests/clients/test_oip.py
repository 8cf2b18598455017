"""tritonclient and kserve's clients, over REST and gRPC; what they get is what TensorFlow computes."""
import json
import subprocess

import numpy as np
import pytest

import served  # tests/api/conftest.py, by tests/clients/conftest.py

MODELS = served.ROOT / "tests/models"
PYTHON = served.ROOT / "build/venv-oip/bin/python"
NAMES = {"FP32": "float32", "FP64": "float64", "INT32": "int32", "INT64": "int64", "UINT8": "uint8", "INT8": "int8",
         "BOOL": "bool", "FP16": "float16", "BYTES": "object"}
# model, signature, inputs: name, datatype, values
CASES = [
    ("linear", "serving_default", [("input_example", "FP32", [[1, 2, 3], [4, 5, 6]])]),
    ("keras_mlp", "serving_default", [("features", "FP32", [[0.5, -1, 2, 0], [1, 1, 1, 1]])]),
    ("multiply_add", "serving_default", [("b", "FP32", [1, 2]), ("a", "FP32", [3, 4])]),
    ("identity", "double", [("x", "FP64", [0.1, 1e300])]),
    ("identity", "int32", [("x", "INT32", [[1, -2], [3, 4]])]),
    ("identity", "int64", [("x", "INT64", [1, -2, 2 ** 62])]),
    ("identity", "uint8", [("x", "UINT8", [1, 255])]),
    ("identity", "int8", [("x", "INT8", [-128, 127])]),
    ("identity", "bool", [("x", "BOOL", [True, False])]),
    ("identity", "string", [("x", "BYTES", ["ab", "c"])]),
    ("identity", "half", [("x", "FP16", [0.5, -2])]),
    ("vocabulary", "serving_default", [("words", "BYTES", ["red", "blue", "none"])]),
]


def oracle():
    """The cases with their outputs, as TensorFlow computes them."""
    import tensorflow as tf
    out = []
    for model, signature, inputs in CASES:
        run = tf.saved_model.load(str(MODELS / model / "1")).signatures[signature]
        given = {name: tf.constant(values, dtype=tf.string if datatype == "BYTES" else NAMES[datatype])
                 for name, datatype, values in inputs}
        got = {name: t.numpy().flatten() for name, t in run(**given).items()}
        out.append({
            "model": model, "signature": signature,
            "inputs": {name: [datatype, list(np.shape(values)), np.array(values).flatten().tolist()]
                       for name, datatype, values in inputs},
            "outputs": {name: [v.decode() if isinstance(v, bytes) else v for v in t.tolist()]
                        for name, t in got.items()}})
    return json.dumps(out)


@pytest.fixture(scope="module")
def expected():
    return oracle()


@pytest.mark.parametrize("client", ["tritonclient", "kserve"])
def test_clients_of_the_open_inference_protocol(start, expected, client):
    if not PYTHON.exists():
        pytest.fail("build/venv-oip is not there (tools/venv oip makes it)", pytrace=False)
    port = served.free_port()
    server = start(f"--grpc_address=127.0.0.1:{port}",
                   config=served.model_config(*((m, MODELS / m) for m in sorted({c[0] for c in CASES}))))
    script = served.ROOT / "tests/clients/oip_client.py"
    done = subprocess.run([PYTHON, script, client, str(server.port), str(port)], input=expected, text=True,
                          capture_output=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr[-4000:]
