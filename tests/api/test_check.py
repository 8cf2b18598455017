"""`sluice check`: what it finds, and what of that is fatal."""
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

import pytest

from certificates import Authority
from conftest import ROOT, SLUICE, free_port, model_config

MODEL = ROOT / "tests/models/half_plus_two"
SHARDED = ROOT / "tests/models/sharded"


def check(*args, by=()):
    """With ports of its own, where the test does not say: those of REST are 8501 otherwise."""
    given = " ".join(map(str, args))
    if "--rest_address" not in given and "--rest_api_port" not in given:
        args += (f"--rest_api_port={free_port()}",)
    if "--port" not in given and "--grpc_" not in given:
        args += ("--port=0",)
    done = subprocess.run([*by, str(SLUICE), "check", *map(str, args)], capture_output=True, text=True, timeout=60)
    assert "Sanitizer" not in done.stderr, done.stderr
    # A build that counts its branches cannot write them as somebody else.
    done.stderr = "".join(l for l in done.stderr.splitlines(True) if not l.startswith("profiling:"))
    done.last = done.stdout.splitlines()[-1]
    return done


def expect(done, status, *findings):
    """These findings and no others, in this order."""
    told = done.stderr.splitlines()
    assert done.returncode == status, done.stderr
    assert len(told) == len(findings), done.stderr
    for line, finding in zip(told, findings):
        assert line.startswith("sluice: ") and finding in line, done.stderr
    if status == 1:
        assert done.last.startswith("not ok: ")
    else:
        assert done.last == ("ok" if not findings else f"ok, with {len(findings)} warning" + "s"[:len(findings) > 1])
    return told


@pytest.fixture
def models(tmp_path):
    """Makes a model of versions, each a copy of another model's."""
    def make(*versions, of=MODEL, name="m"):
        for version in versions:
            shutil.copytree(of / "1", tmp_path / name / str(version))
        return tmp_path / name
    return make


@pytest.fixture
def config(tmp_path):
    """In a directory of its own: --sandbox=strict may read all that lies beside it."""
    def write(*entries):
        path = tmp_path / "etc/config"
        path.parent.mkdir(exist_ok=True)
        path.write_text(model_config(*entries))
        return f"--model_config_file={path}"
    return write


@contextlib.contextmanager
def listening(address="127.0.0.1", **options):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for option in options.get("options", ()):
            s.setsockopt(socket.SOL_SOCKET, option, 1)
        port = free_port()
        s.bind((address, port))
        s.listen()
        s.setblocking(False)
        yield port
        with pytest.raises(BlockingIOError): # whoever listens is left alone
            s.accept()


# ---- versions ----

LABEL_99 = 'version_labels { key: "canary" value: 99 }'


def test_a_label_of_a_version_that_is_not_there_waits_for_it(models, config):
    m = models(1, 2)
    flag = config(("m", m, LABEL_99))
    told = f'model m: label "canary" names version 99, which is not in {m}; it has: 1, 2'
    assert expect(check(flag), 0, told)[0].startswith("sluice: warning: ")
    expect(check(flag, "--strict_startup"), 1, told)
    expect(check(flag, "--reload"), 1, told)
    expect(check(flag, "--allow_version_labels_for_unavailable_models"), 0)
    # A version that comes with the configuration that names it is wanted, wherever it is.
    expect(check(config(("m", m, 'version_labels { key: "canary" value: 2 }')), "--strict_startup"), 0)


def test_a_label_of_a_version_that_the_policy_does_not_load(models, config):
    m = models(1, 2)
    done = check(config(("m", m, 'version_labels { key: "old" value: 1 } version_labels { key: "canary" value: 99 }')))
    expect(done, 0, f'label "old" names version 1, which is not loaded from {m}; it has: 1, 2; its version policy loads: 2',
           'label "canary" names version 99')


def test_a_version_that_is_asked_for_by_number(models, config):
    m = models(1)
    wanted = "Version 7 of servable m, which was requested to be served as a 'specific' version"
    expect(check(config(("m", m, "model_version_policy { specific { versions: 7 } }"))), 1, wanted)
    done = check(config(("m", m, "model_version_policy { specific { versions: 7 versions: 1 } }")))
    expect(done, 1, wanted)
    assert "model m: version 1: native" in done.stdout


