"""Effects: carried out after the commit, repeatable, each for itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exchanged.errors import ForeignVolumeError
from exchanged.ledger import Transaction, effects, statements
from exchanged.ledger.drops import Original
from exchanged.ledger.effects import Effect
from exchanged.station import NOW
from packet_spec.model import KeyUse, ReceiptKind
from packet_spec.receipt import sign_receipt
from tests.support.documents import KEYS, PROVINCE, make_receipt
from tests.support.outbox import SendingFrontend, acceptance_xml, names_in
from tests.support.sending import REFUSED, repeat


def intend(frontend: SendingFrontend, kind: str, subject: str, **detail: str) -> None:
    frontend.ledger.write(lambda tx: effects.intend(tx, kind, subject, detail))


def test_nothing_to_do_is_no_reason_to_look_again(frontend: SendingFrontend) -> None:
    assert frontend.effects.step() is None


def test_all_effects_of_a_drop_are_carried_out_once(frontend: SendingFrontend) -> None:
    frontend.drop_folder()
    frontend.intake.step()
    assert frontend.effects_left() == 2
    assert frontend.effects.step() is None
    assert frontend.effects_left() == 0
    before = (frontend.folders.status / "A.status.xml").stat().st_ino
    frontend.effects.step()
    assert (frontend.folders.status / "A.status.xml").stat().st_ino == before


@pytest.mark.parametrize(("document", "to"), [(acceptance_xml(), "sent"), (REFUSED, "refused")])
def test_repeating_changes_nothing(frontend: SendingFrontend, document: bytes, to: str) -> None:
    frontend.drop_xml("A.xml", document)
    frontend.run()

    def everything() -> dict[str, bytes]:
        return {
            str(path.relative_to(frontend.folders.root)): path.read_bytes()
            for path in frontend.folders.root.rglob("*")
            if path.is_file()
        }

    before = everything()
    for _ in range(3):
        repeat(frontend, 1, to)
        assert everything() == before
        assert frontend.rows()[0].original.value == to


def test_effects_of_others_are_left_to_them(frontend: SendingFrontend) -> None:
    intend(frontend, "of-another-station", "1")
    assert frontend.effects.step() is None
    assert frontend.effects_left() == 1


def test_counts_are_written_by_who_can(frontend: SendingFrontend) -> None:
    intend(frontend, "counts", "inbox")
    frontend.effects.step()
    assert (frontend.counted, frontend.effects_left()) == (1, 0)


def test_a_failing_effect_waits_and_the_others_go_on(frontend: SendingFrontend) -> None:
    failures = [1, 1, 1]

    def count() -> None:
        if failures:
            failures.pop()
            raise ForeignVolumeError("the inbox cannot be used")

    frontend.effects._write_counts = count
    frontend.drop_xml()
    frontend.intake.step()
    intend(frontend, "counts", "inbox")
    assert frontend.effects.step() == 1.0
    assert frontend.effects_left() == 1
    assert frontend.status("A.xml")["state"] == "queued"
    # Not before its time, and each time later.
    frontend.clock.advance(0.5)
    assert frontend.effects.step() == 0.5
    assert len(failures) == 2
    for delay in (0.5, 2.0, 4.0):
        frontend.clock.advance(delay)
        frontend.effects.step()
    assert frontend.effects_left() == 0


def test_a_bug_that_one_effect_meets_does_not_stop_the_others(
    frontend: SendingFrontend, caplog: pytest.LogCaptureFixture
) -> None:
    intend(frontend, "receipt-file", "99")
    frontend.drop_xml()
    frontend.intake.step()
    assert frontend.effects.step() == 1.0
    assert frontend.status("A.xml")["state"] == "queued"
    assert frontend.effects_left() == 1
    assert "effect-bug" in caplog.text


def test_what_fails_for_ever_does_not_stand_in_the_way(frontend: SendingFrontend) -> None:
    def count() -> None:
        raise ForeignVolumeError("the inbox cannot be used")

    frontend.effects._write_counts = count
    for number in range(300):
        intend(frontend, "counts", str(number))
    frontend.drop_xml()
    frontend.intake.step()
    steps = 1
    while frontend.effects.step() == NOW:
        steps += 1
    assert steps > 1
    assert frontend.status("A.xml")["state"] == "queued"
    assert frontend.effects_left() == 300


def test_a_folder_that_fails_is_tried_ever_more_rarely_however_much_waits_for_it(
    frontend: SendingFrontend,
) -> None:
    """And not once for each that waits, twenty times a second, for as long as a share is full."""
    tried: list[str] = []
    is_full = [True]

    def count(effect: Effect) -> None:
        tried.append(effect.subject)
        if is_full:
            raise ForeignVolumeError("the share is full")

    frontend.effects._handlers["counts"] = count

    def want(tx: Transaction) -> None:
        for number in range(3_000):
            effects.intend(tx, "counts", str(number))

    frontend.ledger.write(want)
    steps, began = 0, frontend.clock.monotonic()
    while frontend.clock.monotonic() - began < 60:
        frontend.clock.advance(frontend.effects.step() or 1.0)
        steps += 1
    assert steps < 30
    assert len(tried) < 1_500
    # Not the same ones every time: what fails by itself stands in nobody's way.
    assert len(set(tried)) == len(tried)
    is_full.clear()
    for _ in range(40):
        frontend.clock.advance(frontend.effects.step() or 300.0)
    assert frontend.effects_left() == 0


def test_a_newer_wish_is_not_held_up_by_the_failure_of_an_older(frontend: SendingFrontend) -> None:
    frontend.effects._write_counts = _raises
    intend(frontend, "counts", "inbox")
    frontend.effects.step()
    frontend.effects._write_counts = frontend._count
    intend(frontend, "counts", "inbox")
    frontend.effects.step()
    assert frontend.counted == 1


def _raises() -> None:
    raise ForeignVolumeError("the inbox cannot be used")


def test_without_the_marker_nothing_is_done_and_nothing_concluded(frontend: SendingFrontend) -> None:
    """A lost mount: the outbox is empty, and the original is not gone."""
    frontend.drop_folder()
    frontend.intake.step()
    mounted = frontend.root / "mounted"
    frontend.outbox.rename(mounted)
    frontend.outbox.mkdir()
    assert frontend.effects.step() == 1.0
    assert frontend.effects.step() == 2.0
    assert frontend.effects_left() == 2
    assert names_in(frontend.folders.status) == ["by-id"]
    frontend.outbox.rmdir()
    mounted.rename(frontend.outbox)
    frontend.effects.step()
    assert names_in(frontend.folders.sent) == ["A"]


def test_a_mount_that_goes_in_between_concludes_nothing(tmp_path: Path) -> None:
    frontend = SendingFrontend(tmp_path / "front-end")
    frontend.drop_folder("A")
    frontend.drop_xml("B.xml")
    frontend.intake.step()
    mounted = frontend.root / "mounted"

    real = frontend.effects._handlers["original"]

    def lose_the_mount(effect: Any) -> Any:
        frontend.effects._handlers["original"] = real
        frontend.outbox.rename(mounted)
        frontend.outbox.mkdir()
        return real(effect)

    frontend.effects._handlers["original"] = lose_the_mount
    frontend.effects.step()
    assert {row.original for row in frontend.rows()} == {Original.OUTBOX}
    frontend.outbox.rmdir()
    mounted.rename(frontend.outbox)
    frontend.effects.step()
    assert {row.original for row in frontend.rows()} == {Original.SENT}
    frontend.close()


def test_a_folder_that_was_removed_is_made_again(frontend: SendingFrontend) -> None:
    frontend.folders.sent.rmdir()
    (frontend.folders.status / "by-id").rmdir()
    frontend.folders.status.rmdir()
    frontend.drop_xml()
    frontend.run()
    assert names_in(frontend.folders.sent) == ["A.xml"]
    assert len(names_in(frontend.folders.status / "by-id")) == 1


def test_a_status_of_a_packet_without_a_drop_is_nobodys(frontend: SendingFrontend) -> None:
    intend(frontend, "status", "packet:17")
    frontend.effects.step()
    assert (frontend.effects_left(), names_in(frontend.folders.status)) == (0, ["by-id"])


class Swapper:
    """Case software puts a link in place of a folder, just before a file is made in it."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.elsewhere: Path | None = None

    def point(self, name: str) -> None:
        if self.folder is None or self.elsewhere is None or name != "durable:before-create:write-file":
            return
        if self.folder.is_dir() and not self.folder.is_symlink():
            self.folder.rename(self.folder.with_name("moved"))
            self.folder.symlink_to(self.elsewhere)


@pytest.mark.parametrize("name", ["status", "receipts", "receipts/id"])
def test_a_link_that_is_swapped_in_leads_nothing_elsewhere(tmp_path: Path, name: str) -> None:
    swapper = Swapper()
    frontend = SendingFrontend(tmp_path / "front-end", crash=swapper)
    frontend.drop_xml("A.xml")
    frontend.intake.step()
    (packet,) = frontend.packets()
    if name.startswith("receipts"):
        name = name.replace("id", packet.key.packet_id)
        frontend.effects.step()
        receipt = make_receipt(ReceiptKind.ACCEPTED, key=packet.key)
        document = sign_receipt(receipt, KEYS[PROVINCE, KeyUse.RECEIPT])

        def record(tx: Transaction) -> None:
            number = statements.record_receipt(tx, receipt, document, own=False)
            effects.intend(tx, "receipt-file", str(number))

        frontend.ledger.write(record)
    swapper.elsewhere = tmp_path / "elsewhere"
    swapper.elsewhere.mkdir()
    swapper.folder = frontend.folders.root / name
    frontend.effects.step()
    assert swapper.folder.is_symlink()
    assert list(swapper.elsewhere.iterdir()) == []
    frontend.close()
