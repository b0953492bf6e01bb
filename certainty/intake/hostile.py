"""F29 and F30: names that break programs, and things in an outbox that are no files."""

from __future__ import annotations

import os
import re
import socket
import stat
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from xml.sax.saxutils import quoteattr

from lxml import etree

from certainty.intake.names import naughty_names
from certainty.intake.papers import POLICE, PROCURATORATE, Paper, Papers
from certainty.intake.racers import CANARY
from certainty.intake.slow import is_whole, sealed_at
from certainty.intake.world import TooLateError, World, wait_for
from certainty.shard import Outcome, Run, Violation
from packet_spec.errors import NameRefusedError
from packet_spec.names import safe_component

_NAMES, _PARTS, _SPECIAL = 200_000, 210_000, 220_000
_FOLDER: Final = re.compile(r"\d{6}-\d\d-\d\d_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LITTER: Final = (b"thumbs.db", b"desktop.ini", b".ds_store")
_CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff]")
_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def names(run: Run, world: World, papers: Papers) -> Outcome:
    """F29: taken as bytes, delivered under names of ours, and the original can be told again."""
    every = naughty_names()[run.seed % 7 :: 9] if run.quick else naughty_names()
    violations: list[Violation] = []
    dropped = dict(_drop_names(world, papers, every))
    listed = dict(_drop_parts(world, papers, every))
    taken = {ref: name for ref, (name, paper) in dropped.items() if not _is_passed_over(name)}
    left = [name for name, _ in dropped.values() if _is_passed_over(name)]
    parts_done: dict[str, str] = {}

    def all_told() -> bool:
        run.progress(world.count_delivered(), len(taken) + len(listed), "drops with hostile names")
        if not set(taken) <= set(world.delivered_refs()):
            return False
        for each in world.all_status():
            parts_done[str(each["drop"])] = str(each["state"])
        return all(parts_done.get(f"part-{ref}") in ("delivered", "refused") for ref in listed)

    try:
        wait_for(all_told, "hostile names to be delivered", 120 if run.quick else 400, 2.0)
    except TooLateError as error:
        violations.append(Violation("I4", f"seed {run.seed}", str(error)))
    counted = world.delivered_refs()
    violations += [
        Violation("I1" if not counted[ref] else "I2", repr(name), f"delivered {counted[ref]} times")
        for ref, name in taken.items() if counted[ref] != 1
    ]  # fmt: skip
    whole = {ref: paper for ref, (_, paper) in dropped.items()}
    recovered = 0
    for packet in world.delivered():
        if packet.ref in whole and not is_whole(packet, whole[packet.ref]):
            violations.append(Violation("I4", repr(taken.get(packet.ref)), "other bytes than were dropped"))
        if packet.ref in listed:
            name, data = listed[packet.ref]
            said = etree.fromstring(packet.files["delivery.xml"]).find("{*}file")
            if said is None or said.get("listed") != name or packet.files[str(said.get("name"))] != data:
                violations.append(Violation("I4", repr(name), "the listed name or the bytes are not told again"))
            else:
                recovered += 1
        if packet.ref in whole or packet.ref in listed:
            violations += _unsafe_names(packet.folder)
    violations += _originals(world, taken)
    gone = [name for name in left if not os.path.lexists(os.fsencode(world.outbox) + b"/" + name)]
    violations += [Violation("I1", repr(name), "litter was touched") for name in gone]
    refused = Counter(
        str(each["finding"][0]["code"]) for each in world.all_status()
        if str(each["drop"]).startswith("part-") and each["state"] == "refused" and each["finding"]
    )  # fmt: skip
    for state, ref in ((parts_done.get(f"part-{ref}"), ref) for ref in listed):
        if state == "refused" and not world.status(f"part-{ref}").get("finding"):
            violations.append(Violation("I13", repr(listed[ref][0]), "refused without a finding"))
    violations += [Violation("I11", f"seed {run.seed}", line) for line in world.log_problems()[:10]]
    violations += _said_by_commands(world)
    return Outcome(
        "F29", len(dropped) + len(listed), tuple(violations),
        measured=f"{len(every)} names: {len(taken)} drops delivered under them, {len(left)} passed over by the rules for"
        f" unfinished and hidden files; as names of attachments {recovered} delivered and told again exactly,"
        f" {sum(refused.values())} refused ({', '.join(f'{code} {times}' for code, times in sorted(refused.items()))})",
    )  # fmt: skip