def test_no_version_is_wanted(models, config):
    flag = config(("m", models(1), "model_version_policy { specific {} }"))
    told = 'model m: "specific {}" wants no version'
    expect(check(flag, "--log_level=error"), 0, told)
    expect(check(flag, "--log_level=error", "--reload", "--strict_startup"), 0, told)
    expect(check(flag, "--log_level=error", "--strict_startup"), 1, told)


def test_models_are_not_opened_with_a_platform_that_nobody_knows(models, tmp_path):
    m = models(1)
    (m / "1/saved_model.pb").write_bytes(b"nothing")
    done = check(f"--model_base_path={m}", "--platform_config_file=/no/platforms")
    expect(done, 1, "/no/platforms; No such file")
    assert "models were not looked at inside" in done.stdout


def test_all_versions_that_the_policy_wants_are_looked_at(models, config):
    m = models(1, 2, 3)
    (m / "1/saved_model.pb").write_bytes(b"")
    all_of_them = config(("m", m, "model_version_policy { all {} }"))
    done = check(all_of_them)
    expect(done, 1, f"model m: version 1 is not complete, and is not loaded until it is: {m}/1: ")
    assert "version 2: native" in done.stdout and "version 3: native" in done.stdout
    expect(check(config(("m", m))), 0) # the latest alone


def test_names_of_versions_are_those_of_the_server(models, start, config):
    m = models("-1")
    done = check(f"--model_base_path={m}")
    expect(done, 0)
    assert "version -1: native" in done.stdout
    server = start(f"--model_base_path={m}", "--model_name=m")
    assert server.ask("GET", "/v1/models/m").status == 200
    assert "no saved_model.pb" not in server.log and "neither a saved_model.pb" not in server.log


# ---- completeness ----

@pytest.mark.parametrize("shorten, missing", [
    (lambda v: (v / "variables.index").unlink(), "variables/variables.index is missing"),
    (lambda v: (v / "variables.data-00001-of-00003").unlink(), "variables.data-00001-of-00003 is missing"),
    (lambda v: os.truncate(v / "variables.data-00001-of-00003", 10), "variables.data-00001-of-00003 has 10 of 1024 bytes"),
], ids=["index", "shard", "short"])
def test_what_the_server_would_call_incomplete(models, shorten, missing):
    m = models(4, of=SHARDED)
    shorten(m / "4/variables")
    expect(check(f"--model_base_path={m}"), 1, f"version 4 is not complete, and is not loaded until it is: {m}/4: variables/")
    assert missing in check(f"--model_base_path={m}").stderr


def test_an_incomplete_version_leaves_the_one_before_it(models):
    m = models(4, 5, of=SHARDED)
    (m / "5/variables/variables.index").unlink()
    done = check(f"--model_base_path={m}")
    expect(done, 1, "version 5 is not complete")
    assert "version 4: native" in done.stdout


# ---- signatures and engines ----

def test_engine_and_signatures_are_told(models):
    out = check(f"--model_base_path={models(1)}", "--model_name=m").stdout
    assert "model m: version 1: native, the first engine that can run it; may need " in out
    assert "model m: version 1: signature serving_default: x float[?,1] -> y float[?,1]\n" in out
    assert "model m: version 1: signature regress_x_to_y: inputs string[?] -> outputs float[?,1]\n" in out


def test_a_version_without_signatures(models):
    from tensorflow.core.protobuf import saved_model_pb2
    m = models(1)
    file = m / "1/saved_model.pb"
    pb = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    pb.meta_graphs[0].signature_def.clear()
    file.write_bytes(pb.SerializeToString())
    expect(check(f"--model_base_path={m}"), 0, "version 1 has no signature")


def test_names_from_a_model_do_not_reach_the_terminal_raw(models):
    m = models(1)
    file = m / "1/saved_model.pb"
    file.write_bytes(file.read_bytes().replace(b"serving_default", b"serving\x1b[31mult"))
    out = check(f"--model_base_path={m}").stdout
    assert "\x1b" not in out and "\\x1b[31mult" in out


# ---- memory ----

