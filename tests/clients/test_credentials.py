"""deploy/systemd/secrets.conf: keys and tokens that root alone may read, handed over by systemd.

systemd itself cannot run here; what it would do is done: a directory of copies, which only the service's user may read.
"""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

import served
import clients
from certificates import Authority

UNITS = served.ROOT / "deploy/systemd"
PROGRAM = "/usr/local/bin/sluice"


def text_of(name):
    return (UNITS / name).read_text()


@pytest.fixture
def units(tmp_path):
    (tmp_path / "sluice.service.d").mkdir()
    for to, name in (("sluice.service", "sluice.service"), ("sluice.service.d/secrets.conf", "secrets.conf")):
        (tmp_path / to).write_text(text_of(name).replace(PROGRAM, str(served.SLUICE)))
    return tmp_path


def complaints(units):
    done = clients.run("systemd-analyze", "verify", "--man=no", units / "sluice.service")
    return [line for line in (done.stdout + done.stderr).decode().splitlines() if str(units) in line or "sluice.service" in line]


def test_systemd_takes_the_unit_with_its_secrets(units):
    assert not complaints(units)
    file = units / "sluice.service.d/secrets.conf"
    file.write_text(file.read_text().replace("LoadCredential=tls.key", "LoadCredentials=tls.key"))
    assert any("LoadCredentials" in line for line in complaints(units))  # it was read


def test_a_user_that_may_read_nothing_else_serves_with_what_is_handed_over():
    assert os.geteuid() == 0, "another user has to be made use of: run this as root"
    text = text_of("secrets.conf").replace("\\\n", " ")
    handed = dict(re.findall(r"^LoadCredential=([^:\n]+):(\S+)$", text, re.M))
    flags = re.findall(r"^ExecStart=(\S.*)$", text, re.M)[0].split()[2:]
    plain = re.search(r"^ExecStart=(.*)$", text_of("sluice.service"), re.M)[1].split()[2:]
    assert flags[:len(plain)] == plain, "besides the secrets the command is the unit's"
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        place.chmod(0o755)
        etc, run = place / "etc", place / "credentials"
        etc.mkdir(0o700)
        ca = Authority(etc)
        cert, key = ca.issue("tls", to=etc)
        cert.rename(etc / "tls.crt")
        token = clients.run(served.SLUICE, "token", "ci", f"--file={etc}/tokens").stdout.decode().strip()
        (etc / "auth.pbtxt").write_text('token_file: "tokens"\nrule { principal: "token:ci" allow: [PREDICT, STATUS] }\n')
        run.mkdir(0o500)
        for name, source in handed.items():
            assert pathlib.Path(source).parent == pathlib.Path("/etc/sluice")
            shutil.copy(etc / pathlib.Path(source).name, run / name)
            (run / name).chmod(0o400)
        for path in (run, *run.iterdir()):
            os.chown(path, 65534, 65534)
        shutil.copytree(served.ROOT / "examples/models/my_model", place / "my_model")
        shutil.copy(served.SLUICE, place / "sluice")
        config = place / "config.pbtxt"
        config.write_text(served.model_config(("my_model", place / "my_model")))
        flags = [f.replace("%d", str(run)) for f in flags if not re.match(r"--(model_config_file|rest_api_port|port)=", f)]
        server = served.Server(*flags, f"--model_config_file={config}", command=[
            "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--no-new-privs",
            str(place / "sluice"), "serve"])
        try:
            url = f"https://localhost:{server.port}/v1/models/my_model:predict"
            ask = ["curl", "-s", "--cacert", str(ca.cert), "-d", '{"instances": [[1.0, 2.0, 3.0]]}', url]
            assert b"4.75" in subprocess.run([*ask, "-H", f"Authorization: Bearer {token}"], capture_output=True, timeout=60).stdout
            assert b"Authorization: Bearer" in subprocess.run(ask, capture_output=True, timeout=60).stdout
        finally:
            server.stop()
