"""What ``config check`` says of the versions of the standard: which are in force, and whether they are here.

Leaves to others: putting a pack to the test (``cli.pack.acceptance``), which is done where it is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from cli.check_values import Check, CheckState
from cli.locale import _
from exchanged.config import Config
from exchanged.packs import pack_path
from exchanged.places import PACK_FOLDER
from packet_spec.model import Directory, PackReference, PackStamp
from packet_spec.pack import shipped_pack

_SOON: Final = timedelta(days=30)


def check_packs(config: Config, directory: Directory, now: datetime) -> Iterator[Check]:
    """One line for what is in force now, and one for each pack that is not here."""
    if not directory.packs:
        yield Check("packs", CheckState.GOOD, str(shipped_pack().stamp))
        return
    in_force = directory.packs_at(now)
    if not in_force:
        yield Check(
            "packs",
            CheckState.PROBLEM,
            _("none that the directory names is in force"),
            follows=_("every drop and packet is held"),
            advice=_("publish a directory that names one"),
        )
    else:
        ends = [each.valid_until for each in in_force if each.valid_until is not None]
        is_over_soon = len(ends) == len(in_force) and max(ends) - now < _SOON
        state = CheckState.WARNING if is_over_soon else CheckState.GOOD
        yield Check("packs", state, ", ".join(map(_title, in_force)))
    for pack in directory.packs:
        here = pack_path(config.node.data_dir / PACK_FOLDER, pack.digest).is_file()
        if not here and pack.digest != shipped_pack().digest:
            yield Check(
                "packs",
                CheckState.WARNING,
                _("{pack} is not here").format(pack=_title(pack)),
                follows=_("packets that were sealed by it are held"),
                advice=_("wait for the links, or run: exchangectl pack install FILE"),
            )


def _title(pack: PackReference) -> str:
    return str(PackStamp(pack.name, pack.version, pack.digest))
