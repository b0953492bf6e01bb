"""Agency folders on a share without events: real front-ends on a stand-in for a file server (C13, C19, C20).

All three agencies have their folders on one FUSE file system. Case software works in the folder behind it,
as it would on the file server, so no event ever reaches the daemons.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.lab.lab import Lab, create_lab
from cli.lab.plan import default_plan
from exchanged.ledger import drops, open_read_only
from tests.support.share import (
    COARSE_TIMES,
    HANGS,
    NO_CASE,
    NO_FOLDER_SYNC,
    NO_LINKS,
    NO_RENAME_NEW,
    TRAITS,
    Share,
)

ROOT = Path(__file__).resolve().parents[2]
POLICE, PROCURATORATE, PROVINCE = "620199-01-00", "620199-03-00", "620000-00-00"
SCAN_SECONDS = 2.0
PATIENCE_SECONDS = 30.0


def ctl(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run exchangectl as a user would."""
    command = [sys.executable, "-P", "-m", "cli", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def wait_for(what: Callable[[], Any], why: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """Poll the world outside until ``what`` is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    pytest.fail(f"waited {seconds} seconds in vain for {why}")


class World:
    """The lab and the share that its agencies' folders lie on."""

    def __init__(self, lab: Lab, share: Share, scratch: Path) -> None:
        self.lab = lab
        self.share = share
        self._scratch = scratch

    def behind(self, code: str) -> Path:
        """An agency's folders as the case software on the file server sees them."""
        return self.share.backing / code

    def drop(self, name: str, seed: int, *, keep_back: bool = False) -> Path | None:
        """Case software writes a packet beside the outbox, then renames it in: no event for the daemon.

        ``keep_back``: one attachment does not come along; returned is where it lies.
        """
        late: Path | None = None
        made = ctl("packet", "new", "--type", "prosecution.transfer", "--name", name, "--seed", str(seed),
                   "--out", self._scratch)  # fmt: skip
        assert made.returncode == 0, made.stderr
        if keep_back:
            found = next(path for path in (self._scratch / name).iterdir() if path.name != "packet.xml")
            late = found.rename(self._scratch / found.name)
        target = self.behind(POLICE) / "outbox"
        subprocess.run(["cp", "-r", str(self._scratch / name), str(target / f".{name}")], check=True)
        (target / f".{name}").rename(target / name)
        return late

    def row(self, name: str) -> drops.DropRow | None:
        """What the police's ledger knows of a live drop."""
        ledger = open_read_only(self.lab.layout.data(POLICE) / "ledger.sqlite3")
        try:
            return drops.live(ledger).get(name.encode())
        finally:
            ledger.close()

    def status(self, name: str) -> dict[str, Any]:
        """The status of a drop, empty before there is one."""
        try:
            found: dict[str, Any] = json.loads(
                (self.behind(POLICE) / "status" / f"{name}.status.json").read_text("utf-8")
            )
        except FileNotFoundError:
            return {}
        return found

    def reaches(self, name: str, state: str) -> dict[str, Any]:
        """The status once it says ``state``."""
        wait_for(lambda: self.status(name).get("state") == state, f"{name} to be {state}")
        return self.status(name)

    def check(self, code: str) -> dict[str, tuple[str, str]]:
        """What config check says: name -> state and everything it says."""
        done = ctl("--config", self.lab.node_config(code), "config", "check", "--json")
        checks = json.loads(done.stdout)["checks"]
        return {each["name"]: (each["state"], each["detail"] + each["follows"]) for each in checks}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three agencies and the province; the agencies' folders on the share."""
    base = tmp_path_factory.mktemp("share")
    lab = create_lab(base / "lab", default_plan(3), "folder")
    agencies = lab.layout.agency(POLICE).parent
    agencies.rename(base / "server")
    share = Share(base / "server", agencies, base / "switches")
    for code in lab.agencies:
        config = lab.node_config(code)
        text = config.read_text("utf-8").replace("link_scan_seconds = 0.5", "link_scan_seconds = 30.0")
        config.write_text(text.replace("scan_seconds = 2.0", f"scan_seconds = {SCAN_SECONDS}"), "utf-8")
    (base / "scratch").mkdir()
    try:
        share.start()
        lab.start()
        yield World(lab, share, base / "scratch")
    finally:
        share.switch(HANGS, on=False)
        lab.stop()
        share.stop()


@pytest.fixture(autouse=True)
def plain_share(world: World) -> Iterator[None]:
    """Every test begins on a share without faults, but for the events."""
    yield
    for trait in (*TRAITS, HANGS):
        world.share.switch(trait, on=False)


def test_a_drop_without_an_event_is_seen_within_one_scan(world: World) -> None:
    world.drop("first", 1)
    started = time.monotonic()
    wait_for(lambda: world.row("first"), "the drop to be seen")
    # Two seconds more for a busy machine; the slow alarm of all stations comes after thirty.
    assert time.monotonic() - started < SCAN_SECONDS + 2.0
    world.reaches("first", "delivered")
    assert (world.behind(POLICE) / "sent" / "first").is_dir()


@pytest.mark.parametrize("missing", [(NO_FOLDER_SYNC,), (NO_RENAME_NEW,), TRAITS])
def test_delivery_on_a_share_that_lacks_something_is_whole_and_says_so(
    world: World, missing: tuple[str, ...]
) -> None:
    """C19: the delivered receipt says whether the folder was flushed."""
    for trait in missing:
        world.share.switch(trait)
    name = f"lacks-{len(missing)}-{missing[0]}"
    world.drop(name, 10 + len(name))
    told = world.reaches(name, "delivered")
    inbox = world.behind(PROCURATORATE) / "inbox" / "prosecution.transfer"
    (folder,) = [path for path in inbox.iterdir() if path.name.endswith(str(told["packetId"]))]
    assert {"packet.xml", "delivery.xml", "seal.xml"} <= {path.name for path in folder.iterdir()}
    receipts = world.behind(POLICE) / "receipts" / str(told["packetId"])
    (delivered,) = receipts.glob("delivered-*")
    said = "false" if NO_FOLDER_SYNC in missing else "true"
    assert f"<folderSynced>{said}</folderSynced>" in delivered.read_text("utf-8")


def test_config_check_names_every_trait_and_leaves_nothing(world: World) -> None:
    for code in (POLICE, PROCURATORATE):
        found = world.check(code)
        assert found["events"][0] == "note"
        assert "within 2 seconds" in found["events"][1]
        assert not {"folder sync", "rename", "case", "times"} & set(found)
    for trait in (NO_FOLDER_SYNC, NO_RENAME_NEW, NO_LINKS, NO_CASE, COARSE_TIMES):
        world.share.switch(trait)
    found = world.check(POLICE)
    assert {name for name, (state, _) in found.items() if state == "problem"} == set()
    for name, words in {
        "folder sync": "receipts say so",
        "rename": "neither renaming without replacing nor second names",
        "case": "capital and small letters are one",
        "times": "steps of 2 seconds",
    }.items():
        assert found[name][0] == "note"
        assert words in found[name][1]
    left = [path for path in world.share.backing.rglob("*") if "probe" in path.name]
    left += [path for path in world.lab.layout.data(POLICE).rglob("*") if "probe" in path.name]
    assert left == []
    assert "probe" not in world.lab.log(POLICE).read_text("utf-8")


def test_a_share_that_vanishes_takes_nothing_for_withdrawn_or_collected(world: World) -> None:
    world.drop("whole", 31)
    told = world.reaches("whole", "delivered")
    late = world.drop("half", 32, keep_back=True)
    assert late is not None
    wait_for(lambda: (row := world.row("half")) and row.state.value == "incomplete", "half to be incomplete")
    world.share.vanish()
    for code in (POLICE, PROCURATORATE):
        log = world.lab.log(code)
        wait_for(lambda log=log: "state=missing" in log.read_text("utf-8"), "the lost marker to be noticed")
    # Absence counts after two scans.
    time.sleep(3 * SCAN_SECONDS)
    row = world.row("half")
    assert row is not None
    assert row.state.value == "incomplete"
    assert world.check(POLICE)["folders"][0] == "problem"
    world.share.start()
    late.rename(world.behind(POLICE) / "outbox" / "half" / late.name)
    world.reaches("half", "delivered")
    assert world.status("whole")["state"] == "delivered"
    receipts = world.behind(POLICE) / "receipts" / str(told["packetId"])
    assert sorted(path.name.split("-")[0] for path in receipts.iterdir()) == ["accepted", "delivered"]


def test_a_share_that_hangs_does_not_stop_the_links(world: World) -> None:
    # Every station is woken each second, so that all that touch the share are caught in it.
    config = world.lab.node_config(POLICE)
    text = config.read_text("utf-8")
    world.lab.stop_node(POLICE)
    config.write_text(text.replace("link_scan_seconds = 30.0", "link_scan_seconds = 1.0"), "utf-8")
    world.lab.start_node(POLICE)
    world.lab.stop_node(PROVINCE)
    world.drop("waits", 41)
    wait_for(lambda: "packetId" in world.status("waits"), "the drop to be sealed")
    told = world.status("waits")
    world.share.switch(HANGS)
    time.sleep(2 * SCAN_SECONDS)
    world.lab.start_node(PROVINCE)
    trace = ("--config", world.lab.node_config(POLICE), "packet", "trace", str(told["packetId"]))
    wait_for(lambda: f"handed over to {PROVINCE}" in ctl(*trace).stdout, "the packet to be handed over")
    wait_for(lambda: "accepted" in ctl(*trace).stdout, "the receipt to come back")
    checked = subprocess.Popen(
        [sys.executable, "-P", "-m", "cli", *trace[:1], str(trace[1]), "config", "check"],
        stdout=subprocess.PIPE, text=True, cwd="/", env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    said, _ = checked.communicate(timeout=60)
    assert "does not answer" in said
    assert checked.returncode == 2
    world.share.switch(HANGS, on=False)
    world.reaches("waits", "delivered")
