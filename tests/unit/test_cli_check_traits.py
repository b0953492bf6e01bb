"""What facts about a folder mean: each lack has its finding, with what follows and what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.check_traits import about_agency_volume, about_mailbox, about_own_volume
from cli.check_values import Check, CheckState
from exchanged.config import parse_config
from exchanged.mounts import Mount
from exchanged.probe import FolderFacts, NameKind

GIB = 1 << 30
SMB = ("rw", "vers=3.0", "hard", "serverino", "cache=strict")
CONFIG = parse_config(
    {
        "node": {"code": "620199-01-00", "role": "frontend", "data_dir": "/var/lib/x"},
        "keys": {"roots": ["ed25519-sha256:" + "ab" * 32]},
        "folders": {"root": "/srv/x", "scan_seconds": 7.0},
    },
    Path("/"),
)


def facts(kind: str = "ext4", options: tuple[str, ...] = ("rw",), **changes: Any) -> dict[str, FolderFacts]:
    mount = Mount(Path("/srv/x"), kind, "source", options)
    sound = FolderFacts(
        path=Path("/srv/x/outbox"), mount=mount, free_bytes=50 * GIB, total_bytes=100 * GIB, free_names=-1,
        device=1, wanted_mode=0o2770, mode=0o2770, sees_events=True,
    )  # fmt: skip
    return {"folder outbox": replace(sound, **changes), "folder sent": replace(sound, **changes)}


def agency(found: dict[str, FolderFacts]) -> dict[str, Check]:
    assert CONFIG.folders is not None
    return {check.name: check for check in about_agency_volume(found, CONFIG.folders, GIB)}


def test_a_local_file_system_has_nothing_to_tell() -> None:
    assert agency(facts()) == {}
    assert agency(facts("cifs", SMB)).keys() == {"events"}
    assert agency(facts("nfs4", ("rw", "hard"))).keys() == {"events"}


@pytest.mark.parametrize(
    ("changes", "name", "state"),
    [
        ({"sees_events": False}, "events", CheckState.WARNING),
        ({"syncs_folder": False}, "folder sync", CheckState.NOTE),
        ({"keeps_taken": False}, "rename", CheckState.PROBLEM),
        ({"renames_new": False}, "rename", CheckState.NOTE),
        ({"knows_case": False}, "case", CheckState.NOTE),
        ({"time_step_ns": 2 * 10**9}, "times", CheckState.NOTE),
        ({"lost_names": (NameKind.CHINESE,)}, "names", CheckState.PROBLEM),
        ({"lost_names": (NameKind.DECOMPOSED,)}, "names", CheckState.WARNING),
        ({"lost_names": (NameKind.GBK,)}, "names", CheckState.NOTE),
        ({"lost_names": (NameKind.LONG,)}, "names", CheckState.NOTE),
        ({"keeps_inode": False}, "file numbers", CheckState.WARNING),
        ({"mode": 0o770}, "group", CheckState.WARNING),
        ({"keeps_group": False}, "group", CheckState.WARNING),
        ({"free_bytes": GIB // 2}, "space", CheckState.WARNING),
        ({"free_names": 3}, "space", CheckState.WARNING),
    ],
)
def test_each_lack_is_one_finding_that_says_what_follows_and_what_to_do(
    changes: dict[str, Any], name: str, state: CheckState
) -> None:
    found = agency(facts(**changes))
    assert found.keys() == {name}
    assert found[name].state is state
    assert found[name].detail
    assert found[name].follows
    assert found[name].advice


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [
        ("cifs", ("rw", "soft", "serverino"), "mount"),
        ("cifs", ("rw", "hard"), "file numbers"),
        ("smb3", (*SMB[:4], "cache=loose"), "mount"),
        ("nfs4", ("rw", "soft"), "mount"),
        ("nfs", ("rw", "softerr"), "mount"),
    ],
)
def test_mount_options_that_are_wrong_are_named(kind: str, options: tuple[str, ...], name: str) -> None:
    found = agency(facts(kind, options))
    assert found.keys() == {"events", name}
    assert found[name].state is CheckState.WARNING


def test_pick_up_on_a_share_takes_one_scan() -> None:
    (check,) = agency(facts("fuse.sshfs")).values()
    assert "within 7 seconds" in check.follows


def test_folders_on_several_devices_do_not_work() -> None:
    found = facts()
    found["folder sent"] = replace(found["folder sent"], device=2)
    assert agency(found)["folders"].state is CheckState.PROBLEM


def test_the_ledger_needs_a_local_disk_that_flushes_folders() -> None:
    def own(found: dict[str, FolderFacts]) -> list[CheckState]:
        return [check.state for check in about_own_volume(found, GIB)]

    assert own(facts()) == [CheckState.GOOD]
    assert own(facts("nfs4")) == [CheckState.GOOD, CheckState.PROBLEM]
    assert own(facts(syncs_folder=False)) == [CheckState.GOOD, CheckState.PROBLEM]
    assert own(facts("tmpfs")) == [CheckState.GOOD, CheckState.NOTE]
    assert own(facts(free_bytes=0)) == [CheckState.GOOD, CheckState.WARNING]


def test_a_mailbox_on_a_share_is_found_by_looking() -> None:
    limits = CONFIG.limits
    assert list(about_mailbox(facts(), limits)) == []
    note, _ = about_mailbox(facts("cifs", SMB), limits)
    assert (note.state, "30 seconds" in note.follows) == (CheckState.NOTE, True)
