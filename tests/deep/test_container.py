"""deploy/container/Containerfile, without a container engine: its steps are taken from the file and done in roots made by
debootstrap; then its entry point is started as a runtime would do it: as its user, first process of its own
namespaces, no capability, on a root that is read-only.

Roots are kept in build/container; the one that things are compiled in is used again while the steps up to the sources are the
same. Without one it takes some minutes, and Debian's archive (by network, as apt of this machine finds it), so the tests that
build are skipped unless SLUICE_TEST_CONTAINER is set, as `tools/test deep` does, or there is one. They need root, too."""
import hashlib
import json
import os
import pathlib
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import time

import pytest

from deep import ANSWER, PATH, ROOT, ROW

FILE = ROOT / "deploy/container/Containerfile"
ROOTS = pathlib.Path(os.environ.get("SLUICE_CONTAINER_ROOTS", ROOT / "build/container"))
SOURCES = pathlib.Path("/etc/apt/sources.list.d/debian.sources")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def instructions(text):
    """[(name, rest)]: comments dropped, continued lines joined."""
    result, line = [], ""
    for piece in text.splitlines():
        if piece.lstrip().startswith("#") or (not piece.strip() and not line):
            continue
        line += piece
        if line.endswith("\\"):
            line = line[:-1]
            continue
        name, _, rest = line.strip().partition(" ")
        result.append((name.upper(), rest.strip()))
        line = ""
    return result


def stages(text):
    """[(image, name, [(instruction, rest)])]"""
    result = []
    for name, rest in instructions(text):
        if name == "FROM":
            image, _, alias = rest.partition(" AS ")
            result.append((image, alias or None, []))
        else:
            result[-1][2].append((name, rest))
    return result


def test_the_parser():
    text = "# a\nFROM x AS y\nRUN a && \\\n    b\n\nFROM z\nENV A=1\n"
    assert stages(text) == [("x", "y", [("RUN", "a &&     b")]), ("z", None, [("ENV", "A=1")])]


def test_what_the_image_promises():
    """The contract of TensorFlow Serving's image."""
    last = stages(FILE.read_text())[-1][2]
    assert ("ENV", "MODEL_NAME=model") in last and ("ENV", "MODEL_BASE_PATH=/models") in last
    assert ("EXPOSE", "8500 8501") in last
    assert ("ENTRYPOINT", '["/usr/bin/tf_serving_entrypoint.sh"]') in last
    assert [rest for name, rest in last if name == "USER"][-1] == "1000:1000"


def base():
    root = ROOTS / "base"
    if not (root / "etc/debian_version").exists() or not (ROOTS / "base.ready").exists():
        shutil.rmtree(root, ignore_errors=True)
        ROOTS.mkdir(parents=True, exist_ok=True)
        subprocess.run(["debootstrap", "--variant=minbase", "bookworm", str(root)], check=True, stdout=subprocess.DEVNULL)
        (root / "etc/apt/sources.list").write_text("")
        shutil.copy(SOURCES, root / "etc/apt/sources.list.d/debian.sources")
        (ROOTS / "base.ready").touch()
    return root


def copied(source, target):
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], check=True)


class Image:
    """One stage: a directory, and what the instructions have set."""

    def __init__(self, root):
        self.root, self.env, self.user, self.entry, self.cwd = root, {"PATH": DEFAULT_PATH}, "0:0", [], "/"

    def inside(self, path):
        return self.root / str(pathlib.PurePosixPath(self.cwd, path)).lstrip("/")

    def run(self, command):
        script = 'mount -t proc proc "$0/proc" && exec chroot "$0" /bin/sh -c "$1"'
        env = {**self.env, **{k: v for k, v in os.environ.items() if k.endswith("_proxy")}}
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
        done = subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, str(self.root),
                               f"cd {shlex.quote(self.cwd)} && {command}"], env=env, capture_output=True, text=True)
        assert done.returncode == 0, f"RUN {command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"

    def copy(self, rest, images):
        words, context = shlex.split(rest), ROOT
        if words[0].startswith("--from="):
            context = images[words.pop(0)[7:]].root
        for source in words[:-1]:
            source, target = context / source.lstrip("/"), self.inside(words[-1])
            if source.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                subprocess.run(["cp", "-a", "--no-preserve=ownership", f"{source}/.", str(target)], check=True)
            elif words[-1].endswith("/"):
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
            else:
                shutil.copy(source, target)

    def do(self, name, rest, images):
        if name == "RUN":
            self.run(rest)
        elif name == "COPY":
            self.copy(rest, images)
        elif name == "WORKDIR":
            self.cwd = rest
            self.inside(".").mkdir(parents=True, exist_ok=True)
        elif name == "ENV":
            self.env.update(w.split("=", 1) for w in shlex.split(rest))
        elif name == "USER":
            self.user = rest
        elif name == "ENTRYPOINT":
            self.entry = json.loads(rest)
        else:
            assert name == "EXPOSE", f"{name} is not known here"


