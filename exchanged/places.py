"""What lies in a node's data directory, by name. Imports nothing, so that commands start fast."""

from __future__ import annotations

from typing import Final

LEDGER_FILE: Final = "ledger.sqlite3"
LOCK_FILE: Final = "lock"
CONTROL_SOCKET: Final = "control.sock"
# Left by a run that ended because the volume failed; only ``exchanged --recover`` takes it away.
DAMAGE_FILE: Final = "volume-damaged"
# Written over and over by a running node, to know that its volume still takes writes.
PULSE_FILE: Final = "pulse"
# Stands for as long as a backup is being put in the place of the node's data.
RESTORE_FILE: Final = "restore-unfinished"
# And what was copied of it so far. Nothing else is ever in there.
RESTORE_FOLDER: Final = "restore-copies"
SPOOL_FOLDER: Final = "spool"
BLOB_FOLDER: Final = "blobs"
# Within the blobs: what is on its way in.
INCOMING_FOLDER: Final = "incoming"
DIRECTORY_FOLDER: Final = "directory"
PACK_FOLDER: Final = "packs"
# The copy of the directory for the key command of the SSH server, where no other place is configured.
DOOR_FOLDER: Final = "door"
NOTICE_FOLDER: Final = "notices"
LOG_FOLDER: Final = "log"
