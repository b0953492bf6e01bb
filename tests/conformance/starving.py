"""Checks one valid packet with little memory, then more and more; prints how often which outcome.

Run by a test in a process of its own: it forks.
"""

from __future__ import annotations

import json
import os
import resource
from collections import Counter
from pathlib import Path
from typing import Final

from packet_spec.check import check_packet
from packet_spec.pack import shipped_pack
from tests.conformance.case_packets import directory_of, load_case
from tests.conformance.hostile_xml import HOSTILE, attachments

# What is short grows with the square: how much is free already differs from machine to machine.
_STEP: Final = 8 << 10
_STEPS: Final = 36


def outcome(data: bytes, spare: int) -> str:
    """What the check says with ``spare`` bytes more than are taken already."""
    directory = directory_of(load_case("dangerous_driving"))
    taken = int(Path("/proc/self/statm").read_bytes().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + spare, hard))
    try:
        verdict = check_packet(data, directory=directory, pack=shipped_pack()).verdict
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    return f"{verdict.outcome} {verdict.held_because}".strip()


def in_a_child(data: bytes, spare: int) -> str:
    """A fork has this process's memory and none of what an earlier check left behind."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            told = outcome(data, spare)
        except BaseException as error:  # noqa: BLE001 - whatever leaves the check is the fault to be shown
            told = f"raised {type(error).__name__}"
        os.write(writing, told.encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as told_by:
        return told_by.read().decode() or "died"


def main() -> None:
    """Warm, so that only the check itself is short of memory."""
    data = attachments(2000)
    for warm in (HOSTILE["as-deep-as-allowed"](), data):
        check_packet(warm, directory=None, pack=shipped_pack())
    print(json.dumps(Counter(in_a_child(data, number * number * _STEP) for number in range(_STEPS))))  # noqa: T201


if __name__ == "__main__":
    main()
