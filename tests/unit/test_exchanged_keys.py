"""Key files: made once, private from the first byte, and refused when others could have read them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import paramiko
import pytest

from exchanged.errors import KeyFileError
from exchanged.keys import check_private_file, generate_key, generate_ssh_key, load_key, protect
from exchanged.public_keys import parse_public_key, public_key_text
from packet_spec.errors import FormatError, SignatureError
from packet_spec.signing import Domain, verify


class Counting:
    """Randomness that gives other bytes each time, and the same in each run."""

    def __init__(self) -> None:
        self.count = 0

    def token(self, size_bytes: int) -> bytes:
        self.count += 1
        return self.count.to_bytes(size_bytes, "big")

    def fraction(self) -> float:
        return 0.5


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_comes_back_from_its_file_and_signs(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "seal.key"
    made = generate_key(path, Counting())
    loaded = load_key(path)
    verify(Domain.SEAL, b"x", loaded.sign(Domain.SEAL, b"x"), made.public_key)
    assert mode_of(path) == 0o600
    assert mode_of(path.parent) == 0o700
    assert path.read_text() == f"exchanged-private-key-1\nsuite ed25519-sha256\nseed {1:064x}\n"
    assert [child.name for child in path.parent.iterdir()] == ["seal.key"]


def test_a_wide_umask_does_not_widen_the_mode(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        generate_key(tmp_path / "k", Counting())
        generate_ssh_key(tmp_path / "s", Counting())
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "k") == mode_of(tmp_path / "s") == 0o600


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "k"
    randomness = Counting()
    generate_key(path, randomness)
    first = path.read_bytes()
    with pytest.raises(KeyFileError, match="never overwritten"):
        generate_key(path, randomness)
    with pytest.raises(KeyFileError, match="never overwritten"):
        generate_ssh_key(path, randomness)
    assert path.read_bytes() == first


def test_a_key_that_root_protects_stays_that_of_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the daemon, which is not root, could not open it at its next start."""
    path, given = tmp_path / "k", []
    generate_key(path, Counting())
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda *arguments: given.append(arguments))
    owner = path.stat()
    protect(path, b"a passphrase", Counting())
    assert given == [(path, owner.st_uid, owner.st_gid)]


def test_a_key_that_root_made_for_the_daemon_is_told_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(KeyFileError) as caught:
        load_key(tmp_path / "k")
    assert f"chown {os.geteuid()} {tmp_path / 'k'}" in caught.value.advice


def test_a_key_is_not_written_through_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "k").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError):
        generate_key(tmp_path / "k", Counting())
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_key_that_others_can_reach_is_refused_with_the_fix(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "k"
    generate_key(path, Counting())
    path.chmod(mode)
    for look in (load_key, check_private_file):
        with pytest.raises(KeyFileError) as caught:
            look(path)
        assert f"chmod 600 {path}" in caught.value.advice
        assert caught.value.found == f"mode {mode:04o}"


def test_root_is_not_told_to_take_the_key_of_the_daemon_s_user_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``node status`` of root said: chown 0. After that the daemon would not have started any more."""
    path = tmp_path / "k"
    made = generate_key(path, Counting())
    if path.stat().st_uid == 0:
        os.chown(path, 12345, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert load_key(path).key_id == made.key_id


def test_a_key_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "k"
    generate_key(path, Counting())
    owner = path.stat().st_uid
    if owner == 0:
        owner = 12345
        os.chown(path, owner, -1)
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(KeyFileError, match="another user") as caught:
        load_key(path)
    assert "chown" in caught.value.advice


def test_what_is_no_plain_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(KeyFileError, match="not a plain file"):
        load_key(tmp_path / "fifo")
    generate_key(tmp_path / "k", Counting())
    (tmp_path / "link").symlink_to(tmp_path / "k")
    with pytest.raises(KeyFileError):
        load_key(tmp_path / "link")
    with pytest.raises(KeyFileError, match="missing") as caught:
        load_key(tmp_path / "none")
    assert "exchangectl node init" in caught.value.advice


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"exchanged-private-key-1\nsuite ed25519-sha256\nseed 00\n",
        b"exchanged-private-key-1\nsuite sm2-sm3\nseed " + b"11" * 32 + b"\n",
        b"exchanged-private-key-1\nsuite ed25519-sha256\nseed " + b"11" * 32 + b"\n\n",
        b"exchanged-private-key-2\nsuite ed25519-sha256\nseed " + b"11" * 32 + b"\n",
        b"x" * 100_000,
    ],
)
def test_another_content_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "k"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError) as caught:
        load_key(path)
    assert "1111" not in str(caught.value)


def test_the_ssh_key_is_one_that_the_transport_reads(tmp_path: Path) -> None:
    path = tmp_path / "login"
    line = generate_ssh_key(path, Counting(), comment="620199-03-00")
    key = paramiko.Ed25519Key.from_private_key_file(str(path))
    kind, blob, comment = line.split()
    assert (kind, blob, comment) == ("ssh-ed25519", key.get_base64(), "620199-03-00")
    assert (tmp_path / "login.pub").read_text() == f"{line}\n"
    check_private_file(path)


def test_public_keys_have_one_text_form() -> None:
    text = "ed25519-sha256:" + "0a" * 32
    assert public_key_text(parse_public_key(text)) == text
    for wrong in ("", "ed25519-sha256:0a", "sm2-sm3:" + "0a" * 32, text.upper(), text + "\n"):
        with pytest.raises(FormatError):
            parse_public_key(wrong)


def test_an_unknown_suite_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(SignatureError):
        generate_key(tmp_path / "k", Counting(), suite="sm2-sm3")
    assert list(tmp_path.iterdir()) == []
