"""Drop profiles: by rename, by marker, by standing still; and digests that may be left out."""

from __future__ import annotations

import os
from functools import partial

import pytest

from exchanged.config import DropProfile
from exchanged.ledger import effects
from exchanged.states import DropState, Event
from packet_spec.identity import sha256_hex
from tests.support.outbox import SETTLE, SMALL, acceptance_xml, names_in, packet_xml
from tests.support.papers import pdf
from tests.support.sending import MeddlingPool, Open, states


def test_with_markers_nothing_is_read_before_its_marker(start: Open) -> None:
    frontend = start(profile=DropProfile.MARKER)
    frontend.drop_folder()
    frontend.run()
    assert (frontend.status()["state"], frontend.status()["missing"]) == ("incomplete", ["A.ok"])
    (frontend.outbox / "A.ok").touch()
    frontend.run()
    assert frontend.status()["state"] == "queued"
    assert names_in(frontend.outbox) == []
    assert names_in(frontend.folders.sent) == ["A", "A.ok"]


@pytest.mark.parametrize("statement", ["size", "digest"])
@pytest.mark.parametrize("kind", ["folder", "xml", "zip"])
def test_a_marker_may_state_size_and_digest(start: Open, kind: str, statement: str) -> None:
    frontend = start(profile=DropProfile.MARKER)
    path = {"folder": frontend.drop_folder, "xml": frontend.drop_xml, "zip": frontend.drop_zip}[kind]()
    document = (path / "packet.xml" if kind == "folder" else path).read_bytes()
    stated = str(len(document)) if statement == "size" else sha256_hex(document)
    wrong = str(len(document) + 1) if statement == "size" else sha256_hex(b"x")
    marker = frontend.outbox / "A.ok"
    marker.write_text(wrong)
    frontend.run()
    assert states(frontend) == [DropState.INCOMPLETE]
    marker.write_text(stated)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


def test_a_marker_as_sha256sum_writes_it_fits(start: Open) -> None:
    """The number in the name of the file is no size."""
    frontend = start(profile=DropProfile.MARKER)
    digest = sha256_hex(frontend.drop_zip("A620199-0007.zip").read_bytes())
    (frontend.outbox / "A620199-0007.zip.ok").write_text(f"{digest}  A620199-0007.zip\n")
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


def test_a_marker_that_stays_wrong_refuses(start: Open) -> None:
    frontend = start(profile=DropProfile.MARKER)
    frontend.drop_xml()
    (frontend.outbox / "A.ok").write_text("17")
    frontend.run()
    frontend.settle()
    assert frontend.codes("A.xml") == ["marker-differs"]


@pytest.mark.parametrize("kind", ["link", "folder", "hard link", "fifo"])
def test_a_marker_that_is_no_plain_file_marks_nothing_and_the_status_says_so(start: Open, kind: str) -> None:
    frontend = start(profile=DropProfile.MARKER)
    frontend.drop_xml()
    marker = frontend.outbox / "A.xml.ok"
    if kind == "link":
        marker.symlink_to(frontend.outbox / "A.xml")
    elif kind == "folder":
        marker.mkdir()
    elif kind == "fifo":
        os.mkfifo(marker)
    else:
        (frontend.root / "template").write_text("ok")
        marker.hardlink_to(frontend.root / "template")
    for _ in range(3):
        frontend.settle()
    status = frontend.status("A.xml")
    assert (status["state"], status["missing"]) == ("incomplete", ["A.xml.ok"])
    marker.rmdir() if kind == "folder" else marker.unlink()
    marker.touch()
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


