"""F105: nodes whose ledgers an earlier program left behind work their queues off.

In a province of real daemons packets are stopped at every station: at the province, sealed at the sender,
still in its outbox. All nodes are stopped, their ledgers are put into the form of an earlier program, an
upgrade of each is killed half-way, and the daemons of today are started on them: what waited must arrive,
once, with its receipts.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from certainty.operation.town import PROVINCE, RECEIVER, SENDER, TooLateError, Town, town, wait_until
from certainty.operation.upgrade import as_earlier, open_killed, steps
from certainty.shard import Outcome, Run, Violation
from cli.demo.journey import Journey
from cli.lab.errors import LabError

_NODES: Final = (SENDER, PROVINCE, RECEIVER)
_FORMS: Final = 7
_EACH: Final = 2
# Which node is stopped, and how far its sender's status says that a drop comes then; the last one sees none.
_STATIONS: Final = ((RECEIVER, ("accepted",)), (PROVINCE, ("queued", "offered")), (SENDER, ()))
_SECONDS: Final = 60.0
# An upgrade has more statements than this, also that of the newest form.
_MOST_STATEMENTS: Final = 12


class OldQueues:
    """What was tried in one town: forms of the ledger, and packets that waited at a station."""

    def __init__(self) -> None:
        self.forms = 0
        self.planned = 0
        self.waited = 0
        self.kills = 0
        self.wrong: list[Violation] = []


def work_off(run: Run) -> OldQueues:
    """Form after form, evenly spread over all of them, with both ends."""
    found = OldQueues()
    names = chosen(steps()[1:], _FORMS)
    found.planned = len(names)
    chance = random.Random(run.seed)
    with town(run.folder / "old-queue") as place:
        place.take_out()
        for name in names:
            if run.is_over:
                break
            try:
                _one(place, name, chance, found)
            except (TooLateError, LabError) as error:
                found.wrong.append(Violation("I1", f"before {name}", str(error)))
                break
            found.forms += 1
            run.progress(found.forms, len(names), f"old queues: {found.waited} packets waited")
        found.wrong += [Violation("I1", "old queues", each) for each in place.differences()]
        found.wrong += [Violation("I8", "old queues", each) for each in place.unsound()]
    return found


def chosen(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    """At most so many (two or more), evenly; the first and the last are among them."""
    if count >= len(names):
        return names
    return tuple(names[round(each * (len(names) - 1) / (count - 1))] for each in range(count))


def _one(place: Town, name: str, chance: random.Random, found: OldQueues) -> None:
    lab = place.lab
    journeys: list[Journey] = []
    for station, states in _STATIONS:
        lab.stop_node(station)
        more = [place.drop(f"old-{name}-{station}-{each}") for each in range(_EACH)]
        journeys += more
        if states:
            wait_until(partial(_are, place, more, states), f"packets to be {states[-1]}")
    for node in _NODES:
        found.kills += _age(lab.layout.data(node), name, chance)
    lab.start()
    place.wait(journeys, _SECONDS)
    found.waited += len(journeys)


def _are(place: Town, journeys: list[Journey], states: tuple[str, ...]) -> bool:
    """All of them stand there, by the word of their sender's status."""
    told = [place.agency(SENDER).status(each.name) for each in journeys]
    return all(each is not None and each.state in states for each in told)


def _age(data: Path, name: str, chance: random.Random) -> bool:
    """Put the ledger of a stopped node into the form before that step. True: an upgrade was killed."""
    ledger, kept = data / "ledger.sqlite3", data.parent / "newest.sqlite3"
    for path in _parts(kept):
        path.unlink(missing_ok=True)
    for one, other in zip(_parts(ledger), _parts(kept), strict=True):
        if one.exists():
            shutil.move(one, other)
    as_earlier(kept, ledger, name)
    shutil.copystat(kept, ledger)
    return open_killed(ledger, chance.randrange(1, _MOST_STATEMENTS))


def _parts(ledger: Path) -> Iterator[Path]:
    return (ledger.with_name(ledger.name + end) for end in ("", "-wal", "-shm"))


def try_old_queues(run: Run) -> Outcome:
    """The rest of F105, beside ``upgrade``."""
    found = work_off(run)
    planned = found.planned * _EACH * len(_NODES)
    return Outcome(
        "F105", found.waited, tuple(found.wrong), planned=planned,
        measured=f"{found.waited} packets that waited at three stations of real daemons in {found.forms} of"
        f" {found.planned} earlier forms, {found.kills} upgrades of theirs killed half-way, then the nodes"
        " started: each had to arrive once with its receipts",
    )  # fmt: skip
