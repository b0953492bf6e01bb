"""The sign in the outbox that says why nothing is taken: the disk floor (I10).

``outbox/INTAKE-PAUSED.txt`` says so in Chinese and in English, for whoever looks into the folder, and is gone
again when there is room. Guarantees: it is written under a free name only and removed only while it holds
our words, so a drop of that name is never replaced, passed over or lost; the scan passes over our own file
alone. Where the name is taken the sign is left out, and drops tell it in their status as they always do.

Leaves to others: when intake stops (``exchanged.disk_floor``) and the outbox's marker (``intake``).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from exchanged.durable import DurableFiles
from exchanged.errors import NameTakenError
from frontend_server.folders import OUTBOX, AgencyFolders
from frontend_server.removal import Remover, read_small
from frontend_server.staging import kind_of

SIGN_NAME: Final = "INTAKE-PAUSED.txt"

_TEXT: Final = (
    "前置机磁盘空间不足，暂停接收新的数据包。\r\n"
    "本文件夹中的内容没有丢失，请勿移动或重复存放；空间恢复后自动处理，本文件随之消失。\r\n"
    "请通知运维人员清理前置机磁盘。接收回执和送达收件文件夹不受影响。\r\n"
    "\r\n"
    "The front-end server is short of disk space and takes no new packets.\r\n"
    "Nothing in the outbox is lost: leave it where it is and do not drop it again. It is taken as soon\r\n"
    "as there is room, and this file goes away by itself.\r\n"
    "Tell your IT staff to free space on the front-end. Receipts and deliveries go on as usual.\r\n"
)
# With its mark, because the editors of old Windows take a file without one for GBK.
SIGN: Final = _TEXT.encode("utf-8-sig")


class PauseSign:
    """Puts the sign up and takes it down. ``files`` are those of the agency's (foreign) volume."""

    def __init__(self, folders: AgencyFolders, files: DurableFiles, *, file_mode: int) -> None:
        self._folders = folders
        self._files = files
        self._remover = Remover(folders, files)
        self._file_mode = file_mode

    def show(self, *, is_paused: bool) -> None:
        """Make the outbox say so, or no more; may be repeated. Raises ForeignVolumeError, NoSpaceError."""
        with self._folders.pinned(OUTBOX) as outbox:
            path = outbox / SIGN_NAME
            is_there = kind_of(path) is not None
            if is_paused and not is_there:
                with suppress(NameTakenError):
                    self._files.write_new(path, (SIGN,), mode=self._file_mode)
        if is_there and not is_paused:
            self._remover.remove_file((OUTBOX,), SIGN_NAME, {SIGN})

    def names(self) -> frozenset[bytes]:
        """The names in the outbox that are ours now, and therefore no drops."""
        with self._folders.pinned(OUTBOX) as outbox:
            is_ours = read_small(outbox, SIGN_NAME, len(SIGN)) == SIGN
        return frozenset({SIGN_NAME.encode()}) if is_ours else frozenset()
