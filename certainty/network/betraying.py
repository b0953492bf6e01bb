"""F74: a relay without keys that cheats in eight ways, and what must be seen of each of its tricks.

What forges or confuses, a batch changed, shortened, put into another mailbox or turned round, must be refused
by its name at the node that reads it. What only holds files back shows as a gap: no number that was held back
is acknowledged meanwhile, and who sent a packet is told once its receipt is overdue. What is put again must
be taken once. A delay within the deadlines is that of a slow line, and is not told.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final

from certainty.network.judging import Sent, key_of
from certainty.network.late import judge_pending, set_deadlines, told_overdue
from certainty.network.relay import CODES, Put, Relay, Step, relayed_stage
from certainty.network.soon_told import COMMAND
from certainty.network.stage import COURT, POLICE, PROCURATORATE, PROVINCE, Stage, wait_until
from certainty.network.traffic import MIB, settle
from certainty.network.waybills import acknowledged
from certainty.shard import Outcome, Run, Violation
from packet_spec.identity import PacketKey

Putting = list[tuple[Path, str, bytes]]
_PHASE_SECONDS: Final = 25.0
# In place of an hour and a day.
_ACCEPTED_SECONDS: Final = 6.0
_DELIVERED_SECONDS: Final = 10.0
# A node looks every three seconds for what is to be told; a slow machine takes longer.
_TOLD_SECONDS: Final = 20.0
_DELAY_SECONDS: Final = 10.0
_REORDER_SECONDS: Final = 8.0
# Files that forge in one strategy: after 64 in a row a node slows down the reading of a mailbox (I9).
_MOST_FORGED: Final = 12
_FORGING: Final = ("mixes mailboxes", "turns files round", "shortens", "changes bytes")
_HOLDING: Final = ("drops", "delays", "reorders")


class Tricks:
    """The eight ways. ``held``: files that were held back; ``gaps``: those that a later one had passed."""

    def __init__(self, relay: Relay) -> None:
        self.held: set[tuple[str, str, str]] = set()
        self.gaps: set[tuple[str, str, str]] = set()
        self.wrong: list[str] = []
        self._relay = relay
        self._fate: dict[tuple[str, str, str], bool] = {}
        self._passed: dict[tuple[str, str], int] = {}
        self._forged = 0

    def begin(self) -> None:
        """Another strategy: nothing of the one before counts."""
        self.held.clear()
        self.gaps.clear()
        self.wrong.clear()
        self._fate.clear()
        self._forged = 0

    def ways(self) -> dict[str, Callable[[Step], Putting]]:
        """By name, in the order in which they are tried."""
        return {
            "drops": self._drop, "delays": self._delay, "reorders": self._reorder, "replays": self._replay,
            "mixes mailboxes": self._mix, "turns files round": self._turn, "shortens": self._shorten,
            "changes bytes": self._change,
        }  # fmt: skip

    def _drop(self, step: Step) -> Putting:
        return self._hold(step) if self._is_chosen(step, 0.5) else self._pass(step)

    def _delay(self, step: Step) -> Putting:
        return self._hold(step) if step.age < _DELAY_SECONDS else self._pass(step)

    def _reorder(self, step: Step) -> Putting:
        # Later numbers first: the lower a number, the longer it waits.
        wait = _REORDER_SECONDS / (1 + step.number % 5)
        return self._hold(step) if step.age < wait else self._pass(step)

    def _replay(self, step: Step) -> Putting:
        old = self._relay.draw.choices(self._relay.history, k=3)
        again = [(self._relay.target(each), each.name, each.data) for each in old if each.name != step.name]
        return [*self._relay.honest(step), *again]

    def _mix(self, step: Step) -> Putting:
        code = self._relay.draw.choice([each for each in CODES if each != step.code])
        return [*self._relay.honest(step), *self._stranger(step, code, step.direction)]

    def _turn(self, step: Step) -> Putting:
        back = "down" if step.direction == "up" else "up"
        return [*self._relay.honest(step), *self._stranger(step, step.code, back)]

    def _shorten(self, step: Step) -> Putting:
        if not self._may_forge(step):
            return self._relay.honest(step)
        cut = self._relay.draw.randrange(len(step.data))
        return [(self._relay.target(step), step.name, step.data[:cut])]

    def _change(self, step: Step) -> Putting:
        return tampered(self._relay, step) if self._may_forge(step) else self._relay.honest(step)

    def _stranger(self, step: Step, code: str, direction: str) -> Putting:
        """A batch where it does not belong, under a number that is about to come there."""
        if not self._may_forge(step):
            return []
        number = self._relay.highest.get((code, direction), 0) + self._relay.draw.randrange(2)
        name = f"{number:08d}-{secrets.token_hex(8)}.batch"
        return [(self._relay.target(step, code, direction), name, step.data)]

    def _may_forge(self, step: Step) -> bool:
        if not step.number or self._forged >= _MOST_FORGED or not self._is_chosen(step, 0.5):
            return False
        self._forged += 1
        return True

    def _is_chosen(self, step: Step, share: float) -> bool:
        """Drawn once for each batch; an acknowledgement and a large part pass."""
        key = (step.code, step.direction, step.name)
        if key not in self._fate:
            self._fate[key] = bool(step.number) and self._relay.draw.random() < share
        return self._fate[key]

    def _pass(self, step: Step) -> Putting:
        way = (step.code, step.direction)
        self._passed[way] = max(self._passed.get(way, 0), step.number)
        return self._relay.honest(step)

    def _hold(self, step: Step) -> Putting:
        """Nothing is put; whoever acknowledges it all the same has not seen the gap."""
        if not step.number:
            return self._relay.honest(step)
        key = (step.code, step.direction, step.name)
        self.held.add(key)
        if self._passed.get(key[:2], 0) > step.number:
            self.gaps.add(key)
        if acknowledged(self._relay.answer(step)) >= step.number:
            self.wrong.append(f"{step.name} of {step.code} {step.direction} was held back and acknowledged")
        return []


def tampered(relay: Relay, step: Step) -> Putting:
    """The file with one changed bit."""
    at = relay.draw.randrange(len(step.data))
    changed = bytes([step.data[at] ^ (1 << relay.draw.randrange(8))])
    return [(relay.target(step), step.name, step.data[:at] + changed + step.data[at + 1 :])]


def refused(stage: Stage, node: str) -> frozenset[str]:
    """The names of all mailbox files that a node has said to be refused."""
    return frozenset(json.loads(detail)["file"] for _, detail in stage.events(node, "mailbox-file-refused"))


def unseen(puts: Collection[Put], told: Callable[[str], Collection[str]]) -> list[Put]:
    """Forged batches that the node which reads their folder does not name. ``told``: what a node names."""
    names = {node: told(node) for node in {_reader(put) for put in puts}}
    return [put for put in puts if put.name[:8].isdigit() and put.name not in names[_reader(put)]]


def _reader(put: Put) -> str:
    return PROVINCE if put.folder.name == "up" else put.folder.parent.name


def betray(run: Run) -> Outcome:
    """F74: the strategies one after the other; the relay turns honest after each."""
    found: list[Violation] = []
    told: list[str] = []
    stage, relay = relayed_stage(run, "f74", COMMAND)
    for code in CODES:
        set_deadlines(stage, code, accepted_seconds=_ACCEPTED_SECONDS, delivered_seconds=_DELIVERED_SECONDS)
    with stage:
        relay.start()
        stage.take_out()
        stage.lab.start()
        stage.drop(POLICE, PROCURATORATE)
        settle(stage, 60)
        tricks = Tricks(relay)
        ways, tried = tricks.ways(), 0
        for number, (name, way) in enumerate(ways.items()):
            if run.is_over:
                break
            case = f"seed {run.seed} {name}"
            tricks.begin()
            relay.puts.clear()
            relay.treat = way
            sent = _send(stage)
            count, said = _judge(stage, relay, tricks, name, sent, case, found)
            relay.treat = relay.honest
            if not settle(stage, 120):
                found.append(Violation("I1", case, "not all arrived once the relay was honest"))
            tried += bool(count)
            told.append(f"{name} {said}")
            run.progress(number + 1, len(ways), f"F74 {name}")
        relay.stop()
        found += stage.violations(f"seed {run.seed}")
    tale = f"A relay without keys {'; '.join(told)}. What was lost, doubled or changed is a violation."
    return Outcome("F74", tried, tuple(found), (), tale, planned=len(ways))


def _send(stage: Stage) -> list[Sent]:
    """Packets all three ways, over the time of one strategy."""
    sent: list[Sent] = []
    ends = time.monotonic() + _PHASE_SECONDS
    ways = ((POLICE, PROCURATORATE), (COURT, POLICE), (PROCURATORATE, COURT))
    while time.monotonic() < ends:
        if len(sent) < 9:
            large = len(sent) % 4 == 0
            way = ways[0] if large else ways[len(sent) % 3]
            sent.append(stage.drop(*way, video_bytes=2 * MIB if large else 0))
        time.sleep(1.0)
    return sent


def _judge(
    stage: Stage, relay: Relay, tricks: Tricks, name: str, sent: list[Sent], case: str, found: list[Violation]
) -> tuple[int, str]:
    """While the relay still cheats: how many tricks could be seen, and what is said of them."""
    if name in _FORGING:
        puts = [put for put in relay.puts if put.name[:8].isdigit()]
        wait_until(lambda: not unseen(puts, lambda node: refused(stage, node)), _TOLD_SECONDS, 0.5)
        lost = unseen(puts, lambda node: refused(stage, node))
        found += [Violation("I5", case, f"nobody tells of {put.name} in {put.folder}") for put in lost]
        return len(puts), f"{len(puts)} times ({len(puts) - len(lost)} refused by name)"
    if name in _HOLDING:
        late = [each for each in sent if time.monotonic() - each.at > _DELIVERED_SECONDS]
        wait_until(lambda: not list(_untold(stage, late, case)), _TOLD_SECONDS, 1.0)
        pending = _pending(stage, late)
        found += _untold(stage, late, case)
        found += [Violation("I1", case, what) for what in sorted(set(tricks.wrong))]
        count = len(tricks.gaps) if name == "reorders" else len(tricks.held)
        said = f"{len(tricks.held)} files ({len(tricks.gaps)} while a later one passed, none acknowledged"
        return count, f"{said}; {len(pending)} packets late and told as overdue)"
    return len(relay.puts), f"{len(relay.puts)} files"


def _pending(stage: Stage, sent: list[Sent]) -> list[tuple[Sent, PacketKey | None]]:
    """Those whose sender has no receipt of their delivery."""
    return [(each, key_of(stage.agency(each.sender), each)) for each in sent if not stage.is_done(each)]


def _untold(stage: Stage, sent: list[Sent], case: str) -> Iterator[Violation]:
    told = frozenset().union(*(told_overdue(stage, code) for code in CODES))
    return judge_pending(_pending(stage, sent), told, case)
