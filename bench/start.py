"""Start to first 200, resident memory, size of the binary.

    build/venv/bin/python bench/start.py [--rounds 21]
"""
import argparse
import pathlib
import socket
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SLUICE = ROOT / "build/release/sluice"
REQUEST = b"POST /v1/models/my_model:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 32\r\n\r\n" \
          b'{"instances": [[1.0, 2.0, 3.0]]}'


def once(port):
    begin = time.perf_counter()
    p = subprocess.Popen([SLUICE, "serve", f"--rest_api_port={port}", "--port=0", "--model_name=my_model",
                          f"--model_base_path={ROOT}/examples/models/my_model", "--engine=native"],
                         stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        while time.perf_counter() - begin < 10:
            try:
                with socket.create_connection(("127.0.0.1", port)) as s:
                    s.sendall(REQUEST)
                    if s.recv(4096).startswith(b"HTTP/1.1 200"):
                        break
            except OSError:
                time.sleep(0.0005)
        took = (time.perf_counter() - begin) * 1000
        rss = next(int(l.split()[1]) for l in pathlib.Path(f"/proc/{p.pid}/status").read_text().splitlines()
                   if l.startswith("VmRSS"))
    finally:
        p.terminate()
        p.wait()
    return took, rss


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--rounds", type=int, default=21)
    rounds = ap.parse_args().rounds
    runs = [once(18700 + i % 50) for i in range(rounds)]
    with tempfile.NamedTemporaryFile() as f:
        subprocess.run(["strip", "-o", f.name, SLUICE], check=True)
        size = pathlib.Path(f.name).stat().st_size
    print(f"exec to first 200: median {statistics.median(t for t, _ in runs):.1f} ms, "
          f"max {max(t for t, _ in runs):.1f} ms over {rounds} starts")
    print(f"resident memory then: median {statistics.median(r for _, r in runs) / 1024:.1f} MB")
    print(f"stripped binary: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
