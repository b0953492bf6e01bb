"""What outsiders can see of a world at one moment, gathered as values; nothing is judged here.

Read are the two histories, status files, receipts (verified against the newest directory that a node trusts,
as ``cli.demo.watch.Proofs`` does), the names in the agencies' folders, and the ledgers through
``exchangectl ledger export`` and ``exchangectl ledger verify``, run in this process.
"""

from __future__ import annotations

import base64
import io
import json
import os
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from certainty.books.driver import Dropped, file_digest, read_drops
from certainty.books.leaks import Sighting, sightings
from certainty.books.world import World, read_lines
from cli.demo.watch import Proofs
from cli.directory_trusted import find_directory
from cli.main import main
from exchanged.config import load_config
from packet_spec.errors import ExchangeError
from packet_spec.identity import PacketKey
from packet_spec.model import Receipt
from packet_spec.status import decode_status_xml
from packet_spec.told import Status

# Names that the daemon's own files bear while they are written, and those of whoever writes beside it.
_TEMPORARY = (".tmp", ".part")
# Where a command prints to belongs to the process.
_ONE_AT_A_TIME = threading.Lock()
_OWN_IN_OUTBOX = frozenset({".exchanged-marker", "INTAKE-PAUSED.txt"})


@dataclass(frozen=True)
class Appearance:
    """One time that a name appeared in an inbox, and all looks at it. ``ended``: gone, removed, replaced."""

    agency: str
    folder: str
    name: str
    at: str
    how: str
    looks: tuple[dict[str, Any], ...]
    ended: str = ""
    ended_at: str = ""
    short: bool = False


@dataclass(frozen=True)
class Filed:
    """A receipt file at its sender: verified, or why not."""

    packet_id: str
    file: str
    receipt: Receipt | None
    error: str = ""


@dataclass(frozen=True)
class Books:
    """An exported ledger, by kind of line. ``problems``: what export and verify said against it.

    ``at`` is a moment just before the export, in the ledger's own form.
    """

    node: str
    lines: Mapping[str, tuple[dict[str, Any], ...]]
    problems: tuple[str, ...] = ()
    at: str = ""

    def of(self, kind: str) -> tuple[dict[str, Any], ...]:
        """The lines of that kind."""
        return self.lines.get(kind, ())


@dataclass
class Evidence:
    """Everything, by agency or node. ``originals``: ``sent/NAME`` -> its files and their digests."""

    world: World
    drops: tuple[Dropped, ...]
    appeared: frozenset[int]
    cuts: tuple[tuple[str, str], ...]
    appearances: tuple[Appearance, ...]
    statuses: dict[str, tuple[Status, ...]]
    receipts: dict[str, tuple[Filed, ...]]
    books: dict[str, Books]
    proofs: Proofs
    moment: datetime
    leftovers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    originals: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    sightings: tuple[Sighting, ...] = ()


def gather(world: World, *, with_ledgers: bool = True) -> Evidence:
    """Look at everything once."""
    drops, appeared, cuts = read_drops(world)
    moment = datetime.now(UTC)
    proofs = Proofs(_directory(world))
    digests = {digest for drop in drops for _, digest in drop.files.values()}
    return Evidence(
        world,
        drops,
        appeared,
        cuts,
        appearances(world),
        {code: read_statuses(root) for code, root in world.agencies.items()},
        {code: tuple(_receipts(root, proofs, moment)) for code, root in world.agencies.items()},
        {code: read_books(world, code) for code in world.configs} if with_ledgers else {},
        proofs,
        moment,
        {code: tuple(_leftovers(root)) for code, root in world.agencies.items()},
        {code: dict(_originals(root)) for code, root in world.agencies.items()},
        tuple(sightings(world, digests)),
    )


def _directory(world: World) -> Any:
    """The newest directory that any node trusts; its root signatures prove it."""
    found = [find_directory(load_config(path))[0] for path in world.configs.values()]
    return max((each for each in found if each is not None), key=lambda each: each.version)


def appearances(world: World) -> tuple[Appearance, ...]:
    """The inbox history as appearances, in the order in which they began."""
    every: list[Appearance] = []
    open_now: dict[tuple[str, str, str], list[Any]] = {}

    def close(key: tuple[str, str, str], how: str, at: str) -> None:
        begun = open_now.pop(key, None)
        if begun is not None:
            first, looks = begun
            every[first] = _appearance(looks, how, at)

    for line in read_lines(world.inbox_history):
        if line["what"] == "overflow":
            continue
        key = (line["agency"], line["type"], line["name"])
        if line["what"] == "seen":
            close(key, "replaced", line["at"])
            every.append(_appearance([line]))
            open_now[key] = [len(every) - 1, [line]]
        elif line["what"] == "changed" and key in open_now:
            open_now[key][1].append(line)
            every[open_now[key][0]] = _appearance(open_now[key][1])
        elif line["what"] in {"gone", "removed"}:
            close(key, line["what"], line["at"])
    return tuple(every)


