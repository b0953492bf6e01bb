"""The bare acknowledgement of a mailbox, which is replaced in place: whether it has to be read (C4, C5).

Guarantees: it counts as read only after ``note_read``, which its reader calls once everything in it is
recorded; whatever failed on the way, the same file is read again at the next look. Leaves to others: reading
it (``landing``). Known limit: where a medium neither identifies nor dates files, it is read at every look.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from exchanged.transport import MailboxFile

# Some shares keep time stamps in steps of two seconds.
_STAMP_SECONDS: Final = 3.0


@dataclass(slots=True)
class AckFile:
    """The acknowledgement as it was last read and recorded; ``digest`` is empty before the first."""

    digest: str = ""
    _identity: str = ""
    _mark: tuple[int, float | None] = (-1, None)
    _mark_read_at: float = 0.0
    _is_final: bool = False

    def is_read(self, file: MailboxFile) -> bool:
        """Nothing new can be in it: the very same, or of a mark last read when nobody gave that any more."""
        if file.identity:
            return file.identity == self._identity
        return self._is_final and (file.size, file.modified) == self._mark

    def seems_read(self, file: MailboxFile) -> bool:
        """Nothing new is to be expected in it, though it must be read: its mark is that of the last."""
        return not file.identity and (file.size, file.modified) == self._mark

    def note_read(self, file: MailboxFile, digest: str, now: float) -> None:
        """What was in ``file``, named as it was listed before it was read, is recorded at ``now``."""
        self.digest, self._identity = digest, file.identity
        mark = (file.size, file.modified)
        if mark != self._mark:
            self._mark, self._mark_read_at = mark, now
        # Another one of the same size may bear the same stamp, as long as that is the medium's present.
        self._is_final = file.modified is not None and now - self._mark_read_at > _STAMP_SECONDS
