"""Those outside in one case: the reader of the inbox, and who holds all papers against what was dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from certainty.sweep.ledgers import has_receipted, ledger_problems
from certainty.sweep.outside import View, temporaries, view
from certainty.sweep.papers import folder_problems, original_problems, proofs_of, receipt_problems
from certainty.sweep.reader import Reader
from certainty.sweep.world import RECEIVER, SENDER, World


class Outsiders:
    """What people saw and know. ``now`` is when they look."""

    def __init__(self, world: World, now: Callable[[], datetime]) -> None:
        self._world, self._now = world, now
        self._sender, self._receiver = world.layout.agency(SENDER), world.layout.agency(RECEIVER)
        self._proofs = proofs_of(world.layout.config(RECEIVER))
        self.reader = Reader(self._receiver, judge=self._judge_folder)

    def look_again(self, fallen: tuple[str, ...], *, by_power: bool) -> None:
        """These machines are about to start again. What lay in the inbox must still lie there as it did.

        Only the receiver's power takes back what it had not receipted (C19).
        """
        if by_power and RECEIVER in fallen:
            self.reader.look(may_take=False, may_undo=self.may_undo)
        else:
            self.reader.look(may_take=False)

    def may_undo(self, packet: str) -> bool:
        """No receipt ``delivered`` about it is out, neither at its sender nor in the receiver's ledger."""
        folder = self._sender / "receipts" / packet.partition("_")[2]
        is_out = folder.is_dir() and any(path.name.startswith("delivered-") for path in folder.iterdir())
        return not is_out and not has_receipted(self._world.layout.data(RECEIVER), packet)

    def view(self) -> View:
        """How it all looks now."""
        return view(self._sender, self._receiver, self.reader)

    def problems(self, case: str) -> Iterator[tuple[str, str]]:
        """What must not be at rest, whatever happened before: an invariant and a sentence for each."""
        layout = self._world.layout
        yield from self.reader.troubles
        found = receipt_problems(self._proofs, self._world.dropped, self._sender, self._now())
        yield from (("I7", what) for what in found)
        yield from (("I4", what) for what in original_problems(self._world.dropped, self._sender))
        for code in self._world.codes:
            for violation in ledger_problems(layout.data(code), case):
                yield violation.invariant, violation.what
        folders = (folder for code in self._world.codes for folder in self._world.folders(code))
        for path in temporaries(*folders):
            yield "I3", f"half a file is left: {Path(path).relative_to(layout.root)}"

    def _judge_folder(self, folder: Path) -> list[str]:
        return folder_problems(self._proofs, self._world.dropped, RECEIVER, self._now(), folder)
