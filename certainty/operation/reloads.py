"""F104: configurations reloaded under load.

A front-end's file is replaced by a random one and SIGHUP sent, again and again, while packets pass. A
valid file moves the control socket and changes the form of the log together; a wrong one wants the same
and is wrong somewhere. After each reload both must be as the last valid file says: neither one alone.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from certainty.operation.logs import block_logs
from certainty.operation.stops import try_stops
from certainty.operation.town import RECEIVER, SENDER, TooLateError, Town, town, wait_until
from certainty.shard import Outcome, Run, Violation
from exchanged.places import CONTROL_SOCKET

_FULL_RELOADS: Final = 1_000
_QUICK_RELOADS: Final = 8
_BROKEN: Final[tuple[Callable[[str], str], ...]] = (
    lambda text: text + "\n[limits\n",
    lambda text: text.replace("workers = 1", 'workers = "many"'),
    lambda text: text.replace("workers = 1", "workers = 1\nwrokers = 2"),
    lambda text: text.replace(SENDER, RECEIVER, 1),
    lambda text: text.replace('role = "frontend"', 'role = "bridge"'),
    lambda text: text.replace("roots = [", 'roots = ["no key", '),
    lambda text: text + '\n[[link]]\nname = "x"\n',
    lambda text: text.replace("[limits]\n", "[limits]\nretry_first_seconds = -1\n"),
    lambda _text: "",
)


@dataclass
class Reloads:
    """The file of one node, what it said last that was valid, and what was seen."""

    place: Town
    chance: random.Random
    base: str
    form: str = "text"
    socket: str = CONTROL_SOCKET
    good: int = 0
    bad: int = 0
    wrong: list[Violation] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.place.lab.node_config(SENDER)

    @property
    def log(self) -> str:
        """What the node said so far."""
        return self.place.lab.log(SENDER).read_text("utf-8", errors="replace")

    def text(self, form: str, socket: str) -> str:
        """A valid file."""
        path = self.place.lab.layout.node(SENDER) / "data" / socket
        return f'{self.base}\n[log]\nformat = "{form}"\n[control]\nsocket = "{path}"\n'

    def once(self, number: int) -> None:
        """One reload, of a valid or an invalid file."""
        form, socket = self.chance.choice(("text", "json")), f"c{number}.sock"
        text, is_good = self.text(form, socket), self.chance.random() < 0.5
        if not is_good:
            text = self.chance.choice(_BROKEN)(text)
        self.config.write_text(text, encoding="utf-8")
        said = len(self.log)
        began = time.monotonic()
        pid = self.place.lab.pid(SENDER)
        if pid is None:
            raise TooLateError("the node has died")
        os.kill(pid, signal.SIGHUP)
        ended = re.compile(r"(reloaded|reload-refused|reload-failed)\b")
        wait_until(lambda: ended.search(self.log[said:]), f"reload {number} to be told", 60.0)
        self.seconds.append(time.monotonic() - began)
        told = {found[1] for found in ended.finditer(self.log[said:])}
        if is_good:
            self.form, self.socket = form, socket
        self.good, self.bad = self.good + is_good, self.bad + (not is_good)
        self._judge(f"reload {number}", told, is_good=is_good)

    def _judge(self, case: str, told: set[str], *, is_good: bool) -> None:
        if told != ({"reloaded"} if is_good else {"reload-refused"}):
            self.wrong.append(Violation("I12", case, f"a {'valid' if is_good else 'wrong'} file: {told}"))
        data = self.place.lab.layout.node(SENDER) / "data"
        sockets = sorted(path.name for path in data.glob("*.sock"))
        if sockets != [self.socket]:
            self.wrong.append(Violation("I12", case, f"sockets {sockets}, and not {self.socket}"))
        last = self.log.splitlines()[-1]
        if last.startswith("{") is not (self.form == "json"):
            self.wrong.append(Violation("I12", case, f"the log is not {self.form}: {last[:80]}"))


def try_reloads(run: Run) -> Iterator[Outcome]:
    """F104 in one town, then F110 (``stops``) and F109 (``logs``) in it too."""
    wanted = _QUICK_RELOADS if run.quick else _FULL_RELOADS
    # A third of the time is for the stops and the log.
    limit = run.began + 0.65 * run.seconds
    chance = random.Random(run.seed)
    with town(run.folder / "reloads") as place:
        place.take_out()
        base = place.lab.node_config(SENDER).read_text("utf-8")
        reloads = Reloads(place, chance, base)
        done, problems = 0, []
        try:
            while done < wanted and time.monotonic() < limit:
                if done % 5 == 0:
                    place.drop(f"reload-{done}")
                reloads.once(done)
                done += 1
                run.progress(done, wanted, "reloads")
            place.wait(place.journeys, 60.0)
        except TooLateError as error:
            problems.append(str(error))
        reloads.config.write_text(base, encoding="utf-8")
        place.lab.stop_node(SENDER)
        place.lab.start_node(SENDER)
        problems += place.differences()
        slowest = max(reloads.seconds, default=0.0)
        yield Outcome(
            "F104", cases=done,
            violations=(*reloads.wrong, *(Violation("I12", "reloads", each) for each in problems)),
            measured=f"{done} of {wanted} reloads under load, {reloads.good} of valid and {reloads.bad} of"
            f" wrong files, the slowest {slowest:.1f} s", planned=wanted,
        )  # fmt: skip
        yield try_stops(run, place, chance)
        yield block_logs(place, quick=run.quick)
