"""Models that come, go, are half there, or are broken, while others serve on."""
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import tempfile
import threading
import time

import pytest

from conftest import model_config

MODELS = pathlib.Path(__file__).parent.parent / "models"


def versions(server, model):
    reply = server.ask("GET", f"/v1/models/{model}")
    if reply.status != 200:
        return {}
    return {int(v["version"]): v for v in json.loads(reply.text)["model_version_status"]}


def answer(server, model):
    reply = server.ask("POST", f"/v1/models/{model}:predict", '{"instances": [1.0]}')
    assert reply.status == 200, reply.text
    return json.loads(reply.text)["predictions"]


def state(server, model, version):
    return versions(server, model).get(version, {}).get("state")


def until(condition, seconds=30):
    end = time.time() + seconds
    while not condition():
        assert time.time() < end
        time.sleep(0.02)


def until_it_listens(server):
    def listens():
        try:
            return server.ask("GET", "/healthz").status == 200
        except ConnectionRefusedError:
            return False
    until(listens)


def files_of(model):
    root = MODELS / model / "1"
    return [p.relative_to(root) for p in sorted(root.rglob("*")) if p.is_file()]


def copy_slowly(model, order, target, pause):
    for name in order:
        data = (MODELS / model / "1" / name).read_bytes()
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        with open(target / name, "wb", buffering=0) as f:
            for k in range(3):
                f.write(data[len(data) * k // 3 : len(data) * (k + 1) // 3])
                time.sleep(pause)


@pytest.mark.parametrize("model", ["half_plus_two", "vocabulary_v1", "sharded", "multiply_add"])
def test_a_version_that_is_copied_in_never_fails(start, tmp_path, model):
    """Every order in one go for short lists, some of them for longer ones; each as a version."""
    orders = list(itertools.permutations(files_of(model)))
    orders = random.Random(1).sample(orders, min(len(orders), 8))
    config = model_config(("m", tmp_path / "m", "model_version_policy { all {} }"))
    (tmp_path / "m").mkdir()
    server = start("--version_settle_ms=300", config=config)
    copies = [
        threading.Thread(target=copy_slowly, args=(model, o, tmp_path / "m" / str(n), 0.1))
        for n, o in enumerate(orders, 1)
    ]
    for c in copies:
        c.start()
    seen = set()
    while any(c.is_alive() for c in copies):
        seen |= {(v["state"], v["status"]["error_code"]) for v in versions(server, "m").values()}
        time.sleep(0.02)
    until(lambda: all(state(server, "m", n) == "AVAILABLE" for n in range(1, len(orders) + 1)))
    assert seen <= {("START", "OK"), ("LOADING", "OK"), ("AVAILABLE", "OK")}
    assert "failed" not in server.log


def test_what_an_incomplete_version_lacks_is_in_its_status(start, tmp_path):
    shutil.copytree(MODELS / "half_plus_two", tmp_path / "m")
    server = start(config=model_config(("m", tmp_path / "m")))
    (tmp_path / "m" / "2").mkdir()
    until(lambda: state(server, "m", 2) == "START")
    status = versions(server, "m")[2]["status"]
    assert status["error_code"] == "OK"
    assert status["error_message"] == (
        "waiting until the version is complete: saved_model.pb is missing"
    )
    assert state(server, "m", 1) == "AVAILABLE"
    server.wait_for("Version 2 of servable m is not complete, and is left alone until it is")


def test_a_failed_version_that_is_mended_in_place_is_loaded_at_once(start, tmp_path):
    good = MODELS / "half_plus_two" / "1"
    shutil.copytree(good, tmp_path / "m" / "1")
    shutil.copytree(good, tmp_path / "m" / "2")
    pb = bytearray((good / "saved_model.pb").read_bytes())
    pb = pb.replace(b"VariableV2", b"VariableXX")
    (tmp_path / "m" / "2" / "saved_model.pb").write_bytes(pb)
    server = start("--max_num_load_retries=0", config=model_config(("m", tmp_path / "m")))
    until(lambda: state(server, "m", 2) == "END")
    assert versions(server, "m")[2]["status"]["error_code"] != "OK"
    shutil.copy(good / "saved_model.pb", tmp_path / "m" / "2" / "saved_model.pb")
    until(lambda: state(server, "m", 2) == "AVAILABLE")


def test_a_version_that_is_removed_and_one_that_is_swapped_by_a_link(start, tmp_path):
    """The base path is a link that is swung from one release to the next, as deploy tools do."""
    for release, version in (("a", "1"), ("b", "2")):
        shutil.copytree(MODELS / "half_plus_two" / "1", tmp_path / release / version)
    (tmp_path / "current").symlink_to("a")
    server = start(config=model_config(("m", tmp_path / "current")))
    until(lambda: state(server, "m", 1) == "AVAILABLE")
    (tmp_path / "next").symlink_to("b")
    os.rename(tmp_path / "next", tmp_path / "current")
    until(lambda: state(server, "m", 2) == "AVAILABLE")
    until(lambda: state(server, "m", 1) == "END")
    # It vanishes: what serves goes on.
    (tmp_path / "current").unlink()
    time.sleep(1.5)
    assert answer(server, "m") == [2.5]


def test_resources_can_be_given_back_before_the_next_version_takes_them(start, tmp_path):
    shutil.copytree(MODELS / "half_plus_two" / "1", tmp_path / "m" / "1")
    server = start(
        config=model_config(("m", tmp_path / "m", "version_transition: RESOURCE_PRESERVING"))
    )
    until(lambda: state(server, "m", 1) == "AVAILABLE")
    shutil.copytree(MODELS / "half_plus_two" / "1", tmp_path / "m" / "2")
    until(lambda: state(server, "m", 2) == "AVAILABLE")
    log = server.log
    assert log.index("Done unloading servable version {name: m version: 1}") < log.index(
        "Loading servable version {name: m version: 2}"
    )


def test_versions_that_ended_are_forgotten(start, tmp_path):
    shutil.copytree(MODELS / "half_plus_two" / "1", tmp_path / "m" / "1")
    server = start("--ended_version_ttl_s=1", config=model_config(("m", tmp_path / "m")))
    shutil.copytree(MODELS / "half_plus_two" / "1", tmp_path / "m" / "2")
    until(lambda: state(server, "m", 1) == "END")
    until(lambda: list(versions(server, "m")) == [2])


def test_odd_names_are_no_versions_and_broken_ones_say_why(start, tmp_path):
    good = MODELS / "half_plus_two" / "1"
    models = {}

    def model(name, version="1"):
        models[name] = tmp_path / name
        path = tmp_path / name / version
        shutil.copytree(good, path)
        return path

    model("good")
    model("padded", "01")
    model("negative", "-1")
    model("huge", "99999999999999999999")
    model("tmp", "tmp")
    (model("empty") / "saved_model.pb").write_bytes(b"")
    pb = model("truncated") / "saved_model.pb"
    pb.write_bytes(pb.read_bytes()[:-10])
    index = model("flipped") / "variables" / "variables.index"
    data = bytearray(index.read_bytes())
    data[20] ^= 0x40
    index.write_bytes(data)
    swapped = model("swapped")
    os.rename(swapped / "saved_model.pb", swapped / "x")
    os.rename(swapped / "variables" / "variables.index", swapped / "saved_model.pb")
    os.rename(swapped / "x", swapped / "variables" / "variables.index")
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "1").symlink_to("1")
    models["loop"] = tmp_path / "loop"
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "1").write_text("no directory")
    models["file"] = tmp_path / "file"
    weights = model("weights") / "variables" / "variables.data-00000-of-00001"
    data = bytearray(weights.read_bytes())
    data[0] ^= 0xFF
    weights.write_bytes(data)
    server = start(
        "--max_num_load_retries=0",
        "--incomplete_version_timeout_s=2",
        config=model_config(*models.items()),
    )
    for name, version in (("good", 1), ("padded", 1), ("negative", -1)):
        until(lambda: state(server, name, version) == "AVAILABLE")
    for name in ("empty", "truncated", "flipped", "swapped", "loop", "file", "weights"):
        until(lambda: state(server, name, 1) == "END")
        status = versions(server, name)[1]["status"]
        assert status["error_code"] != "OK" and len(status["error_message"]) > 20, name
    for name in ("huge", "tmp"):
        assert versions(server, name) == {}
        assert f"No versions of servable {name} found under base path" in server.log
    assert answer(server, "good") == [2.5]


