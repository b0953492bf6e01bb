"""F11 and F12: bytes that changed by themselves, in the ledger and in the spool.

F11: the world is stopped in the middle of its journey by killing one role, so that its ledger still has its
write-ahead log. Then one byte of it is another, or its end is gone, or a side file is, or two pages have
changed places. ``ledger verify`` must name it (or refuse to open it), unless not one row of the ledger reads
otherwise. What it does not name is listed with the table that reads otherwise. For a part of them, named or
not, the node is started on the changed ledger and everything runs on: it may refuse, stop or hold, but no
inbox may show other bytes or one packet twice.

F12 is ``rotten``'s; what must hold of both when they have run on, ``decay``'s.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from certainty.shard import Outcome, Run, Violation
from certainty.sweep.decay import Damage, change, judged
from certainty.sweep.ledgers import copied
from certainty.sweep.points import shuffled
from certainty.sweep.pool import Result, each, enough
from certainty.sweep.rotten import DRAWN, calls, rotten
from certainty.sweep.stage import DAY, Stage
from certainty.sweep.sweeping import Ready, ready
from certainty.sweep.tally import Tally
from certainty.sweep.world import JOURNEY, ROLES, Beginning, World
from exchanged.ledger import open_read_only
from exchanged.ledger.verify import examine_ledger
from exchanged.places import DAMAGE_FILE, LEDGER_FILE
from packet_spec.errors import ExchangeError

_PAGE: Final = 4096
# After so many rounds: the packet is under way, just delivered, collected.
_ROUNDS: Final = (2, 3, 7)
_QUICK_ROUNDS: Final = (3,)
_FLIPS, _CUTS, _PLAYED, _ROTTEN = 1000, 100, 120, 250
_QUICK: Final = (20, 4, 2, 1)
# The share of the ledgers whose log was folded in before, as an hour of work does.
_FOLDED: Final = 0.7
# The part of the time that is kept for F12.
_KEPT: Final = 0.3


def work(run: Run) -> Iterator[Outcome]:
    """The ledger of each role, then the sender's spool."""
    rng = random.Random(run.seed)
    flips, cuts, played, wanted = _QUICK if run.quick else (_FLIPS, _CUTS, _PLAYED, _ROTTEN)
    roles = ("sender", "province") if run.quick else tuple(ROLES)
    kinds = ["flip"] * flips + ["truncate"] * cuts + ["swap"] * (cuts // 2) + ["wal", "shm", "both"] * 2
    cases = [Damage("F11", kind, rng.choice(roles), rng.getrandbits(32)) for kind in kinds]
    cases += [
        Damage("F11", rng.choice(kinds), rng.choice(roles), rng.getrandbits(32), plays=True)
        for _ in range(played)
    ]
    cases = shuffled(cases, run.seed)
    others = [Damage("F12", "rot", "sender", rng.getrandbits(32), plays=True) for _ in range(DRAWN * wanted)]
    with ready(run) as layouts:
        made = layouts[""]
        rounds = _QUICK_ROUNDS if run.quick else _ROUNDS
        middles = {role: [_middle(made, role, number) for number in rounds] for role in roles}
        made.sealed_and_put = calls(made)
        most = replace(run, seconds=run.seconds * (1 - _KEPT))
        tally = Tally(each(most, made.world, cases, partial(_one, made, middles), "damaged"))
        yield tally.plain("F11", len(cases), _notes(tally))
        tally = Tally(enough(each(run, made.world, others, partial(_other, made), "rotten"), wanted))
        yield tally.plain("F12", wanted + tally.idle, _notes(tally))


def _notes(tally: Tally) -> str:
    notes = Counter(result.note for result in tally.results if result.note)
    return "; ".join(f"{note}: {count}" for note, count in sorted(notes.items()))


def _other(made: Ready, world: World, damage: Damage) -> Result:
    return rotten(made, world, damage, random.Random(damage.seed))


def _middle(made: Ready, role: str, rounds: int) -> Beginning:
    """The world after some rounds, with that role killed between two steps and its log not folded in."""
    made.world.restore(made.beginnings[JOURNEY])
    stage = Stage(made.world, made.beginnings[JOURNEY], {ROLES[role]: lambda _: 0}, tables=())
    stage.play_until(rounds)
    beginning = Beginning(f"middle-{role}-{rounds}", stage.elapsed, stage.reader)
    made.world.keep(beginning)
    return beginning


def _one(made: Ready, middles: dict[str, list[Beginning]], world: World, damage: Damage) -> Result:
    code, rng = ROLES[damage.role], random.Random(damage.seed)
    data = world.layout.data(code)
    middle = rng.choice(middles[damage.role])
    world.restore(middle)
    original, events = _rows(data / LEDGER_FILE), _events(data / LEDGER_FILE)
    _damage_ledger(data, damage.kind, rng)
    if damage.plays:
        return _played(made, middle, world, damage, f"F11 {damage.kind} and run on")
    verdict, told = _verdict(data, original, events, str(damage))
    return Result(f"F11 {damage.kind}", str(damage), told, None, verdict)


def _verdict(
    data: Path, original: dict[str, int], events: list[bytes], case: str
) -> tuple[str, tuple[Violation, ...]]:
    try:
        with closing(open_read_only(data / LEDGER_FILE)) as connection:
            problems = examine_ledger(connection, data).problems
        if problems:
            return "named by verify", ()
        rows = _rows(data / LEDGER_FILE, original)
    except ExchangeError:
        return "refused to open", ()
    except Exception as error:
        said = f"an error without a name: {type(error).__name__}: {error}"
        return "", (Violation("I12", case, said[:300]),)
    other = sorted(table for table in original if rows.get(table) != original[table])
    if not other:
        return "no row reads otherwise", ()
    left = _events(data / LEDGER_FILE)
    if len(left) < len(events) and left == events[: len(left)]:
        # What a chain that was cut at its end cannot show by itself; the neighbours remember its head (I8).
        return "an earlier commit, whole", ()
    if set(other) & _CHAINED:
        return "", (Violation("I8", case, f"verify does not see that {', '.join(other)} read otherwise"),)
    return f"not under the chain: {', '.join(other)}", ()


# What the chain of events and the log of receipts cover.
_CHAINED: Final = frozenset({"event", "receipt", "log_entry"})


def _events(path: Path) -> list[bytes]:
    """The links of the chain, in order; none where they cannot be read."""
    try:
        with closing(open_read_only(path)) as connection:
            return [
                bytes(str(tuple(row)), "utf-8")
                for row in connection.execute("SELECT * FROM event ORDER BY id")
            ]
    except (ExchangeError, sqlite3.DatabaseError):
        return []


def _rows(path: Path, known: Collection[str] = ()) -> dict[str, int]:
    """A fingerprint of every table, or of those known that are there. Of a copy: reading changes nothing.

    An earlier commit may be of an earlier form, which has fewer tables.
    """
    copy = copied(path)
    try:
        with closing(sqlite3.connect(copy)) as connection:
            connection.text_factory = bytes
            found = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            ).fetchall()
            tables = [bytes(row[0]).decode(errors="replace") for row in found]
            return {
                name: hash(tuple(connection.execute(f'SELECT * FROM "{name}"').fetchall()))  # noqa: S608
                for name in ([each for each in known if each in tables] if known else tables)
            }
    finally:
        shutil.rmtree(copy.parent)


