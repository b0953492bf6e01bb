"""A small province of real daemons for the shards of operation, and the drops that pass through it.

Guarantees: a drop is written where nobody looks and appears by one rename; whether it arrived is told by
the sender's status, the receiver's folder and the verified receipts alone; ``differences`` compares all
folders with what an undisturbed run leaves. Leaves to others: what is done to the daemons. All packets are
fictional.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from certainty.network.taker import Taker
from certainty.shard import Run
from cli.demo.audit import find_differences
from cli.demo.case_data import DemoRow
from cli.demo.journey import Act, Ending, Journey
from cli.demo.watch import Agency, Proofs, read_original
from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from cli.lab.errors import LabError
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import default_plan
from frontend_server.folders import INBOX
from packet_spec.catalogue import load_catalogue

ROOT: Final = Path(__file__).resolve().parents[2]
PROVINCE: Final = "620000-00-00"
SENDER: Final = "620199-01-00"
RECEIVER: Final = "620199-03-00"
BUSINESS_TYPE: Final = "case.report"
_LOOK_SECONDS: Final = 0.05
# A front-end believes that a folder is gone after two looks, two seconds apart in a lab.
_COLLECTED_SECONDS: Final = 60.0
_REFERENCE: Final = "REF-TEMPLATE"
_CASE_NUMBER: Final = re.compile(rb"A\d{22}")


class TooLateError(Exception):
    """Something that had to happen did not, within its time."""


def wait_until(done: Callable[[], object], what: str, seconds: float = 60.0) -> float:
    """Look at the world until ``done``. Seconds that it took. Raises TooLateError, which names ``what``."""
    began = time.monotonic()
    while not done():
        if time.monotonic() - began > seconds:
            raise TooLateError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(_LOOK_SECONDS)
    return time.monotonic() - began


def environment(**more: str) -> dict[str, str]:
    """For commands: this checkout, in English."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "LANGUAGE": "en", **more}


