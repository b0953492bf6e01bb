"""Zip packages whose bytes depend on their content alone: stored entries, one date, one order.

Used for OFD files and electronic dossiers. Names inside are ASCII in a dossier, so that old unpackers
read them alike.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

# The first year of the zip format's dates.
_FIRST_YEAR = 1980


@dataclass(frozen=True, slots=True)
class PackageEntry:
    """One file of a package; ``name`` has forward slashes."""

    name: str
    data: bytes


def pack(entries: Iterable[PackageEntry], day: date) -> bytes:
    """The zip of ``entries`` in their order, every one dated ``day`` at midnight."""
    target = io.BytesIO()
    stamp = (max(day.year, _FIRST_YEAR), day.month, day.day, 0, 0, 0)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for entry in entries:
            information = zipfile.ZipInfo(entry.name, stamp)
            # The default depends on the platform that writes; 3 is Unix, read everywhere.
            information.create_system = 3
            information.external_attr = 0o644 << 16
            archive.writestr(information, entry.data)
    return target.getvalue()