def test_memory(models, config):
    m, n = models(1, 2), models(1, name="n", of=SHARDED)
    both = config(("m", m, "model_version_policy { all {} }"), ("n", n))
    budget = "and the memory budget is 10 bytes (--memory_budget)"
    expect(check(both, "--memory_budget=10"), 1, *["may need"] * 4)
    told = check(both, "--memory_budget=10").stderr.splitlines()
    assert all(budget in line for line in told) and "model m: version 2 may need" in told[1]
    assert "warning: the 3 versions that are loaded at the start may need " in told[3]
    expect(check(both, "--memory_budget=100000000"), 0)
    expect(check(both, "--memory_budget=-1"), 0)
    expect(check(both), 0)
    needs = [int(line.split("may need ")[1].split()[0]) for line in check(both).stdout.splitlines() if "may need" in line]
    one = f"--memory_budget={max(needs)}" # each by itself, but not all of them
    assert "warning: " in expect(check(both, one), 0, "the 3 versions that are loaded at the start")[0]
    expect(check(both, one, "--strict_startup"), 1, "the 3 versions that are loaded at the start")
    expect(check(config(("m", m, "load: ON_DEMAND model_version_policy { all {} }"), ("n", n)), one), 0)


# ---- addresses ----

@pytest.mark.parametrize("flag, told", [
    ("--rest_address=127.0.0.1:{}", "rest_address: 127.0.0.1:{} is in use"),
    ("--grpc_address=127.0.0.1:1,127.0.0.1:{}", "grpc_address: 127.0.0.1:{} is in use"),
    ("--admin_address=127.0.0.1:{}", "admin_address: 127.0.0.1:{} is in use"),
    ("--health_port={}", "health_port: [::]:{} is in use"),
    ("--rest_api_port={}", "rest_api_port: [::]:{} is in use"),
    ("--port={}", "port: [::]:{} is in use"),
])
def test_an_address_in_use(models, flag, told):
    m = f"--model_base_path={models(1)}"
    with listening() as port:
        flag, told = flag.format(port), told.format(port)
        assert expect(check(m, flag), 0, told)[0].startswith("sluice: warning: ")
        expect(check(m, flag, "--strict_startup"), 1, told)
        done = check(m, flag, "--reload") # it is as it should be
        expect(done, 0)
        assert told in done.stdout
    expect(check(m, flag, "--strict_startup"), 0)


def test_a_port_is_shared_with_whoever_wants_that(models, start):
    m = f"--model_base_path={models(1)}"
    server = start(m, "--reuse_port")
    rest = f"--rest_api_port={server.port}"
    expect(check(m, rest, "--reuse_port", "--strict_startup"), 0)
    expect(check(m, rest), 0, f"rest_api_port: [::]:{server.port} is in use")
    assert all(server.ask("GET", "/v1/models/default").status == 200 for _ in range(20)) # it has lost no connection
    with listening() as port: # this one does not share
        expect(check(m, f"--rest_address=127.0.0.1:{port}", "--reuse_port"), 0, "is in use")


@pytest.mark.parametrize("flag", ["rest_address", "grpc_address"])
def test_an_address_of_another_machine(models, flag):
    done = check(f"--model_base_path={models(1)}", f"--{flag}=203.0.113.9:8600")
    expect(done, 1, f"{flag}: cannot listen on 203.0.113.9:8600: Cannot assign requested address")


def test_addresses_that_are_none(models):
    m = f"--model_base_path={models(1)}"
    expect(check(m, "--rest_address=here"), 1, 'rest_address: not an address "host:port": "here"')
    expect(check(m, "--rest_address=https://127.0.0.1:8600"), 1, "needs a certificate")
    expect(check(m, "--admin_address=0.0.0.0:8600"), 1, "admin_address=0.0.0.0:8600: without identities")
    many = ",".join(f"127.0.0.1:{port}" for port in range(11000, 11017))
    assert "more than 16 addresses to listen on" in check(m, f"--rest_address={many}").stderr


def test_addresses_in_each_others_way(models, tmp_path):
    m, port = f"--model_base_path={models(1)}", free_port()
    expect(check(m, f"--rest_address=127.0.0.1:{port}", f"--port={port}"), 1,
           f"rest_address: 127.0.0.1:{port} is in the way of port: [::]:{port}")
    expect(check(m, f"--grpc_address=127.0.0.1:{port},127.0.0.2:{port},unix:{tmp_path}/s",
                 f"--grpc_socket_path={tmp_path}/s"), 1, f"unix:{tmp_path}/s is in the way of grpc_address: unix:{tmp_path}/s")
    expect(check(m, f"--rest_api_port={port}", f"--port={port}"), 0) # one port for both


