"""F30: what is no file: links, FIFOs, sockets, devices, loops, and giants with nothing in them."""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from certainty.intake.hostile import in_words
from certainty.intake.papers import PART, POLICE, PROCURATORATE, Papers
from certainty.intake.racers import CANARY, with_canary
from certainty.intake.slow import sealed_at
from certainty.intake.world import TooLateError, World, wait_for
from certainty.shard import Outcome, Run, Violation

_SPECIAL: Final = 220_000
# What is said of that which is no plain file, and of the giants.
_NOT_PLAIN: Final = "drop-not-plain"
_GIANTS: Final = {"giant.xml": "too-large", "giant.zip": "zip-damaged"}


def special(run: Run, world: World, papers: Papers) -> Outcome:
    """F30: nothing is followed, opened or waited for; good drops beside them are taken as fast as before."""
    outbox, outside = world.outbox, world.lab.layout.root.parent / "outside"
    outside.mkdir(mode=0o755)
    good = papers.folder(_SPECIAL, 300)
    canary = good.xml.replace(b"<reason_text>", b"<reason_text>" + CANARY, 1)
    (outside / "packet.xml").write_bytes(canary)
    for raw, data in good.files.items():
        (outside / raw.decode()).write_bytes(data)
    rounds, probes, violations = (1 if run.quick else 8), 3 if run.quick else 30, []
    before = [_probe(world, papers, _SPECIAL + 100 + number) for number in range(probes)]
    made: list[str] = []
    fifos: list[Path] = []
    for turn in range(rounds):
        made += _make_specials(outbox, outside, papers, turn, fifos)
    # Reading one would show: its access time lies before its last change.
    targets = [path for path in outside.iterdir() if path.is_file()]
    for path in targets:
        os.utime(path, (1_000, 2_000))
    watch = _FifoWatch(fifos)
    watch.start()
    after = [_probe(world, papers, _SPECIAL + 200 + number) for number in range(probes)]
    told = {}
    for name in made:
        with suppress(TooLateError):
            told[name] = wait_for(partial(world.finding, name), name, 30)
    watch.stop()
    violations += [Violation("I13", name, "nothing is said of it") for name in made if name not in told]
    if watch.opened:
        violations.append(Violation("I9", ", ".join(watch.opened), "a FIFO was opened"))
    violations += [
        Violation("I13", name, f"refused as {code}") for name, code in told.items() if code != expected(name)
    ]
    tells_reads = _updates_access_times(outside)
    violations += [
        Violation("I6", path.name, "a file outside was read through a link")
        for path in targets if tells_reads and path.stat().st_atime > 1_000
    ]  # fmt: skip
    for node in (POLICE, PROCURATORATE):
        for path in (*world.lab.layout.data(node).rglob("*"), *(world.behind(node) / "inbox").rglob("*")):
            with suppress(OSError):
                if path.is_file() and not path.is_symlink() and CANARY in path.read_bytes():
                    violations.append(Violation("I6", str(path), "bytes from outside the outbox were taken"))
    slower = max(after) - max(before)
    for name in made:
        _remove(outbox / name)
    codes = in_words(Counter(told.values()))
    return Outcome(
        "F30", len(told), tuple(violations), planned=len(made),
        short=f"a good drop beside them took {slower:.1f} s longer" if slower > 1.0 else "",
        measured=f"{codes}; a good drop was sealed after"
        f" at most {max(before):.2f} s before and {max(after):.2f} s beside them"
        f"{'' if tells_reads else '; this file system does not tell whether a file was read'}",
    )  # fmt: skip


def expected(name: str) -> str:
    """The finding that must be said of what was put under that name."""
    return _GIANTS.get(name.partition("-")[2], _NOT_PLAIN)


