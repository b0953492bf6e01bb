"""The acts that are allowed on a packet now, as commands to paste. The acts themselves ask the same rules."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

from cli.acting_text import COMMANDS
from cli.frame import DEFAULT_CONFIG, as_called
from cli.locale import _
from cli.node_view import NodeView
from exchanged.acts.rules import Standpoint, allowed, consider, go_apart, nobody_answers
from exchanged.acts.subjects import Subject
from exchanged.acts.values import Act
from frontend_server.dispositions import why_not_answer
from packet_spec.identity import PacketKey

_PARTICULARS: Final = {Act.SIGN: " --by NAME"}
# Whether the sender can be told says the seal, which nobody looks at here: a preview does.
_WHOLE: Final = " --preview"
_LACKING: Final = " --without-parts --preview"
_WIDE: Final = 80


def allowed_acts(view: NodeView, key: PacketKey, config_path: Path = DEFAULT_CONFIG) -> tuple[str, ...]:
    """Command lines, in the order of their acts; TEXT and NAME are left for the operator."""
    here = _standpoint(view)
    acts: dict[Act, list[Subject]] = {}
    for act, subject in allowed(view.connection, key, here):
        acts.setdefault(act, []).append(subject)
    lines = [
        f"exchangectl {COMMANDS[act]} {key}{particulars} --reason TEXT"
        for act in sorted(acts, key=[*Act].index)
        for particulars in _particulars(view, act, acts[act], here)
    ]
    return tuple(as_called(line, config_path) for line in lines)


def _particulars(view: NodeView, act: Act, subjects: list[Subject], here: Standpoint) -> tuple[str, ...]:
    """What the command of an act needs beside the packet: one for each thing that is named alone."""
    found = [(subject, consider(view.connection, act, subject, here)) for subject in subjects]
    if act is Act.DISCARD:
        return tuple(dict.fromkeys(_WHOLE if verdict.outcome else _LACKING for _subject, verdict in found))
    if not go_apart(act, found):
        return (_PARTICULARS.get(act, ""),)
    return tuple(f" --only {shlex.quote(subject.token)}" for subject in subjects)


def allowed_text(commands: tuple[str, ...]) -> str:
    """The block below a packet's facts; a long line is broken as a shell reads it."""
    if not commands:
        return _("no act is possible now")
    return "\n".join((_("possible now"), *(folded(command) for command in commands)))


def folded(command: str) -> str:
    """A command to paste, below other text: where it is too long, broken as a shell reads it."""
    line, lines = "", []
    for word in command.split(" "):
        if line and len(line) + len(word) + 5 > _WIDE:
            lines.append(f"{line} \\")
            line = f"    {word}"
        else:
            line = f"{line} {word}" if line else f"  {word}"
    return "\n".join((*lines, line))


def _standpoint(view: NodeView) -> Standpoint:
    links = tuple(link.name for link in view.config.links)
    agency = view.config.node.agency
    if not agency:
        return Standpoint(links, nobody_answers)
    return Standpoint(links, lambda connection, key: why_not_answer(agency, connection, key))
