"""The faulty drops of the domain catalogue (part 3.3): what happens to a good packet on its way.

Half-written, dropped twice, a link that is down, a byte changed on the bridge: each seen through the public
face of a lab of real daemons (``tests/support/faults``), each delivered whole and once. Fictional data.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.demo.journey import Ending, Journey
from cli.fiction.writer import DropFormat
from packet_spec.identity import PacketKey
from tests.support.faults import BRIDGE, COR, POL, PRO, PROVINCE, Stage
from tests.support.stories import Story, events, exchangectl, pause, wait_until

pytestmark = [pytest.mark.process, pytest.mark.slow]


# --- a drop that still grows ---------------------------------------------------------------------------


def renamed(source: Path, outbox: Path) -> Iterator[None]:
    """Written under a temporary name, piece by piece, and renamed last."""
    temporary = outbox / f"{source.name}.tmp"
    yield from pieces(source, temporary)
    temporary.rename(outbox / source.name)


def marked(source: Path, outbox: Path) -> Iterator[None]:
    """Written in place, piece by piece; the marker comes last."""
    yield from pieces(source, outbox / source.name)
    (outbox / f"{source.name}.ok").touch()


def settled(source: Path, outbox: Path) -> Iterator[None]:
    """Written in place, piece by piece; nothing says when it is whole."""
    yield from pieces(source, outbox / source.name)


def pieces(source: Path, target: Path) -> Iterator[None]:
    data = source.read_bytes()
    with target.open("wb") as file:
        for number in range(_PIECES):
            file.write(data[len(data) * number // _PIECES : len(data) * (number + 1) // _PIECES])
            file.flush()
            yield
    assert target.read_bytes() == data


_PIECES = 40
# The outbox is looked at every two seconds, and a drop settles within three.
_A_PIECE_SECONDS = 0.15


@pytest.mark.parametrize(
    ("profile", "writing"), [("rename", renamed), ("marker", marked), ("settled", settled)]
)
def test_f7_a_file_that_still_grows_is_not_taken_until_it_is_whole(
    stage: Stage, profile: str, writing: Callable[[Path, Path], Iterator[None]]
) -> None:
    story = stage.new_case()
    with stage.configured(POL, "folders", f'profile = "{profile}"\nsettle_seconds = 3.0'):
        drop = story.drop(1, drop_format=DropFormat.ZIP, appear=False)
        whole = story.prepared / drop.name
        outbox = story.agency(POL).outbox
        seen = set()
        for _ in writing(whole, outbox):
            pause(_A_PIECE_SECONDS)
            status = story.agency(POL).status(drop.name)
            seen.add("" if status is None else status.state)
            assert status is None or status.packet_id is None
        assert seen <= {"", "seen", "incomplete"}
        story.wait(drop)
    assert not (outbox / f"{drop.name}.ok").exists()
    stage.assert_books()


# --- once, whatever happens ----------------------------------------------------------------------------


def test_f8_the_same_packet_dropped_twice_is_delivered_once(stage: Stage) -> None:
    story = stage.new_case()
    first = story.drop(1)
    story.wait(first)
    copy = story.prepared / f"{first.name}-again"
    shutil.copytree(stage.lab.agency_root(POL) / "sent" / first.name, copy)
    with stage.nothing_travels():
        second = story.begin(1, copy, ending=Ending.DUPLICATE, label="F8")
        story.wait(second)
    status = story.status(second)
    assert first.key is not None
    assert (status.state, status.final, status.packet_id) == ("duplicate", True, None)
    assert status.duplicate_of == first.key.packet_id
    # One delivery, its two receipts, and none that is the second's own.
    receipts = story.agency(POL).receipt_files(first.key.packet_id)
    assert sorted(path.name.partition("-")[0] for path in receipts) == ["accepted", "delivered"]
    stage.assert_books()


def test_f12_the_receivers_link_is_down_and_the_packet_waits_at_the_province(stage: Stage) -> None:
    story = stage.new_case()
    story.play(1, 2)
    stage.lab.stop_node(COR)
    drop = story.drop(5)
    wait_until(lambda: destination(story, drop) == "accepted", "the province to have it")
    # Who holds it, by what the sender's own node knows.
    trace = exchangectl(stage.lab, PRO, "packet", "trace", story.status(drop).packet_id or "")
    assert trace.returncode == 0, trace.stderr
    assert f"handed over to {stage.lab.province}" in trace.stdout
    assert f"held now by {stage.lab.province}" in trace.stdout, trace.stdout
    with stage.configured(PRO, "notices", "delivered_hours = 0.0001"):
        notice = stage.alarm(PRO, "receipt-overdue", f"delivered {COR}")
    assert PacketKey(PRO, story.status(drop).packet_id or "") in notice.packets
    assert destination(story, drop) == "accepted"
    stage.lab.start_node(COR)
    story.wait(drop)
    assert story.status(drop).attempt == 1
    told = exchangectl(stage.lab, PRO, "packet", "trace", story.status(drop).packet_id or "").stdout
    assert f"in the inbox of {COR}" in told
    stage.assert_books()


def destination(story: Story, journey: Journey) -> str:
    """How the packet stands towards its receiver, says the sender's status."""
    status = story.agency(journey.sender).status(journey.name)
    return "" if status is None or not status.destinations else status.destinations[0].state


