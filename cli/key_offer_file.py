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

from cli.directory_desk import DeskError
from cli.frame import read_input
from exchanged.durable import DurableFiles, Volume
from exchanged.ledger.key_offers import count_revoked
from packet_spec.errors import FormatError
from packet_spec.key_offer import OfferedKey, check_offered
from packet_spec.limits import DIRECTORY_BYTES
from packet_spec.model import Directory, KeyUse

_FORMAT: Final = "exchanged-key-offers-1"
_MODE: Final = 0o644


def write_offers(path: Path, offers: Iterable[tuple[str, OfferedKey, int]]) -> None:
    """Write (node code, key, how many keys of the node were revoked then) into ``path``.

    Raises what the disk says.
    """
    keys = [
        {
            "node": code,
            "use": key.use.value,
            "suite": key.suite,
            "public": key.public.hex(),
            "proof": key.proof,
            "revoked": revoked,
        }
        for code, key, revoked in offers
    ]
    data = json.dumps({"format": _FORMAT, "keys": keys}, indent=1).encode() + b"\n"
    DurableFiles(Volume.OUTPUT).write_file(path, (data,), mode=_MODE)


def read_offers(path: Path, directory: Directory) -> tuple[tuple[str, OfferedKey], ...]:
    """What ``write_offers`` wrote, proofs verified. Raises InputFileError, FormatError, SignatureError.

    DeskError for an offer from before a key of its node was revoked in ``directory``.
    """
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
                int(each.get("revoked", 0)),
            )
            for each in content["keys"]
        )
    except (ValueError, KeyError, TypeError):
        raise FormatError(
            "the file holds no offers of keys",
            where=str(path),
            expected="what `exchangectl key offers --output` writes",
        ) from None
    for code, key, revoked in found:
        check_offered(code, (key,))
        if revoked != count_revoked(directory, code) and not _is_listed(directory, code, key):
            raise DeskError(
                "the key was offered before a key of its node was revoked",
                where=f"node {code}, key {key.key_id}",
                hint="a thief may have offered it; write the file anew: exchangectl key offers --output FILE",
            )
    return tuple((code, key) for code, key, _revoked in found)


def _is_listed(directory: Directory, code: str, key: OfferedKey) -> bool:
    """It was taken by an earlier directory, and is passed over."""
    node = directory.node(code)
    return node is not None and any(each.key_id == key.key_id for each in node.keys)
