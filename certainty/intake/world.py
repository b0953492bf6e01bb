"""A small province with real daemons, for what is done to one outbox: police, procuratorate, province.

Only what an outsider can have is looked at: folders, status files, receipts, log lines, ``exchangectl``.
The agencies' folders may lie on a stand-in for a file server's share (``tests.support.share``), served by a
process of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from certainty.intake.papers import POLICE, PROCURATORATE, PROVINCE, REF, Paper
from certainty.shard import Violation
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import default_plan
from tests.support.share import HANGS, Share

T = TypeVar("T")

ROOT: Final = Path(__file__).resolve().parents[2]
SCAN_SECONDS: Final = 2.0
SETTLE_SECONDS: Final = 1.0
QUICK_SCAN: Final = {"": {"[folders] scan_seconds": f"{SCAN_SECONDS}"}}
_LINE: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (?:error|warning|info|debug) event=\S+( \S.*)?"
)
_RSS: Final = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_REF_IN: Final = re.compile(rb"REF-\d{7}")


class TooLateError(Exception):
    """Something did not happen within its time; a shard makes a violation of it."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """One packet as it lies in the inbox: reference, folder, and every file by name."""

    ref: str
    folder: Path
    files: Mapping[str, bytes]


class World:
    """The lab. A context manager: nothing runs and nothing is mounted afterwards."""

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, Mapping[str, str]],
        agencies: int = 3,
        share: bool = False,
        user: int = 0,
    ) -> None:
        """``settings``: node code, or "" for all front-ends, to ``[section] key`` and its TOML text.

        ``share``: the police's folders lie on one. ``user``: who runs the daemons, by number.
        """
        self.lab: Lab = create_lab(folder / "lab", default_plan(agencies), "folder")
        self.share: Share | None = None
        self._refs: dict[Path, str] = {}
        # What was asked of ``exchangectl``, and what it said.
        self.answers: list[tuple[str, str]] = []
        if share:
            root = self.lab.layout.agency(POLICE)
            root.rename(folder / "server")
            self.share = Share(folder / "server", root, folder / "switches")
        for code in self.lab.nodes:
            chosen = dict(settings.get(code, {}))
            if code in self.lab.agencies:
                chosen = {**settings.get("", {}), **chosen}
            self.configure(code, chosen)
        # The number of the user whose rights the daemons have.
        self.user = run_powerless(self.lab, folder, user) if user else 0

    def configure(self, code: str, values: Mapping[str, str]) -> None:
        """Write keys into a node's configuration, before it starts."""
        path = self.lab.node_config(code)
        text = path.read_text("utf-8")
        for where, value in values.items():
            section, key = where.split()
            text = re.sub(rf"^{key} = .*\n", "", text, flags=re.MULTILINE)
            if section not in text:
                text += f"\n{section}\n"
            text = text.replace(f"{section}\n", f"{section}\n{key} = {value}\n", 1)
        path.write_text(text, "utf-8")

    def __enter__(self) -> Self:
        try:
            if self.share is not None:
                self.share.start()
            self.lab.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.share is not None:
            with suppress(OSError):
                self.share.switch(HANGS, on=False)
            wake(self.share)
        self.lab.stop()
        if self.share is not None:
            with suppress(OSError, subprocess.SubprocessError):
                self.share.stop()
            subprocess.run(["umount", "--lazy", str(self.share.mount)], check=False, capture_output=True)

    # --- folders ---------------------------------------------------------------------------------

    def behind(self, code: str) -> Path:
        """An agency's folders, as whoever works on the file server sees them."""
        is_shared = self.share is not None and code == POLICE
        return (
            self.share.backing if is_shared and self.share is not None else self.lab.layout.agency(code)
        )

    @property
    def outbox(self) -> Path:
        """Of the police."""
        return self.behind(POLICE) / "outbox"

    def status(self, name: str, code: str = POLICE) -> dict[str, Any]:
        """What status/ says of a drop; empty before it says anything."""
        try:
            found: dict[str, Any] = json.loads(
                (self.behind(code) / "status" / f"{name}.status.json").read_bytes()
            )
        except (FileNotFoundError, ValueError):
            return {}
        return found

    def all_status(self, code: str = POLICE) -> list[dict[str, Any]]:
        """Every status file."""
        found = []
        for path in (self.behind(code) / "status").glob("*.status.json"):
            with suppress(FileNotFoundError):
                found.append(json.loads(path.read_bytes()))
        return found

    def delivered(self, code: str = PROCURATORATE) -> Iterator[Delivered]:
        """Every packet in an agency's inbox."""
        for folder in sorted((self.behind(code) / "inbox").glob("*.*/*")):
            if not folder.is_dir() or folder.name.startswith("."):
                continue
            files = {path.name: path.read_bytes() for path in folder.iterdir()}
            match = REF.search(files.get("packet.xml", b""))
            yield Delivered(match[1].decode() if match else "", folder, files)

    def delivered_refs(self, code: str = PROCURATORATE) -> Counter[str]:
        """How often each reference lies in the inbox. What was read once is not read again."""
        counted: Counter[str] = Counter()
        for folder in (self.behind(code) / "inbox").glob("*.*/*"):
            if folder not in self._refs:
                match = REF.search((folder / "packet.xml").read_bytes())
                self._refs[folder] = match[1].decode() if match else ""
            counted[self._refs[folder]] += 1
        return counted

    def folders_of(self, ref: str, code: str = PROCURATORATE) -> list[Path]:
        """Where that drop lies in the inbox."""
        self.delivered_refs(code)
        return [folder for folder, each in self._refs.items() if each == ref]

    def has(self, ref: str) -> bool:
        """That drop was delivered to the procuratorate."""
        return self.delivered_refs()[ref] > 0

    def finding(self, name: str) -> str:
        """The code of the first finding about a drop; empty before there is one."""
        found = self.status(name).get("finding") or ()
        return str(found[0]["code"]) if found else ""

    def state(self, name: str) -> str:
        """How far a drop is; empty before it is told."""
        return str(self.status(name).get("state", ""))

    def count_delivered(self, code: str = PROCURATORATE) -> int:
        """How many packets lie in the inbox, without reading them."""
        return sum(
            1
            for kind in (self.behind(code) / "inbox").glob("*.*")
            if kind.is_dir()
            for _ in os.scandir(kind)
        )

    def waiting(self, code: str = POLICE) -> list[str]:
        """What lies in the outbox, but for marks of our own."""
        return [
            each.name
            for each in os.scandir(self.behind(code) / "outbox")
            if not each.name.startswith(".")
        ]

    # --- processes -------------------------------------------------------------------------------

    def ctl(
        self, *words: str | Path, code: str = POLICE, seconds: float = 120.0
    ) -> tuple[int, str, float]:
        """Exit code, what was said, and seconds of an ``exchangectl`` at a node."""
        command = [
            sys.executable,
            "-P",
            "-m",
            "cli",
            "--config",
            str(self.lab.node_config(code)),
            *map(str, words),
        ]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}
        began = time.monotonic()
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, env=environment, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            return -1, "no answer", time.monotonic() - began
        said = done.stdout + done.stderr
        self.answers.append((" ".join(map(str, words)), said))
        return done.returncode, said, time.monotonic() - began

    def log(self, code: str = POLICE) -> str:
        """The log of a node so far."""
        return self.lab.log(code).read_text("utf-8", "surrogateescape")

    def peak_mib(self, code: str = POLICE) -> float:
        """The most memory that a node's daemon has had, its workers not counted."""
        match = _RSS.search(Path(f"/proc/{self.lab.pid(code)}/status").read_text("ascii"))
        return int(match[1]) / 1024 if match else 0.0

    def log_problems(self) -> list[str]:
        """Lines of logs that are no event of their own, and tracebacks."""
        found = []
        for code in self.lab.nodes:
            for line in self.log(code).split("\n"):
                is_one = _LINE.fullmatch(line) and "trace=" not in line and not any(map(_is_control, line))
                found += [] if is_one or not line else [f"{code}: {line[:300]!r}"]
        return found


