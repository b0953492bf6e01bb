"""A front-end that asks for a log as often as it can costs the admitting node little, and others nothing."""

from __future__ import annotations

from packet_spec.identity import sha256_hex
from packet_spec.log_statement import LogRequest, encode_log_request
from packet_spec.model import ItemKind
from packet_spec.note import Note, note_id_of, sign_note
from packet_spec.note_rules import LOG
from packet_spec.waybill_model import WaybillItem
from tests.support.network import POLICE, PROVINCE
from tests.support.peer import Peer
from tests.support.province import Province, rows

# Answers and what was told besides, which the province keeps.
ANSWERS = "SELECT brief, count(*) FROM note WHERE from_node = '620000-00-00' GROUP BY brief ORDER BY brief"


def ask(peer: Peer, *held: int, wanted: tuple[str, ...] = ()) -> None:
    """A request for the province's log, well signed, in that agency's mailbox."""
    now, data = peer.network.clock.now(), encode_log_request(LogRequest(PROVINCE, held, wanted))
    note = Note(
        LOG, note_id_of(LOG, peer.agency, PROVINCE, now, peer.number, data), peer.agency, PROVINCE, now, data
    )
    document = sign_note(note, peer.link_key)
    peer.put(
        peer.batch([(WaybillItem(ItemKind.NOTE, sha256_hex(document), len(document), note.key), document)])
    )


def answers_to(peer: Peer) -> int:
    """The notes that came to it; it acknowledges them, so that they are settled."""
    came = len(peer.items(ItemKind.NOTE))
    peer.acknowledge()
    peer.network.run()
    return came


def test_who_asks_all_the_time_is_answered_now_and_then_and_its_answers_do_not_stay(
    province: Province,
) -> None:
    police = province.police
    packets = [police.seal(province.request(seed=seed)) for seed in range(3)]
    police.send(*packets)
    province.run()
    answers_to(police)
    wanted = tuple(entry for (entry,) in rows(province, "SELECT digest FROM log_entry"))
    assert len(wanted) == 6
    told = rows(province, ANSWERS)
    assert [brief for brief, _ in told] == [0]
    start = province.network.clock.now()
    came = asked = 0
    while (province.network.clock.now() - start).total_seconds() < 120:
        ask(police, *range(1, 7), wanted=wanted)
        asked += 1
        province.run()
        came += answers_to(police)
    # Two minutes hold five answers at most, and none of them is kept once it was handed over.
    assert asked > 10
    assert 2 <= came <= 5
    assert rows(province, ANSWERS) == told


def test_the_newest_request_is_answered_when_it_is_time_and_others_do_not_wait(province: Province) -> None:
    police, procuratorate = province.police, province.procuratorate
    police.send(police.seal(province.request(seed=1)))
    province.run()
    answers_to(police)
    answers_to(procuratorate)
    ask(police, 1)
    province.run()
    assert answers_to(police) == 1
    ask(police, 2)
    ask(procuratorate, 1)
    province.run()
    assert answers_to(procuratorate) == 1
    assert answers_to(police) == 0
    assert [node for (node,) in rows(province, "SELECT node FROM log_request")] == [POLICE]
    province.network.clock.advance(30)
    province.run()
    assert answers_to(police) == 1
    assert rows(province, "SELECT node FROM log_request") == []
