"""The system calls of one simulated node: they keep the books of its disk, and fail as the dice say."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from certainty.simulation.disk import VirtualDisk
from exchanged.volume import Block, Kernel


class PowerGone(BaseException):
    """The node dies here: killed, or without power. No handler of the code under test catches it."""


@dataclass
class DiskFaults:
    """How likely a system call fails, each between 0 and 1; all of them 0 when the world has healed.

    ``happened`` counts what really failed, by the kind of fault.
    """

    own_eio: float = 0.0
    foreign_eio: float = 0.0
    full: float = 0.0
    short: float = 0.0
    unlinkable: bool = False
    happened: Counter[str] = field(default_factory=Counter)

    def heal(self) -> None:
        """From now on everything works."""
        self.own_eio = self.foreign_eio = self.full = self.short = 0.0


class CountdownCrash:
    """Crash points of one node: ``arm`` it, and it dies that many points later."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.passed = 0
        self._left = 0
        self._is_dead = False
        self._tell = tell

    def arm(self, points: int) -> None:
        """Die at the ``points``-th point from now."""
        self._left = points

    def revive(self) -> None:
        """The node was started again."""
        self._left, self._is_dead = 0, False

    def point(self, name: str) -> None:
        """Called around every durable step of the node."""
        if self._is_dead:
            # A dead process does nothing more, whatever its handlers try.
            raise PowerGone(name)
        self.passed += 1
        if self._left:
            self._left -= 1
            if not self._left:
                self._is_dead = True
                self._tell(f"dies at {name}")
                raise PowerGone(name)


class SimulatedKernel(Kernel):
    """Real files, and what of them is durable. ``renamed`` hears of what appears under a new name."""

    def __init__(
        self,
        disk: VirtualDisk,
        own: Path,
        dice: Random,
        faults: DiskFaults,
        tell: Callable[[str], None],
        renamed: Callable[[Path], None],
    ) -> None:
        self._disk = disk
        self._own = str(own)
        self._dice = dice
        self._faults = faults
        self._tell = tell
        self._renamed = renamed

    def write(self, descriptor: int, block: Block) -> int:
        """Write, perhaps less than asked, perhaps not at all."""
        faults = self._faults
        if faults.full and self._dice.random() < faults.full:
            faults.happened["full disks"] += 1
            self._fail(errno.ENOSPC, "write", descriptor)
        self._maybe_eio(descriptor, "write")
        rest = memoryview(block)
        if faults.short and len(rest) > 1 and self._dice.random() < faults.short:
            rest = rest[: self._dice.randint(1, len(rest) - 1)]
            faults.happened["short writes"] += 1
        self._disk.wrote(os.fstat(descriptor).st_ino)
        return os.write(descriptor, rest)

    def fsync(self, descriptor: int) -> None:
        """What was written is durable now, or it never will be and the call says so."""
        self._maybe_eio(descriptor, "fsync")
        self._disk.flushed(descriptor)

    def rename_new(self, source: Path, target: Path) -> None:
        """Rename without replacing; or by link and unlink, on a share that knows nothing else."""
        if self._faults.unlinkable and not str(target).startswith(self._own):
            self._faults.happened["no renameat2"] += 1
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        super().rename_new(source, target)
        self._renamed(target)

    def _maybe_eio(self, descriptor: int, call: str) -> None:
        faults = self._faults
        if not (faults.own_eio or faults.foreign_eio):
            return
        is_own = str(Path(f"/proc/self/fd/{descriptor}").readlink()).startswith(self._own)
        if self._dice.random() < (faults.own_eio if is_own else faults.foreign_eio):
            faults.happened["disk errors" if is_own else "share errors"] += 1
            self._fail(errno.EIO, call, descriptor)

    def _fail(self, number: int, call: str, descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        self._tell(f"{errno.errorcode[number]} at {call} of {name}")
        raise OSError(number, os.strerror(number))
