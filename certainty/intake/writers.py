"""Case software that writes slowly: in blocks, one byte at a time, in random order, also after pick-up.

Each writer keeps the rule of its folder (``rename``, ``marker`` or ``settled``), so its drop must arrive
whole and once. All of them write side by side, in one thread, from one seed.
"""

from __future__ import annotations

import heapq
import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from certainty.intake.papers import Paper

FORMS: Final = ("folder", "zip", "xml")
STYLES: Final = ("blocks", "bytes", "random")
_ENDINGS: Final = (".tmp", ".part")


@dataclass(slots=True)
class Writer:
    """One drop being written. ``done_at`` is the wall clock just before the step that made it whole.

    Whoever took it before that moment took a part; after that step our own thread may have to wait.
    ``stood`` is the longest time, in seconds, in which nothing of it was written: a busy machine lets one
    stand still for longer than it meant to.
    """

    name: str
    paper: Paper
    rule: str
    form: str
    style: str
    steps: Iterator[float] = field(default_factory=lambda: iter(()))
    done_at: float = 0.0
    stood: float = 0.0
    is_longer: bool = False


def make_writer(outbox: Path, paper: Paper, rule: str, number: int, longest: float, seed: int) -> Writer:
    """The writer of that number. ``longest`` is its longest pause, in seconds."""
    rng = random.Random(f"{seed}-{number}")
    form, style = FORMS[number % 3], STYLES[number // 3 % 3]
    suffix = "" if form == "folder" else f".{form}"
    writer = Writer(f"w{number:04d}{suffix}", paper, rule, form, style)
    writer.steps = _steps(outbox, writer, rng, longest)
    return writer


def write_all(writers: Sequence[Writer], until: float) -> None:
    """Let all of them write side by side. ``until`` is when to give up, by the monotonic clock."""
    now = time.monotonic()
    heap = [(now + number % 50 / 50, number) for number in range(len(writers))]
    heapq.heapify(heap)
    left: dict[int, float] = {}
    while heap and time.monotonic() < until:
        due, number = heapq.heappop(heap)
        if (wait := due - time.monotonic()) > 0:
            time.sleep(wait)
        writer, began = writers[number], time.monotonic()
        writer.stood = max(writer.stood, began - left.get(number, began))
        try:
            pause = next(writer.steps, None)
        except FileNotFoundError:
            # It stood still for so long that it was refused; its end is judged with the others.
            continue
        left[number] = time.monotonic()
        if pause is not None:
            heapq.heappush(heap, (left[number] + pause, number))


def append_after(outbox: Path, writers: Sequence[Writer]) -> int:
    """Hold the drops' files open, and write on as soon as they were picked up. How many were written to."""
    held = []
    for writer in writers:
        data = writer.paper.zipped if writer.form == "zip" else writer.paper.xml
        growing = outbox / f".{writer.name}"
        growing.write_bytes(data)
        held.append(os.open(growing, os.O_WRONLY | os.O_APPEND))
        writer.done_at = time.time()
        growing.rename(outbox / writer.name)
    deadline = time.monotonic() + 30
    left = dict(zip(held, writers, strict=True))
    while left and time.monotonic() < deadline:
        for descriptor, writer in list(left.items()):
            if not (outbox / writer.name).exists():
                os.write(descriptor, b"<written after it was picked up")
                os.close(descriptor)
                del left[descriptor]
        time.sleep(0.005)
    for descriptor in left:
        os.close(descriptor)
    return len(held) - len(left)


def _steps(outbox: Path, writer: Writer, rng: random.Random, longest: float) -> Iterator[float]:
    target = outbox / writer.name
    in_place = writer.rule != "rename"
    place = target if in_place else outbox / (writer.name + rng.choice(_ENDINGS))
    if writer.form == "folder":
        place.mkdir()
        files = [(name.decode(), data) for name, data in writer.paper.files.items()]
        files.insert(rng.randrange(len(files) + 1), ("packet.xml", writer.paper.xml))
        for name, data in files:
            yield _pause(rng, longest)
            yield from _grow(writer, place / name, data, rng, longest)
        stated = b""
    else:
        stated = writer.paper.zipped if writer.form == "zip" else writer.paper.xml
        yield from _grow(writer, place, stated, rng, longest)
    # Whole now, where nothing more says so.
    if in_place and writer.rule == "settled":
        return
    yield _pause(rng, longest)
    says = f"{len(stated)} {sha256(stated).hexdigest()}" if stated and rng.random() < 0.5 else ""
    writer.done_at = time.time()
    if writer.rule == "marker":
        (outbox / f"{writer.name}.ok").write_text(says)
    elif not in_place:
        place.rename(target)


def _grow(writer: Writer, path: Path, data: bytes, rng: random.Random, longest: float) -> Iterator[float]:
    """Write ``data``; a pause now and then, in which everything stands still, and something is missing."""
    style = writer.style
    stops = set(rng.sample(range(1, max(2, len(data))), min(4, len(data) - 1)))
    size = {"blocks": 512, "bytes": 1, "random": 1024}[style]
    if style == "bytes":
        # One at a time for the first and the last 600, else nobody would live to see the end.
        edges = [*range(min(600, len(data))), *range(max(600, len(data) - 600), len(data))]
        pieces = [(place, 1) for place in edges]
        if len(data) > 1200:
            pieces.insert(600, (600, len(data) - 1200))
    else:
        pieces = [(place, size) for place in range(0, len(data), size)]
    if style == "random":
        rng.shuffle(pieces)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        if style == "random":
            # As copying programs do that ask for the room first.
            os.ftruncate(descriptor, len(data))
        written = 0
        for place, length in pieces:
            piece = data[place : place + length]
            writer.done_at = time.time()
            os.pwrite(descriptor, piece, place)
            before, written = written, written + len(piece)
            # What lacks only white space at its end looks whole to every reader: no time to stand still.
            if written == len(data) or (style != "random" and not data[written:].strip()):
                continue
            if any(before <= stop < written for stop in stops):
                if rng.random() < 0.5:
                    os.close(descriptor)
                    descriptor = -1
                    descriptor = os.open(path, os.O_WRONLY)
                yield _pause(rng, longest)
            elif style == "bytes" and place % 16 == 0:
                yield 0.001
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _pause(rng: random.Random, longest: float) -> float:
    """From 0.1 s to ``longest``, most of them short."""
    return min(longest, 0.1 * float((longest / 0.1) ** (rng.random() ** 2)))