def test_unix_sockets(models, tmp_path):
    m, path = f"--model_base_path={models(1)}", tmp_path / "s"
    expect(check(m, f"--grpc_socket_path={path}"), 0)
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        s.listen()
        expect(check(m, f"--admin_address=unix:{path}"), 0, f"admin_address: unix:{path} is in use")
    expect(check(m, f"--admin_address=unix:{path}"), 0) # nobody is there any more
    assert path.exists()
    expect(check(m, f"--grpc_socket_path={tmp_path}/no/s"), 1, "No such file or directory")
    plain = tmp_path / "plain"
    plain.write_text("precious")
    expect(check(m, f"--grpc_socket_path={plain}"), 1, "Socket operation on non-socket")


def test_a_plain_file_is_not_taken_for_a_socket(models, tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("precious")
    done = subprocess.run([str(SLUICE), "serve", f"--model_base_path={models(1)}", "--port=0", f"--rest_address=unix:{plain}"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "Address already in use" in done.stderr
    assert plain.read_text() == "precious"


# ---- the sandbox ----

OUTSIDE = "lies outside of what --sandbox=strict lets the server read: name a directory above it in --sandbox_root"


def test_base_paths_outside_of_the_roots(models, config, tmp_path):
    m, root = models(1), tmp_path / "root"
    root.mkdir()
    shutil.copytree(MODEL, root / "n")
    flag = config(("m", m), ("n", root / "n"))
    expect(check(flag, "--sandbox=strict"), 0) # the parents of base paths are the roots then
    expect(check(flag, "--sandbox=strict", f"--sandbox_root={root}"), 1, f"model m: {m} {OUTSIDE}")
    expect(check(flag, "--sandbox=strict", f"--sandbox_root={root},{m}"), 0)
    link = tmp_path / "link"
    link.symlink_to(root)
    expect(check(config(("n", link / "n")), "--sandbox=strict", f"--sandbox_root={link}"), 0)
    expect(check(config(("n", f"file://{root}/n")), "--sandbox=strict", f"--sandbox_root={root}"), 0)


def test_what_a_link_in_a_version_leads_to_outside_of_the_roots(models, tmp_path):
    m, store = models(4, of=SHARDED), tmp_path / "store"
    shard = "variables/variables.data-00001-of-00003"
    store.mkdir()
    (m / "4" / shard).rename(store / "shard")
    (m / "4" / shard).symlink_to(store / "shard")
    flags = f"--model_base_path={m}", f"--sandbox_root={m}"
    expect(check(*flags, "--sandbox=strict"), 1, f"model default: version 4: {m}/4/{shard} {OUTSIDE}")
    expect(check(flags[0], flags[1] + f",{store}", "--sandbox=strict"), 0)
    (m / "4/variables/also").symlink_to(store / "shard")
    assert expect(check(*flags, "--sandbox=strict"), 1, OUTSIDE)[0].endswith(" (and 1 more)")
    expect(check(flags[0]), 0)


def test_roots_that_are_not_there(models, tmp_path):
    m = f"--model_base_path={models(1)}"
    roots = f"--sandbox_root={tmp_path},{tmp_path}/later"
    told = f"sandbox_root: {tmp_path}/later: No such file or directory: what comes there after the start cannot be read"
    assert "warning" in expect(check(m, roots, "--sandbox=strict"), 0, told)[0]
    expect(check(m, roots), 0, "sandbox_root has no effect without --sandbox=strict")
    expect(check(m, "--sandbox=off"), 0)


def test_what_the_server_would_refuse_strict_refuses(models, start, tmp_path):
    """The same base path, tried by both."""
    m, root = models(1), tmp_path / "root"
    root.mkdir()
    flags = f"--model_base_path={m}", "--model_name=m", "--sandbox=strict", f"--sandbox_root={root}"
    expect(check(*flags), 1, f"model m: {m} {OUTSIDE}")
    server = start(*flags)
    server.wait_for(f"{m}; Permission denied")


# ---- the user ----

NOBODY = " (as nobody, --run_as)"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def place():
    """A directory that everybody may look into: those of the tests are their user's alone."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        shutil.copytree(MODEL, pathlib.Path(name) / "m")
        yield pathlib.Path(name)


def test_a_user_that_there_is_not(models):
    m = f"--model_base_path={models(1)}"
    expect(check(m, "--run_as=no-such-user"), 1, 'run_as: there is no user "no-such-user"')
    expect(check(m, "--run_as=0:no-such-group"), 1, 'run_as: there is no group "no-such-group"')


def test_a_user_whom_we_cannot_become(place):
    m = f"--model_base_path={place}/m"
    alone = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    expect(check(m, "--run_as=daemon", by=alone), 1, "run_as: only root can become another user")
    done = check(m, "--run_as=daemon", "--reload", by=alone)
    expect(done, 0)
    assert "files were tried as the user who checks" in done.stdout


@as_root
def test_models_that_the_user_may_not_read(place):
    flags = f"--model_base_path={place}/m", "--model_name=m", "--run_as=nobody"
    expect(check(*flags), 0)
    weights = place / "m/1/variables/variables.index"
    weights.chmod(0o600)
    expect(check(*flags), 1, f"model m: version 1: {weights}: Permission denied{NOBODY}")
    expect(check(*flags[:2]), 0)
    (place / "m/1").chmod(0o700)
    expect(check(*flags), 1, f"model m: version 1: {place}/m/1: Permission denied{NOBODY}")
    place.chmod(0o700)
    expect(check(*flags), 1, f"model m: version 1: {place}/m/1: Permission denied{NOBODY}")
    expect(check(flags[0], flags[1], "--run_as=root"), 0)


@as_root
def test_secrets_and_lists_that_the_user_may_not_read(place):
    subprocess.run([SLUICE, "token", "ci", f"--file={place}/tokens"], capture_output=True, check=True, timeout=60)
    (place / "auth.pbtxt").write_text('token_file: "tokens" rule { principal: "*" allow: [PREDICT] }\n')
    (place / "config").write_text(model_config(("m", place / "m")))
    cert, key = Authority(place).issue("server", days=60)
    shown = f"--model_config_file={place}/config", f"--auth_config_file={place}/auth.pbtxt", f"--tls_cert_file={cert}", f"--tls_key_file={key}"
    for name in ("tokens", "auth.pbtxt", "config", cert, key):
        (place / name).chmod(0o600)
    expect(check(*shown), 0)
    config = f"a reload cannot read its models: {place}/config; Permission denied{NOBODY}"
    tls = [f"TLS: {file}: Permission denied{NOBODY}: the server starts with it, but cannot take a new one" for file in (cert, key)]
    done = expect(check(*shown, "--run_as=nobody"), 1, f"auth_config_file: {place}/auth.pbtxt: Permission denied{NOBODY}", *tls, config)
    assert [line.startswith("sluice: warning: ") for line in done] == [False, True, True, True]
    (place / "auth.pbtxt").chmod(0o644)
    done = expect(check(*shown, "--run_as=nobody", "--reload"), 1, f"auth_config_file: {place}/tokens: Permission denied{NOBODY}", *tls, config)
    assert [line.startswith("sluice: warning: ") for line in done] == [False, True, True, False]
    (place / "tokens").chmod(0o644)
    expect(check(*shown, "--run_as=nobody"), 0, *tls, config)


@as_root
def test_where_the_user_may_not_make_a_socket(place):
    """Nor may root, who gives up the right to write where others may."""
    closed = place / "closed"
    closed.mkdir(0o755)
    flags = f"--model_base_path={place}/m", f"--grpc_socket_path={closed}/s"
    told = f"grpc_socket_path: cannot listen on unix:{closed}/s: Permission denied"
    expect(check(*flags), 0)
    expect(check(*flags, "--run_as=nobody"), 1, told)
    shutil.chown(closed, "nobody")
    expect(check(*flags, "--run_as=nobody"), 0)
    expect(check(*flags), 1, told)
    expect(check(*flags, "--sandbox=off"), 0)


# ---- the cache of what is fetched ----

def test_the_cache_directory(config, tmp_path):
    far = config(("far", "s3://bucket/m"))
    cache = tmp_path / "some/where"
    done = check(far, f"--remote_cache_dir={cache}")
    expect(done, 0)
    assert f"the cache directory {cache} has " in done.stdout and not (tmp_path / "some").exists()
    expect(check(far, "--remote_cache_dir=here"), 1, "remote_cache_dir: here is no absolute path")
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    expect(check(far, f"--remote_cache_dir={cache}"), 1, f"remote_cache_dir: everybody may write to {cache}")
    (tmp_path / "file").write_text("")
    expect(check(far, f"--remote_cache_dir={tmp_path}/file"), 1, f"remote_cache_dir: {tmp_path}/file is no directory")
    expect(check(far, f"--remote_cache_dir={tmp_path}/file/x"), 1, f"{tmp_path}/file/x: Not a directory")
    assert "cache" not in check(f"--model_base_path={MODEL}", "--remote_cache_dir=here").stdout # nothing is fetched


@as_root
def test_a_cache_directory_that_the_user_cannot_have(config, place):
    (place / "config").write_text(model_config(("far", "s3://bucket/m")))
    flags = f"--model_config_file={place}/config", "--run_as=nobody", f"--remote_cache_dir={place}/cache"
    expect(check(*flags), 1, f"remote_cache_dir: {place}: Permission denied{NOBODY}")
    (place / "cache").mkdir()
    expect(check(*flags), 1, f"remote_cache_dir: {place}/cache: Permission denied{NOBODY}")
    shutil.chown(place / "cache", "nobody")
    expect(check(*flags), 0)


@as_root
def test_a_cache_directory_without_room(config, place):
    small = place / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        small.chmod(0o755)
        expect(check(config(("far", "s3://bucket/m")), f"--remote_cache_dir={small}"), 0,
               f"the cache directory {small} has 1 MB of free space: nothing can be fetched")
    finally:
        subprocess.run(["umount", small], check=True)


# ---- one finding does not hide another ----

def test_a_broken_configuration_does_not_end_it(models, tmp_path, config):
    m, broken = models(1), tmp_path / "broken"
    broken.write_text("model_config_list {\n  config { nam: 'x' }\n}")
    with listening() as port:
        done = check(f"--model_config_file={broken}", "--tls_cert_file=/no/cert", "--tls_key_file=/no/key",
                     "--auth_config_file=/no/auth", f"--health_port={port}")
    expect(done, 1, f"Invalid protobuf file: '{broken}': 2:12: ", "TLS: /no/cert; No such file", "auth_config_file: ",
           f"health_port: [::]:{port} is in use")
    assert done.last == "not ok: 3 fatal, 1 warning"
    expect(check(f"--model_base_path={m}", "--prefer_tflite_model", "--enable_batching", "--batching_parameters_file=/no/batching"),
           1, "prefer_tflite_model", "/no/batching")


def test_models_beside_one_that_is_refused_are_looked_at(models, tmp_path, config):
    m = models(1)
    (tmp_path / "other").mkdir()
    done = check(config(("far", "relative"), ("m", m), ("m", m), ("gone", tmp_path / "gone"), ("other", tmp_path / "other"),
                        ("odd", m, 'engine: "gpu"')))
    expect(done, 1, "Expected model far to have an absolute path", "Illegal to list model m multiple times",
           'model odd asks for engine "gpu"', f"model gone: {tmp_path}/gone; No such file",
           f"model other: {tmp_path}/other has neither a saved_model.pb nor a version directory")
    assert "model m: version 1: native" in done.stdout


def test_files_beside_one_that_is_refused_are_looked_at(models, tmp_path):
    m, d = models(1), tmp_path / "d"
    d.mkdir()
    (d / "a.conf").write_text("nonsense")
    (d / "b.conf").write_text(model_config(("m", m)))
    (d / "c.conf").write_text(model_config(("m", m), ("n", models(1, name="n"))))
    (d / "readme").write_text("no configuration")
    done = check(f"--model_config_file={d}")
    expect(done, 1, f"Invalid protobuf file: '{d}/a.conf'", f"model m multiple times in config list: it is in {d}/b.conf and in {d}/c.conf")
    assert "model m: version 1: native" in done.stdout and "model n: version 1: native" in done.stdout


def test_a_platform_that_there_is_not(models, tmp_path):
    m, path = models(1), tmp_path / "config"
    path.write_text(f'model_config_list {{ config {{ name: "m" base_path: "{m}" model_platform: "caffe" }} }}')
    expect(check(f"--model_config_file={path}"), 1, "Model m requests unsupported platform caffe")


def test_help_says_what_is_its_own():
    done = check("--help")
    assert done.returncode == 0 and "--reload" in done.stdout and "--from-outside" in done.stdout
