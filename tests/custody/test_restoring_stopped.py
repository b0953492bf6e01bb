"""C18 and C23: what ended, or was stopped by a person, after the backup does not leave after a restore."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchanged.acts.values import Act
from tests.support.network import POLICE
from tests.support.restored_folders import (
    NOT_POSSIBLE,
    delivered,
    do,
    events,
    folder,
    lying,
    pause,
    police,
    restore,
    rewrite,
    save,
    seal,
    send,
    shown,
    status,
)
from tests.support.restoring import World


@pytest.mark.parametrize("reuse", [False, True], ids=["alone", "its name was used again"])
def test_c23_what_was_cancelled_after_the_backup_stays_cancelled(
    world: World, tmp_path: Path, reuse: bool
) -> None:
    saved = save(world, tmp_path, POLICE)
    do(world, Act.CANCEL, seal(world))
    if reuse:
        seal(world, "R-2")
    restore(world, saved)
    assert list(delivered(world)) == (["R-2"] if reuse else [])
    assert lying(world, "sent") == (["DATA", "DATA~2"] if reuse else ["DATA"])
    assert events(world, NOT_POSSIBLE) == []
    if not reuse:
        assert (status(world)["state"], status(world)["final"]) == ("cancelled", True)


def test_c23_what_expired_after_the_backup_stays_expired(world: World, tmp_path: Path) -> None:
    saved = save(world, tmp_path, POLICE)
    packet_id = seal(world)
    rewrite(world, packet_id, {"queued": "expired"})
    restore(world, saved)
    assert delivered(world) == {}
    assert lying(world, "sent") == ["DATA"]


def test_c23_what_was_on_hold_waits_for_a_person(world: World, tmp_path: Path) -> None:
    saved = save(world, tmp_path, POLICE)
    do(world, Act.HOLD, seal(world))
    restore(world, saved)
    assert delivered(world) == {}
    assert (lying(world, "sent"), lying(world, "outbox")) == (["DATA"], [])
    assert events(world, NOT_POSSIBLE) == [{"drop": shown(world), "why": "stopped"}]
    # The person: back into the outbox.
    (folder(world, "sent") / "DATA").rename(folder(world, "outbox") / "DATA")
    world.drain()
    assert list(delivered(world)) == ["R-1"]


@pytest.mark.parametrize(
    ("what", "state"), [(Act.CANCEL, "cancelled"), (Act.HOLD, "on-hold")], ids=["cancelled", "on hold"]
)
@pytest.mark.parametrize("is_told", [True, False], ids=["status told", "status to be told"])
def test_c18_what_waited_in_the_backup_and_was_stopped_after_it_does_not_leave(
    world: World, tmp_path: Path, what: Act, state: str, is_told: bool
) -> None:
    pause(world)
    send(world)
    (intake,) = (each for each in police(world).stations if each.name == "intake")
    intake.step()
    assert "DATA" in lying(world, "outbox")
    if is_told:
        police(world).step()
    # Else the ledger of the backup still means to write that it is queued.
    saved = save(world, tmp_path, POLICE)
    police(world).step()
    do(world, what, status(world)["packetId"])
    restore(world, saved)
    assert delivered(world) == {}
    assert status(world)["state"] == state
    if what is Act.HOLD:
        do(world, Act.RELEASE, status(world)["packetId"])
        world.drain()
        assert list(delivered(world)) == ["R-1"]
