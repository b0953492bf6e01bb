"""Packs and directories that are replaced while drops are judged: a verdict is that of the pack it names.

One thread judges the same document thousands of times. Another one replaces, all the while, the directory in
force and the files of packs: by each other, by nothing, by a file that is not what its name says. By one pack
the document is right, by the other it lacks a document type; a verdict that names one and judges by the
other, or by a mix of them, would show.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.pack.source import build_pack
from exchanged.errors import FileOperationError
from exchanged.packs import find_pack, pack_path
from frontend_server.judging import DropVerdict, DropWork, judge_drop, read_directory
from packet_spec.directory import encode_directory
from packet_spec.errors import PackError, PackUnknownError
from packet_spec.findings import Outcome
from packet_spec.model import PackReference
from packet_spec.pack import read_pack, shipped_pack
from tests.support.documents import NOW, POLICE, PROCURATORATE, make_directory
from tests.support.outbox import packet_xml
from tests.unit.test_packet_spec_pack_choice import named

STRICTER = """[pack]
name = "standard"
version = "99"
[[business_type]]
code = "common.supplement.deliver"
required_documents = ["COM-005", "COM-012"]
"""
Judged = DropVerdict | None


class Swapper:
    """Replaces what a verdict depends on, until it is told to stop."""

    def __init__(self, folder: Path, strict: bytes) -> None:
        pack = read_pack(strict)
        self.path = folder / "directory.xml"
        self.packs = folder / "packs"
        self.packs.mkdir()
        self.digest = pack.digest
        self._directories = [written(named(each)) for each in (shipped_pack(), pack, pack)]
        # The pack, nothing, and other bytes under its name.
        self._contents = [strict, strict, strict, None, strict[:-1] + b" ", build_pack(LOCAL)]
        self._chance = random.Random(49)  # noqa: S311 - a seed, no secret
        self._end = threading.Event()
        self.swaps = 0
        self.swap()

    def swap(self) -> None:
        put(self.path, self._chance.choice(self._directories))
        put(pack_path(self.packs, self.digest), self._chance.choice(self._contents))
        read_directory.cache_clear()
        find_pack.cache_clear()
        self.swaps += 1

    def run(self) -> None:
        while not self._end.is_set():
            self.swap()

    def stop(self) -> None:
        self._end.set()


LOCAL = Path(__file__).resolve().parents[2] / "examples" / "local-pack"


def written(*packs: PackReference) -> bytes:
    directory = make_directory()
    agencies = tuple(replace(agency, business_types=()) for agency in directory.agencies)
    return encode_directory(replace(directory, agencies=agencies, packs=packs))


def put(path: Path, data: bytes | None) -> None:
    """As a whole, or away."""
    if data is None:
        path.unlink(missing_ok=True)
        return
    partial = path.with_suffix(".part")
    partial.write_bytes(data)
    partial.replace(path)


def judge(work: DropWork) -> Judged:
    """The verdict; None where a pack is not here or is not what it says: then the drop is held."""
    try:
        return judge_drop(work)
    except (PackUnknownError, PackError, FileOperationError):
        return None


@pytest.mark.parametrize("times", [300, pytest.param(10_000, marks=pytest.mark.slow)], ids=["few", "many"])
def test_f49_a_verdict_is_that_of_the_pack_which_it_names(
    tmp_path: Path, times: int, record_property: Any
) -> None:
    stricter = tmp_path / "stricter"
    stricter.mkdir()
    (stricter / "pack.toml").write_text(STRICTER, encoding="utf-8")
    swapper = Swapper(tmp_path, build_pack(stricter))
    work = DropWork(
        packet_xml(), (), is_lone=False, agency=POLICE, directory=str(swapper.path),
        packs=swapper.packs, now=NOW, optional_sha256=False,
    )  # fmt: skip
    thread = threading.Thread(target=swapper.run)
    thread.start()
    found: Counter[tuple[str, str]] = Counter()
    try:
        for _ in range(times):
            verdict = judge(work)
            if verdict is None:
                found["held", ""] += 1
                continue
            lacks = "document-missing" in [finding.code for finding in verdict.findings]
            assert (verdict.outcome is Outcome.REFUSED) == lacks
            found["lacks" if lacks else "right", verdict.pack.digest] += 1
    finally:
        swapper.stop()
        thread.join()
    # Each answer with its own pack alone, all three were met, and what they hang on was swapped meanwhile.
    right, lacks = ("right", shipped_pack().digest), ("lacks", swapper.digest)
    assert {*found} == {right, lacks, ("held", "")}, found
    assert swapper.swaps > times // 20
    record_property("verdicts", found.total())


def test_another_agency_and_moment_do_not_matter_here(tmp_path: Path) -> None:
    """Else the test above would show nothing: by the shipped pack the document is right."""
    path = tmp_path / "directory.xml"
    path.write_bytes(written(named(shipped_pack())))
    work = DropWork(
        packet_xml(), (), is_lone=False, agency=POLICE, directory=str(path), packs=tmp_path, now=NOW,
        optional_sha256=False,
    )  # fmt: skip
    assert judge_drop(work).outcome is Outcome.VALID
    assert judge_drop(replace(work, agency=PROCURATORATE)).outcome is Outcome.REFUSED
