"""Models written by several versions of TensorFlow are served as that very version would run them.

Each version is installed by pip into build/venvs/<version> (SLUICE_TF_VENVS names another place), exports a Keras
model and a tf.Module, and says what it answers itself. Then Sluice serves the files natively, and with that
version's own library. TF_VERSIONS="2.15.1 2.19.1" tests fewer.
"""
import json
import os
import pathlib
import subprocess
import sys

import pytest

from deep import ROOT
from served import SLUICE, Server, model_config

VENVS = pathlib.Path(os.environ.get("SLUICE_TF_VENVS", ROOT / "build/venvs"))
VERSIONS = os.environ.get("TF_VERSIONS", "2.12.1 2.15.1 2.17.1 2.19.1").split()
ROWS = [[0.0, 0.0, 0.0, 0.0], [1.0, -2.0, 3.5, 0.25], [-7.5, 100.0, 0.001, 2.0]]

EXPORT = r'''
import json, os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import tensorflow as tf

out, rows = sys.argv[1], json.loads(sys.argv[2])
tf.keras.utils.set_random_seed(7)

keras = tf.keras.Sequential([
    tf.keras.Input((4,)),
    tf.keras.layers.Dense(16, activation="relu"), tf.keras.layers.LayerNormalization(),
    tf.keras.layers.Dense(8, activation="tanh"), tf.keras.layers.Dense(3, activation="softmax")])
if hasattr(keras, "export"):
    keras.export(out + "/keras/1")
else:
    tf.saved_model.save(keras, out + "/keras/1")

class Module(tf.Module):
    def __init__(self):
        super().__init__()
        self.w = tf.Variable(tf.random.stateless_normal([4, 5], seed=[1, 2]), name="w")
        self.b = tf.Variable(tf.random.stateless_normal([5], seed=[3, 4]), name="b")
        self.scale = tf.constant([2.0, 0.5, 1.0, 0.0])

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def serve(self, x):
        y = tf.nn.relu(tf.matmul(x * self.scale, self.w) + self.b)
        return {"sum": tf.reduce_sum(y, axis=1), "best": tf.argmax(y, axis=1), "scaled": y / (1.0 + tf.abs(y))}

module = Module()
tf.saved_model.save(module, out + "/module/1", signatures={"serving_default": module.serve})

x = tf.constant(rows)
said = {"version": tf.__version__, "module": {k: v.numpy().tolist() for k, v in module.serve(x).items()}}
served = tf.saved_model.load(out + "/keras/1").signatures["serving_default"]
name = list(served.structured_input_signature[1])[0]
(output, value), = served(**{name: x}).items()
said["keras"] = value.numpy().tolist()
json.dump(said, open(out + "/said.json", "w"))
'''


def python_of(version):
    """A Python that has this TensorFlow; made by pip, once."""
    venv = VENVS / version
    if not (venv / "bin/python").exists() and (VENVS / f"tf{version}/bin/python").exists():
        venv = VENVS / f"tf{version}"
    ready = venv / ".ready"
    if VENVS == ROOT / "build/venvs" and not ready.exists():
        base = os.environ.get("SLUICE_TEST_PYTHON_BASE", sys.executable)
        subprocess.run([base, "-m", "venv", venv], check=True)
        done = subprocess.run([venv / "bin/pip", "install", "-q", "--disable-pip-version-check",
                               f"tensorflow-cpu=={version}", "numpy<2"], capture_output=True, text=True)
        assert done.returncode == 0, f"tensorflow-cpu {version} cannot be installed:\n{done.stderr[-3000:]}"
        ready.touch()
    return venv / "bin/python"


class Exported:
    def __init__(self, version, directory):
        self.version, self.directory, self.python = version, directory, python_of(version)
        (directory / "export.py").write_text(EXPORT)
        done = subprocess.run([self.python, directory / "export.py", directory, json.dumps(ROWS)],
                              capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr[-4000:]
        self.said = json.loads((directory / "said.json").read_text())
        self.config = model_config(("keras", directory / "keras"), ("module", directory / "module"))


@pytest.fixture(scope="module", params=VERSIONS)
def exported(request, tmp_path_factory):
    return Exported(request.param, tmp_path_factory.mktemp(f"tf{request.param}"))


def close(a, b):
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(close, a, b))
    return a == b or abs(a - b) <= 1e-5 * max(1.0, abs(a), abs(b))


def check(server, exported):
    body = json.dumps({"instances": ROWS})
    got = server.ask("POST", "/v1/models/keras:predict", body)
    assert got.status == 200, got.text
    assert close(json.loads(got.text)["predictions"], exported.said["keras"]), (got.text, exported.said["keras"])
    got = server.ask("POST", "/v1/models/module:predict", json.dumps({"inputs": ROWS}))
    assert got.status == 200, got.text
    outputs = json.loads(got.text)["outputs"]
    assert set(outputs) == set(exported.said["module"])
    for name, wanted in exported.said["module"].items():
        assert close(outputs[name], wanted), (name, outputs[name], wanted)


def test_it_is_the_version_that_was_asked_for(exported):
    assert exported.said["version"] == exported.version


def test_the_native_engine_agrees(exported, start):
    check(start("--engine=native", config=exported.config), exported)


def test_that_versions_own_library_agrees(exported, start):
    server = start("--engine=tensorflow", f"--tensorflow_python={exported.python}", config=exported.config)
    check(server, exported)
    assert exported.version in server.log, "the log does not say which TensorFlow runs the model"


def test_the_newest_library_agrees(exported, start):
    newest = pathlib.Path(os.environ.get("SLUICE_TEST_PYTHON", ROOT / "build/venv/bin/python"))
    check(start("--engine=tensorflow", f"--tensorflow_python={newest}", config=exported.config), exported)


def test_inspect_names_the_version(exported):
    for model in ("keras", "module"):
        done = subprocess.run([SLUICE, "inspect", exported.directory / model], capture_output=True, text=True,
                              timeout=60)
        assert done.returncode == 0, done.stderr
        assert f"TensorFlow {exported.version}" in done.stdout, done.stdout