def _make_specials(outbox: Path, outside: Path, papers: Papers, turn: int, fifos: list[Path]) -> list[str]:
    """One of each kind, by itself and inside a folder drop in place of a file. Their names."""
    made = []

    def put(name: str) -> Path:
        made.append(f"{turn}-{name}")
        return outbox / made[-1]

    # Good, whoever follows the link: the drop lists the digest of what lies outside.
    pdf = with_canary(papers.pdf(_SPECIAL + 1 + turn, 300), _SPECIAL + 1 + turn)
    (outside / f"{turn}.pdf").write_bytes(pdf)
    listing = papers.with_parts(_SPECIAL + 1 + turn, {PART.encode(): pdf}).xml

    def inside(name: str) -> Path:
        folder = put(name)
        folder.mkdir()
        (folder / "packet.xml").write_bytes(listing)
        return folder

    put("link.xml").symlink_to(outside / "packet.xml")
    put("link-folder").symlink_to(outside)
    put("link-loop.xml").symlink_to(f"{turn}-link-loop.xml")
    put("link-dangling.zip").symlink_to(outside / "nothing")
    put("link-etc.xml").symlink_to("/etc/passwd")
    hard = put("hard.xml")
    os.link(outside / "packet.xml", hard)
    for name in ("fifo.xml", "fifo.zip", "fifo"):
        fifos.append(put(name))
        os.mkfifo(fifos[-1])
    with socket.socket(socket.AF_UNIX) as server:
        # The path of a socket may be short only.
        here = Path.cwd()
        os.chdir(outbox)
        try:
            server.bind(f"{turn}-socket.xml")
        finally:
            os.chdir(here)
        made.append(f"{turn}-socket.xml")
    for name, kind, device in (("zero.xml", stat.S_IFCHR, (1, 5)), ("tty.xml", stat.S_IFCHR, (5, 0)),
                               ("ram.zip", stat.S_IFBLK, (1, 0))):  # fmt: skip
        os.mknod(put(name), kind | 0o666, os.makedev(*device))
    for name in ("giant.xml", "giant.zip"):
        with put(name).open("wb") as file:
            file.truncate(1 << 42)
    loop = inside("loop")
    (loop / "again").symlink_to(loop)
    deep = inside("deep")
    for _ in range(200):
        deep = deep / "d"
        deep.mkdir()
    (inside("inner-link") / PART).symlink_to(outside / f"{turn}.pdf")
    os.link(outside / f"{turn}.pdf", inside("inner-hard") / PART)
    fifos.append(inside("inner-fifo") / PART)
    os.mkfifo(fifos[-1])
    os.mknod(inside("inner-zero") / PART, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    swapped = put("fifo-for-packet")
    swapped.mkdir()
    fifos.append(swapped / "packet.xml")
    os.mkfifo(fifos[-1])
    return made


def _probe(world: World, papers: Papers, number: int) -> float:
    """Seconds from a good drop to its seal."""
    paper = papers.lone(number)
    growing = world.outbox / f".probe{number}"
    growing.write_bytes(paper.xml)
    put_at = time.time()
    growing.rename(world.outbox / f"probe{number}.xml")
    wait_for(lambda: world.delivered_refs()[paper.ref], "a good drop beside special files", 90)
    return next(sealed_at(packet) for packet in world.delivered() if packet.ref == paper.ref) - put_at


class _FifoWatch(threading.Thread):
    """Sees whether anybody holds a FIFO open for reading: only then can it be opened for writing at once."""

    def __init__(self, paths: list[Path]) -> None:
        super().__init__(daemon=True)
        self.opened: list[str] = []
        self._paths = paths
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.wait(0.002):
            for path in self._paths:
                with suppress(OSError):
                    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
                    self.opened.append(path.name)

    def stop(self) -> None:
        self._end.set()
        self.join()


def _updates_access_times(folder: Path) -> bool:
    path = folder / "asked"
    path.write_bytes(b"x")
    os.utime(path, (1_000, 2_000))
    path.read_bytes()
    return path.stat().st_atime > 1_000


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for each in sorted(path.rglob("*"), key=lambda each: -len(each.parts)):
            each.rmdir() if each.is_dir() and not each.is_symlink() else each.unlink()
        path.rmdir()
    else:
        with suppress(FileNotFoundError):
            path.unlink()
