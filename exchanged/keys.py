"""Private key files: the only module that makes, reads or checks them.

Two kinds: node and root keys, a text file of three lines (``exchanged-private-key-1``, ``suite NAME``,
``seed HEX``), and the OpenSSH key pair that a dialling node logs in with.

Guarantees: a key file is created new, never over another one, with mode 0600 from its first byte; a key
is used only from a plain file that belongs to the user of this process (or root) and that nobody else can
read or write. No error text shows a part of a key.
Leaves to others: which key may sign what, and until when (``packet_spec.authority``).
Known limit: a key lies on disk unencrypted; whoever is root, or has a backup of it, has the key.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from exchanged.clock import Randomness
from exchanged.durable import DurableFiles, Volume
from exchanged.errors import FileOperationError, KeyFileError, NameTakenError
from packet_spec.encryption import KEY_SUITE as ENCRYPTION_SUITE
from packet_spec.encryption import DecryptionKey
from packet_spec.errors import FormatError, SignatureError
from packet_spec.signing import SUITE, PrivateKey, PublicKey

_MODE: Final = 0o600
_PUBLIC_SUITES: Final = frozenset({SUITE, ENCRYPTION_SUITE})
_SEED_BYTES: Final = 32
# A key file is about 120 bytes; more is some other file.
_FILE_BYTES: Final = 1024
_SSH_FILE_BYTES: Final = 64 * 1024
_KEY_FILE: Final = re.compile(rb"exchanged-private-key-1\nsuite ([a-z0-9-]{1,32})\nseed ([0-9a-f]{64})\n")
_PUBLIC_TEXT: Final = re.compile(r"([a-z0-9-]{1,32}):([0-9a-f]{64})")


def generate_key(path: Path, randomness: Randomness, suite: str = SUITE) -> PrivateKey:
    """Make a new private key and store it in the new file ``path``, mode 0600.

    Folders on the way are made with mode 0700. Raises KeyFileError when something lies at ``path``
    already or the file cannot be made, SignatureError for an unknown suite, and what
    ``DurableFiles.write_new`` raises when the volume is full or fails.
    """
    key = PrivateKey.from_seed(randomness.token(_SEED_BYTES), suite)
    text = f"exchanged-private-key-1\nsuite {suite}\nseed {key.export_seed().hex()}\n"
    _write_new(path, text.encode(), _MODE)
    return key


def generate_encryption_key(path: Path, randomness: Randomness) -> DecryptionKey:
    """Make a private key to encrypt parts to, in the new file ``path``. Raises as ``generate_key``."""
    key = DecryptionKey(randomness.token(_SEED_BYTES))
    text = f"exchanged-private-key-1\nsuite {ENCRYPTION_SUITE}\nseed {key.export_secret().hex()}\n"
    _write_new(path, text.encode(), _MODE)
    return key


def load_key(path: Path) -> PrivateKey:
    """The private key in the file ``path``.

    Raises KeyFileError when the file is missing or unreadable, is no plain file, has another owner or a
    mode that lets others at it, or does not hold a key of a known suite.
    """
    suite, seed = _read_key(path)
    try:
        return PrivateKey.from_seed(seed, suite)
    except SignatureError as error:
        raise KeyFileError(error.summary, where=str(path), expected=error.expected) from error


def load_encryption_key(path: Path) -> DecryptionKey:
    """The private key in ``path`` that parts are encrypted to. Raises KeyFileError as ``load_key``."""
    suite, seed = _read_key(path)
    if suite != ENCRYPTION_SUITE:
        raise KeyFileError(
            "the file holds no key for encryption", where=str(path), expected=ENCRYPTION_SUITE, found=suite
        )
    return DecryptionKey(seed)


def _read_key(path: Path) -> tuple[str, bytes]:
    """Suite and secret of a key file. Raises KeyFileError."""
    match = _KEY_FILE.fullmatch(_read_private(path))
    if match is None:
        raise KeyFileError(
            "the file is not a private key of this program",
            where=str(path),
            expected="exchanged-private-key-1, suite, seed: three lines",
            hint="restore the key from its backup, or make a new one and enrol it: exchangectl key generate",
        )
    return match[1].decode(), bytes.fromhex(match[2].decode())


def load_log_key(path: Path | None) -> PrivateKey | None:
    """The key that signs heads of the log; None where there is none. Raises KeyFileError as ``load_key``."""
    return None if path is None or not path.exists() else load_key(path)


def public_key_text(key: PublicKey) -> str:
    """``suite:HEX``, as it stands in configurations and directory plans."""
    return f"{key.suite}:{key.public.hex()}"


def parse_public_key(text: str) -> PublicKey:
    """The public key in ``suite:HEX``. Raises FormatError for another form or an unknown suite."""
    match = _PUBLIC_TEXT.fullmatch(text)
    if match is None or match[1] not in _PUBLIC_SUITES:
        raise FormatError("not a public key", expected=f"{SUITE}:<64 hexadecimal digits>", found=text[:100])
    return PublicKey(match[1], bytes.fromhex(match[2]))


def write_public_key(path: Path, key: PublicKey) -> None:
    """Write ``public_key_text`` into the new file ``path``, for handing over. Raises as ``generate_key``."""
    _write_new(path, f"{public_key_text(key)}\n".encode(), 0o644)


def read_public_key(path: Path) -> PublicKey:
    """The key in a file of ``write_public_key``. Raises KeyFileError when it cannot be read, FormatError."""
    try:
        with path.open("rb") as file:
            text = file.read(_FILE_BYTES).decode("ascii", errors="replace")
    except OSError as error:
        raise KeyFileError(f"the public key cannot be read: {error.strerror}", where=str(path)) from error
    return parse_public_key(text.removesuffix("\n"))


def generate_ssh_key(path: Path, randomness: Randomness, comment: str = "exchanged") -> str:
    """Make an OpenSSH Ed25519 key pair: ``path`` (mode 0600) and ``path`` + ``.pub``.

    Returns the public line ``ssh-ed25519 BASE64 COMMENT`` as it goes into authorized_keys. Raises
    KeyFileError when something lies at ``path`` already or a file cannot be made.
    """
    # A daemon makes no login keys and need not carry a second cryptographic library.
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    key = Ed25519PrivateKey.from_private_bytes(randomness.token(_SEED_BYTES))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    line = f"{public.decode()} {comment}"
    _write_new(path, private, _MODE)
    _write_new(path.with_name(path.name + ".pub"), f"{line}\n".encode(), 0o644)
    return line


def public_ssh_line(path: Path, comment: str = "exchanged") -> str:
    """The public line of the OpenSSH private key in ``path``, as ``generate_ssh_key`` returned it.

    Raises KeyFileError as ``load_key``, also for a key under a passphrase, which a daemon cannot give.
    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - as above

    try:
        key = serialization.load_ssh_private_key(_read_private(path, limit_bytes=_SSH_FILE_BYTES), None)
    except ValueError as error:
        raise KeyFileError("the file is no OpenSSH private key that can be used", where=str(path)) from error
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return f"{public.decode()} {comment}"