def test_a_drop_that_never_comes_to_rest_has_a_status_of_its_own(start: Open) -> None:
    """An earlier drop of that name was refused for good: that is not the answer to this one."""
    times = iter(range(1, 100))

    def write_on() -> None:
        os.utime(frontend.outbox / "A" / next(iter(SMALL)), ns=(0, next(times)))

    frontend = start(pool=MeddlingPool(lambda: None, *[write_on] * 3))
    frontend.drop_folder(document=b"<packet></packet>")
    frontend.run()
    assert frontend.status()["state"] == "refused"
    frontend.drop_folder()
    for _ in range(3):
        frontend.settle()
        status = frontend.status()
        assert (status["state"], status["final"], status["missing"]) == ("incomplete", False, ["packet.xml"])
    frontend.settle()
    assert frontend.status()["state"] == "queued"


def test_a_drop_that_is_given_its_time_is_not_told_as_the_one_before_it(start: Open) -> None:
    frontend = start(profile=DropProfile.SETTLED)
    frontend.drop_xml(document=b"<packet></packet>")
    frontend.run()
    frontend.settle()
    assert frontend.status("A.xml")["final"] is True
    frontend.drop_xml()
    frontend.run()
    status = frontend.status("A.xml")
    assert (status["state"], status["final"]) == ("seen", False)


@pytest.mark.parametrize("document", [b"<packet></packet>", acceptance_xml()], ids=["refused", "delivered"])
def test_a_drop_of_a_name_that_was_used_before_is_not_told_as_that_one(start: Open, document: bytes) -> None:
    """Whoever polls would take the old final status for the answer, however long the new verdict takes."""
    told: list[object] = []

    def poll() -> None:
        # What the other thread of a node does meanwhile.
        frontend.effects.step()
        told.append(frontend.status("A.xml"))

    pool = MeddlingPool()
    frontend = start(pool=pool)
    frontend.drop_xml(document=document)
    frontend.run()
    for packet in frontend.packets():
        frontend.end_packet(packet, Event.RECEIPT_ACCEPTED, Event.RECEIPT_DELIVERED)
        frontend.ledger.write(partial(effects.intend, kind="status", subject=f"packet:{packet.id}"))
    frontend.effects.step()
    before = frontend.status("A.xml")
    assert before["final"] is True
    pool.acts.append(poll)
    frontend.clock.advance(1)
    frontend.drop_xml(document=acceptance_xml(senderRef="R-2"))
    frontend.run()
    (seen,) = told
    assert isinstance(seen, dict)
    assert (seen["state"], seen["final"]) == ("seen", False)
    assert seen["updatedAt"] != before["updatedAt"]
    assert frontend.status("A.xml")["state"] == "queued"


def test_a_drop_of_a_fresh_name_is_told_once_it_is_judged(start: Open) -> None:
    """Nothing lies under its name that could be mistaken: one status file less for each drop."""
    pool = MeddlingPool()
    frontend = start(pool=pool)
    pool.acts.append(frontend.effects.step)
    frontend.drop_xml()
    frontend.intake.step()
    assert names_in(frontend.folders.status) == ["by-id"]


def test_software_that_only_stands_still_is_given_its_time(start: Open) -> None:
    frontend = start(profile=DropProfile.SETTLED)
    path = frontend.outbox / "A.xml"
    whole = acceptance_xml()
    for size in (1, 100, len(whole) - 1, len(whole)):
        path.write_bytes(whole[:size])
        assert frontend.intake.step() == SETTLE
        frontend.clock.advance(SETTLE - 0.5)
        frontend.run()
        assert states(frontend) == [DropState.SEEN]
    frontend.clock.advance(0.5)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


@pytest.mark.parametrize("kind", ["xml", "zip"])
def test_standing_still_without_an_end_never_blames(start: Open, kind: str) -> None:
    frontend = start(profile=DropProfile.SETTLED)
    path = frontend.drop_xml() if kind == "xml" else frontend.drop_zip()
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    for _ in range(10):
        frontend.settle()
    assert states(frontend) == [DropState.INCOMPLETE]
    path.write_bytes(whole)
    frontend.run()
    frontend.settle()
    assert states(frontend) == [DropState.TAKEN]


