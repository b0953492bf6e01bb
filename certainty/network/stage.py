"""A province of real daemons and a real sshd whose lines can be broken, and its outward books.

``Stage`` makes a lab, lets each front-end dial through a line of its own where a trial wants one, drops
packets, and says at the end what an outsider finds wrong: a drop that was not delivered whole, exactly once,
with its receipts. It looks at folders alone, as case software does; only ``events`` asks a node's own ledger,
for the moments at which a link was noticed to be down.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from certainty.network.judging import Sent, is_done, judge
from certainty.network.taker import Taker
from certainty.shard import Violation
from cli.demo.watch import Agency, Proofs, read_original
from cli.fiction.agencies import DEFAULT_AGENCIES, LabAgency, more_agencies
from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from cli.lab.lab import Lab, create_lab
from cli.lab.layout import SSHD
from cli.lab.plan import LabPlan, default_plan
from cli.lab.processes import descendants, kill, read_record, send
from exchanged.clock import SystemClock
from frontend_server.folders import INBOX
from packet_spec.errors import ExchangeError

POLICE, PROCURATORATE, COURT = "620199-01-00", "620199-03-00", "620199-04-00"
PROVINCE: Final = "620000-00-00"
LOOK_SECONDS: Final = 0.1
_SMALL, _LARGE = "info.share", "prosecution.transfer"
_VIDEO: Final = "EVD-024"
_FACTOR: Final = 1_000_000


def plan_of(*codes: str) -> LabPlan:
    """A province with these agencies directly below it; further counties are known as well."""
    plan = default_plan()
    known: dict[str, LabAgency] = {agency.code: agency for agency in (*DEFAULT_AGENCIES, *more_agencies(200))}
    return LabPlan(plan.province, tuple(replace(known[code], parent=PROVINCE) for code in codes))


def wait_until(seen: Callable[[], bool], seconds: float, look_seconds: float = LOOK_SECONDS) -> bool:
    """Look until it is so; False when it was not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not seen():
        if time.monotonic() > deadline:
            return False
        time.sleep(look_seconds)
    return True


