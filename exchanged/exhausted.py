"""Out of file handles or memory: a fault of no file and of no volume, and over when somebody lets go.

Nothing that the system refuses for this reason is damage: it is done again later.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from exchanged.errors import FileOperationError

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def exhausted(error: OSError, where: str = "") -> FileOperationError | None:
    """The error by its name when it says so; None for any other."""
    if error.errno not in _EXHAUSTED:
        return None
    return FileOperationError(
        "the system has no handle or memory left", where=where, found=os.strerror(error.errno)
    )

