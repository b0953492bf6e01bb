"""The file by which offers of keys go from the provincial node to whoever makes the next directory.

Guarantees: every key in it still bears the proof that its node has it, and that is verified when it is read.
Known limit: that the offer came from the node itself the provincial node's link proved, not this file;
whoever carries it looks whether it changed, as with a directory that is not signed yet.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cli.frame import read_input
from exchanged.durable import DurableFiles, Volume
from packet_spec.errors import FormatError
from packet_spec.key_offer import OfferedKey, check_offered
from packet_spec.limits import DIRECTORY_BYTES
from packet_spec.model import KeyUse

_FORMAT: Final = "exchanged-key-offers-1"
_MODE: Final = 0o644


def write_offers(path: Path, offers: Iterable[tuple[str, OfferedKey]]) -> None:
    """Write (node code, key) into ``path``. Raises what the disk says."""
    keys = [
        {
            "node": code,
            "use": key.use.value,
            "suite": key.suite,
            "public": key.public.hex(),
            "proof": key.proof,
        }
        for code, key in offers
    ]
    data = json.dumps({"format": _FORMAT, "keys": keys}, indent=1).encode() + b"\n"
    DurableFiles(Volume.OUTPUT).write_file(path, (data,), mode=_MODE)


def read_offers(path: Path) -> tuple[tuple[str, OfferedKey], ...]:
    """What ``write_offers`` wrote, proofs verified. Raises InputFileError, FormatError, SignatureError."""
    try:
        content = json.loads(read_input(path, DIRECTORY_BYTES))
        if content["format"] != _FORMAT:
            raise ValueError
        found = tuple(
            (
                str(each["node"]),
                OfferedKey(
                    KeyUse(each["use"]), str(each["suite"]), bytes.fromhex(each["public"]), str(each["proof"])
                ),
            )
            for each in content["keys"]
        )
    except (ValueError, KeyError, TypeError):
        raise FormatError(
            "the file holds no offers of keys",
            where=str(path),
            expected="what `exchangectl key offers --output` writes",
        ) from None
    for code, key in found:
        check_offered(code, (key,))
    return found
