"""The heart of the suite: power goes at every kind of durable step, at every node, and nothing is lost.

One packet with an inline part and a blob travels from the police through the province to the
procuratorate. The scenario is run once to count its crash points over all nodes; then again for each
chosen point: the node that reaches it dies there, is opened again from its folder, and everything runs
to rest. Afterwards there is exactly one complete delivery, one ``accepted`` and one ``delivered``
receipt, the status says so, no spare byte lies about, and no ledger is broken. In the ordinary run every
kind of step is crashed at its first and last occurrence at every node, and beyond that every
``STRIDE``-th point; ``--all-crash-points`` takes all of them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from cli.lab.plan import LabPlan, Standard, parse_plan
from exchanged.ledger.verify import examine_ledger
from packet_spec.identity import sha256_hex
from packet_spec.model import Route
from tests.support.crash import SimulatedCrash
from tests.support.network import POLICE, PROCURATORATE, Network, small_plan

STRIDE = 97


class Meter:
    """Counts the crash points of one node within a common order, and crashes at one of them."""

    def __init__(self, log: list[tuple[str, str]], node: str, crash_at: int | None) -> None:
        self._log = log
        self._node = node
        self._crash_at = crash_at
        self._dead = False

    def point(self, name: str) -> None:
        if self._dead:
            raise SimulatedCrash(name)
        self._log.append((self._node, name))
        if len(self._log) == self._crash_at:
            self._dead = True
            raise SimulatedCrash(name)

    def revive(self) -> None:
        """The node was started again."""
        self._dead = False
        self._crash_at = None


def direct() -> LabPlan:
    """Both agencies below the province."""
    return small_plan(POLICE, PROCURATORATE)


def bridged() -> LabPlan:
    """Both agencies behind one bridge, which the packet passes twice (C14)."""
    return parse_plan(
        {
            "agency": [{"code": code, "via": "bridge-north"} for code in (POLICE, PROCURATORATE)],
            "bridge": [{"name": "north", "between": ["province"]}],
        }
    )


def encrypted() -> LabPlan:
    """Both agencies below the province, and their parts encrypted."""
    return replace(direct(), standard=Standard(routes=(Route(encrypt="parts"),)))


def play(plan: LabPlan, root: Path, crash_at: int | None) -> tuple[Network, list[tuple[str, str]]]:
    """The scenario in a fresh world; a node that dies is started again at the next round."""
    log: list[tuple[str, str]] = []
    network = Network(root, plan)
    meters = {code: Meter(log, code, crash_at) for code in network.nodes}
    for code, node in network.nodes.items():
        node.crash = meters[code]

    def start_the_dead() -> None:
        for code, node in network.nodes.items():
            if node.parts is None:
                meters[code].revive()
                node.open()

    for node in network.nodes.values():
        try:
            node.open()
        except SimulatedCrash:
            node.die()
    request = DropRequest(
        "prosecution.transfer",
        POLICE,
        PROCURATORATE,
        network.clock.now(),
        extra_documents=("EVD-024",),
        video_bytes=1_200_000,
        name="案件",
    )
    write_drop(make_drop(request), network.agency(POLICE) / "outbox")
    network.before_round = start_the_dead
    network.run(rounds=90)
    return network, log


def check(network: Network) -> None:
    """What anybody can see from outside, and that the books agree with the bytes."""
    inbox = network.agency(PROCURATORATE) / "inbox"
    (folder,) = (inbox / "prosecution.transfer").iterdir()
    originals = network.agency(POLICE) / "sent" / "案件"
    for original in originals.iterdir():
        assert sha256_hex((folder / original.name).read_bytes()) == sha256_hex(original.read_bytes())
    status = json.loads((network.agency(POLICE) / "status" / "案件.status.json").read_text("utf-8"))
    assert (status["state"], status["final"]) == ("delivered", True)
    receipts = network.agency(POLICE) / "receipts" / str(status["packetId"])
    kinds = sorted(path.name.split("-")[0] for path in receipts.iterdir())
    assert kinds == ["accepted", "delivered"]
    assert [path.name for path in (network.agency(POLICE) / "outbox").iterdir()] == [".exchanged-marker"]
    assert list((network.agency(PROCURATORATE) / ".exchanged").iterdir()) == []
    for node in network.nodes.values():
        connection = node.opened.ledger.read()
        verified = examine_ledger(connection, node.config.node.data_dir)
        assert verified.problems == ()
        assert verified.spares == 0
        assert connection.execute("SELECT count(*) FROM arrival").fetchone()[0] == 0
        assert connection.execute("SELECT count(*) FROM outgoing").fetchone()[0] == 0
        assert connection.execute("SELECT count(*) FROM effect").fetchone()[0] == 0
    for mailbox in (network.mailbox(POLICE), network.mailbox(PROCURATORATE)):
        for direction in ("up", "down"):
            assert {path.name for path in (mailbox / direction).iterdir()} <= {"ack.batch"}


def chosen(log: list[tuple[str, str]], only: str) -> list[int]:
    """First and last of each kind of step at each node, or at that one, and every STRIDE-th point.

    What comes right after a step is left out: nothing durable lies between it and what comes next.
    """
    kinds: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, (node, name) in enumerate(log, start=1):
        if only in ("", node) and (":after-" not in name or name == "ledger:after-commit"):
            kinds[node, name].append(number)
    edges = {number for numbers in kinds.values() for number in (numbers[0], numbers[-1])}
    return sorted(edges | set(range(1, len(log) + 1, STRIDE)))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: no page is ever lost here, so nothing need reach a disk."""
    memory = Path("/dev/shm")  # noqa: S108 - a file system in memory, used by this test alone
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plan", "only"),
    [(direct(), ""), (bridged(), "bridge-north"), (encrypted(), POLICE), (encrypted(), PROCURATORATE)],
    ids=["direct", "bridged", "encrypting", "decrypting"],
)
def test_a_crash_at_any_step_of_any_node_loses_and_doubles_nothing(
    world: Path, request: pytest.FixtureRequest, plan: LabPlan, only: str
) -> None:
    network, log = play(plan, world / "undisturbed", None)
    check(network)
    network.__exit__()
    points = range(1, len(log) + 1) if request.config.getoption("--all-crash-points") else chosen(log, only)
    assert {node for node, _ in log} == set(plan.nodes)
    for number in points:
        disturbed, _ = play(plan, world / f"crash-{number}", number)
        try:
            check(disturbed)
        except Exception as error:
            error.add_note(f"after a crash at point {number} of {len(log)}: {log[number - 1]}")
            raise
        finally:
            disturbed.__exit__()
            shutil.rmtree(world / f"crash-{number}")
