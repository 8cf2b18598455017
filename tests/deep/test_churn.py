"""Models and versions that come and go, are broken and mended, while honest requests never fail.

For SOAK_MINUTES (2). Models 0 to 3 are asked all the time; new versions of them arrive, file by file or at once,
some of them broken, some mended in place; old ones are removed; models on demand share a budget that not all of
them fit into; other models are added to the configuration and taken out of it. Memory is bounded.
"""
import json
import os
import pathlib
import random
import shutil
import signal
import threading
import time

import served

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GOOD = ROOT / "tests/models/half_plus_two/1"
FILES = [p.relative_to(GOOD) for p in GOOD.rglob("*") if p.is_file()]
PLAIN = pathlib.Path(os.environ.get("SOAK_SLUICE", ROOT / "build/release/sluice"))
SECONDS = float(os.environ.get("SOAK_MINUTES", "2")) * 60
MB = 1 << 20


class Churn:
    def __init__(self, root):
        self.root, self.random = root, random.Random(os.environ.get("SOAK_SEED", "1"))
        self.end = threading.Event()
        self.errors, self.answered = [], 0
        self.newest = {}
        for i in range(4):
            shutil.copytree(GOOD, root / f"m{i}" / "1")
            self.newest[i] = 1
        for i in range(12):
            shutil.copytree(GOOD, root / f"d{i}" / "1")
        self.extra = 0

    def config(self):
        lines = [f'config {{ name: "m{i}" base_path: "{self.root}/m{i}" model_platform: "tensorflow" }}'
                 for i in range(4)]
        lines += [f'config {{ name: "d{i}" base_path: "{self.root}/d{i}" model_platform: "tensorflow" '
                  "load: ON_DEMAND }" for i in range(12)]
        lines += [f'config {{ name: "x{self.extra}_{i}" base_path: "{self.root}/m{i % 4}" '
                  'model_platform: "tensorflow" }' for i in range(self.extra % 5)]
        return "model_config_list {\n" + "\n".join(lines) + "\n}\n"

    # ---- what happens to the models ----

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

    def client(self, server, names, seed):
        choose = random.Random(seed)
        while not self.end.is_set() and len(self.errors) < 10:
            try:
                self.ask(server, choose.choice(names))
            except OSError as e:
                self.errors.append((time.time(), str(e)))


def test_honest_requests_never_fail_while_everything_changes(tmp_path, request):
    churn = Churn(tmp_path)
    server = served.Server("--engine=native", "--memory_budget=800000", "--load_retry_interval_micros=2000000",
                           "--ended_version_ttl_s=5", config=churn.config(), command=[str(PLAIN), "serve"])
    request.addfinalizer(server.process.kill)  # nothing, if it has ended
    while server.ask("GET", "/readyz").status != 200:
        time.sleep(0.02)
    eager, lazy = [f"m{i}" for i in range(4)], [f"d{i}" for i in range(12)]
    clients = [threading.Thread(target=churn.client, args=(server, eager, n)) for n in range(2)]
    clients.append(threading.Thread(target=churn.client, args=(server, lazy, 2)))
    for c in clients:
        c.start()
    begin, warm = time.time(), 0
    try:
        while time.time() < begin + SECONDS and len(churn.errors) < 10:
            churn.new_version()
            churn.remove_old()
            if churn.random.randrange(3) == 0:
                churn.reconfigure(server)
            time.sleep(0.1)
            if not warm and time.time() > begin + SECONDS / 3:
                warm = server.memory()
    finally:
        churn.end.set()
        for c in clients:
            c.join()
    grown = server.memory() - warm
    given_up = server.log.count("Giving up servable version")
    loads = server.log.count("Successfully loaded servable version")
    print(f"{churn.answered} answers, {loads} loads, {given_up} given up, {churn.extra} configurations, "
          f"memory {grown / MB:+.1f} MB after the first third")
    assert churn.errors == []
    assert server.stop() == 0
    assert loads > 5 and given_up > 0 and churn.answered > 100
    assert grown < 8 * MB
