"""An operator at a simulated node: the desk that the daemon would have, and what its ledger then says."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

from exchanged.acts.desk import Desk
from exchanged.acts.opening import desk_of, no_agency
from exchanged.acts.values import Act, Answer, Operator, Request, read_request
from frontend_server.role import frontend_agency
from packet_spec.model import NodeRole
from tests.support.network import SimulatedNode

LI = Operator("root", 0, "li", 1000, "kernel")
_NUMBERS = count(1)


def desk(node: SimulatedNode) -> Desk:
    """The desk of an opened node."""
    is_frontend = node.config.node.role is NodeRole.FRONTEND
    return desk_of(node.opened, frontend_agency(node.config) if is_frontend else no_agency)


def request(act: Act, what: str = "", **particulars: Any) -> Request:
    """A request as it comes out of the socket."""
    made = Request(act, f"{next(_NUMBERS):032x}", "a fictional reason", what, **particulars)
    return read_request(json.loads(json.dumps(made.to_json())))


def act(node: SimulatedNode, what_act: Act, what: str = "", **particulars: Any) -> Answer:
    """Do it."""
    return desk(node).handle(request(what_act, what, **particulars), LI)


def outcomes(answer: Answer) -> list[str]:
    """What came of it: outcomes, then obstacles."""
    return [str(entry.outcome or entry.obstacle) for entry in (*answer.done, *answer.not_done)]


def recorded(node: SimulatedNode) -> list[tuple[str, dict[str, Any]]]:
    """Packet id and particulars of every act in the ledger, oldest first."""
    rows = node.opened.ledger.read().execute(
        "SELECT packet_id, detail FROM event WHERE kind = 'operator-act' ORDER BY id"
    )
    return [(row["packet_id"], json.loads(row["detail"])) for row in rows]
