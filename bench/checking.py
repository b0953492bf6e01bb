"""How fast packets are checked in groups, beside the rate at which lxml alone parses and validates them.

    python -m bench.checking [--packets 2048] [--workers 2] [--rounds 9]

The packets are sixteen fictional ones of one type, of about 5 KB each: three accused persons and nine
documents. No two have a person or a case in common. Measured are, one after the other and again in every
round,

* ``lxml``: lxml parses a packet and validates it against packet.xsd and the schema of its body;
* ``check_packet``: encoding, parsing, both validations, reading, rules;
* ``judge_drop``: that, and the pack in force, the files that lie there, the sender, missing digests;
* ``lxml, in groups``: the first through the worker processes, in groups of 64 as the front-end forms them;
* ``drops, in groups``: ``judge_drop`` through the same worker processes, as the front-end does it.

The first three run in this process and are measured in its processor time, so that other work on the machine
changes little. They take turns call by call, over one packet after the other: so each finds the caches as
cold as the others do, and a machine whose speed changes is as fast for all. Those in groups are measured in
elapsed time, and want one core for each worker and one for this process. The limit is that each ratio to
lxml which compares like with like is at least a half.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, Final

from lxml import etree

from cli.fiction.case_file import new_case
from cli.fiction.drop import make_drop
from cli.fiction.people import fictional_person
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from exchanged.clock import SystemRandomness
from exchanged.keys import generate_key
from exchanged.pool import ProcessWorkPool
from frontend_server.drops import Member
from frontend_server.judging import DropVerdict, DropWork, judge_drop, read_directory
from packet_spec.catalogue import load_catalogue
from packet_spec.check import check_packet
from packet_spec.directory import encode_directory, sign_directory
from packet_spec.findings import Outcome
from packet_spec.model import Directory, DirectoryAgency, DirectoryNode, NodeRole, RootKey
from packet_spec.pack import schema_document, shipped_pack

TYPE: Final = "prosecution.transfer"
SENDER, RECEIVER, PROVINCE = "620199-01-00", "620199-03-00", "620000-00-00"
LIMIT: Final = 0.5
IN_GROUPS: Final = "drops / lxml, both in groups"
_GROUP: Final = 64
_DROPS: Final = 16
_PERSONS: Final = 3
_EXTRA_DOCUMENTS: Final = 5
# As many in this process in each round: the less time lies between, the less has the machine changed.
_HERE: Final = 128
MOMENT: Final = datetime(2026, 7, 15, 1, 30, tzinfo=UTC)


def lxml_alone(data: bytes) -> bool:
    """Parse and validate, as a program would that does nothing else."""
    packet, body = _schemas()
    root = etree.fromstring(data, _parser())
    content = root.find("{urn:exchanged:packet:1}body")
    return content is not None and packet.validate(root) and body.validate(content[0])


def lxml_of_drop(work: DropWork) -> bool:
    """The same, for a worker process."""
    return lxml_alone(work.packet_xml)


@cache
def _schemas() -> tuple[etree.XMLSchema, etree.XMLSchema]:
    folder = Path(sys.modules["packet_spec"].__file__ or "").parent / "schemas"
    pack = shipped_pack()
    file = pack.schema_file(pack.catalogue.business_type(TYPE))
    return (
        etree.XMLSchema(etree.parse(str(folder / "packet.xsd"))),
        etree.XMLSchema(schema_document(pack, file)),
    )


@cache
def _parser() -> etree.XMLParser:
    return etree.XMLParser(encoding="utf-8", resolve_entities=False, no_network=True, huge_tree=False)


def make_works(folder: Path) -> tuple[DropWork, ...]:
    """Valid drops whose packet.xml has about 5 KB, and the directory that they are judged by."""
    directory = folder / "directory.xml"
    directory.write_bytes(_directory(folder))
    return tuple(_make_work(folder, directory, seed) for seed in range(1, _DROPS + 1))


def make_work(folder: Path) -> DropWork:
    """The first of them."""
    return make_works(folder)[0]


def _make_work(folder: Path, directory: Path, seed: int) -> DropWork:
    today = MOMENT.date()
    case = new_case(seed, today)
    persons = tuple(fictional_person(seed, number, today) for number in range(1, _PERSONS + 1))
    request = DropRequest(
        TYPE, SENDER, RECEIVER, MOMENT, case=replace(case, persons=persons), seed=seed,
        extra_documents=load_catalogue().business_type(TYPE).optional_documents[:_EXTRA_DOCUMENTS],
    )  # fmt: skip
    drop = write_drop(make_drop(request), folder)
    data = (drop / "packet.xml").read_bytes()
    present = tuple(
        Member(name=path.name.encode(), size=path.stat().st_size)
        for path in drop.iterdir()
        if path.name != "packet.xml"
    )
    return DropWork(
        packet_xml=data, present=present, is_lone=False, agency=SENDER, directory=str(directory),
        packs=folder, now=MOMENT, optional_sha256=False,
    )  # fmt: skip


def _directory(folder: Path) -> bytes:
    root = generate_key(folder / "root.key", SystemRandomness())
    agencies = tuple(
        DirectoryAgency(
            code=code, kind=load_catalogue().kind_of_number(code[7:9]), level="county", parent="", node=code,
            admitting_node=PROVINCE, name_zh="虚构", name_en="fictional",
        )
        for code in (SENDER, RECEIVER)
    )  # fmt: skip
    public = root.public_key
    nodes = (
        DirectoryNode(PROVINCE, NodeRole.PROVINCIAL, "", ()),
        *(DirectoryNode(code, NodeRole.FRONTEND, PROVINCE, ()) for code in (SENDER, RECEIVER)),
    )
    roots = (RootKey(public.key_id, public.suite, public.public),)
    directory = Directory(1, MOMENT, MOMENT + timedelta(days=365), 1, roots, nodes, agencies)
    return sign_directory(encode_directory(directory), [root])


def rates_here(
    functions: Mapping[str, Callable[[DropWork], object]], works: Sequence[DropWork]
) -> dict[str, float]:
    """Packets per second of processor time of each function, in this process and in turns.

    Which of them comes first changes from packet to packet.
    """
    spent = dict.fromkeys(functions, 0.0)
    turns = list(functions.items())
    for work in works:
        turns = [*turns[1:], turns[0]]
        for name, function in turns:
            began = time.process_time()
            function(work)
            spent[name] += time.process_time() - began
    return {name: len(works) / seconds for name, seconds in spent.items()}


def rate_in_groups(
    pool: ProcessWorkPool, function: Callable[[DropWork], Any], works: Sequence[DropWork]
) -> float:
    """Packets per second of elapsed time, through the worker processes."""
    began = time.perf_counter()
    for start in range(0, len(works), _GROUP):
        for answer in pool.run(function, works[start : start + _GROUP]):
            _require(answer is True or (isinstance(answer, DropVerdict) and answer.outcome is Outcome.VALID))
    return len(works) / (time.perf_counter() - began)


def _require(holds: bool) -> None:
    """A wrong answer makes no rate."""
    if not holds:
        raise RuntimeError("the packet of this bench is not valid, or was not answered")


def measure(works: Sequence[DropWork], count: int, workers: int, rounds: int) -> dict[str, list[float]]:
    """Packets a second by name, one figure for each round; ``works`` repeat until there are ``count``."""
    for work in works:
        _require(lxml_of_drop(work))
        verdict = judge_drop(work)
        _require(verdict.outcome is Outcome.VALID and not verdict.completeness.missing)
    # Each a value of its own, as drops are.
    every = [
        replace(each, packet_xml=each.packet_xml + b" " * (number // len(works)))
        for number in range(count)
        for each in (works[number % len(works)],)
    ]
    directory, pack = read_directory(works[0].directory), shipped_pack()

    def check(work: DropWork) -> object:
        return check_packet(work.packet_xml, directory=directory, pack=pack)

    here: dict[str, Callable[[DropWork], object]] = {
        "lxml": lxml_of_drop, "check_packet": check, "judge_drop": judge_drop,
    }  # fmt: skip
    grouped = {"lxml, in groups": lxml_of_drop, "drops, in groups": judge_drop}
    rates: dict[str, list[float]] = {name: [] for name in (*here, *grouped)}
    pool = ProcessWorkPool(workers, 120.0)
    try:
        for worked in grouped.values():
            rate_in_groups(pool, worked, every[: _GROUP * workers])
        for _ in range(rounds):
            for name, rate in rates_here(here, every[:_HERE]).items():
                rates[name].append(rate)
            for name, worked in grouped.items():
                rates[name].append(rate_in_groups(pool, worked, every))
    finally:
        pool.close()
    return rates


def ratios_of(rates: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """What is compared like with like, each to lxml."""
    return {
        "check_packet / lxml, in turns, processor time": _ratio(rates, "check_packet", "lxml"),
        "judge_drop / lxml, in turns, processor time": _ratio(rates, "judge_drop", "lxml"),
        IN_GROUPS: _ratio(rates, "drops, in groups", "lxml, in groups"),
    }


def main() -> int:
    """Measure, print, and say by the exit code whether the limit holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--packets", type=int, default=2048)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = make_works(Path(folder))
        rates = measure(made, options.packets, options.workers, options.rounds)
    sizes = [len(work.packet_xml) for work in made]
    print(f"packets of {min(sizes)} to {max(sizes)} bytes, {_PERSONS} persons and ", end="")
    print(f"{min(len(work.present) for work in made)} documents each; ", end="")
    print(f"{options.workers} workers; medians of {options.rounds} rounds")
    for name, values in rates.items():
        print(f"{name:20} {median(values):8.0f} packets a second")
    ratios = ratios_of(rates)
    alone = _ratio(rates, "drops, in groups", "lxml") / options.workers
    times = 1 / ratios["check_packet / lxml, in turns, processor time"]
    print(f"check_packet takes {times:.2f} times as long as lxml alone; the limit is {1 / LIMIT:.2f}")
    for name, ratio in (*ratios.items(), (f"drops in groups / lxml alone x {options.workers}", alone)):
        print(f"{name:50} {ratio:.2f}")
    return 0 if min(ratios.values()) >= LIMIT else 1


def _ratio(rates: Mapping[str, Sequence[float]], one: str, other: str) -> float:
    """The median of the ratios of the rounds: what was measured close together is compared."""
    return median(first / second for first, second in zip(rates[one], rates[other], strict=True))


if __name__ == "__main__":
    sys.exit(main())
