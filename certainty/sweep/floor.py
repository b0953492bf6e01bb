"""F08: the own volume of each role is filled to below the floor of its disk, at once or step by step.

While it lasts, a drop with a part larger than what is left above the floor is made. Nothing of that part may
be taken in at the low node: the drop waits in the outbox there, or the packet before that node. The node
tells its people, and at the sender a sign stands in the outbox. What the node held already when it began goes
on: it is delivered, and its receipts come back. The room below the floor stays but for what ledger and
receipts take. Afterwards everything comes to the end that it has in an undisturbed run, but for the notice.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from certainty.shard import Violation
from certainty.sweep.ledgers import copied
from certainty.sweep.outside import View, differences
from certainty.sweep.pool import Result
from certainty.sweep.stage import CaseOverError, Stage
from certainty.sweep.sweeping import Ready
from certainty.sweep.world import JOURNEY, LARGE, LATE, ROLES, SENDER, World
from exchanged.places import BLOB_FOLDER, LEDGER_FILE
from frontend_server.pause_sign import SIGN_NAME
from packet_spec.limits import MIB

# A lab's floor.
FLOOR_BYTES: Final = 64 * MIB
# More than any step leaves above the floor.
_LATE_BYTES: Final = 6 * MIB
# What is left free, round by round; the last stays until the end.
_WAYS: Final = {
    "at once": (FLOOR_BYTES // 2,),
    "step by step": (FLOOR_BYTES + 3 * MIB, FLOOR_BYTES + 2 * MIB, FLOOR_BYTES + MIB, FLOOR_BYTES - MIB // 2),
}
_ROUNDS: Final = (1, 2, 3, 4)
_QUICK_ROUNDS: Final = (3,)
_QUICK_WAYS: Final = ("step by step",)
# Long enough for the node to tell people, which it thinks of every 45 s.
_LASTS: Final = 26
# What ledger, receipts and small packets may take of the reserve meanwhile.
_SMALL_BYTES: Final = 4 * MIB
_NOTICE: Final = "-disk-floor-"
_TOLD: Final = '%"disk-floor"%'


@dataclass(frozen=True, slots=True)
class Floored:
    """One case: this role, in this way, from that round on."""

    role: str
    way: str
    round: int

    def __str__(self) -> str:
        return f"below its floor {self.way}: {self.role}, from round {self.round}"


@dataclass
class Seen:
    """What was seen of a low node. ``held``: it had the large part when it began; ``came_before``: and that
    had been delivered; ``free``: in each round.
    """

    held: bool = False
    came_before: bool = False
    came: bool = False
    signed: bool = False
    late_came: bool = False
    waits: bool = False
    signs: bool = False
    told: bool = False
    free: list[int] = field(default_factory=list)

    @property
    def how(self) -> str:
        """What there was to go on."""
        if not self.held:
            return "nothing was there that could go on"
        return "receipts went on" if self.came_before else "delivery and receipts went on"


def cases(roles: Sequence[str], *, quick: bool) -> list[Floored]:
    """Every role, way and round; in the quick set one way and one round."""
    return [
        Floored(role, way, number)
        for number in (_QUICK_ROUNDS if quick else _ROUNDS)
        for way in (_QUICK_WAYS if quick else _WAYS)
        for role in roles
    ]


def undisturbed(made: Ready) -> View:
    """How it ends with the late drop and nothing else. Raises RuntimeError when that is not as it must be."""
    made.world.restore(made.beginnings[JOURNEY], made.layout)
    on_round = partial(_drop_at, made.world, wanted=1)
    ending = Stage(made.world, made.beginnings[JOURNEY], on_round=on_round, least_rounds=2).play()
    if ending.violations or ending.view.statuses.get(f"{LATE}.status.json") != "signed True":
        raise RuntimeError(f"undisturbed, the late drop does not come: {ending.violations}")
    return ending.view


def _drop_at(world: World, number: int, wanted: int) -> None:
    if number == wanted:
        world.drop(LATE, "prosecution.transfer", video=_LATE_BYTES)


def floored(layouts: dict[str, Ready], expected: View, world: World, case: Floored) -> Result:
    """Play one case."""
    code = ROLES[case.role]
    made = layouts[code]
    world.restore(made.beginnings[JOURNEY], code)
    own, steps, ends = world.volumes(code)[0], _WAYS[case.way], case.round + _LASTS
    seen, ballast = Seen(), list[Path]()

    def on_round(number: int) -> None:
        step = number - case.round
        if 0 <= step < len(steps):
            ballast.append(own.fill(steps[step], f"ballast-{step}"))
        _drop_at(world, number, case.round)
        if step == 0:
            seen.held = _holds_part(world.layout.data(code))
            seen.came_before = bool(stage.reader.appeared)
        if len(steps) <= step <= _LASTS:
            seen.free.append(own.free_bytes())
        if number == ends:
            _look(world, code, stage, seen)
            while ballast:
                own.give_back(ballast.pop())

    stage = Stage(
        world, made.beginnings[JOURNEY], {code: _pass}, tables=(), on_round=on_round, least_rounds=ends + 2,
        case=str(case),
    )  # fmt: skip
    told: list[Violation] = []
    try:
        told += differences(expected, without_notice(stage.play().view), str(case))
    except CaseOverError:
        told.append(Violation("I12", str(case), "it did not come up again"))
    ending = stage.ending
    told += [*ending.violations, *problems(case, seen, steps[-1])]
    if ending.codes:
        told.append(Violation("I12", str(case), f"ended with code {ending.codes}"))
    return Result(f"F08 {case.role} {case.way}", str(case), tuple(told), None, seen.how)


def without_notice(view: View) -> View:
    """How it looks but for the notice of a low disk in an agency's folder."""
    lying = {
        place: tuple(name for name in names if _NOTICE not in name) for place, names in view.lying.items()
    }
    files = {name: digest for name, digest in view.files.items() if _NOTICE not in name}
    return replace(view, lying=lying, files=files)