def _drop_names(world: World, papers: Papers, every: list[bytes]) -> Iterator[tuple[str, tuple[bytes, Paper]]]:
    outbox = os.fsencode(world.outbox)
    for number, stem in enumerate(every):
        form = number % 3 if len(stem) <= 251 else 0
        paper = papers.lone(_NAMES + number) if form == 1 else papers.folder(_NAMES + number, 200)
        name = stem + (b"", b".xml", b".zip")[form]
        if form == 0:
            paper.put_folder(world.outbox / f"now{number}.part")
            os.rename(world.outbox / f"now{number}.part", outbox + b"/" + name)
        else:
            growing = world.outbox / f"now{number}.part"
            growing.write_bytes(paper.xml if form == 1 else paper.zipped)
            os.rename(growing, outbox + b"/" + name)
        yield paper.ref, (name, paper)


def _drop_parts(world: World, papers: Papers, every: list[bytes]) -> Iterator[tuple[str, tuple[str, bytes]]]:
    """The same names for an attachment, as far as XML can list them."""
    for number, stem in enumerate(every):
        raw = stem[:251] + b".pdf"
        for encoding in ("utf-8", "gb18030"):
            with suppress(UnicodeDecodeError):
                text = raw.decode(encoding)
                break
        else:
            continue
        if _IN_XML.search(text) or raw.startswith(b"."):
            continue
        data = papers.pdf(_PARTS + number)
        # Line ends in an attribute stand as references, else every parser makes spaces of them.
        quoted = quoteattr(text, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})[1:-1].replace('"', "&quot;")
        paper = papers.with_parts(_PARTS + number, {raw: data}, {raw: quoted}, is_quoted=True)
        paper.put_folder(world.outbox / f"part-{paper.ref}")
        yield paper.ref, (text, data)


def _is_passed_over(name: bytes) -> bool:
    lowered = name.lower()
    return name.startswith((b".", b"~$")) or lowered.endswith((b".tmp", b".part")) or lowered in _LITTER


def _unsafe_names(folder: Path) -> list[Violation]:
    found = []
    for path in (folder, *folder.iterdir()):
        try:
            safe_component(path.name)
        except NameRefusedError as error:
            found.append(Violation("I11", repr(path.name), f"a delivered name is not safe: {error}"))
    if _FOLDER.fullmatch(folder.name) is None:
        found.append(Violation("I11", repr(folder.name), "a delivered folder bears a name that is not of ours"))
    return found


def _originals(world: World, taken: dict[str, bytes]) -> list[Violation]:
    """In sent/ under the very bytes of their names."""
    sent, found = os.fsencode(world.behind(POLICE) / "sent"), []

    def lie_there() -> bool:
        return all(os.path.lexists(sent + b"/" + name) for name in taken.values())

    with suppress(TooLateError):
        wait_for(lie_there, "originals to be put away", 120, 1.0)
    for ref, name in taken.items():
        path = sent + b"/" + name
        inside = path + b"/packet.xml" if os.path.isdir(path) else path
        try:
            with open(inside, "rb") as file:  # noqa: PTH123 - a name in bytes
                is_it = ref.encode() in file.read()
        except OSError:
            is_it = False
        if not is_it:
            found.append(Violation("I4", repr(name), "its original does not lie in sent/ under its name"))
    return found


def _said_by_commands(world: World) -> list[Violation]:
    """What exchangectl shows holds no control or hidden characters."""
    found = []
    for words in (("packet", "list", "--limit", "5000"), ("queue", "summary"), ("event", "list", "--limit", "2000")):
        code, said, _ = world.ctl(*words)
        if "Traceback" in said or (match := _CONTROL.search(said)):
            found.append(Violation("I11", " ".join(words), f"{code}: {said[:200]!r} holds {match}"))
    return found