def build_stage(image, name, steps, images):
    assert image == "debian:bookworm-slim"
    # What comes before the sources takes longest and seldom changes.
    n = next(i for i, (what, _) in enumerate(steps) if what == "RUN") + 1
    begin = repr(steps[:n]) + (ROOT / "tools/deps").read_text()
    kept = ROOTS / f"{name or 'last'}-{hashlib.sha256(begin.encode()).hexdigest()[:16]}"
    result = Image(ROOTS / (name or "last"))
    if kept.exists():
        copied(kept, result.root)
        for what, rest in steps[:n]:
            if what in ("WORKDIR", "ENV"):
                result.do(what, rest, images)
    else:
        copied(base(), result.root)
        for what, rest in steps[:n]:
            result.do(what, rest, images)
        copied(result.root, kept.with_suffix(".new"))
        kept.with_suffix(".new").rename(kept)
    for what, rest in steps[n:]:
        result.do(what, rest, images)
    return result


@pytest.fixture(scope="module")
def image():
    if os.geteuid() != 0:
        pytest.skip("chroot and mounts need root")
    if not SOURCES.exists() or not shutil.which("debootstrap"):
        pytest.skip("needs Debian 12 and debootstrap")
    if not (ROOTS / "base.ready").exists() and "SLUICE_TEST_CONTAINER" not in os.environ:
        pytest.skip("takes some minutes: SLUICE_TEST_CONTAINER=1")
    images = {}
    for source, name, steps in stages(FILE.read_text()):
        images[name] = build_stage(source, name, steps, images)
    yield images[None]


LO = struct.pack("16sh22x", b"lo", 0x1 | 0x40)  # struct ifreq: IFF_UP, IFF_RUNNING