def wait_for(what: Callable[[], T], why: str, seconds: float = 60.0, between: float = 0.1) -> T:
    """Poll the world outside until ``what`` is true. Raises TooLateError."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > deadline:
            raise TooLateError(f"waited {seconds:.0f} s in vain: {why}")
        time.sleep(between)
    return found


def put(world: World, paper: Paper, name: str, code: str = POLICE) -> float:
    """Drop it as the other machine does; the time of the clock on the wall."""
    outbox = world.behind(code) / "outbox"
    (outbox / f".{name}").write_bytes(paper.xml)
    (outbox / f".{name}").rename(outbox / name)
    return time.time()


def all_delivered(world: World, refs: set[str], why: str, seconds: float) -> list[Violation]:
    try:
        wait_for(lambda: refs <= set(world.delivered_refs()), why, seconds, 0.25)
    except TooLateError as error:
        return [Violation("I1", why, str(error))]
    counted = world.delivered_refs()
    twice = [ref for ref in sorted(refs) if counted[ref] > 1]
    return [Violation("I2", ref, f"delivered {counted[ref]} times") for ref in twice]


def run_powerless(lab: Lab, folder: Path, user: int) -> int:
    """Daemons that may do what files' modes allow and nothing else; for root. The number of their user.

    Another user, who owns everything of the lab. Where the interpreter lies in a closed home, as some have,
    it is root without any capability: to whom modes apply as to anybody.
    """
    places = (
        Path(sys.executable).resolve(),
        Path(os.__file__).resolve(),
        Path(sys.prefix),
        ROOT / "cli",
        folder,
    )
    is_open = all(
        parent.stat().st_mode & 0o001 for place in places for parent in place.parents if parent != folder
    )
    become: tuple[str, ...]
    if is_open:
        for path in (*folder.rglob("*"), folder):
            os.chown(path, user, user, follow_symlinks=False)
        become = (f"--reuid={user}", f"--regid={user}", "--clear-groups")
    else:
        become = ("--bounding-set=-all", "--clear-groups")
    lab._daemon = ("/usr/bin/setpriv", *become, "--inh-caps=-all", "--no-new-privs", *lab._daemon)
    return user if is_open else 0


def stop_signal(share: Share) -> None:
    """The server of a share stalls: every call on the share hangs. Raises RuntimeError without one."""
    process = share._process
    if process is None or process.poll() is not None:
        raise RuntimeError("nobody serves the share that is to hang")
    os.kill(process.pid, signal.SIGSTOP)


def wake(share: Share) -> None:
    """It goes on."""
    process = share._process
    if process is not None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)


@contextmanager
def memory_folder(name: str) -> Iterator[Path]:
    """A folder in memory, for runs whose durability is no matter."""
    path = Path("/dev/shm") / f"certainty-{os.getpid()}-{name}"
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def refs_in(data: bytes) -> set[str]:
    """Every reference that stands in some bytes."""
    return {each.decode() for each in _REF_IN.findall(data)}


def _is_control(sign: str) -> bool:
    return ord(sign) < 32 or 0x7F <= ord(sign) < 0xA0 or sign in "\u2028\u2029\u202e\ufffe"


__all__ = ["POLICE", "PROCURATORATE", "PROVINCE", "TooLateError", "World", "memory_folder", "wait_for"]
