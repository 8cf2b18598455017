"""The `sluice` command: what it prints, and with which status it ends."""
import json
import os
import shutil
import subprocess

import pytest

from conftest import ROOT, SLUICE, free_port, model_config

MODEL = ROOT / "examples/models/my_model"


def run(*args, stdin="", program=SLUICE, env=None):
    return subprocess.run([str(program), *map(str, args)], input=stdin, capture_output=True, text=True,
                          timeout=60, env={**os.environ, **(env or {})})


@pytest.fixture
def original(tmp_path):
    """The binary under the name of the program that it replaces."""
    link = tmp_path / "tensorflow_model_server"
    link.symlink_to(SLUICE)
    return link


def test_help_and_versions():
    assert "serve" in run("help").stdout
    assert run("help").returncode == 0
    assert "--rest_api_port=<int32>" in run("serve", "--help").stdout
    assert run("serve", "--help").returncode == 0
    assert run("serve", "--version").stdout.startswith("TensorFlow ModelServer: ")
    assert run("version").stdout.startswith("sluice ")


def test_the_man_page_is_the_one_in_docs():
    assert run("serve", "--help=man").stdout == (ROOT / "docs/sluice.1").read_text()


@pytest.mark.parametrize("args, message", [
    (["inpsect"], 'there is no command "inpsect"; did you mean "inspect"?'),
    (["serve", "--prot=1"], "unknown argument: --prot=1; did you mean --port?"),
    (["serve", "--port=x"], "Couldn't interpret value x for flag port."),
    (["inspect"], "usage: sluice inspect DIR"),
    (["inspect", MODEL, "--engin=native"], "did you mean --engine?"),
])
def test_bad_usage_ends_with_2_and_says_what_was_meant(args, message):
    done = run(*args)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_a_server_that_cannot_start_ends_with_1_and_one_line():
    done = run("serve", "--rest_api_port=1234")
    assert done.returncode == 1
    assert "Both server_options.model_base_path and server_options.model_config_file are empty!" in done.stderr


def test_under_the_originals_name_its_statuses_and_streams_hold(original):
    done = run("--port=0", program=original)
    assert done.returncode == 255
    assert done.stdout.startswith("Failed to start server. Error: INVALID_ARGUMENT: At least one of ")
    done = run("--port=x", program=original)
    assert done.returncode == 255
    assert done.stdout.startswith(f"usage: {original}\nFlags:\n\t--port=8500 ")
    assert "Couldn't interpret value x for flag port." in done.stderr
    done = run("--prot=8500", program=original)
    assert done.returncode == 255
    assert done.stdout == "unknown argument: --prot=8500; did you mean --port?\n"
    assert run("--help", program=original).returncode == 255
    done = run("--version", program=original)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 2


def test_tls_that_was_asked_for_is_never_replaced_by_plain_text(tmp_path):
    ssl = tmp_path / "ssl"
    ssl.write_text('server_key: "k" server_cert: "c"')
    done = run("serve", f"--ssl_config_file={ssl}", f"--model_base_path={MODEL}")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("sluice: cannot start: Failed to BuildAndStart gRPC server: ")


# ---- inspect ----

def test_inspect_shows_signatures_ops_and_engine():
    done = run("inspect", MODEL)
    assert done.returncode == 0, done.stderr
    for text in ("serving_default", "float", "producer", "signatures", "ops", "engine"):
        assert text in done.stdout


def test_inspect_prints_json():
    facts = json.loads(run("inspect", MODEL, "--json").stdout)
    assert facts["version"] == 1
    names = [s["name"] for s in facts["signatures"]]
    assert "serving_default" in names and names == sorted(names)
    assert facts["tags"] == ["serve"]
    assert sum(facts["ops"].values()) == facts["nodes"]


def test_inspect_takes_a_version_directory():
    facts = json.loads(run("inspect", MODEL / "1", "--json").stdout)
    assert "version" not in facts


def test_inspect_says_what_is_missing(tmp_path):
    done = run("inspect", tmp_path / "nowhere")
    assert done.returncode == 1
    assert "No such file or directory" in done.stderr
    done = run("inspect", tmp_path)
    assert "neither a saved_model.pb nor a version directory" in done.stderr
    (tmp_path / "3").mkdir()
    assert "3 has no saved_model.pb" in run("inspect", tmp_path).stderr
    (tmp_path / "3/saved_model.pb").write_bytes(b"\xff\xff\xff")
    done = run("inspect", tmp_path)
    assert done.returncode == 1
    assert "saved_model.pb" in done.stderr


def test_names_from_a_file_do_not_reach_the_terminal_raw(tmp_path):
    shutil.copytree(MODEL, tmp_path / "m")
    model = tmp_path / "m/1/saved_model.pb"
    model.write_bytes(model.read_bytes().replace(b"serving_default", b"serving\x1b[31mult"))
    done = run("inspect", tmp_path / "m")
    assert "\x1b" not in done.stdout
    assert "\\x1b[31mult" in done.stdout


# ---- predict ----