def _appearance(looks: list[dict[str, Any]], ended: str = "", ended_at: str = "") -> Appearance:
    first = looks[0]
    return Appearance(
        first["agency"],
        first["type"],
        first["name"],
        first["at"],
        first["how"],
        tuple(looks),
        ended,
        ended_at,
        bool(first.get("short")),
    )


def papers_of(look: dict[str, Any]) -> dict[str, bytes]:
    """The daemon's own papers as they were at that look."""
    return {name: base64.b64decode(text) for name, text in look["papers"].items()}


def read_statuses(root: Path) -> tuple[Status, ...]:
    """What an agency is told of its drops, each once.

    A later drop of the same name takes the place of one that has ended; what became a packet stands under its
    id as well.
    """
    found: dict[tuple[str, str, str], Status] = {}
    for path in (*(root / "status").glob("*.status.xml"), *(root / "status" / "by-id").glob("*.status.xml")):
        status = decode_status_xml(path.read_bytes())
        key = (status.drop, status.sender_ref or "", status.packet_id or "")
        if key not in found or found[key].updated_at <= status.updated_at:
            found[key] = status
    return tuple(found[key] for key in sorted(found))


def _receipts(root: Path, proofs: Proofs, moment: datetime) -> Iterator[Filed]:
    folder = root / "receipts"
    for packet in sorted(folder.iterdir()) if folder.is_dir() else ():
        for path in sorted(packet.iterdir()):
            try:
                yield Filed(packet.name, path.name, proofs.receipt(path.read_bytes(), moment))
            except (ExchangeError, OSError) as error:
                yield Filed(packet.name, path.name, None, str(error))


def _leftovers(root: Path) -> Iterator[str]:
    """What should not lie in the agency's folders when everything has ended."""
    for path in sorted((root / "outbox").iterdir()):
        if path.name not in _OWN_IN_OUTBOX:
            yield f"outbox/{path.name}"
    staging = root / ".exchanged"
    for path in sorted(staging.iterdir()) if staging.is_dir() else ():
        yield f".exchanged/{path.name}"
    for name in ("status", "sent", "refused", "receipts", "inbox", "notices"):
        for folder, _, files in os.walk(root / name):
            for file in files:
                inside = Path(folder).relative_to(root)
                if file.endswith(_TEMPORARY) or (file.startswith(".") and file != ".exchanged-marker"):
                    yield f"{inside}/{file}"


def _originals(root: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """``sent/NAME`` and ``refused/NAME`` -> their files and digests (a single file: under no name)."""
    for place in ("sent", "refused"):
        folder = root / place
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            files = sorted(path.iterdir()) if path.is_dir() else [path]
            digests = {
                each.name if path.is_dir() else "": file_digest(each)[1] for each in files if each.is_file()
            }
            yield f"{place}/{path.name}", digests


def read_books(world: World, node: str) -> Books:
    """The ledger of a node through ``exchangectl``, beside its daemon or without it."""
    world.ledgers.mkdir(exist_ok=True)
    file = world.ledgers / f"{node}.jsonl"
    problems = []
    code, said = run_exchangectl(world, node, "ledger", "verify", "--json")
    if code != 0:
        problems.append(f"ledger verify ends with {code}: {said.strip()[:600]}")
    at = ledger_time(datetime.now(UTC))
    code, said = run_exchangectl(world, node, "ledger", "export", str(file), "--events")
    lines: dict[str, list[dict[str, Any]]] = defaultdict(list)
    if code != 0:
        problems.append(f"ledger export ends with {code}: {said.strip()[:600]}")
    else:
        for text in file.read_text(encoding="ascii").splitlines():
            line = json.loads(text)
            lines[line["line"]].append(line)
        if not lines["end"]:
            problems.append("the export is cut off")
    return Books(node, {kind: tuple(each) for kind, each in lines.items()}, tuple(problems), at)


def ledger_time(moment: datetime) -> str:
    """A moment in the form of the ledger, so that both sort together."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def run_exchangectl(world: World, node: str, *words: str) -> tuple[int, str]:
    """The command for that node, in this process: exit code and what it printed."""
    out = io.StringIO()
    with _ONE_AT_A_TIME, redirect_stdout(out), redirect_stderr(out):
        code = main(["--config", str(world.configs[node]), *words])
    return int(code), out.getvalue()


def key_of(line: Mapping[str, Any]) -> PacketKey:
    """The packet that a line of a ledger is about."""
    return PacketKey(line["sender"], line["packet_id"])
