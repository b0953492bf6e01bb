"""Originals on their way out: moved once, never replaced, under names that are free."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from exchanged.config import DropProfile
from exchanged.ledger.drops import Original
from exchanged.states import DropState, Event
from exchanged.volume import Kernel
from frontend_server import originals, scan
from frontend_server.originals import IN_TRANSIT, companion, free_names, mark_of, shortened
from frontend_server.outbox import Observation
from packet_spec.findings_xml import decode_findings
from tests.support.crash import SimulatedCrash
from tests.support.outbox import SMALL, NoRenameNew, SendingFrontend, acceptance_xml, names_in, packet_xml
from tests.support.sending import REFUSED, Open, repeat


class Meddler(Kernel):
    """Something happens in the agency's folders just before a file is renamed."""

    def __init__(self) -> None:
        self.acts: list[Callable[[], object]] = []
        self.renamed: list[str] = []

    def rename_new(self, source: Path, target: Path) -> None:
        self.renamed.append(source.name)
        if self.acts:
            self.acts.pop(0)()
        super().rename_new(source, target)


def test_a_refused_original_has_its_findings_beside_it(frontend: SendingFrontend) -> None:
    path = frontend.drop_folder()
    (path / "extra.pdf").write_bytes(b"x")
    frontend.run()
    assert names_in(frontend.folders.refused) == ["A", "A.findings.txt", "A.findings.xml"]
    assert names_in(frontend.folders.refused / "A") == ["extra.pdf", "packet.xml", *SMALL]
    drop, findings, _ = decode_findings((frontend.folders.refused / "A.findings.xml").read_bytes())
    assert (drop, [finding.code for finding in findings]) == ("A", ["attachment-unlisted"])
    assert "extra.pdf" in (frontend.folders.refused / "A.findings.txt").read_text(encoding="utf-8")


def test_originals_of_one_name_never_replace_each_other(frontend: SendingFrontend) -> None:
    contents = []
    for number in range(3):
        contents.append(REFUSED + b"\n" * number)
        frontend.drop_xml("A.xml", contents[-1])
        frontend.run()
    names = ["A.xml", "A~2.xml", "A~3.xml"]
    assert [(frontend.folders.refused / name).read_bytes() for name in names] == contents
    for name in names:
        assert (frontend.folders.refused / f"{name}.findings.xml").is_file()
    (frontend.folders.sent / "B.xml").mkdir()
    frontend.drop_xml("B.xml")
    frontend.run()
    assert names_in(frontend.folders.sent) == ["B.xml", "B~2.xml"]


def test_a_name_of_255_bytes_finds_its_place(frontend: SendingFrontend) -> None:
    name = "x" * 251 + ".xml"
    for number in range(2):
        frontend.drop_xml(name, REFUSED + b"\n" * number)
        frontend.run()
    assert frontend.effects_left() == 0
    assert names_in(frontend.outbox) == []
    refused = names_in(frontend.folders.refused)
    assert len(refused) == 6
    assert name in refused


def test_an_original_that_was_changed_is_a_new_drop(tmp_path: Path) -> None:
    kernel = Meddler()
    frontend = SendingFrontend(tmp_path / "front-end", kernel=kernel)
    frontend.drop_xml("A.xml")
    frontend.intake.step()
    (frontend.outbox / "A.xml").write_bytes(acceptance_xml(senderRef="R-2"))
    frontend.effects.step()
    first = frontend.rows()[0]
    assert (first.state, first.original) == (DropState.TAKEN, Original.REPLACED)
    assert kernel.renamed == []
    assert names_in(frontend.outbox) == ["A.xml"]
    assert "intake" in frontend.wakes
    frontend.run()
    assert [packet.sender_ref for packet in frontend.packets()] == ["A620199-0007", "R-2"]
    assert [row.status_name for row in frontend.rows()] == ["A.xml", "A.xml~2"]
    assert names_in(frontend.folders.sent) == ["A.xml"]
    assert (frontend.folders.sent / "A.xml").read_bytes() == acceptance_xml(senderRef="R-2")
    frontend.close()


def test_a_folder_that_got_another_file_is_a_new_drop_and_not_lost(frontend: SendingFrontend) -> None:
    path = frontend.drop_folder()
    frontend.intake.step()
    (path / "late.pdf").write_bytes(b"x")
    frontend.run()
    frontend.run()
    assert [row.state for row in frontend.rows()] == [DropState.TAKEN, DropState.REFUSED]
    assert names_in(frontend.folders.refused / "A") == ["late.pdf", "packet.xml", *SMALL]
    assert len(frontend.packets()) == 1


