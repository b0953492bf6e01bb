"""What the checker is told of a world: whose folders lie where, and where the histories are kept.

The histories are lines of JSON in one folder, which must lie out of reach of the faults that are tried:

    outbox.jsonl   one line before each drop, one after it lies in the outbox, and one for each power cut
    inbox.jsonl    what the reader process saw
    ledgers/       the exports that the last ``check`` made
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cli.lab.lab import Lab


def now_text() -> str:
    """This moment, as it stands in every line of a history."""
    return datetime.now(UTC).isoformat()


def append_line(path: Path, line: Mapping[str, Any], *, durable: bool = False) -> None:
    """Add a line; ``durable`` returns when it would outlive a power cut of this machine."""
    data = json.dumps({**line, "at": now_text()}, ensure_ascii=True).encode() + b"\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, data)
        if durable:
            os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a history so far; a last line that is not whole yet is left out."""
    if path.exists():
        for line in path.read_bytes().split(b"\n")[:-1]:
            yield json.loads(line)


@dataclass(frozen=True)
class World:
    """Agencies by code with the root of their folders, nodes by code with their configuration.

    ``folder`` keeps the histories. ``relaying`` are the nodes that are no agency's front-end. Configurations
    must be readable, and so must the ledgers that they name, when ``check`` is called. ``logs`` and
    ``temporary`` are where the nodes write their logs, and their temporary files if they are told to.
    """

    folder: Path
    agencies: Mapping[str, Path]
    configs: Mapping[str, Path]
    logs: Path | None = None
    temporary: Path | None = None

    @classmethod
    def of_lab(cls, lab: Lab, folder: Path) -> World:
        """The world of a lab; ``folder`` is made if it is missing."""
        temporary = folder / "temporary"
        temporary.mkdir(parents=True, exist_ok=True)
        return cls(
            folder,
            {code: lab.agency_root(code) for code in lab.agencies},
            {code: lab.node_config(code) for code in lab.nodes},
            lab.layout.root / "logs",
            temporary,
        )

    @property
    def outbox_history(self) -> Path:
        """Written by the driver."""
        return self.folder / "outbox.jsonl"

    @property
    def inbox_history(self) -> Path:
        """Written by the reader process."""
        return self.folder / "inbox.jsonl"

    @property
    def ledgers(self) -> Path:
        """The exports that the last ``check`` made."""
        return self.folder / "ledgers"

    @property
    def relaying(self) -> tuple[str, ...]:
        """Nodes without an agency: the province's and bridges."""
        return tuple(code for code in self.configs if code not in self.agencies)

    def note_power_cut(self, node: str) -> None:
        """Un-synced data of this node is gone as of now: an agency may see one packet again (custody C19)."""
        append_line(self.outbox_history, {"cut": node}, durable=True)
