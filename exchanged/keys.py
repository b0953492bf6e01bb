"""Private key files: the only module that makes, reads or checks them.

Three kinds: a text file of three lines (``exchanged-private-key-1``, ``suite NAME``, ``seed HEX``), the same
under a passphrase (``exchanged-private-key-2``, see ``_LOCKED_FILE``), and the OpenSSH key pair that a node
logs in with.

Guarantees: a key file is created new, never over another one, with mode 0600 from its first byte; a key
is used only from a plain file that belongs to the user of this process (or root) and that nobody else can
read or write. No error text shows a part of a key.
Leaves to others: which key may sign what, and until when (``packet_spec.authority``), which of several is
used (``keyring``). Known limits: without a passphrase whoever is root, or has a backup of a key file, has
the key; a running daemon has its keys in memory in any case.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from exchanged import key_lock
from exchanged.clock import Randomness
from exchanged.durable import DurableFiles, Volume
from exchanged.errors import FileOperationError, KeyFileError, KeyNotGivenError, NameTakenError
from exchanged.key_uses import LOGIN_SUITE, SEED_BYTES, Secret, seed_bytes
from exchanged.public_keys import public_key_text
from packet_spec.encryption import KEY_SUITE as ENCRYPTION_SUITE
from packet_spec.encryption import DecryptionKey
from packet_spec.errors import SignatureError
from packet_spec.signing import SUITE, PrivateKey, PublicKey
from packet_spec.ssh_keys import ssh_line
from packet_spec.suites import is_signing_suite

_MODE: Final = 0o600
# A key file is about 120 bytes, under a passphrase about 400; more is some other file.
_FILE_BYTES: Final = 1024
_PASSPHRASE_BYTES: Final = 1024
_SSH_FILE_BYTES: Final = 64 * 1024
_KEY_FILE: Final = re.compile(
    rb"exchanged-private-key-1\nsuite ([a-z0-9-]{1,32})\nseed ((?:[0-9a-f]{2}){16,64})\n"
)
# The public half stands in the open: it is asked for without the passphrase. Then: passes, bytes of memory
# and salt of argon2id, and the secret box with its nonce first.
_LOCKED_FILE: Final = re.compile(
    rb"exchanged-private-key-2\nsuite ([a-z0-9-]{1,32})\npublic ((?:[0-9a-f]{2}){16,256})\n"
    rb"argon2id ([0-9]{1,2}) ([0-9]{1,10}) ([0-9a-f]{32})\nsecretbox ((?:[0-9a-f]{2}){56,104})\n"
)
_OPENSSH: Final = b"-----BEGIN OPENSSH PRIVATE KEY-----"


def generate_key(
    path: Path, randomness: Randomness, suite: str = SUITE, passphrase: bytes | None = None
) -> PrivateKey:
    """Make a new private key that signs and store it in the new file ``path``, mode 0600.

    Raises as ``generate_secret``.
    """
    return generate_secret(path, randomness, suite, passphrase).signing()


def generate_secret(
    path: Path, randomness: Randomness, suite: str, passphrase: bytes | None = None
) -> Secret:
    """Make a new private key of any suite and store it in the new file ``path``, mode 0600.

    Folders on the way are made with mode 0700. Raises KeyFileError when something lies at ``path``
    already or the file cannot be made, SignatureError for an unknown suite, and NoSpaceError when the
    volume is full.
    """
    secret = Secret(suite, randomness.token(seed_bytes(suite)))
    _write_new(path, _file_of(secret, randomness, passphrase), _MODE)
    return secret


def generate_beside(
    path: Path, randomness: Randomness, suite: str, passphrase: bytes | None = None
) -> Secret:
    """Make a new private key of ``suite`` beside ``path``, in a file that bears its key id too.

    Beside ``seal.key`` it is ``seal-<key id>.key``. The daemon's, on its own volume: raises as
    ``generate_secret``, and VolumeDamagedError when that fails.
    """
    secret = Secret(suite, randomness.token(seed_bytes(suite)))
    file = path.with_name(f"{path.stem}-{secret.key_id}.key")
    _write_new(file, _file_of(secret, randomness, passphrase), _MODE, Volume.OWN)
    return secret


def generate_encryption_key(
    path: Path, randomness: Randomness, passphrase: bytes | None = None
) -> DecryptionKey:
    """Make a private key to encrypt parts to, in the new file ``path``. Raises as ``generate_secret``."""
    return DecryptionKey(generate_secret(path, randomness, ENCRYPTION_SUITE, passphrase).export_seed())


def load_key(path: Path, passphrase: bytes | None = None) -> PrivateKey:
    """The private key that signs in the file ``path``. Raises as ``load_secret``, also for another kind."""
    secret = load_secret(path, passphrase)
    if not is_signing_suite(secret.suite):
        raise KeyFileError(
            "the file holds a key that signs no documents",
            where=str(path),
            expected=SUITE,
            found=secret.suite,
        )
    return secret.signing()


def load_encryption_key(
    path: Path, passphrase: bytes | None = None, *, is_credential: bool = False
) -> DecryptionKey:
    """The private key in ``path`` that parts are encrypted to. Raises KeyFileError as ``load_secret``."""
    secret = load_secret(path, passphrase, is_credential=is_credential)
    if secret.suite != ENCRYPTION_SUITE:
        raise KeyFileError(
            "the file holds no key for encryption",
            where=str(path),
            expected=ENCRYPTION_SUITE,
            found=secret.suite,
        )
    return DecryptionKey(secret.export_seed())


def load_secret(path: Path, passphrase: bytes | None = None, *, is_credential: bool = False) -> Secret:
    """The private key of any suite in the file ``path``, also in an OpenSSH one.

    ``is_credential``: the service manager laid it there, and guards it with an access list. Raises
    KeyFileError when the file is missing or unreadable, is no plain file, has another owner or a mode that
    lets others at it, does not hold a key of a known suite, or is under another passphrase or none was given.
    """
    data = _read_private(path, limit_bytes=_SSH_FILE_BYTES, is_credential=is_credential)
    try:
        if data.startswith(_OPENSSH):
            return Secret(LOGIN_SUITE, _openssh_seed(path, data))
        if (match := _KEY_FILE.fullmatch(data)) is not None:
            return Secret(match[1].decode(), bytes.fromhex(match[2].decode()))
        if (match := _LOCKED_FILE.fullmatch(data)) is not None:
            return _unlocked(path, match, passphrase)
    except SignatureError as error:
        raise KeyFileError(error.summary, where=str(path), expected=error.expected) from error
    raise KeyFileError(
        "the file is not a private key of this program",
        where=str(path),
        expected="exchanged-private-key-1, suite, seed: three lines",
        hint="restore the key from its backup, or make a new one and enrol it: exchangectl key generate",
    )


def read_public_half(path: Path) -> PublicKey:
    """The public half of a private key file, without its passphrase. Raises as ``load_secret``."""
    data = _read_private(path, limit_bytes=_SSH_FILE_BYTES)
    if (match := _LOCKED_FILE.fullmatch(data)) is not None:
        return PublicKey(match[1].decode(), bytes.fromhex(match[2].decode()))
    secret = load_secret(path)
    return PublicKey(secret.suite, secret.public)


def protect(path: Path, passphrase: bytes, randomness: Randomness, old: bytes | None = None) -> Secret:
    """Put the key in ``path`` under ``passphrase``: the file is replaced whole, flushed, mode 0600.

    ``old`` is the passphrase that it is under now. A file that is under ``passphrase`` already stays as it
    is: whoever was stopped among many files calls again. It stays its owner's, also when root does this. The
    bytes that stood there before are free space of the disk from then on, not gone. Raises as ``load_secret``
    and ``DurableFiles.write_file``.
    """
    if (already := _opened_by(path, passphrase)) is not None:
        return already
    secret, owner = load_secret(path, old), path.stat()
    DurableFiles(Volume.OUTPUT).write_file(path, (_file_of(secret, randomness, passphrase),), mode=_MODE)
    if os.geteuid() == 0:
        # The daemon has a user of its own, and must be able to open what root put there.
        os.chown(path, owner.st_uid, owner.st_gid)
    return secret


def read_passphrase(path: Path, *, is_credential: bool = False) -> bytes:
    """The passphrase in a private file: its bytes without the last line end. Raises KeyFileError."""
    data = _read_private(path, limit_bytes=_PASSPHRASE_BYTES, is_credential=is_credential)
    text = data.removesuffix(b"\n").removesuffix(b"\r")
    if not text or len(text) > _PASSPHRASE_BYTES:
        raise KeyFileError(
            "the passphrase file holds no passphrase",
            where=str(path),
            expected=f"1 to {_PASSPHRASE_BYTES} bytes, one line",
            found=f"{len(text)} bytes",
            hint="write the passphrase into it, mode 0600",
        )
    return text


def check_key_folder(path: Path) -> None:
    """Whether a folder of private keys is closed to others: they must not even see what lies there.

    Raises KeyFileError, naming the fix.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise KeyFileError(
            f"the folder of the keys cannot be used: {error.strerror}",
            where=str(path),
            hint=f"make a key in it: exchangectl key generate {path}/seal.key",
        ) from error
    _require_private(path, status, "the folder of the keys", "0700")