def _damage_ledger(data: Path, kind: str, rng: random.Random) -> None:
    path = data / LEDGER_FILE
    if kind == "swap" or (kind in {"flip", "truncate"} and rng.random() < _FOLDED):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    log, shared = path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")
    match kind:
        case "wal" | "shm" | "both":
            for name, file in (("wal", log), ("shm", shared)):
                if kind in {name, "both"}:
                    file.unlink(missing_ok=True)
        case "swap":
            content = bytearray(path.read_bytes())
            one, two = rng.sample(range(len(content) // _PAGE), 2)
            first = bytes(content[one * _PAGE : (one + 1) * _PAGE])
            content[one * _PAGE : (one + 1) * _PAGE] = content[two * _PAGE : (two + 1) * _PAGE]
            content[two * _PAGE : (two + 1) * _PAGE] = first
            path.write_bytes(content)
        case _:
            target = rng.choice([file for file in (path, log) if file.exists() and file.stat().st_size])
            change(target, kind, rng)


def _played(made: Ready, middle: Beginning, world: World, damage: Damage, group: str) -> Result:
    """Run on. Whatever is missing afterwards is the damage's; what is there must be right."""
    code = ROLES[damage.role]
    stage = Stage(
        world, middle, {code: lambda _: 0}, tables=(), waits=DAY, case=str(damage),
        on_death=lambda _: (world.layout.data(code) / DAMAGE_FILE).unlink(missing_ok=True),
    )  # fmt: skip
    return judged(world, damage, group, stage, made.views[JOURNEY])
