"""Drops that a restored ledger still waits with although they ended since its backup (C13, C23).

Guarantees: the status that such a drop has in its folder stays: it says what became of it, which the ledger
cannot know any more. A drop that lies in the outbox is read again like any other. Of originals that a broken
move left under a name of our own, each becomes an ordinary file of its folder.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import partial
from typing import Final

from exchanged.durable import DurableFiles
from exchanged.errors import ForeignVolumeError, NameTakenError
from exchanged.ledger import Ledger, Transaction, drops
from exchanged.ledger.drops import DropRow, Original, Outcome
from exchanged.states import UNTAKEN, Event
from frontend_server.folders import OUTBOX, AgencyFolders
from frontend_server.originals import IN_TRANSIT
from frontend_server.outbox import observe
from frontend_server.told import read_status

_TRANSIT: Final = re.compile(re.escape(IN_TRANSIT) + "([0-9]+)(?:-[0-9a-f]{12})?")
_ZIP: Final = b"PK"
_TWINS: Final = ("", *(f"-{number}" for number in range(2, 100)))


def forget_ended(ledger: Ledger, folders: AgencyFolders) -> None:
    """Take drops for gone that are not in the outbox and whose status says how they ended.

    To be called when every original in ``sent/`` was met. Raises ForeignVolumeError.
    """
    with folders.opened(OUTBOX) as outbox:
        lying = _names(outbox)
    for row in drops.waiting(ledger.read()).values():
        if row.state in UNTAKEN and row.name not in lying:
            status = read_status(folders.status / f"{row.status_name}.status.xml")
            if status is not None and status.state not in {state.value for state in UNTAKEN}:
                ledger.write(partial(_forget, row=row, ended=status.state))


def _forget(tx: Transaction, *, row: DropRow, ended: str) -> None:
    drops.move(tx, row, Event.WITHDRAW, Outcome(original=Original.GONE), detail={"ended": ended})


def free_transit(ledger: Ledger, folders: AgencyFolders, files: DurableFiles) -> None:
    """Give originals that lie under a name of our own, and that the ledger does not move, a plain one.

    A drop whose row gets that number would else take them for its own. Raises ForeignVolumeError.
    """
    for home in (folders.sent, folders.refused):
        with folders.opened(home.name) as descriptor:
            names = [name for name in _names(descriptor) if _TRANSIT.fullmatch(os.fsdecode(name))]
            strange = [name for name in names if not _is_moved(ledger, descriptor, name)]
            plain = {name: _plain_name(descriptor, name) for name in strange}
        for name, (stem, suffix) in plain.items():
            # A name that is taken is that of such a file of an earlier restore.
            for candidate in (f"{stem}{twin}{suffix}" for twin in _TWINS):
                with suppress(NameTakenError):
                    files.rename_new(home / os.fsdecode(name), home / candidate)
                    break


def _is_moved(ledger: Ledger, folder: int, name: bytes) -> bool:
    """It is the original of the drop whose number it bears."""
    match = _TRANSIT.fullmatch(os.fsdecode(name))
    row = drops.find(ledger.read(), int(match[1])) if match else None
    if row is None:
        return False
    seen = observe(folder, row.name, lies_as=name)
    return seen is not None and seen.is_same(row.device, row.fingerprint)


def _plain_name(folder: int, name: bytes) -> tuple[str, str]:
    """``original-57``, and what its kind of drop ends in."""
    stem = os.fsdecode(name).removeprefix(".exchanged-")
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return stem, ""
    try:
        head = os.read(file, len(_ZIP))
    except OSError:
        return stem, ""
    finally:
        os.close(file)
    return stem, ".zip" if head == _ZIP else ".xml"


def _names(folder: int) -> frozenset[bytes]:
    try:
        return frozenset(os.fsencode(name) for name in os.listdir(folder))
    except OSError as error:
        raise ForeignVolumeError("a folder cannot be opened", found=error.strerror or "") from error
