"""Which notes this program understands, and who does what they ask for: one table."""

from __future__ import annotations

from collections.abc import Mapping

from exchanged.applying import Applying, NoteHandler
from exchanged.key_desk import KeyOffers
from exchanged.log_watch import LogWatch
from exchanged.parts import Parts
from exchanged.restoring import restore_notes
from packet_spec.model import NodeRole
from packet_spec.note_rules import KEYS, LOG, RESTORE


def handlers_of(parts: Parts) -> Mapping[str, NoteHandler]:
    """Kind -> handler, for the role of this node."""
    role, node = parts.config.node.role, parts.config.node.code
    handlers: dict[str, NoteHandler] = {RESTORE: restore_notes(parts)}
    if role is not NodeRole.BRIDGE:
        handlers[LOG] = LogWatch(node, parts.trust)
    if role is NodeRole.PROVINCIAL:
        handlers[KEYS] = KeyOffers(parts.trust)
    return handlers


def applying_of(parts: Parts) -> Applying:
    """What any role does with the statements that its links bring."""
    return Applying(parts.config.node.code, parts.trust, parts.statements, handlers_of(parts))