# --- F30 ------------------------------------------------------------------------------------------------------


def special(run: Run, world: World, papers: Papers) -> Outcome:
    """F30: nothing is followed, opened or waited for; good drops beside them are taken as fast as before."""
    outbox, outside = world.outbox, world.lab.layout.root.parent / "outside"
    outside.mkdir(mode=0o755)
    good = papers.folder(_SPECIAL, 300)
    canary = good.xml.replace(b"<reason_text>", b"<reason_text>" + CANARY, 1)
    (outside / "packet.xml").write_bytes(canary)
    for name, data in good.files.items():
        (outside / name.decode()).write_bytes(data)
    target = outside / "packet.xml"
    # Reading it would show: its access time lies before its last change.
    os.utime(target, (1_000, 2_000))
    rounds, probes, violations = (1 if run.quick else 8), 6 if run.quick else 30, []
    before = [_probe(world, papers, _SPECIAL + 100 + number) for number in range(probes)]
    made: list[str] = []
    fifos: list[Path] = []
    for turn in range(rounds):
        made += _make_specials(outbox, outside, papers, turn, fifos)
    watch = _FifoWatch(fifos)
    watch.start()
    after = [_probe(world, papers, _SPECIAL + 200 + number) for number in range(probes)]
    told = {}
    for name in made:
        with suppress(TooLateError):
            told[name] = wait_for(lambda name=name: world.status(name).get("finding"), name, 30)[0]["code"]  # type: ignore[misc]
    watch.stop()
    violations += [Violation("I13", name, "nothing is said of it") for name in made if name not in told]
    if watch.opened:
        violations.append(Violation("I9", ", ".join(watch.opened), "a FIFO was opened"))
    if target.stat().st_atime > 1_000 and _updates_access_times(outside):
        violations.append(Violation("I6", str(target), "a file outside was read through a link"))
    for code in (POLICE, PROCURATORATE):
        for path in (*world.lab.layout.data(code).rglob("*"), *(world.behind(code) / "inbox").rglob("*")):
            with suppress(OSError):
                if path.is_file() and not path.is_symlink() and CANARY in path.read_bytes():
                    violations.append(Violation("I6", str(path), "bytes from outside the outbox were taken"))
    slower = max(after) - max(before)
    if slower > 1.0 + 5.0:
        violations.append(Violation("I9", f"seed {run.seed}", f"a good drop beside them took {slower:.1f} s longer"))
    for name in made:
        _remove(outbox / name)
    codes = Counter(told.values())
    return Outcome(
        "F30", len(made), tuple(violations),
        measured=f"{', '.join(f'{code} {times}' for code, times in sorted(codes.items()))}; a good drop was sealed after"
        f" at most {max(before):.2f} s before and {max(after):.2f} s beside them",
    )  # fmt: skip


def _make_specials(outbox: Path, outside: Path, papers: Papers, turn: int, fifos: list[Path]) -> list[str]:
    """One of each kind, by itself and inside a folder drop in place of a file. Their names."""
    made = []

    def put(name: str) -> Path:
        made.append(f"{turn}-{name}")
        return outbox / made[-1]

    def inside(name: str) -> Path:
        folder = put(name)
        folder.mkdir()
        (folder / "packet.xml").write_bytes(papers.folder(_SPECIAL + 1 + turn).xml)
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
    with socket.socket(socket.AF_UNIX) as server, suppress(OSError):
        # The path of a socket may be short only.
        here = Path.cwd()
        os.chdir(outbox)
        server.bind(f"{turn}-socket.xml")
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
    (inside("inner-link") / "情况说明.pdf").symlink_to(outside / "情况说明.pdf")
    os.link(outside / "情况说明.pdf", inside("inner-hard") / "情况说明.pdf")
    fifos.append(inside("inner-fifo") / "情况说明.pdf")
    os.mkfifo(fifos[-1])
    os.mknod(inside("inner-zero") / "情况说明.pdf", stat.S_IFCHR | 0o666, os.makedev(1, 5))
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
