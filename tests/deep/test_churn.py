"""Models and versions that come and go, are broken and mended, while honest requests never fail.

For SOAK_MINUTES (2), and a quarter of that with the TensorFlow engine. Models 0 to 3 are asked all the time; new versions
of them arrive, file by file or at once, some of them broken, some mended in place; old ones are removed; models on demand
share a budget that not all of them fit into; other models are added to the configuration and taken out of it. One model has
three versions, of which the oldest goes and a new one comes; its labels move along, its requests are divided among them by
weights that change, and each of them is the shadow for a while, or none. Memory is bounded.
"""
import collections
import json
import os
import pathlib
import random
import re
import shutil
import signal
import threading
import time

import pytest
import served

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GOOD = ROOT / "tests/models/half_plus_two/1"
FILES = [p.relative_to(GOOD) for p in GOOD.rglob("*") if p.is_file()]
PLAIN = pathlib.Path(os.environ.get("SOAK_SLUICE", ROOT / "build/release/sluice"))
SECONDS = float(os.environ.get("SOAK_MINUTES", "2")) * 60
MB = 1 << 20


# Models on demand, a budget that not all fit into, seconds, and a pause of a client after each answer: who loads a model into
# TensorFlow has what those who answer leave.
ENGINES = {"native": (12, 1_120_000, SECONDS, 0), "tensorflow": (3, None, SECONDS / 4, 0.02)}


