from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exchanged.durable import Kernel
from exchanged.ledger import effects, packets
from exchanged.states import DestinationState, Event
from frontend_server.collected import Look, look_at
from packet_spec.model import Disposition, ReceiptKind
from packet_spec.receipt import open_receipt
from tests.support.documents import FINDING, NOW, PROCURATORATE, look_up
from tests.support.inbox import Arrival, FailingKernel, ReceivingFrontend

DELIVERED, COLLECTED = DestinationState.DELIVERED, DestinationState.COLLECTED
HOURS = 3600.0


@pytest.fixture
def frontend(tmp_path: Path) -> Iterator[ReceivingFrontend]:
    made = ReceivingFrontend(tmp_path)
    yield made
    made.close()


def mark(frontend: ReceivingFrontend, key) -> Path:
    """The case software says that it has taken the folder."""
    marker = frontend.folder(key) / "collected"
    marker.touch()
    return marker


def how(frontend: ReceivingFrontend, key) -> list[str]:
    """What our collected receipts about a packet say."""
    rows = frontend.receipts(key, ReceiptKind.COLLECTED)
    receipts = [open_receipt(row.document, look_up)[0] for row in rows]
    assert {receipt.recipient for receipt in receipts} <= {PROCURATORATE}
    return [receipt.how for receipt in receipts]


def take_away(frontend: ReceivingFrontend, *keys) -> None:
    for key in keys:
        shutil.rmtree(frontend.folder(key))


# --- looking ---------------------------------------------------------------------------------------


def test_a_look_tells_present_marked_and_gone_and_follows_no_link(tmp_path):
    folder = tmp_path / "folder"
    assert look_at(folder) is Look.GONE
    folder.mkdir()
    assert look_at(folder) is Look.PRESENT
    (folder / "collected").symlink_to(tmp_path / "elsewhere")
    assert look_at(folder) is Look.PRESENT
    (folder / "collected").unlink()
    (folder / "collected").mkdir()
    assert look_at(folder) is Look.PRESENT
    (folder / "collected").rmdir()
    (folder / "collected").touch()
    assert look_at(folder) is Look.MARKED
    (tmp_path / "link").symlink_to(folder)
    assert look_at(tmp_path / "link") is Look.PRESENT
    (tmp_path / "file").touch()
    assert look_at(tmp_path / "file" / "below") is Look.UNKNOWN


# --- the marker ------------------------------------------------------------------------------------


def test_a_marker_is_collected_once(frontend):
    key = frontend.deliver()
    frontend.collected.step()
    assert frontend.state(key) is DELIVERED
    mark(frontend, key)
    for _ in range(3):
        assert frontend.collected.step() == 10.0
    assert frontend.state(key) is COLLECTED
    assert how(frontend, key) == ["marker"]


def test_a_marked_folder_is_removed_by_our_time_and_never_by_its_own(frontend):
    key = frontend.deliver()
    marker = mark(frontend, key)
    frontend.clock.advance(48 * HOURS)
    frontend.collected.step()
    assert marker.exists()
    frontend.clock.advance(23 * HOURS)
    frontend.collected.step()
    assert marker.exists()
    frontend.clock.advance(1 * HOURS)
    frontend.collected.step()
    assert frontend.visible() == frontend.staged() == []
    assert frontend.rows(key)[1].folder == ""
    assert how(frontend, key) == ["marker"]
    assert frontend.collected.step() is None


def test_a_marked_folder_that_the_software_removes_itself_gets_no_second_receipt(frontend):
    key = frontend.deliver()
    mark(frontend, key)
    frontend.collected.step()
    take_away(frontend, key)
    frontend.scan_twice()
    assert how(frontend, key) == ["marker"]
    assert frontend.rows(key)[1].folder == ""


def test_a_marker_after_the_signature_is_told_but_moves_nothing_back(frontend):
    key = frontend.deliver()
    answer = Disposition(key, ReceiptKind.SIGNED, "虚构丙", NOW, ())
    frontend.ledger.write(lambda tx: frontend.dispositions.take(tx, answer))
    mark(frontend, key)
    frontend.collected.step()
    assert frontend.state(key) is DestinationState.SIGNED
    assert how(frontend, key) == ["marker"]
    frontend.clock.advance(24 * HOURS)
    frontend.collected.step()
    assert frontend.visible() == []