def test_what_may_not_be_read_says_so_and_the_rest_serves_on(start):
    """What belongs to somebody else: a model, a version, the directory of the variables, and each kind of file."""
    if os.geteuid() != 0:
        pytest.skip("root alone can give files to somebody else than the server")
    shut = {"model": "", "version": "1", "variables": "1/variables", "graph": "1/saved_model.pb",
            "index": "1/variables/variables.index", "shard": "1/variables/variables.data-00000-of-00001"}
    with tempfile.TemporaryDirectory() as place:  # the tests may lie in root's home, where nobody may look
        place = pathlib.Path(place)
        place.chmod(0o755)
        names = ["good", *shut, "after"]
        for name in names:
            shutil.copytree(MODELS / "half_plus_two", place / name)
        for name, what in shut.items():
            path = place / name / what
            path.chmod(0o700 if path.is_dir() else 0o600)
        server = start("--run_as=nobody", "--max_num_load_retries=0", config=model_config(*((n, place / n) for n in names)))
        for name in ("good", "after"):
            assert answer(server, name) == [2.5]
        for name, what in shut.items():
            if not what:
                continue
            until(lambda: state(server, name, 1) == "END")
            status = versions(server, name)[1]["status"]
            named = {"version": "1/saved_model.pb", "variables": "1/variables/variables.index"}.get(name, what)
            assert status == {"error_code": "PERMISSION_DENIED", "error_message": f"{place / name / named}; Permission denied"}
        why = (f"Could not find base path {place}/model for servable model with error PERMISSION_DENIED: "
               f"{place}/model; Permission denied")
        assert f"filesystem access error: {why}" in server.log
        assert f"Unable to find a numerical version path for servable model at: {place}/model: {why}" in server.log
        reply = server.ask("GET", "/v1/models/model")
        assert reply.status == 404 and json.loads(reply.text) == {"error": f"Could not find any versions of model model: {why}"}
        for name in shut:
            reply = server.ask("POST", f"/v1/models/{name}:predict", '{"instances": [1.0]}')
            assert reply.status == 404 and json.loads(reply.text) == {"error": f"Servable not found for request: Latest({name})"}
        assert server.ask("GET", "/readyz").status == 200
        # A version that serves does not mind that it is shut; what is opened is loaded.
        (place / "good").chmod(0o700)
        for name, what in shut.items():
            path = place / name / what
            path.chmod(0o755 if path.is_dir() else 0o644)
        for name in shut:
            until(lambda: state(server, name, 1) == "AVAILABLE")
            assert answer(server, name) == [2.5]
        until(lambda: f"Could not find base path {place}/good for servable good" in server.log)
        assert answer(server, "good") == [2.5]


