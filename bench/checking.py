"""How fast packets are checked in groups, beside the rate at which lxml alone parses and validates them.

    python -m bench.checking [--packets 2048] [--workers 2] [--rounds 5]

Takes one fictional packet of about 5 KB and measures, one after the other and again in every round,

* ``lxml``: lxml parses it and validates it against packet.xsd and the schema of its body, in this process;
* ``check``: ``check_packet`` on the same bytes in this process: encoding, both validations, reading, rules;
* ``lxml, in groups``: the first through the worker processes, in groups of 64 as the front-end forms them;
* ``drops, in groups``: ``judge_drop`` through the same worker processes, as the front-end does it.

Rates in this process are of processor time, those of the groups of elapsed time. The limit is that drops in
groups reach half of the rate of lxml alone, when that is taken times the number of workers: nothing is then
left out, neither the pipes nor the pickling. The ratio to lxml through the same pipes is printed beside it.
On a machine that has other work the elapsed times say little: the workers want one core each, and this
process another.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, Final

from lxml import etree

from cli.fiction.drop import make_drop
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
_GROUP: Final = 64
_BYTES: Final = 5 * 1024


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


def make_work(folder: Path) -> DropWork:
    """A valid drop whose packet.xml has about 5 KB, and the directory that it is judged by."""
    moment = datetime(2026, 7, 15, 1, 30, tzinfo=UTC)
    drop = write_drop(make_drop(DropRequest(TYPE, SENDER, RECEIVER, moment)), folder)
    data = (drop / "packet.xml").read_bytes()
    data += b"<!--" + b" " * max(0, _BYTES - len(data) - 8) + b"-->"
    present = tuple(
        Member(name=path.name.encode(), size=path.stat().st_size)
        for path in drop.iterdir()
        if path.name != "packet.xml"
    )
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
    directory = Directory(1, moment, moment + timedelta(days=365), 1, roots, nodes, agencies)
    path = folder / "directory.xml"
    path.write_bytes(sign_directory(encode_directory(directory), [root]))
    return DropWork(
        packet_xml=data, present=present, is_lone=False, agency=SENDER, directory=str(path),
        packs=folder, now=moment, optional_sha256=False,
    )  # fmt: skip


def rate_here(function: Callable[[bytes], object], data: bytes, count: int) -> float:
    """Packets per second of processor time, in this process."""
    began = time.process_time()
    for _ in range(count):
        function(data)
    return count / (time.process_time() - began)


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
        raise SystemExit("the packet of this bench is not valid, or was not answered")


def main() -> int:
    """Measure, print, and say by the exit code whether the limit holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--packets", type=int, default=2048)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = make_work(Path(folder))
        data = work.packet_xml
        _require(judge_drop(work).outcome is Outcome.VALID)
        _require(lxml_alone(data))
        # Each a value of its own, as drops are.
        works = [replace(work, packet_xml=data + b" " * (number % 7)) for number in range(options.packets)]
        directory = read_directory(work.directory)
        rates: dict[str, list[float]] = {
            name: [] for name in ("lxml", "check", "lxml, in groups", "drops, in groups")
        }

        def check(data: bytes) -> object:
            return check_packet(data, directory=directory, pack=shipped_pack())

        pool = ProcessWorkPool(options.workers, 120.0)
        try:
            rate_in_groups(pool, judge_drop, works[: _GROUP * options.workers])
            rate_in_groups(pool, lxml_of_drop, works[: _GROUP * options.workers])
            for _ in range(options.rounds):
                rates["lxml"].append(rate_here(lxml_alone, data, options.packets))
                rates["check"].append(rate_here(check, data, options.packets))
                rates["lxml, in groups"].append(rate_in_groups(pool, lxml_of_drop, works))
                rates["drops, in groups"].append(rate_in_groups(pool, judge_drop, works))
        finally:
            pool.close()
    print(f"a packet of {len(data)} bytes; {options.workers} workers; medians of {options.rounds} rounds")
    for name, values in rates.items():
        print(f"{name:20} {median(values):8.0f} packets a second")
    lxml, check_rate = median(rates["lxml"]), median(rates["check"])
    groups, lxml_groups = median(rates["drops, in groups"]), median(rates["lxml, in groups"])
    scaled = lxml * options.workers
    print(f"check / lxml, both in this process           {check_rate / lxml:.2f}")
    print(f"drops / lxml, both in groups                 {groups / lxml_groups:.2f}")
    print(f"drops in groups / lxml alone, one process    {groups / lxml:.2f}")
    print(f"drops in groups / lxml alone x {options.workers} workers     {groups / scaled:.2f}")
    return 0 if groups / scaled >= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