def command(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``exchangectl`` as an operator types it."""
    line = [sys.executable, "-P", "-m", "cli", "--config", str(config), *words]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment(), timeout=600)


@dataclass
class Town:
    """A lab over folder links, made and not started. ``journeys`` are all drops so far, in order."""

    lab: Lab
    journeys: list[Journey] = field(default_factory=list)
    _proofs: Proofs | None = None
    _templates: dict[tuple[str, str], Path] = field(default_factory=dict)
    _taker: Taker | None = None

    @property
    def proofs(self) -> Proofs:
        """Verifies with the directory of the province's node."""
        if self._proofs is None:
            self._proofs = Proofs.of(self.lab, PROVINCE)
        return self._proofs

    def agency(self, code: str) -> Agency:
        """The folders of an agency."""
        root = self.lab.agency_root(code)
        return Agency(code, root) if self._taker is None else self._taker.agency(code, root)

    def take_out(self) -> None:
        """From now on somebody takes out of all inboxes what is delivered: a second delivery would show."""
        inboxes = {code: self.lab.agency_root(code) / INBOX for code in self.lab.agencies}
        self._taker = Taker(inboxes, self.lab.layout.root / "taken")

    def stop_taking(self) -> None:
        """What comes now stays where it is."""
        if self._taker is not None:
            self._taker.stop()

    def write(self, name: str, *, sender: str = SENDER, receiver: str = RECEIVER, expires: str = "") -> Path:
        """A drop of that name, which is its senderRef too, in a folder that nobody looks into."""
        template = self._template(sender, receiver)
        place = self.lab.layout.root / "prepared" / name
        shutil.copytree(template, place)
        xml = (place / "packet.xml").read_bytes().replace(_REFERENCE.encode(), name.encode())
        number = f"A{int.from_bytes(name.encode()[-8:], 'big') % 10**22:022d}".encode()
        xml = _CASE_NUMBER.sub(number, xml)
        if expires:
            xml = xml.replace(b"<secrecy>", f"<expiresAt>{expires}</expiresAt>\n    <secrecy>".encode(), 1)
        (place / "packet.xml").write_bytes(xml)
        return place

    def drop(self, name: str, *, ending: Ending = Ending.DELIVERED, **how: str) -> Journey:
        """Write a drop and let it appear in its sender's outbox."""
        return self.appear(self.write(name, **how), ending)

    def appear(self, place: Path, ending: Ending = Ending.DELIVERED) -> Journey:
        """Let a written drop appear."""
        original = read_original(place)
        envelope = original.envelope
        row = DemoRow(0, envelope.created_at, BUSINESS_TYPE, envelope.sender, envelope.receiver)
        journey = Journey(place.name, row, place.name, original, datetime.now(UTC), 0.0, ending)
        place.rename(self.agency(envelope.sender).outbox / place.name)
        self.journeys.append(journey)
        return journey

    def is_complete(self, *journeys: Journey) -> bool:
        """All of these ended as they were to end."""
        for journey in journeys:
            if not journey.is_complete:
                journey.look(self.agency, self.proofs, datetime.now(UTC))
        return all(journey.is_complete for journey in journeys)

    def wait(self, journeys: Iterable[Journey], seconds: float = 60.0) -> float:
        """Until all have ended. Raises TooLateError naming the first that did not."""
        wanted = tuple(journeys)
        try:
            return wait_until(lambda: self.is_complete(*wanted), "packets", seconds)
        except TooLateError as error:
            open_ones = [each for each in wanted if not each.is_complete]
            told = ", ".join(f"{each.name} ({_state(each)})" for each in open_ones[:5])
            raise TooLateError(f"{error}: {len(open_ones)} of {len(wanted)} open: {told}") from error

    def differences(self) -> tuple[str, ...]:
        """How all folders differ from an undisturbed run, with what was taken out of inboxes, if it was."""
        again: tuple[str, ...] = ()
        if self._taker is not None:
            self._taker.look_late()
            again = tuple(each.what for each in self._taker.violations(""))
            self._await_collected()
        agencies = [self.agency(code) for code in self.lab.agencies]
        return (*again, *find_differences(agencies, self.journeys, self.proofs, datetime.now(UTC)))

    def _await_collected(self) -> None:
        """Whoever takes a packet out is told of in a receipt; one that does not come is a difference."""
        for journey in self.journeys:
            if journey.ending is Ending.DELIVERED and not journey.acts:
                # The folder still counts as lying there: ``agency`` shows what was taken.
                journey.acts = dict.fromkeys(journey.recipients, Act.MARK)
        with suppress(TooLateError):
            self.wait(self.journeys, _COLLECTED_SECONDS)

    def ctl(self, node: str, *words: str) -> subprocess.CompletedProcess[str]:
        """``exchangectl`` at a node."""
        return command(self.lab.node_config(node), *words)

    def asked(self, node: str, *words: str) -> Any:
        """What ``exchangectl ... --json`` says. Raises TooLateError with its words when it fails."""
        done = self.ctl(node, *words, "--json")
        if done.returncode:
            raise TooLateError(f"exchangectl {' '.join(words)} ended with {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)

    def unsound(self) -> list[str]:
        """Every node whose ledger does not verify, with the first words about it."""
        results = {code: self.ctl(code, "ledger", "verify") for code in self.lab.nodes}
        return [f"{code}: {done.stdout[-300:]}" for code, done in results.items() if done.returncode]

    def restart_dead(self) -> list[tuple[str, float]]:
        """Start again what died, as a service manager does. Each node with the seconds until it was ready."""
        restarted = []
        for each in self.lab.status():
            if each.state == "died" and each.name in self.lab.nodes:
                began = time.monotonic()
                self.lab.kill_node(each.name)
                self.lab.start_node(each.name)
                restarted.append((each.name, time.monotonic() - began))
        return restarted

    def _template(self, sender: str, receiver: str) -> Path:
        if (sender, receiver) not in self._templates:
            folder = self.lab.layout.root / "templates" / f"{sender}-{receiver}"
            folder.mkdir(parents=True)
            (self.lab.layout.root / "prepared").mkdir(exist_ok=True)
            request = DropRequest(
                BUSINESS_TYPE, sender, receiver, datetime.now(UTC), video_bytes=0, sender_ref=_REFERENCE,
                name="template",
            )  # fmt: skip
            self._templates[sender, receiver] = write_drop(make_drop(request, load_catalogue()), folder)
        return self._templates[sender, receiver]


@contextmanager
def in_memory(run: Run) -> Iterator[Path]:
    """A folder that no disk slows down, for cases in which no power is cut.

    Afterwards what lies in it is in the folder of the run, where it stays if something was violated.
    """
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield run.folder
        return
    folder = memory / f"certainty-{os.getpid()}-{run.folder.name}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        with suppress(OSError, shutil.Error):
            shutil.copytree(folder, run.folder / "memory", symlinks=True, ignore=_sockets)
        shutil.rmtree(folder, ignore_errors=True)


def _sockets(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if (Path(folder) / name).is_socket()}


@contextmanager
def town(
    folder: Path, *, daemon: tuple[str, ...] = (), agencies: int = 3, limits: str = "", start: bool = True
) -> Iterator[Town]:
    """A running province of the sender and the receiver; it is stopped whatever happens.

    ``limits`` are lines for every node's section [limits], in place of those of the lab.
    """
    lab = create_lab(folder, default_plan(agencies), "folder")
    if daemon:
        lab = Lab.open(folder, daemon=daemon)
    for code in lab.nodes:
        set_limits(lab.node_config(code), limits)
    place = Town(lab)
    try:
        if start:
            lab.start()
        yield place
    finally:
        place.stop_taking()
        try:
            lab.stop()
        except LabError as error:
            print(f"the lab could not be stopped: {error}", file=sys.stderr)


def set_limits(config: Path, lines: str) -> None:
    """Put ``lines`` into [limits] of a configuration, in place of lines of the same keys."""
    text = config.read_text(encoding="utf-8")
    for key in re.findall(r"^(\w+) =", lines, re.MULTILINE):
        text = re.sub(rf"^{key} = .*\n", "", text, flags=re.MULTILINE)
    config.write_text(text.replace("[limits]\n", f"[limits]\n{lines}\n"), encoding="utf-8")


def _state(journey: Journey) -> str:
    return "no status" if journey.status is None else journey.status.state