def test_looking_for_versions_once(start, tmp_path):
    """--file_system_poll_wait_seconds=0: at the start, and when a configuration comes."""
    shutil.copytree(MODELS / "half_plus_two", tmp_path / "m")
    server = start("--file_system_poll_wait_seconds=0", config=model_config(("m", tmp_path / "m")))
    assert state(server, "m", 1) == "AVAILABLE"
    shutil.copytree(MODELS / "half_plus_two" / "1", tmp_path / "m" / "2")
    time.sleep(2.5)
    assert list(versions(server, "m")) == [1] and answer(server, "m") == [2.5]
    shutil.rmtree(tmp_path / "m" / "1")
    time.sleep(1.2)
    assert state(server, "m", 1) == "AVAILABLE" and answer(server, "m") == [2.5]
    server.process.send_signal(signal.SIGHUP)
    until(lambda: state(server, "m", 2) == "AVAILABLE" and state(server, "m", 1) == "END")
    shutil.copytree(MODELS / "half_plus_two" / "1", tmp_path / "m" / "3")
    time.sleep(1.2)
    assert state(server, "m", 3) is None


@pytest.mark.parametrize("period", [-1, -2147483648])
def test_looking_for_versions_never(start, tmp_path, period):
    """Below 0: there is no version, and the server waits for one, as the original does. It ends when it is told to."""
    shutil.copytree(MODELS / "half_plus_two", tmp_path / "m")
    server = start(f"--file_system_poll_wait_seconds={period}", config=model_config(("m", tmp_path / "m")), wait=False)
    server.wait_for("(Re-)adding model: m")
    until_it_listens(server)
    for _ in range(2):
        time.sleep(1.2)
        assert server.ask("GET", "/healthz").status == 200
        assert server.ask("GET", "/readyz").status == server.ask("GET", "/startupz").status == 503
        reply = server.ask("POST", "/v1/models/m:predict", '{"instances": [1.0]}')
        assert reply.status == 503 and json.loads(reply.text) == {"error": "server is starting: models are loading"}
        assert versions(server, "m") == {}
        server.process.send_signal(signal.SIGHUP)
    assert "Exporting" not in server.log
    assert server.stop() == 0


def test_a_model_on_demand_is_loaded_by_its_first_request(start):
    more = "load: ON_DEMAND"
    server = start(config=model_config(("m", MODELS / "half_plus_two", more), ("n", MODELS / "counter")))
    status = versions(server, "m")[1]
    assert status["state"] == "START"
    assert status["status"] == {
        "error_code": "OK",
        "error_message": "it is loaded when it is asked for",
    }
    replies = []
    clients = [
        threading.Thread(target=lambda: replies.append(answer(server, "m"))) for _ in range(20)
    ]
    for c in clients:
        c.start()
    for c in clients:
        c.join()
    assert replies == [[2.5]] * 20
    assert state(server, "m", 1) == "AVAILABLE"
    assert server.log.count("Loading servable version {name: m version: 1}") == 1


def test_metadata_of_a_model_on_demand(start):
    server = start(config=model_config(("m", MODELS / "half_plus_two", "load: ON_DEMAND")))
    reply = server.ask("GET", "/v1/models/m/metadata")
    assert reply.status == 200 and "serving_default" in reply.text