class Container:
    """The image's entry point in namespaces of its own: mounts, processes, network."""

    def __init__(self, image, arguments=(), env=None, mounts=()):
        script = 'mount --bind "$0" "$0"; mount -t proc proc "$0/proc"; '
        for source, target in mounts:
            (image.root / target.lstrip("/")).mkdir(parents=True, exist_ok=True)
            script += f'mount --bind -o ro {shlex.quote(str(source))} "$0{target}"; '
        uid, gid = image.user.split(":")
        script += ('mount -o remount,bind,ro "$0" && exec chroot "$0" setpriv --bounding-set=-all --inh-caps=-all '
                   f'--no-new-privs --clear-groups --regid={gid} --reuid={uid} "$@"')
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c", script, str(image.root),
             *image.entry, *arguments], env={**image.env, **(env or {})}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        while not (pids := open(children).read().split()):
            assert self.process.poll() is None, self.process.stdout.read()
            time.sleep(0.01)
        self.pid = int(pids[0])
        self.within("import fcntl, socket; fcntl.ioctl(socket.socket(), 0x8914, %r)" % LO)

    def within(self, program):
        """Python of this machine in the container's network."""
        return subprocess.run(["nsenter", "-t", str(self.pid), "-n", sys.executable, "-c", program], capture_output=True,
                              text=True, check=True).stdout

    def ask(self, path, body=None, port=8501):
        program = (f"import urllib.request, urllib.error\n"
                   f"try: r = urllib.request.urlopen('http://127.0.0.1:{port}{path}', {body!r}, timeout=10)\n"
                   f"except urllib.error.HTTPError as e: r = e\n"
                   f"except OSError: r = None\n"
                   f"print(r.status if r else 0)\n"
                   f"print(r.read().decode() if r else '')")
        status, _, text = self.within(program).partition("\n")
        return int(status), text

    def predict(self, model="my_model", port=8500):
        """A call of gRPC, by TensorFlow Serving's own stubs: (version, values)."""
        program = (f"import grpc, tensorflow as tf\n"
                   f"from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc\n"
                   f"r = predict_pb2.PredictRequest()\n"
                   f"r.model_spec.name = {model!r}\n"
                   f"r.inputs['input_example'].CopyFrom(tf.make_tensor_proto([[1.0, 2.0, 3.0]]))\n"
                   f"with grpc.insecure_channel('127.0.0.1:{port}', [('grpc.enable_http_proxy', 0)]) as channel:\n"
                   f"    got = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(r, timeout=60)\n"
                   f"print(got.model_spec.version.value, tf.make_ndarray(got.outputs['output']).tolist())")
        version, _, values = self.within(program).partition(" ")
        return int(version), json.loads(values)

    def ready(self, port=8501):
        end = time.monotonic() + 30
        while self.ask("/readyz", port=port)[0] != 200:
            assert self.process.poll() is None, self.process.stdout.read().decode()
            assert time.monotonic() < end
            time.sleep(0.05)

    def status(self):
        return dict(l.split(":\t", 1) for l in open(f"/proc/{self.pid}/status").read().splitlines())

    def stop(self):
        """What a runtime does: SIGTERM to the first process. (exit status, output)"""
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGTERM)
        out = self.process.communicate(timeout=60)[0].decode()
        return self.process.returncode, out


@pytest.fixture
def run(image):
    started = []

    def start(*arguments, **more):
        started.append(Container(image, arguments, **more))
        return started[-1]
    yield start
    for c in started:
        if c.process.poll() is None:
            os.kill(c.pid, signal.SIGKILL)
        c.process.communicate()


MODEL = ROOT / "examples/models/my_model"


def test_it_serves_as_the_image_of_tensorflow_serving_does(run):
    c = run(env={"MODEL_NAME": "my_model"}, mounts=[(MODEL, "/models/my_model")])
    c.ready()
    status, body = c.ask(PATH, ROW)
    assert status == 200 and json.loads(body) == ANSWER
    assert c.predict() == (1, ANSWER["predictions"])
    assert c.ask("/v1/models/my_model")[0] == 200
    assert [c.ask(p)[0] for p in ("/healthz", "/startupz", "/readyz")] == [200] * 3
    s = c.status()
    assert s["Name"] == "tensorflow_mode" and s["NSpid"].split()[-1] == "1" # no shell stands before it
    assert s["Uid"].split() == ["1000"] * 4 and s["Groups"].split() == []
    assert all(int(s[f"Cap{kind}"], 16) == 0 for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"))
    assert s["Seccomp"] == "2"
    root = next(l for l in open(f"/proc/{c.pid}/mountinfo") if l.split()[4] == "/")
    assert "ro" in root.split()[5].split(",")
    code, out = c.stop()
    assert code == 0 and "draining" in out, out
    assert "Read-only file system" not in out, out


def test_arguments_come_last(run, tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "config.pbtxt").write_text('model_config_list { config { name: "other" base_path: "/models/my_model" '
                                           'model_platform: "tensorflow" } }')
    c = run("--model_config_file=/etc/sluice/config.pbtxt", "--rest_api_port=9001", "--sandbox=strict",
            mounts=[(MODEL, "/models/my_model"), (tmp_path, "/etc/sluice")])
    c.ready(9001)
    status, body = c.ask("/v1/models/other:predict", ROW, 9001)
    assert status == 200 and json.loads(body) == ANSWER
    assert c.predict("other") == (1, ANSWER["predictions"]) # the port that no argument has changed
    assert c.ask("/v1/models/model", port=9001)[0] == 404
    assert c.stop()[0] == 0