class Stage:
    """One lab in ``folder``. Use as a context manager: whatever happens, no process stays.

    ``limits`` replaces lines of ``[limits]`` in every configuration; ``daemon`` is the command of a node.
    Without ``asks`` sshd reads the login keys from a file: a lab's key command has no cache, and thousands of
    logins would measure little else.
    """

    def __init__(
        self,
        folder: Path,
        codes: Iterable[str],
        *,
        seed: int = 1,
        limits: dict[str, str] | None = None,
        daemon: tuple[str, ...] = (),
        link: str = "sftp",
        asks: bool = False,
    ) -> None:
        self.folder = folder
        create_lab(folder, plan_of(*codes), link)
        self.lab = Lab.open(folder, daemon=daemon) if daemon else Lab.open(folder)
        self.sent: list[Sent] = []
        self.taker: Taker | None = None
        self._seed = seed * _FACTOR
        for code in self.lab.nodes:
            for key, value in (limits or {}).items():
                self.set_line(code, key, value)
        if link == "sftp" and not asks:
            self.change_sshd(self._keys_from_file)

    def _keys_from_file(self, text: str) -> str:
        public = "".join(
            self.lab.layout.login_key(code).with_suffix(".pub").read_text(encoding="utf-8")
            for code in self.lab.agencies
        )
        keys = self.folder / "sshd" / "authorized_keys"
        keys.write_text(public, encoding="utf-8")
        lines = [line for line in text.splitlines() if not line.startswith("AuthorizedKeys")]
        return "\n".join([*lines[:2], f'AuthorizedKeysFile "{keys}"', *lines[2:], ""])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.taker is not None:
            self.taker.stop()
        self.lab.stop()

    # --- the lab --------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """Where the lab's sshd listens."""
        text = (self.folder / "sshd" / "sshd_config").read_text(encoding="utf-8")
        found = re.search(r"^ListenAddress \S+:(\d+)$", text, re.MULTILINE)
        if found is None:
            raise RuntimeError("the lab's sshd has no port")
        return int(found[1])

    def set_line(self, code: str, key: str, value: str) -> None:
        """Replace ``key = ...`` in a node's configuration, or put it in front of its ``[limits]``' keys."""
        path = self.lab.node_config(code)
        text = path.read_text(encoding="utf-8")
        pattern = re.compile(rf"^{key} = .*$", re.MULTILINE)
        if pattern.search(text):
            text = pattern.sub(f"{key} = {value}", text)
        else:
            text = text.replace("[limits]\n", f"[limits]\n{key} = {value}\n", 1)
        path.write_text(text, encoding="utf-8")

    def dial(self, code: str, port: int, host: str = "127.0.0.1") -> None:
        """Let a front-end dial elsewhere, from its next start on."""
        self.set_line(code, "host", f'"{host}"')
        self.set_line(code, "port", str(port))

    def change_sshd(self, change: Callable[[str], str]) -> None:
        """Rewrite the server's configuration; counts from its next start."""
        path = self.folder / "sshd" / "sshd_config"
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")

    def stop_sshd(self) -> None:
        """End the server with all its sessions, as a crash of its machine would; nodes go on."""
        process = read_record(self.lab.layout.record(SSHD))
        if process is not None:
            clock = SystemClock()
            # Stopped first: while it listens, new sessions come as fast as old ones go.
            send(process, signal.SIGSTOP)
            while sessions := [each for each in descendants(process) if _lives(each.pid)]:
                for each in sessions:
                    with suppress(ProcessLookupError):
                        os.kill(each.pid, signal.SIGKILL)
            kill((process,), clock)

    def restart_sshd(self) -> None:
        """A new server with the configuration as it is now."""
        self.stop_sshd()
        self.lab.start()

    def restart_sshd_alone(self) -> None:
        """A new server, and no node: the lab is asked for nothing else."""
        lab = self.lab
        kept = lab.agencies, lab.bridges, lab.province
        lab.agencies, lab.bridges, lab.province = (), (), ""
        try:
            lab.start()
        finally:
            lab.agencies, lab.bridges, lab.province = kept

    def set_sftp(self, command: str) -> None:
        """What the server runs for each session, instead of its internal one. Counts from its next start."""

        def change(text: str) -> str:
            text = re.sub(r"^ForceCommand .*$", f"ForceCommand {command}", text, flags=re.MULTILINE)
            return re.sub(r"^Subsystem sftp .*$", f"Subsystem sftp {command}", text, flags=re.MULTILINE)

        self.change_sshd(change)

    def agency(self, code: str) -> Agency:
        """An agency's folders."""
        root = self.lab.agency_root(code)
        return Agency(code, root) if self.taker is None else self.taker.agency(code, root)

    def mailbox(self, code: str) -> Path:
        """The mailbox between an agency and the province."""
        return self.lab.layout.mailbox(code)

    # --- packets --------------------------------------------------------------------------------

    def drop(self, sender: str, receiver: str, *, video_bytes: int = 0, name: str = "") -> Sent:
        """Drop one packet: a small one, or one of police to procuratorate with a video of that size."""
        self._seed += 1
        name = name or f"d{self._seed}"
        kind = _LARGE if video_bytes else _SMALL
        request = DropRequest(
            kind,
            sender,
            receiver,
            datetime.now(UTC),
            seed=self._seed,
            name=name,
            extra_documents=(_VIDEO,) if video_bytes else (),
            video_bytes=video_bytes or 1,
        )
        made = make_drop(request)
        # Noted before the exchange can see it: written elsewhere, then moved in with one rename.
        aside = self.folder / "aside"
        aside.mkdir(exist_ok=True)
        write_drop(made, aside)
        original = read_original(aside / name)
        (aside / name).rename(self.agency(sender).outbox / name)
        sent = Sent(name, sender, receiver, kind, original, time.monotonic())
        self.sent.append(sent)
        return sent

    def is_done(self, sent: Sent) -> bool:
        """The sender's status file says that it was delivered."""
        return is_done(self.agency(sent.sender), sent)

    def wait(self, seconds: float, sent: Iterable[Sent] | None = None) -> bool:
        """Wait until all drops (or these) are delivered and their senders know it."""
        open_ = list(self.sent if sent is None else sent)

        def look() -> bool:
            open_[:] = [each for each in open_ if not self._is_done_quietly(each)]
            return not open_

        return wait_until(look, seconds, 0.2)

    def _is_done_quietly(self, sent: Sent) -> bool:
        try:
            return self.is_done(sent)
        except (OSError, ExchangeError):
            return False

    # --- books ----------------------------------------------------------------------------------

    def take_out(self) -> None:
        """From now on somebody takes out of all inboxes what is delivered: a second delivery would show."""
        inboxes = {code: self.lab.agency_root(code) / INBOX for code in self.lab.agencies}
        self.taker = Taker(inboxes, self.folder / "taken")

    def violations(self, case: str, taken: Collection[str] = ()) -> list[Violation]:
        """Everything that is not as it must be when all has come to rest; ``case`` reproduces it.

        ``taken``: names of folders that another reader took out of inboxes, and judged before that.
        """
        if not self.sent:
            return []
        found: list[Violation] = []
        if self.taker is not None:
            self.taker.look_late()
            found = self.taker.violations(case)
        agencies = {code: self.agency(code) for code in self.lab.agencies}
        proofs = Proofs.of(self.lab, self.sent[0].sender)
        return [*found, *judge(self.sent, agencies, proofs, datetime.now(UTC), case, taken)]

    # --- what a node noticed --------------------------------------------------------------------

    def events(self, code: str, kind: str) -> list[tuple[datetime, str]]:
        """When a node wrote events of that kind, and their detail."""
        path = self.lab.layout.data(code) / "ledger.sqlite3"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20) as ledger:
            asked = ledger.execute("SELECT at, detail FROM event WHERE kind = ? ORDER BY id", (kind,))
            rows = asked.fetchall()
        return [(datetime.fromisoformat(at), detail) for at, detail in rows]

    def log_lines(self, name: str, *words: str) -> list[str]:
        """The lines of a log in which all these words stand."""
        text = self.lab.log(name).read_text(encoding="utf-8", errors="replace")
        return [line for line in text.splitlines() if all(word in line for word in words)]


def _lives(pid: int) -> bool:
    """It runs: a dead child that its stopped parent has not buried is no session any more."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
