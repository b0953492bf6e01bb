"""F65 and F67: the server's side dies at any write of an upload, or forgets what it had said OK to."""

from __future__ import annotations

import hashlib
import random
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from certainty.network.line import Line
from certainty.network.stage import POLICE, PROCURATORATE, Stage, wait_until
from certainty.network.traffic import settle
from certainty.shard import Outcome, Run, Violation
from certainty.sweep.volume import Volume

SFTP_SERVER = "/usr/lib/openssh/sftp-server"
_OPTIONS = "-u 0007 -P symlink,hardlink,mkdir,rmdir,setstat,fsetstat,lsetstat,copy-data"
_LIMITS = {"retry_first_seconds": "0.05", "retry_max_seconds": "0.5", "link_scan_seconds": "1.0"}
# So long that a session writes more than sixty times.
_VIDEO = 2_600_000
# Each session takes one line of the file ``armed`` and is killed at that write; none: it lives. Its trace
# says at which write it died; where nobody may trace, it says nothing.
_WRAPPER = """#!/bin/sh
n=$(flock {folder}/lock sh -c 'head -n 1 {folder}/armed; sed -i 1d {folder}/armed' 2>/dev/null)
if [ -n "$n" ]; then
  exec strace -o {folder}/trace-$n-$$ -e trace=write -e inject=write:signal=KILL:when=$n {server} {options}
fi
exec {server} {options}
"""
_DEATH = "+++ killed by SIGKILL +++"


class Onlooker:
    """A reader of a mailbox who looks all the time: whatever bears a final name must be whole and stay so."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, str] = {}
        self._ended = threading.Event()
        self.looks = 0
        self.partial: list[str] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """One last look, and no more."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.01):
            self.look()

    def look(self) -> None:
        """Judge what lies there now."""
        self.looks += 1
        for path in self._folder.iterdir():
            if path.name.startswith(".") or path.name == "ack.batch":
                continue
            try:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError:
                continue
            is_other = self._seen.setdefault(path.name, digest) != digest
            if is_other or (path.suffix == ".blob" and digest != path.stem):
                self.partial.append(path.name)


def deaths(folder: Path, number: int) -> int:
    """How many sessions really died at that write, as their traces in ``folder`` say."""
    traces = folder.glob(f"trace-{number}-*")
    return sum(_DEATH in path.read_text(encoding="utf-8", errors="replace") for path in traces)


def kill_at_every_write(run: Run) -> Outcome:
    """F65: one packet with a blob for each number of the write at which the server's process is killed."""
    found: list[Violation] = []
    back: list[float] = []
    killed: list[int] = []
    with ExitStack() as stack:
        stage = stack.enter_context(
            Stage(run.folder / "f65", (POLICE, PROCURATORATE), seed=run.seed, limits=_LIMITS)
        )
        tools = run.folder / "f65-tools"
        tools.mkdir()
        wrapper = tools / "sftp"
        wrapper.write_text(
            _WRAPPER.format(folder=tools, server=SFTP_SERVER, options=_OPTIONS), encoding="utf-8"
        )
        wrapper.chmod(0o755)
        (tools / "armed").touch()
        stage.set_sftp(str(wrapper))
        line = stack.enter_context(Line(("127.0.0.1", stage.port)))
        stage.dial(POLICE, line.port)
        stage.take_out()
        stage.lab.start()
        stage.drop(POLICE, PROCURATORATE)
        settle(stage, 60)
        onlooker = Onlooker(stage.mailbox(POLICE) / "up")
        writes = (3, 20) if run.quick else tuple(range(1, 61))
        for number in writes:
            if run.is_over:
                break
            # The next two sessions of this account: one for files, one at the bell.
            (tools / "armed").write_text(f"{number}\n{number}\n", encoding="utf-8")
            line.cut()
            sent = stage.drop(POLICE, PROCURATORATE, video_bytes=_VIDEO)
            if not stage.wait(90, [sent]):
                found.append(
                    Violation("I1", f"seed {run.seed} write {number}", "the packet did not get through")
                )
            back.append(time.monotonic() - sent.at)
            killed.append(deaths(tools, number))
            run.progress(len(back), len(writes), f"F65 writes, {sum(killed)} deaths")
        (tools / "armed").write_text("", encoding="utf-8")
        settle(stage, 90)
        onlooker.stop()
        found += [Violation("I3", f"seed {run.seed}", f"{name} lay there half") for name in onlooker.partial]
        found += stage.violations(f"seed {run.seed}")
        told = (
            f"{sum(killed)} server processes killed at one of their writes 1 to {writes[-1]}, file bytes"
            f" and answers alike;"
            f" {onlooker.looks} looks at the mailbox found no partial file. From drop to receipt at most"
            f" {max(back, default=0):.1f} s."
        )
    # A number at which no process died was not tried.
    return Outcome("F65", sum(map(bool, killed)), tuple(found), (), told, planned=len(writes))


