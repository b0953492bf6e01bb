"""All keys of a province change under load, with real daemons and sshd: nobody restarts, nothing is lost."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Self

import pytest

from cli.directory_rotation import revoke_key
from cli.directory_trusted import find_directory
from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import default_plan
from exchanged.clock import SystemClock
from exchanged.config import load_config
from packet_spec.catalogue import load_catalogue
from packet_spec.model import Directory, KeyUse
from tests.support.listing import next_version, node_of
from tests.support.network import POLICE as FIRST
from tests.support.network import PROCURATORATE as SECOND
from tests.support.network import small_plan
from tests.support.publishing import signed
from tests.support.stories import assert_ledgers_are_whole, events, exchangectl

pytestmark = [pytest.mark.process, pytest.mark.slow]

AGENCIES = 20
DROPS_A_SECOND = 1.0
TYPES = (
    "case.report",
    "opinion.solicit",
    "legalaid.notify",
    "commute.request",
    "info.query",
    "dossier.read.request",
)
# Until all nodes have the directory; it takes seconds.
LEAD = timedelta(seconds=60)
OVERLAP = timedelta(seconds=60)
MINUTE = 60.0


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = create_lab(tmp_path / "lab", default_plan(AGENCIES), "sftp")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def small_lab(tmp_path: Path) -> Iterator[Lab]:
    made = create_lab(tmp_path / "lab", small_plan(FIRST, SECOND), "sftp")
    made.start()
    yield made
    made.stop()


def ways() -> Iterator[tuple[str, str, str]]:
    """For every agency a type that begins a case, and to whom it may send it."""
    types = [each for each in load_catalogue().business_types.values() if each.code in TYPES]
    agencies = default_plan(AGENCIES).agencies
    for sender in agencies:
        for row in (row for row in types if sender.kind in row.senders):
            found = [
                other
                for other in agencies
                if other.kind in row.receivers
                and other is not sender
                and (row.level == "any" or other.level == sender.level)
            ]
            if found:
                yield row.code, sender.code, found[len(sender.code) % len(found)].code
                break


class Load:
    """Case software of all agencies, which goes on dropping while keys change. ``drops``: name -> sender."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._ways = list(ways())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.drops: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(1 / DROPS_A_SECOND):
            self.drop()

    def drop(self) -> None:
        """The next agency sends to the one after it."""
        number = len(self.drops)
        business_type, sender, receiver = self._ways[number % len(self._ways)]
        name = f"load-{number:04}"
        request = DropRequest(business_type, sender, receiver, SystemClock().now(), name=name, seed=number)
        write_drop(make_drop(request), self._lab.agency_root(sender) / "outbox")
        self.drops[name] = sender

    def packets(self) -> dict[str, tuple[str, str]]:
        """Sender and packet id of every drop that has one."""
        found = {}
        for name, sender in self.drops.items():
            path = self._lab.agency_root(sender) / "status" / f"{name}.status.json"
            if path.exists() and (known := json.loads(path.read_text("utf-8"))).get("packetId"):
                found[name] = (sender, known["packetId"])
        return found


def eventually(what: Callable[[], object], seconds: float = MINUTE) -> None:
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, what
        time.sleep(0.2)


def in_force(lab: Lab, code: str) -> Directory:
    found, _state = find_directory(load_config(lab.node_config(code)))
    assert found is not None
    return found


def run(lab: Lab, *words: str | Path) -> str:
    """A command at the province."""
    done = exchangectl(lab, lab.province, *words)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def install(lab: Lab, path: Path) -> None:
    run(lab, "directory", "sign", path, "--key", lab.layout.root_key)
    run(lab, "directory", "install", path)


def offered(lab: Lab) -> int:
    return len(json.loads(run(lab, "key", "offers", "--json")))


def pids(lab: Lab) -> dict[str, int | None]:
    return {code: lab.pid(code) for code in lab.nodes}


