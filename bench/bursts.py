"""What honest clients notice of many TLS clients that come at once.

    ninja -C build/release sluice bench
    build/venv/bin/python bench/bursts.py [--sluice build/release/sluice,another/sluice] [--rounds 5]

Ten times a second sixteen connections say hello and leave. Honest requests come at a fixed pace over plain HTTP, to the
same loop. The last processor belongs to the clients (attack.py). Several servers are measured in turn; what is told is
the median of the rounds.
"""
import argparse
import multiprocessing
import pathlib
import socket
import statistics
import tempfile
import time

import attack
import attacks
import reload

CLIENTS, EVERY, PACE, SECONDS = 16, 0.1, 8000, 3


def bursts(port, hello):
    while True:
        begin = time.time()
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(CLIENTS)]
        time.sleep(0.005)
        for c in clients:
            c.send(hello)
        time.sleep(0.03)
        for c in clients:
            c.close()
        time.sleep(max(0, EVERY - (time.time() - begin)))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--sluice", default=str(reload.SLUICE))
    p.add_argument("--rounds", type=int, default=5)
    args = p.parse_args()
    reload.part()
    hello, servers, got = attacks.client_hello(), {}, {}
    for path in args.sluice.split(","):
        attack.SLUICE = path
        servers[path], got[path] = attack.Server(pathlib.Path(tempfile.mkdtemp())), []
    for _ in range(args.rounds):
        for path, server in servers.items():
            attacker = multiprocessing.Process(target=bursts, args=(server.tls, hello), daemon=True)
            attacker.start()
            time.sleep(0.3)
            got[path].append(attack.told(attack.paced(server, PACE, SECONDS, 16)))
            attacker.kill()
    for path, server in servers.items():
        server.stop()
        print(path, ", ".join(f"{k} {statistics.median(r[k] for r in got[path]):.0f} us" for k in ("p50", "p99", "p999")) +
              f", failed {sum(r['failed'] for r in got[path])}")


if __name__ == "__main__":
    main()
