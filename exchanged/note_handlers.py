"""Which notes this program understands, and who does what they ask for: one table."""

from __future__ import annotations

from collections.abc import Mapping

from exchanged.applying import Applying, NoteHandler
from exchanged.parts import Parts


def handlers_of(parts: Parts) -> Mapping[str, NoteHandler]:
    """Kind -> handler, for the role of this node."""
    del parts
    return {}


def applying_of(parts: Parts) -> Applying:
    """What any role does with the statements that its links bring."""
    return Applying(parts.config.node.code, parts.trust, parts.statements, handlers_of(parts))
