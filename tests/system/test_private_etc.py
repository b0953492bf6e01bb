"""The fence around the tests as root itself."""

from __future__ import annotations

import subprocess
from pathlib import Path


def test_etc_is_a_layer_in_memory_that_the_machine_does_not_see() -> None:
    findmnt = ["findmnt", "--noheadings", "--output", "FSTYPE", "/etc"]
    found = subprocess.run(findmnt, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "overlay"
    Path("/etc/exchanged-test-was-here").touch()
    outside = subprocess.run(
        ["nsenter", "--mount=/proc/1/ns/mnt", "test", "-e", "/etc/exchanged-test-was-here"],
        capture_output=True,
        check=False,
    )
    assert outside.returncode == 1