def _file_of(secret: Secret, randomness: Randomness, passphrase: bytes | None) -> bytes:
    seed = secret.export_seed()
    if passphrase is None:
        return f"exchanged-private-key-1\nsuite {secret.suite}\nseed {seed.hex()}\n".encode()
    salt, nonce = randomness.token(key_lock.SALT_BYTES), randomness.token(key_lock.NONCE_BYTES)
    locked = key_lock.lock(seed, passphrase, salt, nonce, key_lock.Costs())
    return (
        f"exchanged-private-key-2\nsuite {secret.suite}\npublic {secret.public.hex()}\n"
        f"argon2id {locked.costs.operations} {locked.costs.memory_bytes} {salt.hex()}\n"
        f"secretbox {locked.box.hex()}\n"
    ).encode()


def _unlocked(path: Path, match: re.Match[bytes], passphrase: bytes | None) -> Secret:
    if passphrase is None:
        raise KeyNotGivenError(
            "the key is under a passphrase, and none is given",
            where=str(path),
            hint="name its file in [keys] passphrase_file, or give the credential `passphrase` to the unit",
        )
    costs = key_lock.Costs(int(match[3]), int(match[4]))
    locked = key_lock.Locked(costs, bytes.fromhex(match[5].decode()), bytes.fromhex(match[6].decode()))
    secret = Secret(match[1].decode(), key_lock.unlock(locked, passphrase))
    if secret.public.hex() != match[2].decode():
        raise KeyFileError("the public half in the file is that of another key", where=str(path))
    return secret