def problems(case: Floored, seen: Seen, left: int) -> Iterator[Violation]:
    """What a low node did that it may not, or did not do that it must. ``left``: bytes that were free."""
    is_sender = case.role == "sender"
    wrong = {
        "what it held when it began was not delivered": seen.held and not seen.came,
        "receipts of what it held did not come to its sender": seen.held and not seen.signed,
        "a part larger than the room above the floor was taken in": seen.late_came,
        "the new drop does not wait in the outbox": is_sender and not seen.waits,
        "no sign stands in the outbox": is_sender and not seen.signs,
        "it told nobody that its disk is low": not seen.told,
        "the reserve was used up": min(seen.free, default=0) < left - _SMALL_BYTES,
    }
    yield from (Violation("I10", str(case), what) for what, is_so in wrong.items() if is_so)


def _look(world: World, code: str, stage: Stage, seen: Seen) -> None:
    agency = world.layout.agency(SENDER)
    status = (agency / "status" / f"{LARGE}.status.json").read_text("utf-8")
    seen.came = any(_is_of(folder.files, world, LARGE) for folder in stage.reader.appeared)
    seen.late_came = any(_is_of(folder.files, world, LATE) for folder in stage.reader.appeared)
    seen.signed = '"signed"' in status
    seen.waits = (agency / "outbox" / LATE).exists()
    seen.signs = (agency / "outbox" / SIGN_NAME).exists()
    seen.told = _tells(world.layout.data(code))


def _is_of(files: tuple[tuple[str, str], ...], world: World, drop: str) -> bool:
    """That folder of the inbox holds the very packet.xml of that drop."""
    return dict(files).get("packet.xml") == dict(world.dropped.files[drop]).get("packet.xml")


def _holds_part(data: Path) -> bool:
    return any(path.is_file() for path in (data / BLOB_FOLDER).iterdir())


def _tells(data: Path) -> bool:
    """It gave notice of its low disk."""
    copy = copied(data / LEDGER_FILE)
    try:
        with closing(sqlite3.connect(copy)) as connection:
            found = connection.execute(
                "SELECT count(*) FROM event WHERE kind = 'notice-raised' AND detail LIKE ?", (_TOLD,)
            ).fetchone()
    finally:
        shutil.rmtree(copy.parent)
    return bool(found[0])


def _pass(_: object) -> int:
    raise AssertionError("nothing is trapped here")