class Churn:
    def __init__(self, root, lazy, pause):
        self.root, self.random = root, random.Random(os.environ.get("SOAK_SEED", "1"))
        self.lazy, self.pause = lazy, pause
        self.end = threading.Event()
        # The versions of model t are oldest to oldest + 2; those before `gone` have been seen to be out of use.
        self.oldest = self.gone = 1
        self.arms = collections.Counter()
        for n in (1, 2, 3):
            shutil.copytree(GOOD, root / "t" / str(n))
        self.errors, self.answered = [], 0
        self.newest = {}
        for i in range(4):
            shutil.copytree(GOOD, root / f"m{i}" / "1")
            self.newest[i] = 1
        for i in range(lazy):
            shutil.copytree(GOOD, root / f"d{i}" / "1")
        self.extra = 0

    def config(self):
        lines = [f'config {{ name: "m{i}" base_path: "{self.root}/m{i}" model_platform: "tensorflow" }}'
                 for i in range(4)]
        lines += [f'config {{ name: "d{i}" base_path: "{self.root}/d{i}" model_platform: "tensorflow" '
                  "load: ON_DEMAND }" for i in range(self.lazy)]
        lines += [f'config {{ name: "x{self.extra}_{i}" base_path: "{self.root}/m{i % 4}" '
                  'model_platform: "tensorflow" }' for i in range(self.extra % 5)]
        lines.append(self.divided())
        return "model_config_list {\n" + "\n".join(lines) + "\n}\n"

    def divided(self):
        """Model t: stable is its oldest version, canary its newest."""
        chosen = [self.oldest + i for i in range(3)]
        shadow = self.random.choice([None, *chosen])
        return (f'config {{ name: "t" base_path: "{self.root}/t" model_platform: "tensorflow" '
                f"model_version_policy {{ specific {{ versions: {chosen} }} }} "
                f'version_labels {{ key: "stable" value: {chosen[0]} }} version_labels {{ key: "canary" value: {chosen[2]} }} '
                f'traffic {{ split {{ label: "stable" weight: {self.random.randrange(1, 9)} }} '
                f'split {{ version: {chosen[1]} weight: {self.random.randrange(1, 9)} }} '
                f'split {{ label: "canary" weight: {self.random.randrange(1, 9)} }} sticky_header: "x-user" }} '
                + (f"shadow {{ version: {shadow} }} " if shadow else "") + "}")

    # ---- what happens to the models ----

    def next_of_the_divided(self, server):
        """Once both labels are where the last configuration put them, what is older may go, and a new version come."""
        labels = [self.version_of(server, f"/labels/{label}") for label in ("stable", "canary")]
        if labels != [self.oldest, self.oldest + 2]:
            return
        while self.gone < self.oldest:
            shutil.rmtree(self.root / "t" / str(self.gone))
            self.gone += 1
        shutil.copytree(GOOD, self.root / "t" / str(self.oldest + 3))
        self.oldest += 1

    def new_version(self):
        i = self.random.randrange(4)
        self.newest[i] += 1
        target = self.root / f"m{i}" / str(self.newest[i])
        how = self.random.randrange(4)
        if how == 0:  # at once
            shutil.copytree(GOOD, self.root / "part")
            os.rename(self.root / "part", target)
            return
        names = self.random.sample(FILES, len(FILES))
        for name in names:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            data = (GOOD / name).read_bytes()
            if how == 3 and name.name == "saved_model.pb":  # broken, and mended below
                data = data.replace(b"VariableV2", b"VariableXX")
            with open(target / name, "wb", buffering=0) as f:
                f.write(data[: len(data) // 2])
                time.sleep(self.random.random() * 0.2)
                f.write(data[len(data) // 2 :])
        if how == 3:
            time.sleep(self.random.random() * 3)
            shutil.copyfile(GOOD / "saved_model.pb", target / "saved_model.pb")

    def remove_old(self):
        for i in range(4):
            for p in (self.root / f"m{i}").iterdir():
                if int(p.name) < self.newest[i] - 3:
                    shutil.rmtree(p)

    def reconfigure(self, server):
        self.extra += 1
        self.next_of_the_divided(server)
        part = pathlib.Path(server.directory.name) / "part"
        part.write_text(self.config())
        os.rename(part, pathlib.Path(server.directory.name) / "config.pbtxt")
        server.process.send_signal(signal.SIGHUP)

    # ---- those who ask ----

    def ask(self, server, name):
        reply = server.ask("POST", f"/v1/models/{name}:predict", '{"instances": [1.0]}')
        if reply.status != 200 or json.loads(reply.text) != {"predictions": [2.5]}:
            self.errors.append((time.time(), name, reply.status, reply.text))
        self.answered += 1

    def version_of(self, server, where="", headers=None):
        """Which version of model t has answered."""
        reply = server.ask("POST", f"/v1/models/t{where}:predict", '{"instances": [1.0]}', headers)
        self.answered += 1
        if reply.status == 200 and json.loads(reply.text) == {"predictions": [2.5]}:
            return int(reply.headers["x-sluice-version"])
        self.errors.append((time.time(), "t" + where, reply.status, reply.text))
        return 0

    def client_of_the_divided(self, server):
        """Labels move on and never back; what names no version is answered by one that the configuration has, or had."""
        choose, newest = random.Random(7), collections.Counter()
        while not self.end.wait(self.pause) and len(self.errors) < 10:
            where = choose.choice(["", "", "/labels/stable", "/labels/canary"])
            key = {"x-user": f"user-{choose.randrange(100)}"} if choose.randrange(2) else None
            least = self.gone
            try:
                version = self.version_of(server, where, key)
            except OSError as e:
                self.errors.append((time.time(), str(e)))
                continue
            self.arms[where or version - least] += 1
            if not max(newest[where] if where else 0, least) <= version <= self.oldest + 2:
                self.errors.append((time.time(), where, version, least, newest[where], self.oldest))
            newest[where] = version

    def client(self, server, names, seed):
        choose = random.Random(seed)
        while not self.end.wait(self.pause) and len(self.errors) < 10:
            try:
                self.ask(server, choose.choice(names))
            except OSError as e:
                self.errors.append((time.time(), str(e)))


def shadowed(server):
    """{result: copies}, of all versions"""
    counts = collections.Counter()
    for result, n in re.findall(r':sluice:shadow:count\{.*result="(\w+)".*\} (\d+)', server.ask("GET", "/metrics").text):
        counts[result] += int(n)
    return counts


@pytest.mark.parametrize("engine", ENGINES)
def test_honest_requests_never_fail_while_everything_changes(tmp_path, request, engine):
    lazy_models, budget, seconds, pause = ENGINES[engine]
    churn = Churn(tmp_path, lazy_models, pause)
    server = served.Server(f"--engine={engine}", *([f"--memory_budget={budget}"] if budget else []),
                           "--load_retry_interval_micros=2000000", "--ended_version_ttl_s=5", "--on_demand_wait_ms=300000",
                           config=churn.config(), command=[str(PLAIN), "serve"])
    request.addfinalizer(server.process.kill)  # nothing, if it has ended
    while server.ask("GET", "/readyz").status != 200:
        time.sleep(0.02)
    eager, lazy = [f"m{i}" for i in range(4)], [f"d{i}" for i in range(lazy_models)]
    clients = [threading.Thread(target=churn.client, args=(server, eager, n)) for n in range(2)]
    clients.append(threading.Thread(target=churn.client, args=(server, lazy, 2)))
    clients.append(threading.Thread(target=churn.client_of_the_divided, args=(server,)))
    for c in clients:
        c.start()
    begin, warm = time.time(), 0

    def enough():  # the labels have moved, and have been seen to
        return churn.oldest > 2 and churn.answered > 100 and shadowed(server)["matched"] > 0

    try:  # where others work, too, it may take longer until something has happened
        while len(churn.errors) < 10 and (time.time() < begin + seconds or
                                          time.time() < begin + 10 * seconds and not enough()):
            churn.new_version()
            churn.remove_old()
            if churn.random.randrange(3) == 0:
                churn.reconfigure(server)
            time.sleep(0.1)
            if not warm and time.time() > begin + seconds / 3:
                warm = server.memory()
    finally:
        churn.end.set()
        for c in clients:
            c.join()
    grown, copies = server.memory() - warm, shadowed(server)
    given_up = server.log.count("Giving up servable version")
    loads = server.log.count("Successfully loaded servable version")
    print(f"{engine}: {churn.answered} answers, {loads} loads, {given_up} given up, {churn.extra} configurations, "
          f"{churn.oldest - 1} moves of the labels, answers by label, or version since the oldest {dict(churn.arms)}, copies "
          f"{dict(copies)}, memory {grown / MB:+.1f} MB after the first third")
    assert churn.errors == []
    assert server.stop() == 0
    assert loads > 5 and (given_up > 0 or not budget) and churn.answered > 100 and churn.oldest > 2
    assert copies["matched"] > 0 and set(copies) <= {"matched", "dropped"}  # nobody differed, nobody failed
    assert grown < 8 * MB