def test_a_removal_that_fails_holds_up_no_other(frontend, monkeypatch):
    first, second = frontend.deliver(), frontend.deliver(Arrival(2))
    for key in (first, second):
        mark(frontend, key)
    frontend.collected.step()
    obstacle = frontend.folders.staging / f"removed-{frontend.folder(first).name}"
    obstacle.touch()
    frontend.clock.advance(24 * HOURS)
    frontend.collected.step()
    assert frontend.rows(first)[1].folder != ""
    assert frontend.rows(second)[1].folder == ""
    obstacle.unlink()
    frontend.collected.step()
    assert frontend.visible() == []


def test_the_next_attempt_has_receipts_of_its_own(frontend):
    key = frontend.deliver()
    mark(frontend, key)
    frontend.collected.step()
    answer = Disposition(key, ReceiptKind.REFUSED, "虚构丙", NOW, (FINDING,))
    frontend.ledger.write(lambda tx: frontend.dispositions.take(tx, answer))
    frontend.deliver(Arrival(attempt=2))
    frontend.collected.step()
    assert frontend.state(key) is DELIVERED
    mark(frontend, key)
    frontend.collected.step()
    assert [row.attempt for row in frontend.receipts(key, ReceiptKind.COLLECTED)] == [1, 2]


# --- absence ---------------------------------------------------------------------------------------


def test_absence_counts_in_the_second_scan_one_interval_later(frontend):
    key = frontend.deliver()
    frontend.collected.step()
    take_away(frontend, key)
    frontend.collected.step()
    frontend.clock.advance(9.9)
    frontend.collected.step()
    assert frontend.state(key) is DELIVERED
    frontend.clock.advance(0.1)
    frontend.collected.step()
    assert frontend.state(key) is COLLECTED
    assert how(frontend, key) == ["folder-gone"]
    assert frontend.rows(key)[1].folder == ""
    frontend.scan_twice()
    assert how(frontend, key) == ["folder-gone"]


def test_a_folder_that_comes_back_was_not_collected(frontend):
    key = frontend.deliver()
    folder = frontend.folder(key)
    away = frontend.folders.root / "away"
    folder.rename(away)
    frontend.collected.step()
    away.rename(folder)
    frontend.clock.advance(10)
    frontend.collected.step()
    folder.rename(away)
    frontend.clock.advance(10)
    frontend.collected.step()
    assert frontend.state(key) is DELIVERED


def test_an_unmounted_share_collects_nothing(frontend):
    key = frontend.deliver()
    root = frontend.folders.root
    root.rename(root.with_name("unmounted"))
    root.mkdir()
    (root / "inbox").mkdir()
    for _ in range(4):
        frontend.scan_twice()
    assert frontend.collected.step() == 10.0
    assert frontend.state(key) is DELIVERED
    assert how(frontend, key) == []
    assert len(frontend.events("inbox-not-readable")) == 1
    shutil.rmtree(root)
    root.with_name("unmounted").rename(root)
    frontend.scan_twice()
    assert frontend.state(key) is DELIVERED
    assert len(frontend.events("inbox-good-again")) == 1


def test_a_marker_that_is_lost_during_the_scan_collects_nothing(frontend, monkeypatch):
    key = frontend.deliver()
    take_away(frontend, key)
    places = frontend.collected._folders
    answers = iter([True, True, True, False])
    monkeypatch.setattr(places, "marker_is_good", lambda folder: next(answers))
    frontend.scan_twice()
    assert frontend.state(key) is DELIVERED


def test_absence_before_a_lost_marker_does_not_count_afterwards(frontend):
    key = frontend.deliver()
    take_away(frontend, key)
    marker = frontend.inbox / ".exchanged-marker"
    frontend.collected.step()
    marker.rename(frontend.folders.root / "away")
    frontend.clock.advance(10)
    frontend.collected.step()
    (frontend.folders.root / "away").rename(marker)
    frontend.collected.step()
    assert frontend.state(key) is DELIVERED
    frontend.clock.advance(10)
    frontend.collected.step()
    assert frontend.state(key) is COLLECTED


def test_another_device_begins_anew(frontend, monkeypatch):
    """A share mounted again somewhere else, marker and all: its absences are new ones."""
    key = frontend.deliver()
    take_away(frontend, key)
    devices = iter([1, 1, 2, 2, 2, 2])
    monkeypatch.setattr("frontend_server.collected.device_of", lambda path: next(devices))
    frontend.scan_twice()
    assert frontend.state(key) is DELIVERED
    frontend.clock.advance(10)
    frontend.collected.step()
    assert frontend.state(key) is COLLECTED


