"""What the compiler and the linker put around a mistake in the programs: docs/security.md, The process locks itself up."""
import re
import subprocess

import pytest

from conftest import SLUICE

PROGRAMS = [p for p in (SLUICE.parent / name for name in ("sluice", "sluice-fetch", "sluice-tensorflow-host")) if p.exists()]

pytestmark = pytest.mark.skipif(SLUICE.parent.name != "release", reason="sanitizers stand in the place of it")


def readelf(program, *what):
    return subprocess.run(["readelf", "--wide", *what, program], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_a_release_is_hardened(program):
    dynamic, segments = readelf(program, "--dynamic"), readelf(program, "--program-headers")
    # Where the program lies is decided anew at each start.
    assert re.search(r"Type:\s+DYN", readelf(program, "--file-header")) and "PIE" in dynamic
    # What the loader writes is read-only from then on, all of it: nothing is bound later.
    assert "GNU_RELRO" in segments
    assert re.search(r"FLAGS.*\bBIND_NOW\b|\(BIND_NOW\)", dynamic) and re.search(r"FLAGS_1.*\bNOW\b", dynamic)
    assert "TEXTREL" not in dynamic
    # No memory can be both written and run, the stack included.
    flags = [re.match(r"\s+(\w+)\s+(?:0x\w+\s+){5}([R E W]{3})", line) for line in segments.splitlines()]
    flags = {m[1]: m[2] for m in flags if m and m[1] == "GNU_STACK"} | {m[0]: m[2] for m in flags if m and m[1] == "LOAD"}
    assert flags["GNU_STACK"] == "RW " and len(flags) > 3
    assert not any("W" in f and "E" in f for f in flags.values()), flags
    # No library is looked for where others may write.
    assert "RPATH" not in dynamic and "RUNPATH" not in dynamic
    # Buffers whose size the compiler knows, and return addresses, are checked.
    symbols = readelf(program, "--dyn-syms")
    assert "__stack_chk_fail" in symbols
    assert len(set(re.findall(r"\b__\w+_chk\b", symbols)) - {"__stack_chk_fail"}) >= 2, "built without _FORTIFY_SOURCE"


def test_all_programs_were_looked_at():
    assert SLUICE in PROGRAMS and len(PROGRAMS) == 3, PROGRAMS
