"""Public keys as text, as they stand in configurations and plans: what every command reads first.

Apart from ``keys``, which holds private ones and the libraries for them.
"""

from __future__ import annotations

import re
from typing import Final

from packet_spec.errors import FormatError
from packet_spec.signing import SUITE, PublicKey
from packet_spec.suites import is_signing_suite, signing_suite

_PUBLIC_TEXT: Final = re.compile(r"([a-z0-9-]{1,32}):((?:[0-9a-f]{2}){16,256})")
# Of keys for encryption.
_ENCRYPTION_BYTES: Final = 32


def public_key_text(key: PublicKey) -> str:
    """``suite:HEX``, as it stands in configurations and directory plans."""
    return f"{key.suite}:{key.public.hex()}"


def parse_public_key(text: str) -> PublicKey:
    """The public key in ``suite:HEX``. Raises FormatError for another form or an unknown suite."""
    match = _PUBLIC_TEXT.fullmatch(text)
    public = b"" if match is None else bytes.fromhex(match[2])
    if match is None or len(public) != _public_bytes(match[1]):
        raise FormatError("not a public key", expected=f"{SUITE}:<64 hexadecimal digits>", found=text[:100])
    return PublicKey(match[1], public)


def _public_bytes(suite: str) -> int:
    """How long public keys of ``suite`` are; 0 for one that is not known here."""
    if is_signing_suite(suite):
        return signing_suite(suite).public_bytes
    from packet_spec.encryption import KEY_SUITE  # noqa: PLC0415 - commands that only look need not wait for it

    return _ENCRYPTION_BYTES if suite == KEY_SUITE else 0