def test_a_device_that_changes_during_the_scan_proves_nothing(frontend, monkeypatch):
    key = frontend.deliver()
    take_away(frontend, key)
    devices = iter([1, 1, 1, 2])
    monkeypatch.setattr("frontend_server.collected.device_of", lambda path: next(devices))
    frontend.scan_twice()
    assert frontend.state(key) is DELIVERED


def test_a_link_in_place_of_a_type_folder_proves_nothing_and_removes_nothing(frontend):
    """A copy to another agency bears the same folder name: nothing of it is taken for ours."""
    key = frontend.deliver()
    types = frontend.folder(key).parent
    elsewhere = frontend.folders.root / "elsewhere"
    types.rename(elsewhere)
    types.symlink_to(elsewhere)
    (elsewhere / frontend.rows(key)[1].folder.partition("/")[2] / "collected").touch()
    frontend.scan_twice()
    frontend.clock.advance(25 * HOURS)
    frontend.scan_twice()
    assert frontend.state(key) is DELIVERED
    assert len(list(elsewhere.iterdir())) == 1


def test_a_folder_that_cannot_be_removed_is_told_once(tmp_path, caplog):
    kernel = FailingKernel()
    frontend = ReceivingFrontend(tmp_path, kernel=kernel)
    key = frontend.deliver()
    mark(frontend, key)
    frontend.collected.step()
    frontend.clock.advance(25 * HOURS)
    for _ in range(3):
        kernel.rename_error = PermissionError(13, "Permission denied")
        frontend.collected.step()
    assert caplog.text.count("collected-folder-not-removed") == 1
    frontend.collected.step()
    assert frontend.visible() == []
    frontend.close()


# --- many at once ----------------------------------------------------------------------------------


def test_many_at_once_are_held_with_an_alarm_until_a_person_confirms(frontend):
    keys = [frontend.deliver(Arrival(number)) for number in (1, 2, 3, 4)]
    take_away(frontend, *keys[:3])
    for _ in range(3):
        frontend.scan_twice()
    assert {frontend.state(key) for key in keys} == {DELIVERED}
    (alarm,) = frontend.events("inbox-folders-vanished")
    assert json.loads(alarm)["found"] == 3
    assert frontend.collected.confirm_vanished() == 3
    frontend.collected.step()
    assert [frontend.state(key) for key in keys] == [COLLECTED] * 3 + [DELIVERED]
    assert how(frontend, keys[0]) == ["folder-gone"]
    assert len(frontend.events("inbox-good-again")) == 1


def test_fewer_than_the_set_number_are_simply_collected(frontend):
    keys = [frontend.deliver(Arrival(number)) for number in (1, 2)]
    take_away(frontend, *keys)
    frontend.collected.step()
    assert frontend.collected.confirm_vanished() == 0
    frontend.scan_twice()
    assert {frontend.state(key) for key in keys} == {COLLECTED}


def test_a_confirmation_covers_only_what_was_held(frontend):
    keys = [frontend.deliver(Arrival(number)) for number in range(1, 7)]
    take_away(frontend, *keys[:3])
    frontend.collected.step()
    assert frontend.collected.confirm_vanished() == 3
    take_away(frontend, *keys[3:])
    frontend.scan_twice()
    assert [frontend.state(key) for key in keys] == [COLLECTED] * 3 + [DELIVERED] * 3


def test_folders_that_come_back_end_the_alarm(frontend):
    keys = [frontend.deliver(Arrival(number)) for number in (1, 2, 3)]
    types = frontend.inbox / "prosecution.transfer"
    types.rename(frontend.folders.root / "away")
    frontend.scan_twice()
    assert frontend.events("inbox-folders-vanished")
    (frontend.folders.root / "away").rename(types)
    frontend.scan_twice()
    assert {frontend.state(key) for key in keys} == {DELIVERED}
    assert len(frontend.events("inbox-good-again")) == 1


def test_marked_folders_do_not_count_as_vanished(frontend):
    """Software that marks and then tidies up by itself collects as many as it likes."""
    keys = [frontend.deliver(Arrival(number)) for number in (1, 2, 3, 4)]
    for key in keys:
        mark(frontend, key)
    frontend.collected.step()
    take_away(frontend, *keys)
    frontend.scan_twice()
    assert frontend.events("inbox-folders-vanished") == []
    assert {frontend.rows(key)[1].folder for key in keys} == {""}