def test_a_model_on_demand_that_is_broken_says_why(start, tmp_path):
    shutil.copytree(MODELS / "half_plus_two", tmp_path / "m")
    (tmp_path / "m/1/export.meta").touch()
    server = start(config=model_config(("m", tmp_path / "m", "load: ON_DEMAND")))
    for _ in range(2):
        reply = server.ask("POST", "/v1/models/m:predict", '{"instances": [1.0]}')
        assert reply.status == 503 and reply.headers["Retry-After"] == "1"
        assert "Session Bundle is deprecated and removed." in reply.text


def test_models_on_demand_share_a_budget(start):
    """Of the ten only a few fit; every request is answered all the same."""
    models = [(f"m{i}", MODELS / "keras_mlp", "load: ON_DEMAND") for i in range(10)]
    server = start("--memory_budget=150000", config=model_config(*models))
    for _ in range(3):
        for name, *_ in models:
            reply = server.ask("GET", f"/v1/models/{name}/metadata")
            assert reply.status == 200, reply.text
    states = [state(server, name, 1) for name, *_ in models]
    assert "START" in states and "AVAILABLE" in states
    assert "Giving up servable version" in server.log


def test_a_model_that_does_not_fit_says_so(start):
    server = start(
        "--memory_budget=1000",
        "--max_num_load_retries=0",
        config=model_config(("m", MODELS / "keras_mlp")),
    )
    until(lambda: state(server, "m", 1) == "END")
    status = versions(server, "m")[1]["status"]
    assert status["error_code"] == "RESOURCE_EXHAUSTED"
    assert status["error_message"].startswith(
        "Insufficient resources to load servable {name: m version: 1}: it needs "
    )


def test_what_is_loaded_survives_its_files(start, tmp_path):
    """Overwritten in place, truncated, deleted: what serves goes on, and gives the same answers."""
    digits = MODELS.parent.parent / "examples"
    shutil.copytree(digits / "models" / "digits", tmp_path / "m")
    body = (digits / "digits.json").read_text()
    server = start("--engine=native", config=model_config(("m", tmp_path / "m")))

    def ask():
        reply = server.ask("POST", "/v1/models/m:predict", body)
        assert reply.status == 200, reply.text
        return reply.text

    before = ask()
    for path in sorted((tmp_path / "m").rglob("variables.data*")):
        with open(path, "r+b") as f:
            f.write(b"\0" * path.stat().st_size)
    assert ask() == before
    for path in sorted((tmp_path / "m").rglob("variables.data*")):
        os.truncate(path, 0)
    assert ask() == before
    shutil.rmtree(tmp_path / "m")
    time.sleep(1.2)
    assert ask() == before
    assert server.ask("GET", "/v1/models/m").status == 200


def test_what_the_kernel_says_is_looked_at_long_before_the_next_poll(start, tmp_path):
    """Two models share a base path, a third one's is moved away and comes again."""
    for base in ("m", "other"):
        shutil.copytree(MODELS / "half_plus_two", tmp_path / base)
    config = tmp_path / "config.pbtxt"
    config.write_text(model_config(("m", tmp_path / "m"), ("n", tmp_path / "m"), ("other", tmp_path / "other")))
    server = start("--file_system_poll_wait_seconds=3600", f"--model_config_file={config}")
    until(lambda: all(state(server, name, 1) == "AVAILABLE" for name in ("m", "n", "other")))
    shutil.copytree(MODELS / "half_plus_two" / "1", tmp_path / "new")
    os.rename(tmp_path / "new", tmp_path / "m" / "2")
    until(lambda: state(server, "m", 2) == state(server, "n", 2) == "AVAILABLE")
    shutil.rmtree(tmp_path / "m" / "2")
    until(lambda: state(server, "n", 1) == "AVAILABLE" and state(server, "n", 2) == "END")
    # file by file, which is only heard at the beginning
    copy_slowly("half_plus_two", files_of("half_plus_two"), tmp_path / "m" / "3", 0.1)
    until(lambda: state(server, "m", 3) == "AVAILABLE")
    # a model that goes leaves the watch to the other one
    config.write_text(model_config(("m", tmp_path / "m"), ("other", tmp_path / "other")))
    server.process.send_signal(signal.SIGHUP)
    until(lambda: state(server, "n", 3) in ("END", None))
    shutil.copytree(MODELS / "half_plus_two" / "1", tmp_path / "m" / "4")
    until(lambda: state(server, "m", 4) == "AVAILABLE")
    shutil.rmtree(tmp_path / "other")
    shutil.copytree(MODELS / "half_plus_two", tmp_path / "other")
    time.sleep(0.1)
    assert answer(server, "other") == [2.5]
