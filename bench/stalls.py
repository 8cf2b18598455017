"""Latencies without those that the machine itself made: see stalls.c.

A request counts unless it was due while a processor was taken away, or in the time after it in which those that
came meanwhile are caught up with: three times as long. The same is left out of runs of both kinds.
"""
import array
import bisect
import pathlib
import subprocess
import tempfile
import time

PROGRAM = pathlib.Path(__file__).resolve().parent.parent / "build/release/bench/stalls"
CATCH_UP, MARGIN_NS = 3, 1_000_000


class Stalls:
    """Notes those of these processors, from now on."""

    def __init__(self, processors):
        self.files, self.processes = [], []
        for processor in processors:
            file = tempfile.TemporaryFile("w+")
            self.files.append(file)
            self.processes.append(subprocess.Popen([PROGRAM, str(processor)], stdout=file))
        time.sleep(0.1)
        self.known = all(p.poll() is None for p in self.processes)

    def windows(self):
        """(begin, end) of when latencies do not count, in order, none within another."""
        found = []
        for file in self.files:
            file.seek(0)
            for line in file.read().splitlines():
                due, woke = map(int, line.split())
                found.append((due - 500_000, woke + CATCH_UP * (woke - due) + MARGIN_NS))
        merged = []
        for begin, end in sorted(found):
            if merged and begin <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((begin, end))
        return merged


def read(file):
    """When requests were due, and their latencies in microseconds, from a file of paced.c."""
    both = array.array("Q")
    both.frombytes(pathlib.Path(file).read_bytes())
    return both[0::2], both[1::2]


def outside(dues, latencies, windows):
    """The latencies that count."""
    begins, ends = [b for b, _ in windows], [e for _, e in windows]
    count = array.array("Q")
    for due, latency in zip(dues, latencies):
        at = bisect.bisect_right(begins, due) - 1
        if at < 0 or due > ends[at]:
            count.append(latency)
    return count
