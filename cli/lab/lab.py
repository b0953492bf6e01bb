"""A lab as one object: made, opened, started, broken, stopped. For the commands, the demo and tests.

Guarantees: ``start`` leaves alone what runs and returns when every node said that it is ready; ``stop``
leaves no process, of the nodes or of their sshd; a process that is not of this lab is never touched.
Leaves to others: what the nodes do. Known limit: two calls on one lab at the same time are the caller's
business.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cli
from cli.frame import PlanError
from cli.lab import sshd
from cli.lab.accounts import (
    as_user,
    make_accounts,
    plan_accounts,
    read_accounts,
    remove_accounts,
    require_possible,
    write_accounts,
)
from cli.lab.build import build_lab
from cli.lab.layout import SSHD, Layout
from cli.lab.plan import LabPlan
from cli.lab.processes import (
    Process,
    descendants,
    end,
    family,
    is_running,
    kill,
    read_record,
    write_record,
)
from cli.lab.starting import Launch, start_all
from cli.lab.state import read_state, write_state
from exchanged.bell import Bell
from exchanged.clock import Clock, Randomness, SystemClock, SystemRandomness
from exchanged.config import LinkTransport
from exchanged.durable import DurableFiles, Volume
from exchanged.errors import NotFoundError
from exchanged.mailbox import BELL_NAME

# What a daemon gets to finish its work in hand before it is killed.
STOP_SECONDS: Final = 10.0
_DAEMON: Final = (sys.executable, "-P", "-m", "cli.daemon", "--config")
_PORT_LINE: Final = re.compile(r"^port = \d+$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One process of the lab. ``state`` is running, stopped, or died (it ended without being stopped)."""

    name: str
    role: str
    state: str
    pid: int | None


def create_lab(
    directory: Path,
    plan: LabPlan,
    link: str = LinkTransport.SFTP,
    *,
    clock: Clock | None = None,
    randomness: Randomness | None = None,
    jail: bool = False,
) -> Lab:
    """Make a lab in the new or empty folder ``directory``; ``link`` is ``sftp`` or ``folder``.

    ``jail``, as root and for ``sftp``: with real accounts. Raises LabError when something is in the way or
    sshd is missing for ``sftp``; then no account is left.
    """
    transport = LinkTransport(link)
    if any((joint.transport or transport) is LinkTransport.SFTP for joint in plan.links):
        sshd.find_sshd()
    layout = Layout(directory.absolute())
    clock, randomness = clock or SystemClock(), randomness or SystemRandomness()
    if not jail:
        build_lab(layout, plan, transport, clock, randomness)
        return Lab.open(directory)
    if plan.province is None or any(joint.upper != plan.province.code for joint in plan.links):
        raise PlanError(("--jail: real accounts are made for agencies that dial the province itself",))
    require_possible(layout)
    codes = (agency.code for agency in plan.agencies)
    accounts = plan_accounts(plan.province.code, codes, randomness)
    build_lab(layout, plan, transport, clock, randomness, accounts)
    write_accounts(layout, accounts)
    try:
        # The service user and the accounts pass through; what they may not see is closed below.
        layout.root.chmod(0o755)
        layout.sshd.chmod(0o755)
        make_accounts(layout, accounts)
    except BaseException:
        remove_accounts(layout, accounts)
        raise
    return Lab.open(directory)


def remove_lab(directory: Path) -> None:
    """Stop the lab in ``directory``, remove its accounts, then the folder with all that is in it.

    Also what an interrupted making left. Raises NotFoundError when there is no lab, LabError.
    """
    layout = Layout(directory.absolute())
    accounts = read_accounts(layout)
    if layout.state.exists() or accounts is None:
        Lab.open(directory).stop()
    if accounts is not None:
        require_possible(layout)
        remove_accounts(layout, accounts)
    DurableFiles(Volume.OWN).remove_tree(layout.root)