def _opened_by(path: Path, passphrase: bytes) -> Secret | None:
    """The key in a file that is under ``passphrase``; None for one in the clear or under another."""
    match = _LOCKED_FILE.fullmatch(_read_private(path, limit_bytes=_SSH_FILE_BYTES))
    if match is None:
        return None
    try:
        return _unlocked(path, match, passphrase)
    except SignatureError:
        return None


def _openssh_seed(path: Path, data: bytes) -> bytes:
    # Only who logs in needs the second cryptographic library.
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    try:
        key = serialization.load_ssh_private_key(data, None)
    except ValueError as error:
        raise KeyFileError(
            "the file is no OpenSSH private key that can be used",
            where=str(path),
            expected="an OpenSSH Ed25519 private key without passphrase of OpenSSH's own",
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError("the login key is of a kind that is not used", where=str(path), expected="ed25519")
    return key.private_bytes_raw()


def write_public_key(path: Path, key: PublicKey) -> None:
    """Write ``public_key_text`` into the new file ``path``, for handing over. Raises as ``generate_key``."""
    _write_new(path, f"{public_key_text(key)}\n".encode(), 0o644)


def generate_ssh_key(path: Path, randomness: Randomness, comment: str = "exchanged") -> str:
    """Make an OpenSSH Ed25519 key pair: ``path`` (mode 0600) and ``path`` + ``.pub``.

    Returns the public line ``ssh-ed25519 BASE64 COMMENT`` as it goes into authorized_keys. Raises
    KeyFileError when something lies at ``path`` already or a file cannot be made.
    """
    # A daemon makes no login keys and need not carry a second cryptographic library.
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    key = Ed25519PrivateKey.from_private_bytes(randomness.token(SEED_BYTES))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    line = f"{public.decode()} {comment}"
    _write_new(path, private, _MODE)
    _write_new(path.with_name(path.name + ".pub"), f"{line}\n".encode(), 0o644)
    return line


def public_ssh_line(path: Path, comment: str = "exchanged") -> str:
    """The public line of the OpenSSH private key in ``path``, as ``generate_ssh_key`` returned it.

    Raises KeyFileError as ``load_key``, also for a key under a passphrase, which a daemon cannot give.
    """
    secret = load_secret(path)
    if secret.suite != LOGIN_SUITE:
        raise KeyFileError("the file is no OpenSSH private key that can be used", where=str(path))
    return f"{ssh_line(secret.public)} {comment}"


def check_private_file(path: Path) -> None:
    """Check that ``path`` is a private file fit for a key, without looking at what it holds.

    For the login keys of links, which the transport reads itself. Raises KeyFileError as ``load_key``.
    """
    _read_private(path, limit_bytes=_SSH_FILE_BYTES)


def _write_new(path: Path, data: bytes, mode: int, volume: Volume = Volume.OUTPUT) -> None:
    """Whole and flushed, or not at all: a key that the directory names must survive a power cut."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise KeyFileError(f"the key's folder cannot be made: {error.strerror}", where=str(path)) from error
    try:
        DurableFiles(volume).write_new(path, (data,), mode=mode)
    except NameTakenError as error:
        raise KeyFileError(
            "there is a file already; a key is never overwritten",
            where=str(path),
            hint="move the old key away yourself if it is no longer needed",
        ) from error
    except FileOperationError as error:
        why = f"the key file cannot be made: {error.found}"
        raise KeyFileError(why, where=str(path), hint=error.advice) from error


def _read_private(path: Path, limit_bytes: int = _FILE_BYTES, *, is_credential: bool = False) -> bytes:
    """The bytes of a private file, checked on the descriptor that is read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise KeyNotGivenError(
            "the key file is missing",
            where=str(path),
            hint="is its volume mounted? only for a new node: exchangectl node init makes what is missing",
        ) from error
    except PermissionError as error:
        raise KeyFileError(
            f"the key file cannot be opened: {error.strerror}",
            where=str(path),
            hint=f"if root made it, run as root: chown {os.geteuid()} {path}",
        ) from error
    except OSError as error:
        raise KeyFileError(f"the key file cannot be opened: {error.strerror}", where=str(path)) from error
    try:
        # Before anything is read, and before Python refuses what is no file in its own words.
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileError("the key file is not a plain file", where=str(path))
        # In the mode of a credential the group bits are the mask of its access list.
        _require_private(path, status, "the key file", "0600", others=0o037 if is_credential else 0o077)
        return os.read(descriptor, limit_bytes + 1)
    except OSError as error:
        raise KeyFileError(f"the key file cannot be read: {error.strerror}", where=str(path)) from error
    finally:
        os.close(descriptor)


def _require_private(path: Path, status: os.stat_result, what: str, wanted: str, others: int = 0o077) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if mode & others:
        raise KeyFileError(
            f"others may read or write {what}",
            where=str(path),
            expected=f"mode {wanted}",
            found=f"mode {mode:04o}",
            hint=f"run: chmod {wanted[1:]} {path}; if others could read it, retire the key",
        )
    # Root looks at the keys of a daemon that has a user of its own: they are to be that user's, not root's.
    if os.geteuid() != 0 and status.st_uid not in {os.geteuid(), 0}:
        raise KeyFileError(
            f"{what} belongs to another user",
            where=str(path),
            expected=f"user id {os.geteuid()}",
            found=f"user id {status.st_uid}",
            hint=f"run as root: chown {os.geteuid()} {path}",
        )
