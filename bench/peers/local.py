"""The physical reference: the same files written, flushed and renamed on the same disk, and nothing else."""

from __future__ import annotations

import os
import time
from pathlib import Path

from bench.drops import Drops


def write_and_flush(folder: Path, drops: Drops) -> float:
    """Seconds that one writer takes for all drops, one after the other, each flushed before its rename."""
    folder.mkdir(parents=True)
    contents = {name: (drops.folder / name).read_bytes() for name in drops.files}
    began = time.monotonic()
    for name, data in contents.items():
        target = folder / name.replace("/", "-")
        temporary = target.with_name(f".{target.name}.part")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        try:
            os.write(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.rename(target)
    folder_descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(folder_descriptor)
    os.close(folder_descriptor)
    return time.monotonic() - began
