"""docs/install.md, typed as it stands into three clean systems that systemd booted, ends with a packet."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system.machines import TAG, Machine, clean_tree, join_networks, remove_networks

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "install.md"
MACHINES = ("province", "police", "procuratorate")
STRICT = "procuratorate"
NAMESPACES = tuple(f"{TAG}-{name}" for name in MACHINES)
_BLOCK = re.compile(r"^```(sh|carry)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Block:
    """One block of the page: commands for machines, or files to carry (``kind`` is ``carry``)."""

    kind: str
    words: tuple[str, ...]
    text: str


def blocks() -> list[Block]:
    found = _BLOCK.findall(PAGE.read_text("utf-8"))
    return [Block(kind, tuple(words.split()), text) for kind, words, text in found]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The source as it is handed out: what git tracks, as it stands here."""
    target = tmp_path / "source"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name, follow_symlinks=False)
    return target


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[dict[str, Machine]]:
    join_networks(NAMESPACES[0], NAMESPACES[1:])
    made = {
        name: Machine(name, tmp_path / name, namespace)
        for name, namespace in zip(MACHINES, NAMESPACES, strict=True)
    }
    try:
        for machine in made.values():
            machine.boot(clean_tree())
            machine.run("systemctl disable --now ssh.service")
        yield made
    finally:
        for machine in made.values():
            machine.power_off()
        remove_networks(NAMESPACES)


def carry(lines: str, source: Path, machines: dict[str, Machine]) -> None:
    """A person with a stick in a pocket."""
    for line in lines.splitlines():
        (giver, path), (taker, target) = (place.split(":", 1) for place in line.split())
        given = source / path if giver == "build" else machines[giver].root / path.lstrip("/")
        taken = machines[taker].root / target.lstrip("/")
        shutil.copy(given, taken / given.name if target.endswith("/") else taken)


def type_into(machine: Machine, text: str, *, eventually: bool) -> None:
    # A hardened system may have this for root, in every shell that a person opens.
    text = f"umask 027\n{text}" if machine.name == STRICT else text
    deadline = time.monotonic() + PATIENCE_SECONDS
    while eventually and time.monotonic() < deadline and machine.try_run(text).returncode:
        time.sleep(0.5)
    try:
        machine.run(text)
    except AssertionError as error:
        error.add_note(machine.try_run("journalctl --no-pager -o cat -u 'exchanged*' | tail -40").stdout)
        raise


def test_the_page_as_written_ends_with_a_delivered_packet(source: Path, machines: dict[str, Machine]) -> None:
    for block in blocks():
        if block.kind == "carry":
            carry(block.text, source, machines)
        elif block.words == ("build",):
            subprocess.run(["sh", "-eu", "-c", block.text], cwd=source, check=True)
        else:
            for name in block.words:
                if name in machines:
                    type_into(machines[name], block.text, eventually="eventually" in block.words)
    police, procuratorate = machines["police"], machines["procuratorate"]
    for name, machine in machines.items():
        shown = machine.run(f"systemctl show -p NRestarts,User,ActiveState exchanged@{name}")
        assert set(shown.split()) == {"NRestarts=0", "User=exchanged", "ActiveState=active"}
    # case software's group owns outbox and inbox, and a delivered packet can be read and taken by it
    procuratorate.run(
        "useradd -G exchanged-case clerk\n"
        "cd /srv/exchanged/agencies/620199-03-00\n"
        "test \"$(stat -c '%G %a' outbox inbox)\" = 'exchanged-case 2770\nexchanged-case 2770'\n"
        'clerk() { setpriv --reuid=clerk --regid=clerk --init-groups sh -euc "$1"; }\n'
        "clerk 'cat inbox/*/*/packet.xml; rm -r inbox/case.report/*'"
    )
    # after a power cut and a reboot all goes on by itself
    police.power_off()
    police.boot(clean_tree())
    police.run("systemctl is-active exchanged@police")
