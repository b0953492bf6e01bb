"""C15 at the province: what came before its predecessor waits for it, and for nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cli.fiction.case_file import CaseFile, new_case
from cli.fiction.request import DropRequest
from exchanged import judge
from exchanged.config import load_config
from exchanged.ledger import awaited, releasing
from exchanged.ledger.awaited import FOR_PREDECESSOR
from packet_spec.model import ItemKind, ReceiptKind, Route
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE
from tests.support.peer import Peer, Sealed
from tests.support.province import Province, link_to, node, publish, rows, station

WAITS = ("held", FOR_PREDECESSOR)


@pytest.fixture
def strict(province: Province) -> Province:
    """Every route keeps the order of the catalogue; what comes without its predecessor waits for a minute."""
    path, opened = province.network.layout.config(PROVINCE), node(province)
    text = path.read_text("utf-8")
    path.write_text(text.replace("order_wait_seconds = 5.0", "order_wait_seconds = 60.0"), "utf-8")
    opened.die()
    opened.config = load_config(path)
    opened.open()
    trust = node(province).opened.trust
    ways = (("police", PROCURATORATE), ("procuratorate", POLICE))
    routes = tuple(Route(kind, receiver, sequence="enforce") for kind, receiver in ways)
    trust.offer(publish(province, replace(trust.directory, version=2, routes=routes)))
    return province


def case(province: Province, seed: int) -> CaseFile:
    return new_case(seed, province.network.clock.now().date())


def feedback(province: Province, about: CaseFile) -> Sealed:
    """What the procuratorate sends after a ``case.report`` of the police."""
    now = province.network.clock.now()
    request = DropRequest("case.report.feedback", PROCURATORATE, POLICE, now, case=about, seed=about.seed)
    return province.procuratorate.seal(request)


def of_police(province: Province, about: CaseFile, business_type: str = "case.report") -> Sealed:
    return province.police.seal(province.request(business_type, case=about, seed=about.seed))


def look(province: Province) -> None:
    """What lies there is taken and decided; no time passes."""
    for _ in range(4):
        province.network.round()


def released(province: Province) -> int:
    return len(province.events("release"))


def test_c15_a_packet_waits_for_its_predecessor_and_is_admitted_after_it(strict: Province) -> None:
    early, report = feedback(strict, case(strict, 1)), of_police(strict, case(strict, 1))
    strict.procuratorate.send(early)
    look(strict)
    assert strict.arrivals() == [WAITS]
    strict.police.send(report)
    look(strict)
    assert strict.arrivals() == []
    assert strict.police.items(ItemKind.PACKET) == [early.data]
    own = [each.kind for each in strict.receipts(strict.procuratorate) if each.key == early.key]
    assert own == [ReceiptKind.ACCEPTED]
    assert rows(strict, "SELECT * FROM awaited") == []


def test_what_waits_is_not_judged_again_for_a_packet_that_is_no_predecessor(strict: Province) -> None:
    """Whoever makes many packets wait would have all of them judged for each packet of anybody."""
    awaited = case(strict, 1)
    early = [feedback(strict, awaited), feedback(strict, case(strict, 2))]
    strict.procuratorate.send(*early)
    look(strict)
    assert strict.arrivals() == [WAITS, WAITS]
    strict.police.send(of_police(strict, case(strict, 3)))
    look(strict)
    strict.police.send(of_police(strict, awaited, "prosecution.transfer"))
    look(strict)
    assert (strict.arrivals(), released(strict)) == ([WAITS, WAITS], 0)
    strict.police.send(of_police(strict, awaited))
    look(strict)
    assert (strict.arrivals(), released(strict)) == ([WAITS], 1)
    assert strict.police.items(ItemKind.PACKET) == [early[0].data]


def test_what_waits_for_a_number_is_found_by_another_number_of_the_case(strict: Province) -> None:
    """The number came to name the case, and the predecessor names the case in another way."""
    known = case(strict, 1)
    both = known.with_numbers({"procuratorate": "贵检刑诉〔2026〕9001号"})
    only_theirs = replace(known, numbers={"procuratorate": "贵检刑诉〔2026〕9001号"})
    early = feedback(strict, only_theirs)
    strict.procuratorate.send(early)
    look(strict)
    for about, business_type in ((both, "prosecution.transfer"), (known, "case.report")):
        assert strict.arrivals() == [WAITS]
        assert len(rows(strict, "SELECT DISTINCT about FROM awaited")) == 1
        strict.police.send(of_police(strict, about, business_type))
        look(strict)
    assert strict.arrivals() == []
    assert strict.police.items(ItemKind.PACKET) == [early.data]


def test_what_waits_in_a_known_case_waits_for_that_alone(strict: Province) -> None:
    """Not for each of its numbers beside it: whoever names sixteen would make each packet cost so much."""
    known = case(strict, 1)
    strict.police.send(of_police(strict, known, "prosecution.transfer"))
    look(strict)
    both = known.with_numbers({"procuratorate": "贵检刑诉〔2026〕9002号"})
    strict.procuratorate.send(feedback(strict, both))
    look(strict)
    assert strict.arrivals() == [WAITS]
    abouts = [about.partition(":")[0] for (about,) in rows(strict, "SELECT DISTINCT about FROM awaited")]
    assert sorted(abouts) == ["case", "number"]
    strict.police.send(of_police(strict, known, "case.report"))
    look(strict)
    assert strict.arrivals() == []


def piled_up(strict: Province, count: int) -> tuple[CaseFile, list[Sealed]]:
    """So many packets of one agency wait for one report of another."""
    about = case(strict, 1)
    early = []
    for each in range(count):
        now = strict.network.clock.now()
        request = DropRequest("case.report.feedback", PROCURATORATE, POLICE, now, case=about, seed=100 + each)
        early.append(strict.procuratorate.seal(request))
    strict.procuratorate.send(*early)
    look(strict)
    assert strict.arrivals() == [WAITS] * count
    return about, early


def woken_a_write(strict: Province) -> list[int]:
    """For each write of the ledger from now on: how many it wakes. Of those that wake some."""
    groups = [0]

    def see(statement: str) -> None:
        if statement.startswith("COMMIT"):
            groups.append(0)
        if statement.startswith("INSERT INTO event") and "'release'" in statement:
            groups[-1] += 1

    connection: Any = node(strict).opened.ledger._connection
    connection.set_trace_callback(see)
    return groups


def test_what_one_agency_piled_up_for_a_case_is_woken_in_groups(
    strict: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One packet of another agency made one write of all of it, which nothing else got in between."""
    about, early = piled_up(strict, 9)
    monkeypatch.setattr(judge, "_GROUP", 2)
    monkeypatch.setattr(awaited, "_AT_ONCE", 2)
    groups = woken_a_write(strict)
    strict.police.send(of_police(strict, about))
    for _ in range(5):
        look(strict)
    assert (max(groups), sum(groups)) == (2, 9)
    assert strict.arrivals() == []
    assert sorted(strict.police.items(ItemKind.PACKET)) == sorted(each.data for each in early)
    assert rows(strict, "SELECT * FROM awaited") == rows(strict, "SELECT * FROM waking") == []


