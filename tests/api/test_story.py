"""The first story: a newcomer exports a model, writes a config, asks from another place."""
import json
import pathlib
import shutil
import subprocess

import pytest
import requests

from conftest import ROOT, SLUICE, model_config

MODEL = ROOT / "examples/models/my_model"
ROW = {"instances": [[1.0, 2.0, 3.0]]}


def url(server, name="my_model", method="predict"):
    return f"http://127.0.0.1:{server.port}/v1/models/{name}:{method}"


@pytest.mark.parametrize("engine", ["native", "tensorflow", "auto"])
def test_the_answer_equals_tensorflows_own(servers, engine):
    server = servers(f"--engine={engine}", config=model_config(("my_model", MODEL)))
    reply = requests.post(url(server), json=ROW)
    assert reply.status_code == 200
    assert reply.json() == {"predictions": [[4.75]]}


def test_digits_are_recognised(servers):
    server = servers(config=model_config(("digits", ROOT / "examples/models/digits")))
    request = json.loads((ROOT / "examples/digits.json").read_text())
    reply = requests.post(url(server, "digits"), json=request).json()
    assert [p["digit"] for p in reply["predictions"]] == list(range(10))


def test_a_script_for_tensorflow_serving_works_unchanged(tmp_path, start):
    link = tmp_path / "tensorflow_model_server"
    link.symlink_to(SLUICE)
    server = start(f"--model_name=my_model", f"--model_base_path={MODEL}",
                   command=[str(link)])
    assert requests.post(url(server), json=ROW).json() == {"predictions": [[4.75]]}


# ---- the ways in which people get this wrong ----

def test_a_base_path_that_is_not_there_is_named_in_the_log_and_the_rest_serves(start, tmp_path):
    server = start(config=model_config(("my_model", MODEL), ("lost", tmp_path / "nowhere")))
    server.wait_for("nowhere")
    assert requests.post(url(server), json=ROW).status_code == 200
    reply = requests.post(url(server, "lost"), json=ROW)
    assert reply.status_code == 404
    assert reply.json()["error"] == "Servable not found for request: Latest(lost)"


def test_a_missing_version_directory_is_explained(start, tmp_path):
    shutil.copytree(MODEL / "1", tmp_path / "flat")
    server = start(config=model_config(("my_model", MODEL), ("flat", tmp_path / "flat")))
    server.wait_for("Did you forget to name your leaf directory as a number (eg. '/1/')?")


def test_a_wrong_signature_name_is_named(servers):
    server = servers(config=model_config(("my_model", MODEL)))
    reply = requests.post(url(server), json={**ROW, "signature_name": "serve_default"})
    assert reply.status_code == 400
    assert reply.json()["error"] == 'Serving signature name: "serve_default" not found in signature def'


def test_a_wrong_input_name_is_named(servers):
    server = servers(config=model_config(("my_model", MODEL)))
    reply = requests.post(url(server), json={"instances": [{"x": [1.0, 2.0, 3.0]}]})
    assert reply.status_code == 400
    assert "does not have named input: x" in reply.json()["error"]


def test_a_wrong_dtype_quotes_the_value(servers):
    server = servers(config=model_config(("my_model", MODEL)))
    reply = requests.post(url(server), json={"instances": [["a", "b", "c"]]})
    assert reply.status_code == 400
    assert 'JSON Value: "a" Type: String is not of expected type: float' in reply.json()["error"]


@pytest.mark.parametrize("engine", ["native", "tensorflow"])
def test_a_wrong_shape_says_both_shapes(servers, engine):
    server = servers(f"--engine={engine}", config=model_config(("my_model", MODEL)))
    reply = requests.post(url(server), json={"instances": [[1.0, 2.0, 3.0, 4.0]]})
    assert reply.status_code == 400
    assert "In[0]: [1,4], In[1]: [3,1]" in reply.json()["error"]


def test_malformed_json_says_where(servers):
    server = servers(config=model_config(("my_model", MODEL)))
    reply = requests.post(url(server), data='{"instances": [[1.0, 2.0, 3.0]')
    assert reply.status_code == 400
    assert reply.json()["error"].startswith("JSON Parse error: ")
    assert "at offset: 30" in reply.json()["error"]


def test_a_config_with_a_typo_says_line_column_and_the_nearest_name(tmp_path):
    config = tmp_path / "config.pbtxt"
    config.write_text('model_config_list {\n  config {\n    name: "m"\n    base_pth: "/m"\n  }\n}\n')
    ended = subprocess.run([SLUICE, "serve", "--rest_api_port=18999", f"--model_config_file={config}"],
                           capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "4:5" in ended.stderr and "base_pth" in ended.stderr and "base_path" in ended.stderr


def test_a_mistyped_flag_is_refused_with_the_nearest_name():
    ended = subprocess.run([SLUICE, "serve", "--rest_api_prt=8501"], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "rest_api_prt" in ended.stderr and "rest_api_port" in ended.stderr
