"""I10: below the disk floor nothing is taken, and the outbox says so, without ever touching a drop."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchanged.durable import CrashPoints
from exchanged.states import DropState
from frontend_server.pause_sign import SIGN, SIGN_NAME
from tests.support.crash import crash_loop
from tests.support.outbox import SendingFrontend, names_in
from tests.support.sending import Open, states

FLOOR = 1000


def room(frontend: SendingFrontend, free: int) -> None:
    frontend.spool.free_bytes = lambda: free  # type: ignore[method-assign]


def start_low(start: Open) -> SendingFrontend:
    frontend = start(free_space_bytes=FLOOR)
    room(frontend, FLOOR - 1)
    return frontend


def test_i10_below_the_floor_drops_wait_and_the_outbox_says_why(start: Open) -> None:
    frontend = start_low(start)
    frontend.drop_folder()
    frontend.run(2)
    assert frontend.status()["state"] == "held"
    assert frontend.rows()[0].reason == "no-space"
    assert names_in(frontend.outbox) == ["A", SIGN_NAME]
    text = (frontend.outbox / SIGN_NAME).read_text(encoding="utf-8-sig")
    assert "磁盘空间不足" in text
    assert "short of disk space" in text
    # Room for the floor alone is not enough: intake must not flap.
    room(frontend, FLOOR + FLOOR // 2 - 1)
    frontend.clock.advance(60)
    frontend.run()
    assert states(frontend) == [DropState.HELD]
    room(frontend, 1 << 40)
    frontend.clock.advance(60)
    frontend.run(2)
    assert states(frontend) == [DropState.TAKEN]
    assert names_in(frontend.outbox) == []


def test_i10_receipts_and_status_files_are_still_written(start: Open) -> None:
    frontend = start(free_space_bytes=FLOOR)
    room(frontend, 1 << 40)
    frontend.drop_folder()
    frontend.intake.step()
    room(frontend, 0)
    frontend.run()
    assert frontend.effects_left() == 0
    assert names_in(frontend.folders.sent) == ["A"]


@pytest.mark.parametrize("comes_first", [True, False])
def test_a_folder_of_that_name_is_a_drop_like_any_other(start: Open, comes_first: bool) -> None:
    frontend = start_low(start)
    if not comes_first:
        frontend.run()
        # A folder cannot be renamed onto a file: the case software clears the name first.
        (frontend.outbox / SIGN_NAME).unlink()
    frontend.drop_folder(SIGN_NAME)
    frontend.run(2)
    assert states(frontend) == [DropState.HELD]
    room(frontend, 1 << 40)
    frontend.clock.advance(60)
    frontend.run(2)
    assert states(frontend) == [DropState.TAKEN]
    assert names_in(frontend.folders.sent) == [SIGN_NAME]


@pytest.mark.parametrize("content", [b"", SIGN[:-1], SIGN + b"x", b"note"])
def test_a_file_of_that_name_that_is_not_the_sign_is_reported_and_kept(start: Open, content: bytes) -> None:
    frontend = start_low(start)
    (frontend.outbox / SIGN_NAME).write_bytes(content)
    frontend.run()
    frontend.settle()
    assert frontend.codes(SIGN_NAME) == ["drop-kind-unknown"]
    room(frontend, 1 << 40)
    frontend.run()
    assert (frontend.outbox / SIGN_NAME).read_bytes() == content


def test_c3_a_link_under_that_name_is_neither_followed_nor_removed(start: Open) -> None:
    frontend = start_low(start)
    target = frontend.root / "elsewhere"
    target.write_bytes(SIGN)
    (frontend.outbox / SIGN_NAME).symlink_to(target)
    frontend.run()
    room(frontend, 1 << 40)
    frontend.run()
    assert target.read_bytes() == SIGN
    assert (frontend.outbox / SIGN_NAME).is_symlink()


def test_the_sign_is_put_up_and_taken_down_whatever_happens(tmp_path: Path) -> None:
    SendingFrontend(tmp_path).close()

    def build_and_run(crash: CrashPoints) -> None:
        # What a run and its check leave behind is the world as it was: one is enough for all of them.
        frontend = SendingFrontend(tmp_path, crash=crash, free_space_bytes=FLOOR)
        try:
            room(frontend, 0)
            frontend.intake.step()
            room(frontend, 1 << 40)
            frontend.intake.step()
        finally:
            frontend.close()

    def check() -> None:
        frontend = SendingFrontend(tmp_path, free_space_bytes=FLOOR)
        room(frontend, 0)
        frontend.run()
        assert names_in(frontend.outbox) == [SIGN_NAME]
        assert (frontend.outbox / SIGN_NAME).read_bytes() == SIGN
        room(frontend, 1 << 40)
        frontend.run()
        assert [path.name for path in frontend.outbox.iterdir()] == [".exchanged-marker"]
        assert frontend.rows() == []
        frontend.close()

    crash_loop(build_and_run, check)