def check_private_file(path: Path) -> None:
    """Check that ``path`` is a private file fit for a key, without looking at what it holds.

    For the login keys of links, which the transport reads itself. Raises KeyFileError as ``load_key``.
    """
    _read_private(path, limit_bytes=_SSH_FILE_BYTES)


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Whole and flushed, or not at all: a key that the directory names must survive a power cut."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise KeyFileError(f"the key's folder cannot be made: {error.strerror}", where=str(path)) from error
    try:
        DurableFiles(Volume.OWN).write_new(path, (data,), mode=mode)
    except NameTakenError as error:
        raise KeyFileError(
            "there is a file already; a key is never overwritten",
            where=str(path),
            hint="move the old key away yourself if it is no longer needed",
        ) from error
    except FileOperationError as error:
        raise KeyFileError(f"the key file cannot be made: {error.found}", where=str(path)) from error


def _read_private(path: Path, limit_bytes: int = _FILE_BYTES) -> bytes:
    """The bytes of a private file, checked on the descriptor that is read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise KeyFileError(
            "the key file is missing", where=str(path), hint=f"make one: exchangectl key generate {path}"
        ) from error
    except OSError as error:
        raise KeyFileError(f"the key file cannot be opened: {error.strerror}", where=str(path)) from error
    try:
        # Before anything is read, and before Python refuses what is no file in its own words.
        _require_private(path, os.fstat(descriptor))
        return os.read(descriptor, limit_bytes + 1)
    except OSError as error:
        raise KeyFileError(f"the key file cannot be read: {error.strerror}", where=str(path)) from error
    finally:
        os.close(descriptor)


def _require_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError("the key file is not a plain file", where=str(path))
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise KeyFileError(
            "others may read or write the key file",
            where=str(path),
            expected="mode 0600",
            found=f"mode {mode:04o}",
            hint=f"run: chmod 600 {path}; if others could read it, retire the key",
        )
    # Root looks at the keys of a daemon that has a user of its own: they are to be that user's, not root's.
    if os.geteuid() != 0 and status.st_uid not in {os.geteuid(), 0}:
        raise KeyFileError(
            "the key file belongs to another user",
            where=str(path),
            expected=f"user id {os.geteuid()}",
            found=f"user id {status.st_uid}",
            hint=f"run as root: chown {os.geteuid()} {path}",
        )
