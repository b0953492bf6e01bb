"""Notices at a front-end: the agency's ``notices/`` folder, and what only its folders can tell.

Guarantees: nothing is written there unless the outbox holds its marker (the folders stand or fall together);
what cannot be written stays in the ledger, and ``notices/`` below data_dir has it all the same. A notice is
removed only while it holds what was written. Folders that hang are told, and hold up no other notice.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from exchanged.durable import DurableFiles
from exchanged.ledger import Ledger
from exchanged.notice_words import STATES
from exchanged.notices import AGENCY_PLACE, Matter
from frontend_server.folders import INBOX, OUTBOX, AgencyFolders, MarkerState
from frontend_server.patience import FolderHangsError, Patience
from frontend_server.removal import Remover
from packet_spec.notice import NoticeLevel

_FOLDER: Final = "notices"


class AgencyPlace:
    """``notices/`` of one agency. ``files`` are those of its (foreign) volume."""

    bit = AGENCY_PLACE

    def __init__(
        self,
        folders: AgencyFolders,
        ledger: Ledger,
        files: DurableFiles,
        patience: Patience,
        *,
        file_mode: int,
    ) -> None:
        self._folders = folders
        self._ledger = ledger
        self._files = files
        self._file_mode = file_mode
        self._remover = Remover(folders, files)
        self._patience = patience

    def write(self, name: str, data: bytes) -> bool:
        """Write one file whole. False without a good marker.

        Raises ForeignVolumeError, NoSpaceError, FolderHangsError.
        """
        return self._patience.ask(lambda: self._write(name, data))

    def remove(self, name: str, data: bytes) -> bool:
        """Remove the file of that name if it still holds ``data``. False without a good marker.

        Raises ForeignVolumeError, FolderHangsError.
        """
        return self._patience.ask(lambda: self._remove(name, data))

    def _write(self, name: str, data: bytes) -> bool:
        if not self._is_there():
            return False
        self._folders.make_folder(self._folders.notices)
        with self._folders.pinned(_FOLDER) as folder:
            self._files.write_file(folder / name, (data,), mode=self._file_mode)
        # A mount that went away meanwhile took the file with it.
        return self._is_there()

    def _remove(self, name: str, data: bytes) -> bool:
        if not self._is_there():
            return False
        self._remover.remove_file((_FOLDER,), name, {data})
        return self._is_there()

    def _is_there(self) -> bool:
        return self._folders.check_marker(self._ledger, OUTBOX) is MarkerState.GOOD


class FolderWatch:
    """Whether outbox and inbox answer and hold their markers, as a source of notices."""

    def __init__(self, folders: AgencyFolders, ledger: Ledger, patience: Patience) -> None:
        self._folders = folders
        self._ledger = ledger
        self._patience = patience

    def matters(self, _: datetime) -> list[Matter]:
        """One for each folder that is not used because of its marker, or one for all when they hang."""
        try:
            return self._patience.ask(self._look)
        except FolderHangsError:
            return [Matter("folder-hangs", "", NoticeLevel.ALARM, {"root": str(self._folders.root)})]

    def _look(self) -> list[Matter]:
        found: list[Matter] = []
        for folder in (OUTBOX, INBOX):
            state = self._folders.check_marker(self._ledger, folder)
            if state is MarkerState.IN_USE:
                found.append(Matter("folder-in-use", folder, NoticeLevel.ALARM, {"folder": folder}))
            elif state is not MarkerState.GOOD:
                values = {"folder": folder, "state": state.value, "state_zh": STATES[state.value]}
                found.append(Matter("folder-marker-bad", folder, NoticeLevel.ALARM, values))
        return found
