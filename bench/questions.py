"""How long an operator waits for an answer when a ledger holds a million packets and all of them wait.

    python -m bench.questions [--rows 1000000] [--keep FOLDER]

Builds the ledger of a provincial node through the product's own calls (in group commits, as the daemon
writes), once with a thousand packets and once with ``--rows``, asks every question of ``exchangectl`` of
both, looks as acts by filter do, and prints seconds and ratios. The limit is one second. All names and
numbers are fictional.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stdout
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Final

from cli.main import main as exchangectl
from exchanged.acts.rules import Standpoint, consider
from exchanged.acts.subjects import by_filter
from exchanged.acts.values import Act, Filter
from exchanged.clock import SystemRandomness
from exchanged.keys import generate_key
from exchanged.ledger import (
    Ledger,
    Transaction,
    arrivals,
    batches,
    drops,
    open_read_only,
    packets,
    search,
    spool,
)
from exchanged.ledger.drops import DropIdentity, Outcome
from exchanged.public_keys import public_key_text
from exchanged.ranges import SpoolRange
from exchanged.states import ArrivalState, DestinationState, Event
from packet_spec.identity import PacketKey
from packet_spec.model import CaseNumber, ItemKind, PackStamp, Priority, Seal

NODE: Final = "620000-00-00"
AGENCIES: Final = tuple(f"62{county:04d}-0{kind}-00" for county in range(100, 125) for kind in range(1, 5))
LINKS: Final = tuple(f"to-{code}" for code in AGENCIES)
TYPES: Final = ("prosecution.transfer", "case.report", "custody.change.receipt")
LIMIT_SECONDS: Final = 1.0
_GROUP: Final = 5_000
_RARE: Final = "evidence.supplement"


class _Clock:
    """A clock that the building moves: packets come one second apart, the last ones now."""

    def __init__(self, now: datetime) -> None:
        self.moment = now

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()


def packet_id(number: int) -> str:
    """An id that sorts by number, in the form of a UUID of version 7."""
    return f"{0x0190_0000_0000 + number:012x}"[:8] + f"-{number & 0xFFFF:04x}-7000-8000-{number:012x}"


def seal_of(number: int) -> Seal:
    """A fictional seal: a hundred agencies write to each other."""
    sender = AGENCIES[number % len(AGENCIES)]
    receiver = AGENCIES[(number * 7 + 1) % len(AGENCIES)]
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    digest = f"{number:064x}"
    kind = _RARE if number % 1000 == 500 else TYPES[number % len(TYPES)]
    return Seal(
        key=PacketKey(sender, packet_id(number)), attempt=1, receiver=receiver, copy_to=(),
        business_type=kind, sender_ref=f"A{sender}-{number:08d}", priority=Priority.NORMAL, expires_at=None,
        sealed_at=at, key_id="0" * 16, suite="ed25519", incarnation="1", sequence=number,
        pack=PackStamp("", "", ""), encoding="utf-8", packet_size=1, packet_digest=digest,
        content_digest=digest, parts=(),
    )  # fmt: skip


def _packet(number: int, where: Callable[[Transaction], SpoolRange]) -> Callable[[Transaction], None]:
    """One admitted packet that waits; every tenth was handed over, every twentieth delivered."""

    def write(tx: Transaction) -> None:
        seal = seal_of(number)
        link_in, link_out = f"to-{seal.key.sender}", f"to-{seal.receiver}"
        tx.event("landed", seal.key, detail={"link": link_in, "state": "landed"})
        row = packets.insert(
            tx, seal, seal_digest=seal.content_digest, landed_at=tx.now, came_by=link_in, bytes_at=where(tx),
            relations=("", "", f"police:A{number // 8:020d}"),
        )  # fmt: skip
        numbers = (
            CaseNumber("police", f"A{number // 8:020d}"),
            CaseNumber("court", f"(2026)甘{number % 97:04d}刑初{number // 8}号"),
        )
        search.note_cases(tx, row, numbers)
        tx.event("admit", seal.key, detail={"to": "admitted"})
        packets.add_destination(tx, row, seal.receiver, DestinationState.QUEUED, link_out)
        batches.enqueue(tx, link_out, ItemKind.PACKET, row)
        events: tuple[Event, ...] = ()
        if number % 10 == 3:
            events = (Event.OFFER, Event.ACKNOWLEDGE)
        elif number % 20 == 7:
            events = (Event.OFFER, Event.ACKNOWLEDGE, Event.RECEIPT_DELIVERED)
        for event in events:
            packet = packets.get(tx.connection, row)
            packets.move(tx, packet, packets.destinations(tx.connection, row)[0], event)
        if number % 100 == 0:
            who = number // 100 % 7
            detail = {"operator": f"operator-{who} (uid 100{who})", "reason": "asked"}
            tx.event("operator-requeue", seal.key, detail=detail)

    return write


def _held(number: int, where: Callable[[Transaction], SpoolRange]) -> Callable[[Transaction], None]:
    """One arrival that could not be judged."""

    def write(tx: Transaction) -> None:
        seal = seal_of(50_000_000 + number)
        link = f"to-{seal.key.sender}"
        batches.meet_incarnation(tx, link, "1")
        batch = batches.land(tx, link, "1", number + 1, f"{number:08d}")
        arrivals.insert(tx, link, batch, ItemKind.PACKET, seal.key, "0" * 64, where(tx), ArrivalState.LANDED)
        row = arrivals.in_state(tx.connection, ArrivalState.LANDED)[0]
        arrivals.keep(tx, row, Event.HOLD, "unknown-key")

    return write


def _incomplete(number: int) -> Callable[[Transaction], None]:
    def write(tx: Transaction) -> None:
        name = f"案件-{number:06d}.zip"
        identity = DropIdentity(name.encode(), 1, number, 1, 1, f"{number:x}")
        row = drops.register(tx, identity, name.removesuffix(".zip"))
        drops.move(tx, row, Event.LISTED_PART_MISSING, Outcome(missing=("起诉意见书.pdf",)))

    return write


def build(folder: Path, rows: int) -> float:
    """A node's configuration and ledger below ``folder``. How many packets were written per second."""
    data = folder / "data"
    data.mkdir(parents=True)
    root = generate_key(folder / "root.key", SystemRandomness())
    links = "\n".join(
        f'[[link]]\nname = "to-{code}"\npeer = "{code}"\ntransport = "folder"\nside = "serve"\n'
        f'mailbox = "m/{code}"'
        for code in AGENCIES
    )
    (folder / "exchanged.toml").write_text(
        f'[node]\ncode = "{NODE}"\nrole = "provincial"\ndata_dir = "data"\n'
        f'[keys]\nroots = ["{public_key_text(root.public_key)}"]\n{links}\n',
        encoding="utf-8",
    )
    clock = _Clock(datetime.now(UTC) - timedelta(seconds=rows))
    ledger = Ledger(data / "ledger.sqlite3", clock, on_wake=lambda _names: None, threaded=False)
    files: dict[int, SpoolRange] = {}

    def where(number: int) -> Callable[[Transaction], SpoolRange]:
        def find(tx: Transaction) -> SpoolRange:
            group = number // 256
            if group not in files:
                files.clear()
                name = f"{group:024x}.group"
                files[group] = SpoolRange(spool.adopt(tx, name, 1, 256), name, 0, 1)
            return files[group]

        return find

    began = time.perf_counter()
    numbers = iter(range(rows))
    while group := list(islice(numbers, _GROUP)):
        clock.moment += timedelta(seconds=len(group))
        ledger.write_each([_packet(number, where(number)) for number in group])
    took = time.perf_counter() - began
    ledger.write_each([_held(number, where(rows + number)) for number in range(max(1, rows // 1000))])
    ledger.write_each([_incomplete(number) for number in range(max(1, rows // 10_000))])
    ledger.close()
    return rows / took


def questions(rows: int) -> Iterator[list[str]]:
    """Every question with each of its filters."""
    middle = seal_of(rows // 2)
    agency, link = middle.receiver, f"to-{middle.receiver}"
    yield ["node", "status"]
    yield ["queue", "summary"]
    yield ["queue", "list"]
    yield ["queue", "list", "--to", agency]
    yield ["queue", "list", "--link", link]
    yield ["queue", "list", "--to", agency, "--link", link, "--state", "queued"]
    for state in ("queued", "handed-over", "delivering", "held", "quarantined", "incomplete", "committed"):
        yield ["queue", "list", "--state", state]
    yield ["packet", "find", middle.sender_ref]
    yield ["packet", "find", f"［2026］ 甘{rows // 2 % 97:04d}刑初{rows // 2 // 8}号"]
    yield ["packet", "find", f"(2026)甘{rows // 2 % 97:04d}"]
    yield ["packet", "find", middle.key.packet_id[:13]]
    yield ["packet", "find", "案件-000000"]
    yield ["packet", "find", "nothing-of-that-name"]
    yield ["packet", "list"]
    yield ["packet", "list", "--to", agency]
    yield ["packet", "list", "--from", middle.key.sender]
    yield ["packet", "list", "--from", "620199-09-09"]
    yield ["packet", "list", "--type", _RARE]
    yield ["packet", "list", "--type", "no.such.type"]
    yield ["packet", "list", "--since", "1h"]
    yield ["packet", "list", "--until", "2026-01-01"]
    for state in ("queued", "delivered", "expired", "refused", "active", "done"):
        yield ["packet", "list", "--state", state]
    yield ["packet", "list", "--to", agency, "--from", middle.key.sender, "--state", "delivered"]
    yield ["packet", "show", str(middle.key)]
    yield ["packet", "trace", str(middle.key)]
    yield ["event", "list"]
    yield ["event", "list", "--since", "1h"]
    yield ["event", "list", "--until", "2026-01-01"]
    yield ["event", "list", "--packet", str(middle.key)]
    yield ["event", "list", "--operator", "operator-3"]
    yield ["event", "list", "--operator", "nobody"]
    yield ["event", "list", "--kind", "hold"]
    yield ["event", "list", "--kind", "operator-*", "--until", "2026-01-01"]
    yield ["event", "list", "--packet", str(middle.key), "--operator", "operator-3"]
    yield ["link", "list"]
    yield ["link", "show", link]


def ask(config: Path, words: list[str]) -> float:
    """The median of three calls, in seconds; what is printed is thrown away."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        with redirect_stdout(io.StringIO()):
            exchangectl(["--config", str(config), *words])
        times.append(time.perf_counter() - began)
    return median(times)


def looks(rows: int) -> Iterator[tuple[Act, Filter]]:
    """What acts by filter look at before anything is done: each filter, and some that fit nothing."""
    middle = seal_of(rows // 2)
    link = f"to-{middle.receiver}"
    for act in (Act.HOLD, Act.RELEASE, Act.REQUEUE):
        yield act, Filter()
        yield act, Filter(recipient=middle.receiver)
        yield act, Filter(recipient="620199-09-09")
        yield act, Filter(sender=middle.key.sender)
        yield act, Filter(sender="620199-09-09")
        yield act, Filter(sender=middle.key.sender, recipient="620199-09-09")
        yield act, Filter(sender="620199-09-09", recipient=middle.receiver)
        yield act, Filter(link=link)
        yield act, Filter(sender=middle.key.sender, link=link)
        yield act, Filter(reasons=("unknown-key",))
        yield act, Filter(reasons=("no-such-reason",))


def look(config: Path, act: Act, wanted: Filter) -> float:
    """The median of three previews' looks, in seconds, with the rules asked of each subject."""
    times = []
    with closing(open_read_only(config.parent / "data" / "ledger.sqlite3")) as connection:
        for _ in range(3):
            began = time.perf_counter()
            for subject in by_filter(connection, act, wanted)[0]:
                consider(connection, act, subject, Standpoint(LINKS))
            times.append(time.perf_counter() - began)
    return median(times)


def main() -> int:
    """Build, ask, print. 1 when an answer took longer than the limit."""
    parser = argparse.ArgumentParser(description="How long an operator waits for an answer.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="packets in the large ledger")
    parser.add_argument("--keep", type=Path, help="build here and keep it; what is there is used again")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = wanted.keep or Path(temporary)
        configs = []
        for rows in (1_000, wanted.rows):
            folder = root / str(rows)
            if not folder.exists():
                print(f"{rows} packets: written at {build(folder, rows):.0f} packets/s")
            configs.append(folder / "exchanged.toml")
        size = (root / str(wanted.rows) / "data" / "ledger.sqlite3").stat().st_size
        print(f"ledger of {wanted.rows} packets: {size / 2**20:.0f} MiB")
        return _report(configs, wanted.rows)


def _report(configs: list[Path], rows: int) -> int:
    slow = 0
    print(f"{'1,000':>8}  {rows:>9,}  ratio  question")
    for small, large in zip(questions(1_000), questions(rows), strict=True):
        few, many = ask(configs[0], small), ask(configs[1], large)
        slow += many > LIMIT_SECONDS
        _print(few, many, " ".join(large))
    for (act, little), (_, much) in zip(looks(1_000), looks(rows), strict=True):
        few, many = look(configs[0], act, little), look(configs[1], act, much)
        slow += many > LIMIT_SECONDS
        by = ", ".join(f"{name} {value}" for name, value in asdict(much).items() if value)
        _print(few, many, f"{act} by {by}")
    return 1 if slow else 0


def _print(few: float, many: float, question: str) -> None:
    mark = "  SLOW" if many > LIMIT_SECONDS else ""
    print(f"{few:7.3f}s  {many:8.3f}s  {many / few:5.1f}  {question}{mark}")


if __name__ == "__main__":
    sys.exit(main())
