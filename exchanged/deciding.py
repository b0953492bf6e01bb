"""Which judge decides about a packet: the one for the part that this node plays towards its sender (C21).

A provincial node admits the packets of its agencies and passes all others on; a front-end receives what
its province admitted, and admits what a front-end next door sends it without a province; a bridge passes
everything on. The part follows from the directory and the sender alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from exchanged.decisions import Held
from exchanged.examine import Examined, Scope
from exchanged.judge import PacketJudge
from exchanged.ledger import Transaction
from exchanged.ledger.rows import ArrivalRow
from exchanged.trust import Trust

_AGAIN_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class ByPart:
    """The PacketJudge of a node that admits some packets and plays another part for all others."""

    node: str
    trust: Trust
    admitting: PacketJudge
    otherwise: PacketJudge

    def scope(self, sender: str) -> Scope:
        """As the judge of that sender's packets says."""
        return self._judge(sender).scope(sender)

    def decide(self, transaction: Transaction, row: ArrivalRow, examined: Examined) -> None:
        """As the judge of that sender's packets decides. The seal names the sender; it was verified.

        Raises Held when a newer directory gave this node another part since the packet was looked at.
        """
        sender = examined.seal.key.sender
        judge = self._judge(sender)
        if examined.scope is not judge.scope(sender):
            raise Held("directory-changed", _AGAIN_SECONDS)
        judge.decide(transaction, row, examined)

    def _judge(self, sender: str) -> PacketJudge:
        agency = self.trust.directory.agency(sender)
        is_ours = agency is not None and agency.admitting_node == self.node
        return self.admitting if is_ours else self.otherwise