@pytest.mark.parametrize(
    "document",
    [
        b"<Packet></Packet>",
        b"<case><packet></packet></case>",
        "<案件>虚构</案件>\n".encode("gb18030"),
        acceptance_xml() + b"\x1a",
        acceptance_xml() + b"<?printed yes?>",
        acceptance_xml().replace(b"</packet>", b"</Packet>"),
        b"{}",
    ],
    ids=["capital", "root", "gbk", "end-of-file", "instruction", "other-end", "json"],
)
def test_a_whole_document_that_is_wrong_is_told_what_is_wrong(start: Open, document: bytes) -> None:
    """More bytes at its end would not mend it."""
    frontend = start(profile=DropProfile.SETTLED)
    frontend.drop_xml(document=document)
    frontend.run()
    frontend.settle()
    expected = DropState.TAKEN if b"<?printed" in document else DropState.REFUSED
    assert states(frontend) == [expected]


@pytest.mark.parametrize("kind", ["preallocated", "short"])
def test_a_writer_that_stalls_is_not_blamed_at_the_first_reading(start: Open, kind: str) -> None:
    """It gave the file its room, or wrote half of it, and then nothing for longer than the settle time."""
    frontend = start(profile=DropProfile.SETTLED)
    ((name, data),) = SMALL.items()
    path = frontend.drop_folder() / name
    path.write_bytes(bytes(len(data)) if kind == "preallocated" else data[:-1])
    frontend.run()
    frontend.settle()
    status = frontend.status()
    assert (status["state"], status["final"], status["missing"]) == ("incomplete", False, [name])
    frontend.clock.advance(SETTLE - 1)
    frontend.run()
    path.write_bytes(data)
    frontend.run()
    frontend.settle()
    assert states(frontend) == [DropState.TAKEN]


@pytest.mark.parametrize("kind", ["preallocated", "short"])
def test_what_stays_wrong_for_two_readings_is_refused(start: Open, kind: str) -> None:
    frontend = start(profile=DropProfile.SETTLED)
    ((name, data),) = SMALL.items()
    path = frontend.drop_folder() / name
    path.write_bytes(bytes(len(data)) if kind == "preallocated" else data[:-1])
    frontend.run()
    frontend.settle()
    assert states(frontend) == [DropState.INCOMPLETE]
    frontend.settle()
    assert states(frontend) == [DropState.REFUSED]
    expected = "attachment-digest-differs" if kind == "preallocated" else "attachment-size-differs"
    assert frontend.codes() == [expected]


def test_without_digests_two_equal_readings_are_needed(start: Open) -> None:
    """Preallocated files have their size before their bytes."""
    frontend = start(profile=DropProfile.SETTLED, optional_sha256=True)
    document = packet_xml({"a.pdf": pdf()}, listed={"a.pdf": {"sha256": None}})
    path = frontend.drop_folder("A", {"a.pdf": bytes(len(pdf()))}, document=document)
    times = (path / "a.pdf").stat()
    frontend.run()
    frontend.settle()
    assert states(frontend) == [DropState.SEEN]
    # The bytes arrive, and a tool that lies sets the time back.
    (path / "a.pdf").write_bytes(pdf())
    os.utime(path / "a.pdf", ns=(times.st_atime_ns, times.st_mtime_ns))
    frontend.settle()
    assert states(frontend) == [DropState.SEEN]
    frontend.settle()
    assert states(frontend) == [DropState.TAKEN]
    assert frontend.open(frontend.packets()[0])[2] == {"a.pdf": pdf()}


def test_a_digest_is_required_unless_the_profile_says_otherwise(start: Open) -> None:
    document = packet_xml(SMALL, listed={name: {"sha256": None} for name in SMALL})
    frontend = start()
    frontend.drop_folder(document=document)
    frontend.run()
    assert frontend.codes() == ["attachment-digest-missing"]
    frontend = start(optional_sha256=True)
    frontend.drop_folder(document=document)
    frontend.run()
    assert frontend.status()["state"] == "queued"
