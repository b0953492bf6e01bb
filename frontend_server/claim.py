"""One daemon for one agency's folders, whatever its data directory (matrix F34).

Guarantees: of two daemons on one machine that are configured with one root, the second leaves the folders
alone and says so; the claim is the kernel's and ends with the process, however that ends, and moves to what
is mounted in place of an earlier folder. It lies on the private folder beside the inbox, so nobody but the
daemon's user can take it.

Known limits: daemons on two machines do not see each other's claim (their markers and the neighbour tell two
nodes of one name apart); a file system without locks gives every claim. While it is held, a mount is busy:
unmount it lazily, or after the daemon was stopped.
"""

from __future__ import annotations

import fcntl
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class FolderClaim:
    """An advisory lock on one folder, taken when it is asked for. May be used by every thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guard = threading.Lock()
        self._descriptor = -1
        self._held: tuple[int, int] | None = None
        self._is_over = False

    def is_ours(self) -> bool:
        """No other daemon has the folder that lies there now. Never raises: what cannot be asked is free."""
        try:
            found = self._folder.stat(follow_symlinks=False)
        except OSError:
            # Whether it is there at all is told by its marker.
            return True
        with self._guard:
            if self._is_over or self._held == (found.st_dev, found.st_ino):
                return True
            self._let_go()
            return self._take()

    def release(self) -> None:
        """Let go for good: the node is closed. Again is fine."""
        with self._guard:
            self._is_over = True
            self._let_go()

    def _take(self) -> bool:
        try:
            descriptor = os.open(self._folder, _FLAGS)
        except OSError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(descriptor)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            with suppress(OSError):
                os.close(descriptor)
            return True
        self._descriptor, self._held = descriptor, (found.st_dev, found.st_ino)
        return True

    def _let_go(self) -> None:
        descriptor, self._descriptor, self._held = self._descriptor, -1, None
        if descriptor >= 0:
            # What a share that is gone says on closing changes nothing.
            with suppress(OSError):
                os.close(descriptor)
