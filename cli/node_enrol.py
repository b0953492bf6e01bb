"""Take an enrolment pack into a node: its directory, and what its configuration lacks.

Guarantees: everything is proved before anything is written; the configuration comes last, in one rename, and
keeps owner and mode. Leaves to others: making the node (``node init``), taking the directory (the daemon).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cli.config_edit import edit_config
from cli.directory_plan import load_enrolment
from cli.directory_trusted import anchor_of
from cli.enrolment_pack import Accepted, EnrolmentPack, EnrolmentRefusedError, accept
from cli.incoming import put_incoming
from cli.node_init import ENROLMENT_FILE
from exchanged.config import Config, LinkSide, LinkTransport, load_config, parse_config
from exchanged.durable import DurableFiles, Volume
from exchanged.places import DIRECTORY_FOLDER
from exchanged.public_keys import public_key_text
from packet_spec.directory import decode_directory
from packet_spec.directory_trust import RootsInForce, roots_fingerprint
from packet_spec.model import Directory, KeyUse
from packet_spec.signing import PublicKey, split_signed

_HERE_ALREADY: Final = "the node trusts other roots; to follow these, change [keys] roots by hand"


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What was taken. ``changed`` names the keys of the configuration that say something else now."""

    directory: Directory
    fingerprint: str
    changed: tuple[str, ...]


def enrol_node(config_path: Path, pack: EnrolmentPack, fingerprint: str, now: datetime) -> Enrolled:
    """Prove the pack and put it in. Raises EnrolmentRefusedError, ConfigurationError, and as ``accept``."""
    config = load_config(config_path)
    accepted = accept(pack, fingerprint, now)
    _require_ours(config, pack, accepted, now)
    text = config_path.read_text(encoding="utf-8-sig")
    edited = edit_config(text, {"keys": _roots(config, accepted)}, _links(config, pack, accepted))
    parse_config(tomllib.loads(edited), config_path.absolute().parent)
    for data in pack.directories:
        edition = decode_directory(split_signed(data)[0]).edition
        put_incoming(config, DIRECTORY_FOLDER, f"directory-{edition}.xml", data)
    changed = _changed(text, edited)
    if changed:
        _replace(config_path, edited)
    return Enrolled(
        accepted.directory, roots_fingerprint(accepted.anchor.roots, accepted.anchor.threshold), changed
    )


def _require_ours(config: Config, pack: EnrolmentPack, accepted: Accepted, now: datetime) -> None:
    """The pack is for this node, and the directory lists the very keys that this node made, and no others."""
    if pack.node != config.node.code:
        raise EnrolmentRefusedError(
            "the pack is for another node", expected=config.node.code, found=pack.node
        )
    made = load_enrolment(config.node.data_dir / ENROLMENT_FILE, now)
    listed = accepted.directory.node(pack.node)
    unrevoked = [key for key in (() if listed is None else listed.keys) if key.revoked_at is None]
    known = {(key.key_id, use) for key in unrevoked for use in key.uses}
    counts = {(key.key_id, use) for key in unrevoked if now < key.not_after for use in key.uses}
    own = {(key.key_id, use) for key in made.keys for use in key.uses}
    # Host keys are those of the machine's SSH server: the desk lists them, not the request.
    strange = {(key_id, use) for key_id, use in counts - own if use is not KeyUse.HOST}
    # Either an older request was enrolled, or somebody put his own keys into it on the way.
    where = f"node {pack.node}"
    hint = "compare enrolment.toml of this node with what the keepers of the directory were given"
    # Its ended keys stay listed, as ended; but for each use one counts.
    ended = {(key_id, use) for key_id, use in own if use not in {each for _key_id, each in own & counts}}
    if missing := (own - known) | ended:
        raise EnrolmentRefusedError(
            "the directory does not list the keys of this node", where=where, found=_named(missing), hint=hint
        )
    if strange:
        raise EnrolmentRefusedError(
            "the directory lists keys that this node did not make",
            where=where,
            found=_named(strange),
            hint=hint,
        )


def _named(keys: Iterable[tuple[str, KeyUse]]) -> str:
    return ", ".join(sorted(f"{use} {key_id}" for key_id, use in keys))


def _roots(config: Config, accepted: Accepted) -> dict[str, str | int | list[str]]:
    """The confirmed roots; a node that trusts some already keeps them where the pack goes back to them."""
    anchor, here = accepted.anchor, anchor_of(config)
    if any(any(root.public) for root in here.roots):
        known = {_same(RootsInForce.of(accepted.directory)), _same(anchor)}
        if _same(here) not in known:
            raise EnrolmentRefusedError(_HERE_ALREADY, where="[keys] roots")
        anchor = here
    roots = [public_key_text(PublicKey(root.suite, root.public)) for root in anchor.roots]
    return {"roots": roots, "threshold": anchor.threshold}


def _same(roots: RootsInForce) -> str:
    return roots_fingerprint(roots.roots, roots.threshold)


def _links(config: Config, pack: EnrolmentPack, accepted: Accepted) -> dict[str, dict[str, str | int]]:
    dialled = {
        link.peer
        for link in config.links
        if link.transport is LinkTransport.SFTP and link.side is LinkSide.DIAL
    }
    strangers = [link.peer for link in pack.links if link.peer not in dialled]
    if strangers:
        raise EnrolmentRefusedError(
            "the configuration has no link over SFTP to a node that the pack names",
            where=", ".join(strangers),
            hint="write the [[link]] into the configuration; exchangectl node init makes its login key then",
        )
    return {
        link.peer: {
            "host": link.host,
            "port": link.port,
            "user": link.user,
            "mailbox": link.mailbox,
            "host_key": accepted.host_keys[link.peer],
        }
        for link in pack.links
    }


def _changed(before: str, after: str) -> tuple[str, ...]:
    old, new = (_flat(tomllib.loads(text)) for text in (before, after))
    return tuple(name for name in new if old.get(name) != new[name])


def _flat(data: dict[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in data.items():
        entries = value if isinstance(value, list) else [value]
        for entry in entries:
            if isinstance(entry, dict):
                title = f"[link {entry.get('name')}]" if name == "link" else f"[{name}]"
                flat |= {f"{title} {key}": found for key, found in entry.items()}
    return flat


def _replace(path: Path, text: str) -> None:
    """By one rename, with the owner and mode that it had."""
    status = path.stat()
    DurableFiles(Volume.OUTPUT).write_file(path, (text.encode(),), mode=status.st_mode & 0o777)
    if os.geteuid() == 0:
        os.chown(path, status.st_uid, status.st_gid)