def test_a_person_confirms_by_a_file_that_case_software_cannot_write(frontend):
    keys = [frontend.deliver(Arrival(number)) for number in (1, 2, 3, 4, 5, 6)]
    take_away(frontend, *keys[:3])
    frontend.scan_twice()
    (alarm,) = frontend.events("inbox-folders-vanished")
    assert str(frontend.folders.staging / "confirm-vanished") in json.loads(alarm)["hint"]
    (frontend.folders.staging / "confirm-vanished").touch()
    frontend.scan_twice()
    assert [frontend.state(key) for key in keys] == [COLLECTED] * 3 + [DELIVERED] * 3
    assert frontend.staged() == []
    assert len(frontend.events("vanished-confirmed")) == 1
    # Once, for what was held then.
    take_away(frontend, *keys[3:])
    frontend.scan_twice()
    assert {frontend.state(key) for key in keys[3:]} == {DELIVERED}


def test_a_confirmation_made_while_the_daemon_was_down_counts(frontend, tmp_path):
    keys = [frontend.deliver(Arrival(number)) for number in (1, 2, 3)]
    take_away(frontend, *keys)
    (frontend.folders.staging / "confirm-vanished").touch()
    again = ReceivingFrontend(tmp_path)
    again.scan_twice()
    assert {again.state(key) for key in keys} == {COLLECTED}
    again.close()


def test_a_confirmation_of_nothing_does_not_wait_for_a_later_accident(frontend):
    keys = [frontend.deliver(Arrival(number)) for number in (1, 2, 3)]
    (frontend.folders.staging / "confirm-vanished").touch()
    frontend.collected.step()
    take_away(frontend, *keys)
    frontend.scan_twice()
    assert {frontend.state(key) for key in keys} == {DELIVERED}
    assert frontend.staged() == []


# --- numbers ---------------------------------------------------------------------------------------


def test_the_numbers_are_asked_for_when_the_inbox_changes_and_only_then(frontend):
    def asked() -> bool:
        waiting = effects.waiting(frontend.ledger.read())
        frontend.ledger.write(lambda tx: effects.done(tx, [effect.id for effect in waiting]))
        return [(effect.kind, effect.subject) for effect in waiting] == [("counts", "inbox")]

    key = frontend.deliver()
    assert asked()
    frontend.collected.step()
    assert asked()
    frontend.collected.step()
    assert not asked()
    mark(frontend, key)
    frontend.collected.step()
    assert asked()
    take_away(frontend, key)
    frontend.scan_twice()
    assert asked()


# --- removal ---------------------------------------------------------------------------------------


def test_what_lies_there_by_now_is_looked_at_before_it_is_removed(tmp_path):
    """While another is removed the case software removes this one, and a higher attempt takes its name."""
    kernel = BusyKernel()
    frontend = ReceivingFrontend(tmp_path, kernel=kernel)
    keys = [frontend.deliver(Arrival(number)) for number in (1, 2)]
    for key in keys:
        mark(frontend, key)
    frontend.collected.step()
    frontend.clock.advance(25 * HOURS)
    names = {frontend.folder(key): key for key in keys}
    kernel.meanwhile = lambda source: replace(frontend, next(names[each] for each in names if each != source))
    frontend.collected.step()
    kernel.meanwhile = None
    (name,) = frontend.visible()
    (key,) = [key for key in keys if frontend.rows(key)[0].attempt == 2]
    assert (frontend.rows(key)[1].folder, frontend.state(key)) == (name, DELIVERED)
    assert look_at(frontend.folder(key)) is Look.PRESENT
    assert frontend.staged() == []
    mark(frontend, key)
    frontend.collected.step()
    frontend.clock.advance(25 * HOURS)
    frontend.collected.step()
    assert frontend.visible() == []
    frontend.close()


class BusyKernel(Kernel):
    """Others are at work before the next rename: ``meanwhile`` is told its source, once."""

    meanwhile: Callable[[Path], None] | None = None

    def rename_new(self, source: Path, target: Path) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile(source)
        super().rename_new(source, target)


def replace(frontend: ReceivingFrontend, key) -> None:
    """The folder is taken, the packet refused, and its next attempt delivered under the same name."""
    take_away(frontend, key)
    packet, destination = frontend.rows(key)
    frontend.ledger.write(lambda tx: packets.move(tx, packet, destination, Event.RECEIPT_REFUSED) and None)
    number = int(key.packet_id[-12:], 16)
    assert frontend.deliver(Arrival(number, attempt=2)) == key