@pytest.mark.parametrize(
    ("reader", "writer", "mailbox"),
    [
        (BRIDGE, POL, f"{POL}/up"),
        (PROVINCE, BRIDGE, f"{BRIDGE}/up"),
        (PRO, PROVINCE, f"{PRO}/down"),
    ],
    ids=["before the bridge", "behind the bridge", "below the province"],
)
def test_f14_a_byte_changed_on_the_way_is_found_alarmed_and_sent_again(
    stage: Stage, reader: str, writer: str, mailbox: str
) -> None:
    story = stage.new_case()
    stage.lab.stop_node(reader)
    drop = story.drop(1)
    wait_until(lambda: story.agency(POL).status(drop.name) is not None, "the drop to be taken")
    batches = stage.lab.layout.mailboxes / mailbox
    changed: list[Path] = []
    wait_until(lambda: change_a_byte(batches, story, drop, changed), "its batch")
    number = int(changed[0].name.partition("-")[0])
    stage.lab.start_node(reader)
    story.wait(drop)
    assert drop.key is not None
    # Bad where it was read, and again under a new number where it was written; nothing told the sender.
    found = events(stage.lab, reader, "--kind", "mailbox-file-refused")
    assert changed[0].name in [each["detail"]["file"] for each in found]
    found = events(stage.lab, writer, "--kind", "batch-bad-at-neighbour")
    assert number in [each["detail"]["number"] for each in found]
    about = ("--packet", str(drop.key))
    offers = [each["detail"]["batch"] for each in events(stage.lab, writer, "--kind", "offer", *about)]
    assert offers[0] == number < offers[1]
    assert len(offers) == 2
    assert (story.status(drop).attempt, story.status(drop).findings) == (1, ())
    for node, peer in ((reader, writer), (writer, reader)):
        link = "province" if peer == PROVINCE else peer
        assert link in stage.alarm(node, "batch-damaged", link).message.zh
    stage.assert_books()


def change_a_byte(folder: Path, story: Story, journey: Journey, changed: list[Path]) -> bool:
    """Change one byte of a document in the batch that carries this packet. False: it is not there yet."""
    status = story.agency(journey.sender).status(journey.name)
    name = b"" if status is None or status.packet_id is None else status.packet_id.encode()
    for path in sorted(folder.glob("[0-9]*.batch")) if name else ():
        data = bytearray(path.read_bytes())
        if name in data and b"%PDF" in data:
            data[data.index(b"%PDF") + 100] ^= 1
            path.write_bytes(data)
            changed.append(path)
            return True
    return False