def test_an_original_put_away_before_a_crash_is_found_although_its_name_is_taken_again(
    frontend: SendingFrontend,
) -> None:
    """Moved, not recorded, its findings not written: then the case software uses the name again."""
    frontend.drop_xml("A.xml", REFUSED)
    frontend.run()
    for name in ("A.xml.findings.xml", "A.xml.findings.txt"):
        (frontend.folders.refused / name).unlink()
    frontend.drop_xml("A.xml", acceptance_xml(senderRef="R-2"))
    repeat(frontend, 1, "refused")
    assert frontend.rows()[0].original is Original.REFUSED
    expected = ["A.xml", "A.xml.findings.txt", "A.xml.findings.xml"]
    assert names_in(frontend.folders.refused) == expected
    frontend.run()
    assert [packet.sender_ref for packet in frontend.packets()] == ["R-2"]
    assert names_in(frontend.folders.sent) == ["A.xml"]


def test_an_original_that_somebody_took_is_gone(frontend: SendingFrontend) -> None:
    frontend.drop_xml("A.xml")
    frontend.intake.step()
    (frontend.outbox / "A.xml").unlink()
    frontend.run()
    assert frontend.rows()[0].original is Original.GONE
    assert frontend.status("A.xml")["state"] == "queued"
    frontend.drop_xml("A.xml", acceptance_xml(senderRef="R-2"))
    frontend.run()
    assert len(frontend.packets()) == 2


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_stranger_that_slips_in_goes_back(tmp_path: Path, kind: str) -> None:
    """C13: compared again after the move."""
    kernel = Meddler()
    frontend = SendingFrontend(tmp_path / "front-end", kernel=kernel)
    second = packet_xml(SMALL, senderRef="R-2") if kind == "folder" else acceptance_xml(senderRef="R-2")
    drop = frontend.drop_folder if kind == "folder" else frontend.drop_xml
    path = drop("A" if kind == "folder" else "A.xml")
    frontend.intake.step()

    def swap() -> None:
        path.rename(frontend.root / "first")
        drop(path.name, document=second)

    kernel.acts.append(swap)
    frontend.effects.step()
    assert names_in(frontend.outbox) == [path.name]
    assert names_in(frontend.folders.sent) == []
    assert frontend.rows()[0].original is Original.REPLACED
    frontend.run(2)
    assert [packet.sender_ref for packet in frontend.packets()] == ["A620199-0007", "R-2"]
    assert names_in(frontend.folders.sent) == [path.name]
    frontend.close()


def test_a_stranger_replaces_nothing_on_its_way_back(tmp_path: Path) -> None:
    kernel = Meddler()
    frontend = SendingFrontend(tmp_path / "front-end", kernel=kernel)
    path = frontend.drop_xml("A.xml")
    frontend.intake.step()

    def swap() -> None:
        path.rename(frontend.root / "first")
        frontend.drop_xml("A.xml", acceptance_xml(senderRef="R-2"))

    def take_the_name() -> None:
        frontend.drop_xml("A.xml", acceptance_xml(senderRef="R-3"))

    kernel.acts += [swap, take_the_name]
    frontend.effects.step()
    assert names_in(frontend.outbox) == ["A.xml", "A~2.xml"]
    frontend.run(2)
    assert {packet.sender_ref for packet in frontend.packets()} == {"A620199-0007", "R-2", "R-3"}
    frontend.close()


def test_a_stranger_found_in_transit_after_a_crash_goes_back(frontend: SendingFrontend) -> None:
    frontend.drop_xml("A.xml")
    frontend.intake.step()
    (frontend.outbox / "A.xml").unlink()
    transit = f"{IN_TRANSIT}{mark_of(frontend.rows()[0])}"
    (frontend.folders.sent / transit).write_bytes(acceptance_xml(senderRef="R-2"))
    frontend.run(2)
    assert [packet.sender_ref for packet in frontend.packets()] == ["A620199-0007", "R-2"]


