"""A node's data is copied and both run, as real daemons over a real sshd; then one is restored (C15, C23)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cli.lab.lab import Lab, create_lab
from cli.lab.plan import default_plan
from exchanged.ledger import open_read_only
from exchanged.ledger.questions_link import link_facts
from packet_spec.delivery import decode_delivery
from tests.process.test_main_job import PATIENCE_SECONDS, POLICE, PROCURATORATE, PROVINCE, ctl, wait_for

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A province with three agencies, running."""
    create_lab(tmp_path / "lab", default_plan(3), "sftp")
    lab = Lab.open(tmp_path / "lab")
    try:
        lab.start()
        yield lab
    finally:
        lab.stop()


def memory(data: Path, marker: str) -> list[str]:
    """What the links of a node remember under that name."""
    with closing(open_read_only(data / "ledger.sqlite3")) as connection:
        links = [row[0] for row in connection.execute("SELECT DISTINCT link FROM link_memory").fetchall()]
        found = [link_facts(connection, link).memory.get(marker, "") for link in links]
    return [value for value in found if value]


def send(lab: Lab, name: str, seed: int) -> Path:
    outbox = lab.layout.agency(POLICE) / "outbox"
    what = ("--type", "info.share", "--from", POLICE, "--to", PROCURATORATE)
    made = ctl("packet", "new", *what, "--out", outbox, "--name", name, "--seed", str(seed))
    assert made.returncode == 0, made.stderr
    return lab.layout.agency(POLICE) / "status" / f"{name}.status.json"


def send_until(lab: Lab, is_seen: Callable[[], bool], why: str) -> int:
    """Send one packet after the other: what two nodes say under one name shows only where both speak.

    Either may take a drop and either may overwrite the other's word, so how many it takes is open. The number
    of packets, with the first.
    """
    deadline = time.monotonic() + 2 * PATIENCE_SECONDS
    count = 1
    while not is_seen():
        if time.monotonic() > deadline:
            pytest.fail(f"sent {count} packets in vain for {why}")
        count += 1
        send(lab, f"more-{count}", count)
    return count


def state(path: Path) -> str:
    return str(json.loads(path.read_text("utf-8"))["state"]) if path.exists() else ""


def delivered(lab: Lab) -> list[str]:
    """The packets that lie in the receiver's inbox."""
    inbox = lab.layout.agency(PROCURATORATE) / "inbox"
    found = [decode_delivery(path.read_bytes()) for path in inbox.glob("*/*/delivery.xml")]
    return [each.sender_ref for each in found if not each.maybe_duplicate]


def told_of(path: Path) -> list[str]:
    """Statuses of that drop which say that it is in the inbox, or the same as one that is."""
    return [each.name for each in path.parent.glob(f"{path.name.split('.')[0]}*.status.json")
            if state(each) in {"delivered", "duplicate"}]  # fmt: skip


def held_link(lab: Lab) -> str:
    """The one link of the province that is held."""
    listed = json.loads(ctl("--config", lab.layout.config(PROVINCE), "link", "list", "--json").stdout)
    (held,) = [each["name"] for each in listed["links"] if each["state"] == "held"]
    return str(held)


def test_a_cloned_node_and_its_copy_are_held_and_one_comes_back_from_its_backup(
    lab: Lab, tmp_path: Path
) -> None:
    first = send(lab, "first", 1)
    wait_for(lambda: state(first) == "delivered", "the first packet")
    config, data = lab.layout.config(POLICE), lab.layout.data(POLICE)
    saved = tmp_path / "saved"
    made = ctl("--config", config, "backup", "create", saved, "--json")
    assert made.returncode == 0, made.stderr
    assert ctl("backup", "verify", saved).returncode == 0
    # The copy: everything but lock and socket, of a node that stands still for a moment.
    lab.stop_node(POLICE)
    # The configuration names the data beside it, and mailbox and folders by their places.
    copied = tmp_path / "clone"
    shutil.copytree(config.parent, copied, ignore=shutil.ignore_patterns("lock", "*.sock"))
    clone = copied / data.relative_to(config.parent)
    lab.start_node(POLICE)
    copy = subprocess.Popen(
        [sys.executable, "-m", "cli.daemon", "--config", str(copied / config.name)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        province = lab.layout.data(PROVINCE)
        count = send_until(lab, lambda: bool(memory(province, "forked")), "the province to hold the two")
        for place in (data, clone):
            wait_for(
                lambda place=place: [*memory(place, "set-back"), *memory(place, "accused")],
                f"{place} to hear of it",
            )
        shown = ctl("--config", lab.layout.config(PROVINCE), "link", "show", held_link(lab))
        assert f"two nodes speak as {POLICE}" in " ".join(shown.stdout.split())
        for place in (config, copied / config.name):
            assert "held" in ctl("--config", place, "link", "list").stdout
    finally:
        copy.terminate()
        copy.wait(20)
    # One is put back to the backup, under another incarnation, and the province is told which counts.
    lab.stop_node(POLICE)
    assert ctl("--config", config, "node", "restore", saved, "--yes").returncode == 0
    lab.start_node(POLICE)
    status = json.loads(ctl("--config", config, "node", "status", "--json").stdout)
    incarnation = status["status"]["facts"]["memory"]["incarnation"]
    held = held_link(lab)
    why = ("--reason", "the copy is switched off")
    accept = ("link", "accept", held, "--incarnation", incarnation, *why)
    accepted = ctl("--config", lab.layout.config(PROVINCE), *accept)
    assert accepted.returncode == 0, accepted.stderr
    # Both had taken drops out of one outbox, and one may have said of the other's that they are gone.
    wait_for(lambda: len(delivered(lab)) == len(set(delivered(lab))) == count, "every packet, once")
    for seed in range(2, count + 1):
        path = lab.layout.agency(POLICE) / "status" / f"more-{seed}.status.json"
        wait_for(lambda path=path: bool(told_of(path)), f"what became of packet {seed}")
