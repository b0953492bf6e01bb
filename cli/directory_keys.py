"""Public keys as people write them into plans and options: of every suite that a directory may list.

``ed25519-sha256:HEX`` signs, ``x25519:HEX`` is encrypted to, ``ssh-ed25519 BASE64`` logs in or is a server's;
each may stand in a .pub file. Guarantees: a key goes only with the uses that its suite can serve. Leaves to
others: whose key it is, and how it came here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from cli.frame import read_input
from exchanged.keys import load_key, read_passphrase
from exchanged.public_keys import parse_public_key
from packet_spec.encryption import KEY_SUITE as ENCRYPTION_SUITE
from packet_spec.errors import FormatError
from packet_spec.model import KeyUse
from packet_spec.signing import SUITE, PrivateKey, PublicKey
from packet_spec.ssh_keys import SSH_SUITE, public_of_line
from packet_spec.suites import is_signing_suite

SUITE_OF_USE: Final[Mapping[KeyUse, str]] = MappingProxyType(
    {
        **dict.fromkeys(KeyUse, SUITE),
        KeyUse.ENCRYPT: ENCRYPTION_SUITE,
        KeyUse.LOGIN: SSH_SUITE,
        KeyUse.HOST: SSH_SUITE,
    }
)
_FILE_BYTES: Final = 4096
_SHAPE: Final = f"{SUITE}:HEX, {ENCRYPTION_SUITE}:HEX, ssh-ed25519 BASE64, or the name of a .pub file"


def load_root(path: Path, passphrase_file: Path | None) -> PrivateKey:
    """The private root key in ``path``, under the passphrase in the private file ``passphrase_file``, if any.

    Raises KeyFileError for either file.
    """
    return load_key(path, None if passphrase_file is None else read_passphrase(passphrase_file))


def parse_listed_key(text: str) -> PublicKey:
    """The key in ``text``. Raises FormatError for another form."""
    if (public := public_of_line(text)) is not None:
        return PublicKey(SSH_SUITE, public)
    try:
        return parse_public_key(text)
    except FormatError as error:
        raise FormatError(error.summary, expected=_SHAPE, found=error.found) from error


def read_listed_key(text: str, base: Path) -> PublicKey:
    """The key in ``text``, or in the file of that name in ``base``. Raises FormatError, InputFileError."""
    if ":" in text or text.startswith(f"{SSH_SUITE} "):
        return parse_listed_key(text)
    content = read_input(base / text, _FILE_BYTES).decode("utf-8", errors="replace")
    return parse_listed_key(content.strip())


def require_uses(key: PublicKey, uses: Sequence[KeyUse]) -> None:
    """Raises FormatError when ``key`` is of a suite that cannot serve one of ``uses``."""
    for use in uses:
        serves = is_signing_suite(key.suite) if SUITE_OF_USE[use] == SUITE else key.suite == SUITE_OF_USE[use]
        if not serves:
            raise FormatError(
                f"a key of use {use} is of another suite", expected=SUITE_OF_USE[use], found=key.suite
            )