@pytest.fixture
def mounted_anew(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on the folders lie on a device of another number, as after the share was mounted again."""
    observe = originals.observe

    def on_another_device(*args: object, **names: object) -> Observation | None:
        seen = observe(*args, **names)  # type: ignore[arg-type]
        if seen is None:
            return None
        files = tuple(replace(file, device=file.device + 1) for file in seen.files)
        return replace(seen, device=seen.device + 1, files=files)

    def mount() -> None:
        for module in (originals, scan):
            monkeypatch.setattr(module, "observe", on_another_device)

    return mount


def test_an_original_is_the_same_on_a_share_that_was_mounted_anew(
    frontend: SendingFrontend, mounted_anew: Callable[[], None]
) -> None:
    """A stranger under its name would be a new drop: what was cancelled meanwhile would be sent again."""
    frontend.drop_xml("A.xml")
    frontend.intake.step()
    (packet,) = frontend.packets()
    frontend.end_packet(packet, Event.CANCEL)
    mounted_anew()
    frontend.run(3)
    (row,) = frontend.rows()
    assert row.original is Original.SENT
    assert [packet.attempt for packet in frontend.packets()] == [1]
    assert names_in(frontend.folders.sent) == ["A.xml"]


@pytest.mark.parametrize("is_of_before", [False, True])
def test_an_original_in_transit_is_the_same_on_a_share_that_was_mounted_anew(
    frontend: SendingFrontend, mounted_anew: Callable[[], None], is_of_before: bool
) -> None:
    frontend.drop_folder("A")
    frontend.intake.step()
    mark = "1" if is_of_before else mark_of(frontend.rows()[0])
    (frontend.outbox / "A").rename(frontend.folders.sent / f"{IN_TRANSIT}{mark}")
    mounted_anew()
    frontend.run(3)
    assert [row.original for row in frontend.rows()] == [Original.SENT]
    assert (names_in(frontend.outbox), names_in(frontend.folders.sent)) == ([], ["A"])


def test_the_lasting_fingerprint_outlives_the_number_of_a_device_and_nothing_else(
    frontend: SendingFrontend,
) -> None:
    frontend.drop_folder("A")
    with frontend.folders.opened("outbox") as outbox:
        seen = originals.observe(outbox, b"A")
    assert seen is not None
    moved = replace(seen, device=7, files=tuple(replace(file, device=7) for file in seen.files))
    assert moved.lasting == seen.lasting
    assert moved.identity.fingerprint != seen.identity.fingerprint
    assert moved.is_same(seen.device, seen.identity.fingerprint)
    other = replace(moved, inode=moved.inode + 1)
    spread = replace(seen, files=tuple(replace(file, device=7) for file in seen.files))
    for one in (other, spread):
        assert one.lasting != seen.lasting
        assert not one.is_same(seen.device, seen.identity.fingerprint)


def test_what_was_left_lying_is_reported_once_on_a_share_that_was_mounted_anew(
    frontend: SendingFrontend, mounted_anew: Callable[[], None]
) -> None:
    (frontend.outbox / "A.docx").write_bytes(b"no drop")
    frontend.run()
    frontend.settle()
    mounted_anew()
    frontend.run(2)
    assert [row.original for row in frontend.rows()] == [Original.KEPT]


def test_a_marker_goes_with_its_drop_and_marks_no_other(tmp_path: Path) -> None:
    frontend = SendingFrontend(tmp_path / "front-end", profile=DropProfile.MARKER)
    for number in range(2):
        frontend.drop_xml("A.xml", acceptance_xml(senderRef=f"R-{number}"))
        frontend.run()
        assert frontend.rows()[-1].state is DropState.INCOMPLETE
        (frontend.outbox / "A.ok").touch()
        frontend.run()
    assert names_in(frontend.outbox) == []
    assert names_in(frontend.folders.sent) == ["A.ok", "A.xml", "A~2.ok", "A~2.xml"]
    frontend.close()


def test_an_original_without_permission_waits(tmp_path: Path) -> None:
    class Refusing(Kernel):
        def rename_new(self, source: Path, target: Path) -> None:
            raise PermissionError(13, "Permission denied")

    frontend = SendingFrontend(tmp_path / "front-end", kernel=Refusing())
    frontend.drop_xml("A.xml")
    frontend.run()
    assert frontend.status("A.xml")["state"] == "queued"
    assert frontend.rows()[0].original is Original.OUTBOX
    assert frontend.effects_left() == 1
    for _ in range(3):
        frontend.clock.advance(60)
        frontend.run()
    assert len(frontend.packets()) == 1
    frontend.close()


class _CrashBetween:
    """The process dies between the two calls by which the ``number``-th file is moved."""

    def __init__(self, number: int) -> None:
        self._left = number

    def point(self, name: str) -> None:
        self._left -= name == "durable:after-link:rename-new"
        if self._left <= 0:
            raise SimulatedCrash(name)


@pytest.mark.parametrize("number", [1, 2])
def test_an_original_with_two_names_after_a_crash_is_no_stranger(start: Open, number: int) -> None:
    """A second drop would send again what was cancelled meanwhile, or be refused for its two names."""
    frontend = start(kernel=NoRenameNew(), crash=_CrashBetween(number))
    frontend.drop_xml()
    with pytest.raises(SimulatedCrash):
        frontend.run()
    frontend = start(kernel=NoRenameNew())
    (packet,) = frontend.packets()
    frontend.end_packet(packet, Event.CANCEL)
    for _ in range(3):
        frontend.run()
        frontend.settle()
    assert [row.original for row in frontend.rows()] == [Original.SENT]
    assert names_in(frontend.outbox) == []
    assert [path.name for path in frontend.folders.sent.iterdir()] == ["A.xml"]
    assert (frontend.folders.sent / "A.xml").stat().st_nlink == 1


class _Swapping(NoRenameNew):
    """Something happens in the outbox just before a file gets its second name."""

    def __init__(self) -> None:
        self.acts: list[Callable[[], object]] = []

    def link(self, source: Path, target: Path) -> None:
        if self.acts:
            self.acts.pop(0)()
        super().link(source, target)


def test_a_stranger_with_two_names_after_a_crash_goes_back(start: Open) -> None:
    """It was on its way back under the next free name; its own is free again when the daemon comes back."""
    kernel = _Swapping()
    frontend = start(kernel=kernel, crash=_CrashBetween(2))
    path = frontend.drop_xml()
    frontend.intake.step()

    def swap() -> None:
        path.rename(frontend.root / "first")
        frontend.drop_xml("A.xml", acceptance_xml(senderRef="R-2"))

    kernel.acts += [swap, path.touch]
    with pytest.raises(SimulatedCrash):
        frontend.effects.step()
    assert names_in(frontend.outbox) == ["A.xml", "A~2.xml"]
    path.unlink()
    frontend = start(kernel=NoRenameNew())
    for _ in range(3):
        frontend.run()
        frontend.settle()
    assert names_in(frontend.outbox) == []
    assert [packet.sender_ref for packet in frontend.packets()] == ["A620199-0007", "R-2"]
    assert names_in(frontend.folders.sent) == ["A.xml"]


def test_an_original_whose_first_name_stays_for_a_while_is_put_away_once(start: Open) -> None:
    class Unwilling(NoRenameNew):
        refusals = 3

        def link(self, source: Path, target: Path) -> None:
            super().link(source, target)
            if self.refusals:
                self.refusals -= 1
                raise PermissionError(13, "Permission denied")

    frontend = start(kernel=Unwilling())
    frontend.drop_xml()
    for _ in range(6):
        frontend.run()
        frontend.clock.advance(60)
    assert [row.original for row in frontend.rows()] == [Original.SENT]
    assert (names_in(frontend.outbox), names_in(frontend.folders.sent)) == ([], ["A.xml"])
    assert (frontend.folders.sent / "A.xml").stat().st_nlink == 1


# --- names ---------------------------------------------------------------------------------------------


def test_free_names() -> None:
    assert list(free_names(b"A.zip", 17))[:3] == [b"A.zip", b"A~2.zip", b"A~3.zip"]
    assert list(free_names(b"A.zip", 17))[-1] == b"A~17.zip"
    assert list(free_names(b"A", 1))[1] == b"A~2"
    assert list(free_names(b".hidden", 1))[1] == b".hidden~2"
    assert list(free_names(b"v1.something-long", 1))[1] == b"v1.something-long~2"
    long = "案".encode() * 84 + b".xm"
    for name in free_names(long, 123456789):
        assert len(name) <= 255
        name.decode()
    others = list(free_names("案".encode() * 83 + "卷".encode() + b".xm", 123456789))
    assert not set(free_names(long, 123456789)) & set(others)


def test_shortened_names_stay_apart_and_readable() -> None:
    assert shortened(b"short", 20) == b"short"
    first, second = shortened("案".encode() * 80 + b"1", 100), shortened("案".encode() * 80 + b"2", 100)
    assert first != second
    assert max(len(first), len(second)) <= 100
    first.decode()


def test_companions_fit_beside_any_name() -> None:
    assert companion(Path("/x/A.zip"), ".findings.xml") == Path("/x/A.zip.findings.xml")
    name = companion(Path("/x") / os.fsdecode(b"\xff" * 255), ".findings.xml").name
    assert len(os.fsencode(f".{name}.part")) <= 255
    assert name.endswith(".findings.xml")