class Lab:
    """A lab that was made. ``daemon`` is the command that a node's configuration is added to."""

    def __init__(
        self, layout: Layout, *, daemon: tuple[str, ...], clock: Clock, randomness: Randomness
    ) -> None:
        self.layout = layout
        self._daemon = daemon
        self._clock = clock
        self._randomness = randomness
        state = read_state(layout.state)
        self.link = state.link
        self.province = state.province
        self.agencies = state.agencies
        self.bridges = state.bridges
        self.has_sshd = state.port != 0
        self._accounts = read_accounts(layout)

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        daemon: tuple[str, ...] = _DAEMON,
        clock: Clock | None = None,
        randomness: Randomness | None = None,
    ) -> Lab:
        """The lab in ``directory``. Raises NotFoundError when there is none."""
        return cls(
            Layout(directory.absolute()),
            daemon=daemon,
            clock=clock or SystemClock(),
            randomness=randomness or SystemRandomness(),
        )

    @property
    def nodes(self) -> tuple[str, ...]:
        """The codes of all nodes, the province first, then bridges: the order of starting."""
        return (*self._upper, *self.agencies)

    @property
    def _upper(self) -> tuple[str, ...]:
        """All nodes but the agencies' own. ``province`` is empty point to point."""
        return (*filter(None, (self.province,)), *self.bridges)

    def agency_root(self, code: str) -> Path:
        """The folder with outbox, inbox and so on. Raises NotFoundError for an unknown agency."""
        return self.layout.agency(self._known(code, self.agencies))

    def node_config(self, code: str) -> Path:
        """A node's configuration file. Raises NotFoundError for an unknown node."""
        return self.layout.config(self._known(code, self.nodes))

    def log(self, name: str) -> Path:
        """What a node, or ``sshd``, writes. Raises NotFoundError for an unknown name."""
        return self.layout.log(self._known(name, (*self.nodes, SSHD)))

    def pid(self, code: str) -> int | None:
        """The process number of a node, or of ``sshd``; None when it does not run."""
        process = self._running(self._known(code, (*self.nodes, SSHD)))
        return None if process is None else process.pid

    def status(self) -> tuple[ProcessState, ...]:
        """Every process of the lab: sshd (on SFTP links), the province, the agencies."""
        names = [(SSHD, SSHD)] if self.has_sshd else []
        names += [(self.province, "provincial")] if self.province else []
        names += [(code, "bridge") for code in self.bridges]
        names += [(code, "frontend") for code in self.agencies]
        return tuple(self._state(name, role) for name, role in names)

    def start(self, ready: Callable[[str], None] = lambda _: None) -> None:
        """Start what does not run: sshd, the province, then the agencies, a few at a time.

        ``ready`` is called with the name of each process that became ready. Raises LabError when one
        fails; ``stop`` then ends the others.
        """
        if self.has_sshd and self._running(SSHD) is None:
            self._start_sshd()
            ready(SSHD)
        for codes in (self._upper, self.agencies):
            self._start_nodes(codes, ready)

    def start_node(self, code: str) -> None:
        """Start one node and wait until it is ready. Raises LabError, NotFoundError."""
        self._start_nodes((self._known(code, self.nodes),), lambda _: None)

    def stop_node(self, code: str) -> None:
        """Stop one node as a service manager would. Raises LabError, NotFoundError."""
        self._stop_nodes((self._known(code, self.nodes),))

    def kill_node(self, code: str) -> None:
        """End one node as a power cut would: SIGKILL, also to its workers. Raises LabError, NotFoundError."""
        process = read_record(self.layout.record(self._known(code, self.nodes)))
        if process is not None:
            kill((process,), self._clock)
            kill(family(process), self._clock)

    def stop(self) -> None:
        """Stop everything: SIGTERM, 10 s, SIGKILL; agencies first, then the province, then sshd."""
        self._stop_nodes(self.agencies)
        self._stop_nodes(self._upper)
        process = read_record(self.layout.record(SSHD))
        if process is not None:
            # A session that waits at a bell does not notice that its client has gone: ring it awake.
            for bell in self.layout.mailboxes.glob(f"*/{BELL_NAME}"):
                Bell(bell).ring()
            # Sessions first: while sshd lives, all of them stand below it.
            while sessions := descendants(process):
                end(sessions, 1.0, self._clock)
            end((process,), STOP_SECONDS, self._clock)
            self.layout.record(SSHD).unlink(missing_ok=True)

    def _start_nodes(self, codes: Iterable[str], ready: Callable[[str], None]) -> None:
        launches = [self._launch(code) for code in codes if self._running(code) is None]
        start_all(launches, _environment(), self._clock, started=self._record, ready=ready)

    def _launch(self, code: str) -> Launch:
        config = str(self.layout.config(code))
        command = (*self._daemon, config)
        if self._accounts is not None and code == self._accounts.province:
            command = as_user(self._accounts.service, command)
        return Launch(code, command, self.layout.log(code), config, self._token())

    def _stop_nodes(self, codes: Iterable[str]) -> None:
        records = {code: read_record(self.layout.record(code)) for code in codes}
        processes = [process for process in records.values() if process is not None]
        workers = [worker for process in processes for worker in family(process)]
        end(processes, STOP_SECONDS, self._clock)
        # A daemon takes its workers along; one that was killed could not.
        end([*workers, *(worker for process in processes for worker in family(process))], 1.0, self._clock)
        for code in records:
            self.layout.record(code).unlink(missing_ok=True)

    def _start_sshd(self) -> None:
        port = read_state(self.layout.state).port
        if not sshd.is_free(port):
            port = sshd.free_port()
            # Whoever still runs dials a port that is now somebody else's.
            self._stop_nodes((*self.agencies, *self.bridges))
            self._move_to(port)
        jailed = self._accounts is not None
        process = sshd.start_sshd(self.layout, port, self._token(), self._clock, jailed=jailed)
        self._record(SSHD, process)

    def _move_to(self, port: int) -> None:
        sshd.move_to(self.layout, port)
        files = DurableFiles(Volume.OWN)
        for code in (*self.agencies, *self.bridges):
            path = self.layout.config(code)
            text = _PORT_LINE.sub(f"port = {port}", path.read_text(encoding="utf-8"))
            files.write_file(path, (text.encode(),))
        write_state(self.layout.state, replace(read_state(self.layout.state), port=port))

    def _record(self, name: str, process: Process) -> None:
        write_record(self.layout.record(name), process)

    def _running(self, name: str) -> Process | None:
        process = read_record(self.layout.record(name))
        return process if process is not None and is_running(process) else None

    def _state(self, name: str, role: str) -> ProcessState:
        process = read_record(self.layout.record(name))
        if process is None:
            return ProcessState(name, role, "stopped", None)
        running = is_running(process)
        return ProcessState(name, role, "running" if running else "died", process.pid if running else None)

    def _token(self) -> str:
        return self._randomness.token(16).hex()

    def _known(self, name: str, names: tuple[str, ...]) -> str:
        if name not in names:
            raise NotFoundError("the lab has no such node", where=str(self.layout.root), found=name)
        return name


def _environment() -> dict[str, str]:
    """Ours, with our own packages in reach: in a checkout they are installed nowhere."""
    home = str(Path(cli.__file__).resolve().parents[1])
    above = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != home]
    kept = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    return kept | {"PYTHONPATH": os.pathsep.join([home, *above])}
