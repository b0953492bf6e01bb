"""The checker of the programme of faults finds what is broken, promise by promise, and nothing else."""

from __future__ import annotations

import base64
import copy
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from certainty.books import World
from certainty.books.canary import PERSON
from certainty.books.check import judge
from certainty.books.driver import Driver
from certainty.books.evidence import Evidence, gather
from certainty.books.leaks import Sighting
from certainty.books.watching import Watching
from certainty.mutants.table import MUTANTS, Mutant
from certainty.mutants.tree import ROOT, patched
from cli.fiction.packet_xml import DropEncoding
from cli.fiction.writer import DropFormat
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network, small_plan


@pytest.fixture(scope="module")
def gathered(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """A good run: four drops of the police for the procuratorate, all delivered. All data is fictional."""
    folder = tmp_path_factory.mktemp("books")
    with Network(folder / "lab", small_plan(POLICE, PROCURATORATE, COURT)) as network:
        (folder / "history").mkdir()
        agencies = {code: network.agency(code) for code in (POLICE, PROCURATORATE, COURT)}
        configs = {code: network.layout.config(code) for code in (*agencies, PROVINCE)}
        world = World(folder / "history", agencies, configs)
        watching = Watching(
            {
                "inboxes": {code: str(root / "inbox") for code, root in agencies.items()},
                "history": str(world.inbox_history),
                "trash": {},
                "take_seconds": None,
                "take_share": 0.0,
                "seed": 1,
            }
        )
        driver = Driver(world, 1)
        for drop_format in DropFormat:
            request = driver.request(POLICE, receiver=PROCURATORATE, business_type="interrogation.cancel")
            driver.drop(replace(request, extra_documents=()), drop_format=drop_format)
        request = driver.request(POLICE, receiver=PROCURATORATE, business_type="interrogation.cancel")
        driver.drop(replace(request, extra_documents=()), encoding=DropEncoding.GB18030)
        watching.look()
        network.before_round = watching.look
        network.run()
    return gather(world)


@pytest.fixture
def evidence(gathered: Evidence) -> Evidence:
    """A copy that a test may spoil."""
    # What proves is the same for all, and cannot be copied.
    return copy.deepcopy(gathered, {id(gathered.proofs): gathered.proofs})


def broken(evidence: Evidence, *, power_cuts: bool = False) -> set[str]:
    """The invariants that are broken."""
    return {each.invariant for each in judge(evidence, power_cuts=power_cuts)}


def test_a_good_run_breaks_nothing(gathered: Evidence) -> None:
    assert judge(gathered) == ()
    assert len(gathered.appearances) == 4
    assert {each.state for each in gathered.statuses[POLICE]} == {"delivered"}


Line = dict[str, Any]


def _lines(evidence: Evidence, node: str, kind: str, change: Callable[[Line], Line | None]) -> None:
    """The first line of that kind in a ledger becomes another, or goes."""
    books = evidence.books[node]
    first, *rest = books.of(kind)
    changed = change(dict(first))
    evidence.books[node] = replace(
        books, lines={**books.lines, kind: (*([changed] if changed else []), *rest)}
    )


def _look(evidence: Evidence, change: Callable[[Line], None]) -> None:
    """What was seen first becomes something else."""
    look = copy.deepcopy(evidence.appearances[0].looks[0])
    change(look)
    first = replace(evidence.appearances[0], looks=(look,))
    evidence.appearances = (first, *evidence.appearances[1:])


def _reading(evidence: Evidence, change: Callable[[Line], None]) -> None:
    """What was seen of the packet that has a reading in UTF-8 beside it becomes something else."""
    index, old = next(
        (index, each)
        for index, each in enumerate(evidence.appearances)
        if "packet.utf8.xml" in each.looks[0]["files"]
    )
    look = copy.deepcopy(old.looks[0])
    change(look)
    several = list(evidence.appearances)
    several[index] = replace(old, looks=(look,))
    evidence.appearances = tuple(several)


def _told_as(look: Line, change: Callable[[str], str]) -> None:
    text = base64.b64decode(look["papers"]["packet.utf8.xml"]).decode()
    assert change(text) != text
    look["papers"]["packet.utf8.xml"] = base64.b64encode(change(text).encode()).decode()


def _changed_later(evidence: Evidence) -> None:
    first = evidence.appearances[0]
    later = copy.deepcopy(first.looks[0])
    later["files"]["packet.xml"] = [later["files"]["packet.xml"][0], 0, "0" * 64]
    evidence.appearances = (replace(first, looks=(*first.looks, later)), *evidence.appearances[1:])


def _leaked(evidence: Evidence) -> None:
    evidence.sightings = (Sighting("logs/a.log", frozenset({PERSON}), None),)


def _never_seen(evidence: Evidence) -> None:
    evidence.appearances = evidence.appearances[1:]


def _seen_twice(evidence: Evidence) -> None:
    first = evidence.appearances[0]
    again = replace(first, at="2030-01-01T00:00:00+00:00")
    evidence.appearances = (replace(first, ended="removed"), *evidence.appearances[1:], again)


def _vanished(evidence: Evidence) -> None:
    evidence.appearances = (replace(evidence.appearances[0], ended="gone"), *evidence.appearances[1:])


def _elsewhere(evidence: Evidence) -> None:
    evidence.appearances = (*evidence.appearances, replace(evidence.appearances[0], agency=COURT))


def _receipts_lost(evidence: Evidence) -> None:
    evidence.receipts[POLICE] = ()


def _receipt_forged(evidence: Evidence) -> None:
    first, *rest = evidence.receipts[POLICE]
    evidence.receipts[POLICE] = (replace(first, receipt=None, error="a bad signature"), *rest)


def _status_lost(evidence: Evidence) -> None:
    evidence.statuses[POLICE] = evidence.statuses[POLICE][1:]


def _dropped_by_nobody(evidence: Evidence) -> None:
    evidence.drops = evidence.drops[1:]


def _other_bytes(evidence: Evidence) -> None:
    first, *rest = evidence.drops
    evidence.drops = (replace(first, files={"packet.xml": (1, "0" * 64)}), *rest)


def _refused_one_sealed(evidence: Evidence) -> None:
    first, *rest = evidence.drops
    evidence.drops = (replace(first, expects="refused"), *rest)


def _other_receiver(evidence: Evidence) -> None:
    evidence.drops = tuple(replace(each, receivers=(COURT,)) for each in evidence.drops)


def _original_lost(evidence: Evidence) -> None:
    evidence.originals[POLICE].popitem()


def _left_behind(evidence: Evidence) -> None:
    evidence.leftovers[PROCURATORATE] = (".exchanged/620199-01-00_x",)


def _number_used_twice(evidence: Evidence) -> None:
    _lines(evidence, POLICE, "packet", lambda line: {**line, "sequence": 2})


def _told_otherwise(evidence: Evidence) -> None:
    _lines(evidence, PROVINCE, "destination", lambda line: line | {"state": "refused"})


def _unsound(evidence: Evidence) -> None:
    evidence.books[PROVINCE] = replace(evidence.books[PROVINCE], problems=("event-chain-broken",))


def _head_forgotten(evidence: Evidence) -> None:
    chain = evidence.books[POLICE].of("event")
    heard = {line["chain"] for line in evidence.books[PROVINCE].of("head") if line["node"] == POLICE}
    kept = tuple(line for line in chain if line["chain"] not in heard)
    books = evidence.books[POLICE]
    evidence.books[POLICE] = replace(books, lines={**books.lines, "event": kept}, at="9999")


SPOILT = (
    (_never_seen, "I1"),
    (_status_lost, "I1"),
    (_original_lost, "I1"),
    (_seen_twice, "I2"),
    (_vanished, "I2"),
    (lambda evidence: _look(evidence, lambda look: look["files"].pop("packet.xml")), "I3"),
    (lambda evidence: _look(evidence, lambda look: look["files"].pop("seal.sig")), "I3"),
    (lambda evidence: _look(evidence, lambda look: look["files"].update(new=[1, 1, "0" * 64])), "I4"),
    (_changed_later, "I3"),
    (lambda evidence: _reading(evidence, lambda look: look["files"].pop("packet.utf8.xml")), "I3"),
    (lambda evidence: _reading(evidence, lambda look: look["papers"].pop("packet.utf8.xml")), "I4"),
    (
        lambda evidence: _reading(
            evidence, lambda look: _told_as(look, lambda text: text.replace("虚构", "真实"))
        ),
        "I4",
    ),
    (
        lambda evidence: _reading(
            evidence, lambda look: _told_as(look, lambda text: text.replace("UTF-8", "GBK"))
        ),
        "I4",
    ),
    (lambda evidence: _reading(evidence, lambda look: _told_as(look, lambda text: text[:-9])), "I4"),
    (_other_bytes, "I4"),
    (_refused_one_sealed, "I4"),
    (_dropped_by_nobody, "I5"),
    (_elsewhere, "I6"),
    (_other_receiver, "I6"),
    (_never_seen, "I7"),
    (_receipts_lost, "I7"),
    (_receipt_forged, "I7"),
    (_number_used_twice, "I8"),
    (_unsound, "I8"),
    (_head_forgotten, "I8"),
    (_leaked, "I11"),
    (_left_behind, "I12"),
    (_receipts_lost, "I16"),
    (lambda evidence: _lines(evidence, POLICE, "destination", lambda _: None), "I16"),
    (_told_otherwise, "I16"),
)


@pytest.mark.parametrize(("spoil", "invariant"), SPOILT)
def test_what_is_broken_is_found(
    evidence: Evidence, spoil: Callable[[Evidence], None], invariant: str
) -> None:
    spoil(evidence)
    assert invariant in broken(evidence)


def test_a_folder_that_was_made_in_the_inbox_did_not_appear_whole(evidence: Evidence) -> None:
    evidence.appearances = (replace(evidence.appearances[0], how="created"), *evidence.appearances[1:])
    assert broken(evidence) == {"I3"}


def test_across_a_power_cut_a_packet_may_be_seen_twice_but_not_after_its_receipt(evidence: Evidence) -> None:
    _seen_twice(evidence)
    assert broken(evidence, power_cuts=True) == set()
    # Cuts that were written down: only across one of them, and not when it was receipted as delivered.
    begun = evidence.appearances[0].at
    evidence.cuts = ((PROCURATORATE, begun),)
    receipted = [line for line in evidence.books[PROCURATORATE].of("receipt") if line["own"]]
    assert all(line["issued_at"] < begun for line in receipted if line["kind"] == "delivered")
    assert broken(evidence, power_cuts=True) == {"I2"}


def test_what_vanished_with_a_power_cut_and_never_came_again_is_lost(evidence: Evidence) -> None:
    _vanished(evidence)
    assert "I2" in broken(evidence, power_cuts=True)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_seeded_bug_still_applies_and_is_a_program(mutant: Mutant) -> None:
    texts: dict[str, str] = {}
    for edit in mutant.edits:
        text = texts.get(edit.file) or (ROOT / edit.file).read_text(encoding="utf-8")
        texts[edit.file] = patched(text, edit)
    for file, text in texts.items():
        compile(text, file, "exec")


def test_at_least_twelve_bugs_are_seeded_under_names_of_their_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 12
    assert all(mutant.promise.startswith("I") for mutant in MUTANTS)


def test_the_driver_writes_down_a_drop_before_it_can_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agency" / "outbox").mkdir(parents=True)
    world = World(tmp_path, {POLICE: tmp_path / "agency", PROCURATORATE: tmp_path / "other"}, {})
    seen: list[bool] = []
    rename = Path.rename

    def renaming(path: Path, target: Path) -> Path:
        if target.parent.name == "outbox":
            last = json.loads(world.outbox_history.read_bytes().splitlines()[-1])
            seen.append(last["name"] == target.name)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", renaming)
    driver = Driver(world, 1)
    driver.drop(driver.request(POLICE, business_type="interrogation.cancel", extra_documents=()))
    assert seen == [True]


def test_no_name_is_borne_by_a_content_that_was_dropped_twice_and_by_another_one(tmp_path: Path) -> None:
    """Which of two equal drops becomes the duplicate is up to the node; its status has that name alone."""
    agencies = {code: tmp_path / code for code in (POLICE, PROCURATORATE)}
    for root in agencies.values():
        (root / "outbox").mkdir(parents=True)
        (root / "sent").mkdir()
    driver = Driver(World(tmp_path, agencies, {}), 5)
    for _ in range(200):
        dropped = driver.drop_any(POLICE)
        root = agencies[dropped.agency]
        target = root / "sent" / dropped.name
        target = target.with_name(f"{dropped.name}~{dropped.drop}") if target.exists() else target
        (root / "outbox" / dropped.name).rename(target)
    times = Counter(each.identity for each in driver.dropped)
    names = Counter((each.agency, each.name) for each in driver.dropped)
    assert max(times.values()) > 1
    assert max(names.values()) > 1
    twice = [(each.agency, each.name) for each in driver.dropped if times[each.identity] > 1]
    assert {names[each] for each in twice} == {1}
