"""Files in a mailbox with the name of a batch, a number that no neighbour can have reached, and nothing good.

They are strangers like any other file there: passed over, no row, told once for all of them. So is what is
nothing good under any number while thousands of such numbers are answered already.

Guarantees: what lies under such a number is read before it is judged, because a node that was set back knows
too little of how far its neighbour is; a good batch is taken whatever its number. Then what is called strange
now is looked at again. Leaves to others: how far is far (``ledger.unverified``). Known limit: after a start
each of them is read once more.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from exchanged.ledger import batches, unverified
from exchanged.link_context import LinkContext
from exchanged.log import event_line


@dataclass(slots=True)
class StrangeNumbers:
    """Those of one link."""

    link: LinkContext
    _found: dict[str, int] = field(default_factory=dict)
    _is_told: bool = False

    def note(self, name: str, number: int) -> bool:
        """The file is no good batch. True: it is a stranger, and nothing is to be said of its number."""
        if number <= self._reach() and not self._are_many():
            return False
        self._found[name] = number
        return True

    def now(self) -> frozenset[str]:
        """Those that need not be looked at again."""
        if not self._found:
            return frozenset()
        if self._are_many():
            return frozenset(self._found)
        reach = self._reach()
        return frozenset(name for name, number in self._found.items() if number > reach)

    def tell(self) -> None:
        """Say once that there are some, until they are gone."""
        if self._found and not self._is_told:
            event_line("mailbox-strangers", level=30, link=self.link.name, numbers=len(self._found))
        self._is_told = bool(self._found)

    def forget_absent(self, files: Container[str]) -> None:
        """What this remembers is bounded by the files that lie there."""
        self._found = {name: number for name, number in self._found.items() if name in files}

    def clear(self) -> None:
        """Look at all of them again."""
        self._found.clear()

    def _are_many(self) -> bool:
        connection = self.link.ledger.read()
        incarnation = batches.current_incarnation(connection, self.link.name)
        return unverified.are_many(connection, self.link.name, incarnation)

    def _reach(self) -> int:
        connection = self.link.ledger.read()
        incarnation = batches.current_incarnation(connection, self.link.name)
        return unverified.reach(connection, self.link.name, incarnation)