def predictions(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["predictions"]


def test_predict_runs_a_model_in_a_directory():
    row = "[[1.0, 2.0, 3.0]]"
    assert predictions(run("predict", MODEL, '--data={"instances": ' + row + "}")) == [[4.75]]
    assert predictions(run("predict", MODEL, "--data", row)) == [[4.75]]
    assert predictions(run("predict", MODEL, stdin=row)) == [[4.75]]
    assert predictions(run("predict", MODEL, f"--data={row}", "--signature_name=serving_default")) == [[4.75]]
    assert predictions(run("predict", MODEL, '--data={"instances":' + row + "}",
                           "--signature_name=serving_default")) == [[4.75]]


def test_predict_reads_a_file(tmp_path):
    request = tmp_path / "request.json"
    request.write_text('{"instances": [[1.0, 2.0, 3.0]]}')
    assert predictions(run("predict", MODEL / "1", f"--data=@{request}")) == [[4.75]]


@pytest.mark.parametrize("args, message", [
    (["--data=[1.0"], "JSON Parse error"),
    (["--data=[1.0]", "--signature_name=nope"], '"nope" not found in signature def'),
    (['--data={"inputs": {"z": 1}}'], "Missing named input: "),
    (["--data=@/no/such"], "/no/such; No such file or directory"),
])
def test_predict_refuses_as_the_server_would(args, message):
    done = run("predict", MODEL, *args)
    assert done.returncode == 1
    assert message in done.stderr


def test_predict_asks_a_server(servers):
    server = servers(config=model_config(("half", MODEL)))
    url = f"http://127.0.0.1:{server.port}/v1/models/half"
    for target in (url, url + "/versions/1", url + ":predict"):
        assert predictions(run("predict", target, "--data=[[1.0, 2.0, 3.0]]")) == [[4.75]]
    done = run("predict", url + "x", "--data=[1.0]")
    assert done.returncode == 1
    assert "Servable not found for request: Latest(halfx)" in done.stderr


def test_predict_says_when_nobody_is_there():
    done = run("predict", f"http://127.0.0.1:{free_port()}/v1/models/half", "--data=[1.0]")
    assert done.returncode == 1
    assert "Connection refused" in done.stderr
    assert "only http:// and https:// are spoken here" in run("predict", "ftp://localhost/", "--data=[1]").stderr


# ---- check ----

def test_check_accepts_what_serve_would(tmp_path):
    config = tmp_path / "models"
    config.write_text(model_config(("half", MODEL)))
    done = run("check", f"--model_config_file={config}", f"--port={free_port()}", f"--rest_api_port={free_port()}")
    assert done.returncode == 0, done.stderr
    assert "model half: version 1: " in done.stdout
    assert done.stdout.endswith("ok\n")


def test_inspect_reads_the_text_form_as_the_binary_one(tmp_path):
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2

    def inspect(path):
        told = json.loads(run("inspect", path, "--json").stdout)
        return {k: v for k, v in told.items() if k not in ("path", "directory", "bytes")}

    for binary in sorted((ROOT / "tests/models").glob("*/1/saved_model.pb")):
        copy = tmp_path / binary.parts[-3]
        shutil.copytree(binary.parent, copy)
        (copy / "saved_model.pb").unlink()
        pb = saved_model_pb2.SavedModel.FromString(binary.read_bytes())
        (copy / "saved_model.pbtxt").write_text(text_format.MessageToString(pb))
        assert inspect(copy) == inspect(binary.parent), copy


def test_check_warns_of_arms_without_a_version(tmp_path):
    for n in "1", "2", "3":
        shutil.copytree(MODEL / "1", tmp_path / "m" / n)
    config = tmp_path / "models"

    def warnings(more):
        config.write_text(model_config(("half", tmp_path / "m", more)))
        done = run("check", f"--model_config_file={config}", "--port=0", f"--rest_api_port={free_port()}")
        told = done.stderr.splitlines()
        assert done.returncode == 0 and done.stdout.endswith(f"ok, with {len(told)} warnings\n" if len(told) > 1 else
                                                             "ok, with 1 warning\n" if told else "ok\n"), done.stderr
        return told

    split = 'traffic { split { version: 2 weight: 9 } split { label: "canary" weight: 1 } } '
    assert warnings('model_version_policy { all {} } version_labels { key: "canary" value: 3 } '
                    + split + 'shadow { version: 1 }') == []
    where = tmp_path / "m"
    assert warnings('model_version_policy { all {} } version_labels { key: "canary" value: 4 } '
                    + split + 'shadow { version: 7 }') == [
        f'sluice: warning: model half: label "canary" names version 4, which is not in {where}; it has: 1, 2, 3',
        f'sluice: warning: model half: its split names version 4 (label "canary"), which is not in {where}; it has: 1, 2, 3',
        f"sluice: warning: model half: its shadow is version 7, which is not in {where}; it has: 1, 2, 3"]
    # There, but the policy takes the latest alone.
    assert warnings('version_labels { key: "canary" value: 3 } ' + split) == [
        f"sluice: warning: model half: its split names version 2, which is not loaded from {where}; it has: 1, 2, 3; "
        "its version policy loads: 3"]


def test_check_refuses_what_serve_would_stumble_over(tmp_path):
    config = tmp_path / "models"
    config.write_text("model_config_list {\n  config { nam: 'x' }\n}")
    done = run("check", f"--model_config_file={config}")
    assert done.returncode == 1
    assert f"Invalid protobuf file: '{config}': 2:12: " in done.stderr
    assert 'did you mean "name"?' in done.stderr
    config.write_text(model_config(("half", MODEL), ("gone", tmp_path / "gone")))
    done = run("check", f"--model_config_file={config}")
    assert done.returncode == 1
    assert "model gone: " in done.stderr
    shutil.copytree(MODEL / "1", tmp_path / "flat")
    done = run("check", f"--model_base_path={tmp_path / 'flat'}")
    assert done.returncode == 1
    assert "move it to " in done.stderr