def test_a_crash_between_two_groups_leaves_none_that_has_its_predecessor(
    strict: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    about, early = piled_up(strict, 7)
    monkeypatch.setattr(judge, "_GROUP", 2)
    monkeypatch.setattr(awaited, "_AT_ONCE", 2)
    strict.police.send(of_police(strict, about))
    link_to(strict, POLICE).step()
    for _ in range(2):
        station(strict, "judge").step()
    assert 0 < len([each for each in strict.arrivals() if each == WAITS]) < 7
    node(strict).die()
    # A start lets everything be judged again: here the case alone does.
    monkeypatch.setattr(releasing, "mark", lambda _transaction, _reasons=(): None)
    node(strict).open()
    for _ in range(5):
        look(strict)
    assert strict.arrivals() == []
    assert len(strict.police.items(ItemKind.PACKET)) == len(early)


def test_what_waits_is_judged_when_its_time_is_over(strict: Province) -> None:
    strict.procuratorate.send(feedback(strict, case(strict, 1)))
    look(strict)
    assert strict.arrivals() == [WAITS]
    strict.network.clock.advance(60)
    look(strict)
    assert strict.arrivals() == []
    assert [receipt.kind for receipt in strict.receipts(strict.procuratorate)] == [ReceiptKind.REFUSED]
    assert rows(strict, "SELECT * FROM awaited") == []


def test_c17_where_order_is_kept_a_stranger_cannot_tell_whether_a_case_exists(strict: Province) -> None:
    """It waits as long, and hears the same, of a case of others as of one that nobody knows."""
    court = Peer(strict.network, COURT)
    strict.police.send(of_police(strict, case(strict, 1)))
    look(strict)
    trust = node(strict).opened.trust
    routes = (*trust.directory.routes, Route("court", PROCURATORATE, sequence="enforce"))
    trust.offer(publish(strict, replace(trust.directory, version=3, routes=routes)))
    now = strict.network.clock.now()
    for seed in (1, 2):
        request = DropRequest(
            "trial.schedule.notice", COURT, PROCURATORATE, now, case=case(strict, seed), seed=seed
        )
        court.send(court.seal(request))
    look(strict)
    assert strict.arrivals() == [WAITS, WAITS]
    strict.network.clock.advance(120.0)
    strict.run()
    known, unknown = strict.receipts(court)
    assert known.kind is unknown.kind is ReceiptKind.REFUSED
    assert known.findings == unknown.findings