def rotate(lab: Lab, overlap: timedelta) -> Directory:
    """What the keepers of the directory do. Nobody at an agency does anything."""
    root = lab.layout.root
    first = lab.layout.data(lab.province) / "directory" / "directory-1.xml"
    run(lab, "key", "rotate", "--all", "--directory", first, "--output", root / "2.xml")
    install(lab, root / "2.xml")
    # seal, link, receipt, encrypt and login of each agency; link, receipt and log of the province.
    wanted = 5 * (len(lab.nodes) - 1) + 3
    eventually(lambda: offered(lab) == wanted, 3 * MINUTE)
    run(lab, "key", "offers", "--output", root / "offers.json")
    begin = SystemClock().now() + LEAD
    run(
        lab, "directory", "next", root / "2.xml", "--offers", root / "offers.json",
        "--keys-from", begin.isoformat(), "--overlap-days", str(overlap / timedelta(days=1)),
        "--output", root / "3.xml",
    )  # fmt: skip
    install(lab, root / "3.xml")
    eventually(lambda: all(in_force(lab, code).version == 3 for code in lab.nodes), LEAD.total_seconds())
    return in_force(lab, lab.province)


def test_all_keys_of_twenty_agencies_change_under_load(lab: Lab) -> None:
    began = pids(lab)
    old = {key.key_id for node in in_force(lab, lab.province).nodes for key in node.keys}
    with Load(lab) as load:
        directory = rotate(lab, OVERLAP)
        ends = max(
            key.not_after
            for node in directory.nodes
            for key in node.keys
            if key.key_id in old and KeyUse.HOST not in key.uses
        )
        eventually(lambda: SystemClock().now() > ends, 3 * MINUTE)
        after = len(load.drops)
        # Every agency speaks under new keys alone.
        eventually(lambda: len(load.drops) >= after + 2 * AGENCIES, 2 * MINUTE)
    eventually(lambda: len(load.packets()) == len(load.drops), 2 * MINUTE)
    packets = load.packets()

    def delivered() -> bool:
        return all(
            any((lab.agency_root(sender) / "receipts" / packet_id).glob("delivered*"))
            for sender, packet_id in packets.values()
        )

    eventually(delivered, 4 * MINUTE)
    folders = [
        path.parent.name
        for code in lab.agencies
        for path in (lab.agency_root(code) / "inbox").glob("*/*/delivery.xml")
    ]
    assert sorted(folders) == sorted(f"{sender}_{packet_id}" for sender, packet_id in packets.values())
    assert pids(lab) == began
    assert None not in began.values()
    assert_ledgers_are_whole(lab)
    used = {
        each["detail"]["key"]
        for code in lab.nodes
        for each in events(lab, code)
        if each["kind"] == "receipt-without-authority"
    }
    assert not used


def test_a_key_of_each_use_that_is_revoked_counts_nowhere_within_a_minute(small_lab: Lab) -> None:
    """And the node goes on with what is left to it: the other key of the overlap."""
    lab = small_lab
    agency, other = FIRST, SECOND
    directory = rotate(lab, timedelta(hours=1))
    newest = {
        use: max(
            (key for key in node_of(directory, agency).keys if use in key.uses),
            key=lambda key: key.not_before,
        )
        for use in (KeyUse.SEAL, KeyUse.LINK, KeyUse.RECEIPT, KeyUse.LOGIN)
    }
    eventually(lambda: SystemClock().now() > newest[KeyUse.LINK].not_before)
    revoked = directory
    for key in newest.values():
        revoked = revoke_key(revoked, key.key_id, SystemClock().now())
    path = lab.layout.root / "4.xml"
    path.write_bytes(signed(lab, next_version(revoked)))
    run(lab, "directory", "install", path)
    began = time.monotonic()
    eventually(lambda: in_force(lab, agency).version == in_force(lab, other).version == 4)
    request = DropRequest("case.report", agency, other, SystemClock().now(), name="after")
    write_drop(make_drop(request), lab.agency_root(agency) / "outbox")
    inbox = lab.agency_root(other) / "inbox"
    eventually(lambda: list(inbox.glob("*/*/seal.sig")))
    assert time.monotonic() - began < MINUTE
    (signature,) = inbox.glob("*/*/seal.sig")
    assert newest[KeyUse.SEAL].key_id not in signature.read_text("ascii")
    (receipts,) = (lab.agency_root(agency) / "receipts").iterdir()
    eventually(lambda: list(receipts.glob("delivered*")))
