"""REST predict of a three-number row, against what a user would pick and against the limit.

    build/venv/bin/python bench/rest.py [--rounds 7] [--seconds 3] [--fastapi]

Each round runs every server once, in turn, with the same load, on the same machine; figures are medians
over the rounds, ratios are taken round by round. Processor time is user + system of the server's own
process, from /proc, per request answered.

  sluice        build/release/sluice, one loop thread, native engine
  nginx         one worker, a static file of the reply's size (apt-get install nginx-light)
  epoll         bench/epoll_constant: reads the body, answers a constant
  fastapi       FastAPI + uvicorn + TensorFlow, one process (pip install fastapi uvicorn)
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BODY = '{"instances": [[1.0, 2.0, 3.0]]}'


def wait_port(port, seconds=60):
    end = time.time() + seconds
    while time.time() < end:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    sys.exit(f"nothing listens on {port}")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Server:
    def __init__(self, name, port, command, path, env=None, pid_of=None):
        self.name, self.port, self.path = name, port, path
        self.url = f"http://127.0.0.1:{port}{path}"
        self.process = subprocess.Popen(command, env={**os.environ, **(env or {})},
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_port(port)
        self.pid = pid_of(self.process.pid) if pid_of else self.process.pid
        self.runs = []

    def load(self, connections, seconds, post):
        before = cpu_seconds(self.pid)
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", self.url]
        if post:
            command[1:1] = ["-s", str(ROOT / "bench" / "post.lua")]
        out = subprocess.run(command, env={**os.environ, "BODY": BODY}, capture_output=True, text=True).stdout
        used = cpu_seconds(self.pid) - before
        requests = int(re.search(r"(\d+) requests in", out).group(1))
        errors = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
        if errors and self.name != "nginx":
            sys.exit(f"{self.name}: {errors.group(0)}")
        p50 = re.search(r"50%\s+([\d.]+)(us|ms|s)", out)
        scale = {"us": 1, "ms": 1e3, "s": 1e6}[p50.group(2)]
        return {"rps": requests / seconds, "cpu_us": used / requests * 1e6,
                "p50_us": float(p50.group(1)) * scale}


def nginx(directory, reply):
    (directory / "reply.json").write_bytes(reply)
    (directory / "nginx.conf").write_text(f"""
worker_processes 1; pid {directory}/pid; error_log {directory}/error.log; daemon off; master_process on;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000; tcp_nodelay on; sendfile on; open_file_cache max=10;
  default_type application/json; client_body_temp_path {directory}/b; proxy_temp_path {directory}/p;
  fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  server {{ listen 127.0.0.1:18602; root {directory}; error_page 405 =200 $uri; }} }}
""")
    child = lambda pid: int(subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()[0])
    os.chmod(directory, 0o755)
    return Server("nginx", 18602, ["nginx", "-c", str(directory / "nginx.conf")], "/reply.json", pid_of=child)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--rounds", type=int, default=7)
    ap.add_argument("--seconds", type=int, default=3)
    ap.add_argument("--fastapi", action="store_true")
    ap.add_argument("--sluice", default=str(ROOT / "build/release/sluice"))
    args = ap.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp())
    model = ROOT / "examples/models/my_model"
    servers = [Server("sluice", 18601, [args.sluice, "serve", "--rest_api_port=18601", "--port=0",
                                        "--model_name=my_model", f"--model_base_path={model}",
                                        "--loop_threads=1", "--engine=native"],
                      "/v1/models/my_model:predict")]
    reply = urllib.request.urlopen(urllib.request.Request(servers[0].url, BODY.encode())).read()
    assert json.loads(reply)["predictions"] == [[4.75]], reply
    servers.append(nginx(directory, reply))
    servers.append(Server("epoll", 18603, [str(ROOT / "build/release/bench/epoll_constant"), "18603",
                                           str(directory / "reply.json")], "/"))
    if args.fastapi:
        servers.append(Server("fastapi", 18604, [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--port", "18604",
                                                 "--log-level", "warning"], "/predict",
                              env={"MODEL": str(model / "1"), "PYTHONPATH": str(ROOT / "bench")}))
    try:
        results = {s.name: {64: [], 16: []} for s in servers}
        for _ in range(args.rounds):
            for connections in (64, 16):
                for s in servers:
                    results[s.name][connections].append(s.load(connections, args.seconds, s.name != "nginx"))
        for connections in (64, 16):
            print(f"\n{connections} connections, medians of {args.rounds} rounds of {args.seconds} s")
            print(f"{'':10}{'req/s':>12}{'cpu us/req':>12}{'p50 us':>10}   sluice / this: req/s, cpu, p50")
            mine = results["sluice"][connections]
            for s in servers:
                r = results[s.name][connections]
                med = lambda key: statistics.median(x[key] for x in r)
                ratio = lambda key: statistics.median(a[key] / b[key] for a, b in zip(mine, r) if b[key])
                print(f"{s.name:10}{med('rps'):12.0f}{med('cpu_us'):12.2f}{med('p50_us'):10.0f}"
                      f"   {ratio('rps'):.2f}, {ratio('cpu_us'):.2f}, {ratio('p50_us'):.2f}")
    finally:
        for s in servers:
            s.process.terminate()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