def _has_batch(folder: Path) -> bool:
    return any(path.suffix == ".batch" and path.name != "ack.batch" for path in folder.iterdir())


def forget_after_ok(run: Run) -> Outcome:
    """F67: the server's volume loses its power after it had answered every request with OK."""
    count = 2 if run.quick else 12
    draw = random.Random(run.seed)
    found: list[Violation] = []
    cuts, lost = 0, 0
    back: list[float] = []
    with ExitStack() as stack:
        stage = stack.enter_context(
            Stage(run.folder / "f67", (POLICE, PROCURATORATE), seed=run.seed, limits=_LIMITS)
        )
        volume = stack.enter_context(_own_volume(run, stage))
        up = stage.mailbox(POLICE) / "up"
        stage.take_out()
        stage.lab.start()
        stage.drop(POLICE, PROCURATORATE)
        settle(stage, 60)
        # A cut that took nothing away was none: it is tried again.
        while len(back) < count and cuts < 2 * count and not run.is_over:
            # Nobody lands what is put, so that the server's OK is all that the sender has.
            stage.lab.kill_node(stage.lab.province)
            sent = stage.drop(POLICE, PROCURATORATE, video_bytes=_VIDEO if draw.random() < 0.5 else 0)
            was_put = wait_until(partial(_has_batch, up), 60)
            before = _put_names(up)
            if stage.is_done(sent):
                found.append(
                    Violation("I7", f"seed {run.seed} cut {cuts}", "delivered, though nobody had landed it")
                )
            stage.stop_sshd()
            volume.power_cycle()
            cuts += 1
            gone = len(before - _put_names(up))
            began = time.monotonic()
            stage.lab.start()
            settle(stage, 90)
            if was_put and gone:
                lost += gone
                back.append(time.monotonic() - began)
            run.progress(len(back), count, f"F67 cuts that took something away, of {cuts}")
        found += stage.violations(f"seed {run.seed}")
        stage.lab.stop()
    told = (
        f"{len(back)} of {cuts} power cuts of the server's volume after its OK took {lost} files away that"
        " it had renamed; no packet may count as delivered before its receipt, and each was put again."
    )
    return Outcome("F67", len(back), tuple(found), tuple(back), told, planned=count)


def _put_names(up: Path) -> set[str]:
    """The files that the server had said OK to under their final names."""
    return {path.name for path in up.iterdir() if not path.name.startswith(".")}


@contextmanager
def _own_volume(run: Run, stage: Stage) -> Iterator[Volume]:
    """The mailbox of the police, on a volume whose power can be cut."""
    mailbox, aside = stage.mailbox(POLICE), run.folder / "f67-mailbox"
    shutil.copytree(
        mailbox, aside, ignore=lambda _folder, names: [name for name in names if name == "bell"]
    )
    with Volume.create(run.folder / "f67.img", mailbox, 64) as volume:
        for direction in ("up", "down"):
            shutil.copytree(aside / direction, mailbox / direction)
            (mailbox / direction).chmod((aside / direction).stat().st_mode & 0o7777)
        yield volume
