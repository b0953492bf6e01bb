"""What a lab remembers of itself: ``lab.json``, written last when it is made."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from cli.lab.errors import LabError
from exchanged.config import LinkTransport
from exchanged.durable import DurableFiles, Volume
from exchanged.errors import NotFoundError

_FORMAT: Final = "exchanged-lab-1"


@dataclass(frozen=True, slots=True)
class LabState:
    """The kind of the links, sshd's port (0 without sshd), and the codes of all nodes.

    ``province`` is empty where two agencies exchange point to point.
    """

    link: LinkTransport
    port: int
    province: str
    agencies: tuple[str, ...]
    bridges: tuple[str, ...] = ()


def write_state(path: Path, state: LabState) -> None:
    """Keep ``state``, replacing an older one."""
    text = json.dumps({"format": _FORMAT, **asdict(state)}, indent=2) + "\n"
    DurableFiles(Volume.OWN).write_file(path, (text.encode(),))


def read_state(path: Path) -> LabState:
    """The state in ``path``.

    Raises NotFoundError when there is no lab, LabError when another version made it.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(
            "there is no lab", where=str(path.parent), hint=f"make one: exchangectl lab create {path.parent}"
        ) from error
    except ValueError as error:
        raise LabError("the lab's state cannot be read", where=str(path), found=str(error)) from error
    if data.get("format") != _FORMAT:
        raise LabError(
            "the lab was made by another version", expected=_FORMAT, found=str(data.get("format"))
        )
    return LabState(
        LinkTransport(data["link"]),
        data["port"],
        data["province"],
        tuple(data["agencies"]),
        tuple(data.get("bridges", ())),
    )
