"""Lines of OpenSSH and raw keys, and what the directory says of them at a moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from packet_spec.model import (
    Directory,
    DirectoryKey,
    DirectoryNode,
    KeyUse,
    NodeRole,
    RootKey,
)
from packet_spec.signing import key_id_of
from packet_spec.ssh_keys import SSH_SUITE, public_of_line, ssh_keys, ssh_line

NOW = datetime(2026, 7, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)
# Made by ssh-keygen.
LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
RAW = bytes(range(32))


def listed(public: bytes, use: KeyUse = KeyUse.LOGIN, **changes: object) -> DirectoryKey:
    key = DirectoryKey(key_id_of(SSH_SUITE, public), SSH_SUITE, public, (use,), NOW - DAY, NOW + DAY)
    return replace(key, **changes)  # type: ignore[arg-type]


def directory(*keys: DirectoryKey, other: tuple[DirectoryKey, ...] = ()) -> Directory:
    root = RootKey(key_id_of("ed25519-sha256", RAW), "ed25519-sha256", RAW)
    nodes = (
        DirectoryNode("620000-00-00", NodeRole.PROVINCIAL, "", other),
        DirectoryNode("620199-01-00", NodeRole.FRONTEND, "620000-00-00", keys),
    )
    return Directory(
        version=1, issued_at=NOW - DAY, expires_at=NOW + DAY, threshold=1, roots=(root,), nodes=nodes,
        agencies=(),
    )  # fmt: skip


def test_a_line_and_its_raw_key_are_the_same_thing() -> None:
    assert ssh_line(RAW) == LINE
    assert public_of_line(LINE) == RAW
    assert public_of_line(f"{LINE} somebody@somewhere") == RAW


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        LINE.replace("ssh-ed25519", "ssh-rsa"),
        LINE[:-4],
        LINE[:-1] + "!",
        # Another type within than in front.
        LINE.replace("C3NzaC1lZDI1NTE5", "C3NzaC1lZDI1NTE4"),
    ],
)
def test_what_is_no_ed25519_key_is_none(line: str) -> None:
    assert public_of_line(line) is None


def test_a_raw_key_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        ssh_line(RAW + b"x")


@pytest.mark.parametrize(
    ("changes", "valid", "ended"),
    [
        ({}, True, False),
        ({"not_before": NOW}, True, False),
        ({"not_before": NOW + timedelta(seconds=1)}, False, False),
        ({"not_after": NOW}, False, True),
        ({"revoked_at": NOW}, False, True),
        ({"revoked_at": NOW + timedelta(seconds=1)}, True, False),
        ({"revoked_at": NOW - DAY}, False, True),
    ],
)
def test_a_key_counts_between_its_dates_and_before_its_revocation(
    changes: dict[str, object], valid: bool, ended: bool
) -> None:
    said = ssh_keys(directory(listed(RAW, **changes)), "620199-01-00", KeyUse.LOGIN, NOW)
    assert said.valid == ((LINE,) if valid else ())
    assert (LINE in said.ended) is ended
    assert said.is_listed


def test_another_use_another_node_and_another_suite_are_none_of_its_keys() -> None:
    signing = listed(RAW, suite="ed25519-sha256", key_id=key_id_of("ed25519-sha256", RAW))
    content = directory(listed(bytes(32), KeyUse.HOST), signing, other=(listed(RAW),))
    assert not ssh_keys(content, "620199-01-00", KeyUse.LOGIN, NOW).is_listed
    assert ssh_keys(content, "620199-01-00", KeyUse.HOST, NOW).valid == (ssh_line(bytes(32)),)
    assert not ssh_keys(content, "620199-99-00", KeyUse.LOGIN, NOW).is_listed


def test_a_key_revoked_at_another_node_is_ended_everywhere() -> None:
    content = directory(other=(listed(RAW, revoked_at=NOW),))
    assert ssh_keys(content, "620199-01-00", KeyUse.LOGIN, NOW).ended == {LINE}
