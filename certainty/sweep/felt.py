"""Whether a trouble was felt: how many calls of this process really failed since it listens.

Every call of the system that fails and matters is named by an error of the product, made while the one of the
system is handled. These are counted; what is passed over in silence is not, so that the count is rather too
low than too high.
"""

from __future__ import annotations

import errno
import sqlite3
import sys
from typing import Any, Final

from packet_spec.errors import ExchangeError

_TROUBLES: Final = frozenset({
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EAGAIN,
})  # fmt: skip
_heard: Final[list[str]] = []
_plain: Final = ExchangeError.__init__


def listen() -> None:
    """From now on failing calls of this process count. Again is fine."""
    ExchangeError.__init__ = _counting  # type: ignore[method-assign]


def count() -> int:
    """How many there were."""
    return len(_heard)


def is_of_trouble(error: BaseException | None) -> bool:
    """The system's word for a volume or a process that has no more of something."""
    if isinstance(error, OSError):
        return error.errno in _TROUBLES
    return isinstance(error, sqlite3.OperationalError)


def _counting(self: ExchangeError, *texts: Any, **named: Any) -> None:
    if is_of_trouble(sys.exc_info()[1]):
        _heard.append(type(self).__name__)
    _plain(self, *texts, **named)
