"""The Merkle log of an admitting node: shown to its agencies, and found out when it was changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exchanged import log_telling
from exchanged.keys import load_key
from exchanged.ledger import Transaction, log_entries, log_views, notes
from exchanged.ledger.log_tree import Tree
from packet_spec.log_entry import EntryKind
from packet_spec.log_recovery import sign_log_recovery
from tests.support.bridging import in_a_row, point_to_point, send
from tests.support.logs import (
    Change,
    LogStory,
    cut_to,
    forget_told,
    remove_packet,
    reorder,
    replace_receipt,
)
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network


@pytest.fixture
def story(tmp_path: Path) -> Iterator[LogStory]:
    with LogStory(tmp_path) as made:
        yield made


def test_both_agencies_hold_head_and_proofs_of_what_was_accepted(story: LogStory) -> None:
    story.exchange("first")
    seal, receipt = story.accepted("first")
    for code in (story.police, story.procuratorate):
        newest = story.newest(code)
        assert newest is not None
        assert newest.head.root == story.root(newest.head.size)
        assert story.is_proved(code, EntryKind.SEAL, seal)
        assert story.is_proved(code, EntryKind.RECEIPT, receipt)
        assert story.awaited(code) == 0
    # The receipts that came later stand there too.
    assert story.read(story.police).execute("SELECT count(*) FROM log_proof").fetchone()[0] >= 3
    assert story.events(story.police, "security") == []


def _replaced(story: LogStory) -> tuple[Change, ...]:
    return (replace_receipt(story.keys, story.key("first")),)


def _replaced_and_forgotten(story: LogStory) -> tuple[Change, ...]:
    return (replace_receipt(story.keys, story.key("first")), forget_told)


def _removed(story: LogStory) -> tuple[Change, ...]:
    return (remove_packet(story.key("first")),)


def _reordered(_story: LogStory) -> tuple[Change, ...]:
    return (reorder,)


def _cut(_story: LogStory) -> tuple[Change, ...]:
    return (cut_to(2), forget_told)


def _emptied(_story: LogStory) -> tuple[Change, ...]:
    return (cut_to(0), forget_told)


@pytest.mark.parametrize(
    "changes", [_replaced, _replaced_and_forgotten, _removed, _reordered, _cut, _emptied]
)
def test_a_log_rewritten_by_the_provinces_administrator_shows_at_the_next_exchange(
    story: LogStory, changes: Callable[[LogStory], tuple[Change, ...]]
) -> None:
    story.exchange("first")
    found = story.tamper(*changes(story))
    assert found.is_sound, found.problems
    assert story.doubts(story.police) == []

    story.exchange("second")
    # Which of them depends on how long the log has become again.
    reasons = {"log-rewritten", "log-shortened", "log-forked"}
    for code in (story.police, story.procuratorate):
        (doubt,) = story.doubts(code)
        assert doubt in reasons
        assert [each["reason"] for each in story.events(code, "security")] == [doubt]
    # The exchange itself goes on, and what is accepted now is not taken for proved.
    seal, receipt = story.accepted("second")
    assert not story.is_proved(story.police, EntryKind.SEAL, seal)
    assert not story.is_proved(story.police, EntryKind.RECEIPT, receipt)
    story.wait(minutes=2)
    assert "log-contradicted" in story.notices(story.police)
    text = story.notice_text(story.police, "log-contradicted")
    assert PROVINCE in text
    assert "exchangectl log export" in text


def test_a_restart_of_an_honest_province_alarms_nobody(story: LogStory) -> None:
    story.exchange("first")
    assert story.tamper().is_sound
    story.exchange("second")
    assert story.doubts(story.police) == []
    assert story.awaited(story.police) == 0
    assert story.notices(story.police) == []


def test_what_was_not_shown_is_asked_for_and_missed_when_it_does_not_come(story: LogStory) -> None:
    key = story.keys / "log.key"
    story.stop()
    key.rename(key.with_suffix(".away"))
    story.start()
    story.exchange("first")
    assert story.newest(story.police) is None
    assert story.awaited(story.police) == 2
    story.wait(minutes=2)
    assert story.notices(story.police) == []
    story.wait(minutes=7 * 60)
    assert "log-overdue" in story.notices(story.police)
    assert story.doubts(story.police) == []

    # The province kept its log all the while, and shows all of it once it has its key again.
    story.stop()
    key.with_suffix(".away").rename(key)
    story.start()
    story.wait(minutes=2)
    seal, receipt = story.accepted("first")
    assert story.is_proved(story.police, EntryKind.SEAL, seal)
    assert story.is_proved(story.police, EntryKind.RECEIPT, receipt)
    story.wait(minutes=2)
    assert "log-overdue" not in story.notices(story.police)


def test_a_front_end_that_lost_what_it_was_shown_gets_it_again(story: LogStory) -> None:
    story.exchange("first")
    story.exchange("second")
    _, receipt = story.accepted("first")

    def lose(transaction: Transaction) -> None:
        transaction.execute(
            "INSERT INTO log_awaited SELECT digest, kind, node, ?, '', '' FROM log_proof", transaction.stamp
        )
        transaction.execute("DELETE FROM log_proof")

    story.network.nodes[story.police].opened.ledger.write(lose)
    story.wait(minutes=2)
    assert story.is_proved(story.police, EntryKind.RECEIPT, receipt)
    assert story.awaited(story.police) == 0


def test_a_front_end_is_shown_nothing_of_others_packets(tmp_path: Path) -> None:
    with LogStory(tmp_path, COURT) as story:
        story.exchange("first")
        _, receipt = story.accepted("first")

        def wish(transaction: Transaction) -> None:
            transaction.execute(
                "INSERT INTO log_awaited VALUES (?, 'receipt', ?, ?, '', '')",
                receipt, PROVINCE, transaction.stamp,
            )  # fmt: skip

        story.network.nodes[COURT].opened.ledger.write(wish)
        story.wait(minutes=2)
        # It was answered, with a head and without the entry.
        assert story.newest(COURT) is not None
        assert not story.is_proved(COURT, EntryKind.RECEIPT, receipt)
        assert story.awaited(COURT) == 1


def test_a_log_forked_for_two_agencies_shows_when_their_heads_are_compared(story: LogStory) -> None:
    story.exchange("first")
    size = story.head(story.police).size
    other = story.forked_head(replace_receipt(story.keys, story.key("first")), size)
    assert story.doubts(story.police) == []

    story.bring(story.police, "head-1.xml", other)
    story.network.run()
    assert story.doubts(story.police) == ["log-split"]


def test_heads_of_other_sizes_are_compared_through_the_province(story: LogStory) -> None:
    story.exchange("first")
    same, forked = story.forked_head(lambda _: None, 1), story.forked_head(reorder, 1)

    story.bring(story.police, "head-1.xml", same)
    story.network.run()
    story.wait(minutes=1)
    assert story.doubts(story.police) == []
    assert story.events(story.police, "log-head-agreed") == [
        {"node": PROVINCE, "size": 1, "was": "compared"}
    ]
    story.bring(story.procuratorate, "head-1.xml", forked)
    story.network.run()
    story.wait(minutes=1)
    assert story.doubts(story.procuratorate) == ["log-split"]


def test_a_node_that_does_not_prove_a_head_from_elsewhere_is_told_of(
    story: LogStory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever shows two logs proves what he told here and leaves the other one out."""
    story.exchange("first")
    forked, same = story.forked_head(reorder, 1), story.forked_head(lambda _: None, 1)
    proved = log_telling.HELD
    monkeypatch.setattr(log_telling, "HELD", 0)
    story.bring(story.police, "head-1.xml", forked)
    story.bring(story.procuratorate, "head-1.xml", same)
    story.network.run()
    story.exchange("second")
    assert story.doubts(story.police) == []
    assert story.notices(story.police) == []
    story.wait(minutes=7 * 60)
    story.wait(minutes=1)
    assert "log-unproved" in story.notices(story.police)
    assert PROVINCE in story.notice_text(story.police, "log-unproved")

    # An honest node that was away proves it in the end.
    monkeypatch.setattr(log_telling, "HELD", proved)
    for _ in range(3):
        story.wait(minutes=2)
    assert "log-unproved" not in story.notices(story.procuratorate)
    assert story.doubts(story.police) == ["log-split"]
    assert "log-unproved" not in story.notices(story.police)


def test_heads_of_nobody_and_files_of_no_sense_are_refused(story: LogStory) -> None:
    story.exchange("first")
    good = story.forked_head(lambda _: None, 1)
    for number, data in enumerate((b"", b"<x/>\n", good.replace(b'size="1"', b'size="2"'), good * 40)):
        story.bring(story.police, f"head-{number}.xml", data)
    story.bring(story.police, "recovery-1.xml", good)
    story.network.run()
    assert story.doubts(story.police) == []
    assert story.events(story.police, "log-head-brought") == []
    assert [*story.incoming(story.police).iterdir()] == []


def test_what_cannot_be_read_stops_nothing_else(story: LogStory) -> None:
    for code in (story.police, PROVINCE):
        (story.incoming(code) / "head-0.xml").mkdir(parents=True)
    story.exchange("first")
    assert story.head(story.police).size > 0
    assert story.doubts(story.police) == []


def test_only_the_roots_excuse_a_log_that_became_shorter(story: LogStory) -> None:
    story.exchange("first")
    known = story.head(story.police)
    story.tamper(cut_to(2), forget_told)
    story.exchange("second")
    assert len(story.doubts(story.police)) == 1

    recovery = story.recovery(size=2, through=known.size + 100)
    story.bring(story.police, "recovery-1.xml", story.signed(recovery, load_key(story.keys / "log.key")))
    story.network.run()
    assert len(story.doubts(story.police)) == 1

    # Given to the province, it reaches everybody.
    story.bring(PROVINCE, "recovery-1.xml", story.signed(recovery, story.root_key))
    story.network.run()
    story.wait(minutes=2)
    for code in (story.police, story.procuratorate):
        assert story.doubts(code) == []
        assert "log-contradicted" not in story.notices(code)
    seal, receipt = story.accepted("second")
    assert story.is_proved(story.police, EntryKind.SEAL, seal)
    assert story.is_proved(story.police, EntryKind.RECEIPT, receipt)
    # What the lost part held is missed until the log holds it again.
    story.exchange("third")
    assert story.doubts(story.police) == []
    assert story.head(story.police).root == story.root(story.head(story.police).size)


@pytest.mark.parametrize("head_first", [True, False])
def test_a_node_is_told_of_its_own_lost_log_until_the_roots_excuse_it(
    story: LogStory, *, head_first: bool
) -> None:
    story.exchange("first")
    known = story.newest(story.police)
    assert known is not None
    forged = story.forked_head(reorder, 1)
    story.tamper(cut_to(2), forget_told)
    recovery = story.signed(story.recovery(size=2, through=known.head.size), story.root_key)
    files = [("head-1.xml", known.document), ("recovery-1.xml", recovery)]
    for number, (name, data) in enumerate(files if head_first else reversed(files)):
        story.bring(PROVINCE, name, data)
        story.network.run()
        story.wait(minutes=2)
        expected = ["log-shortened"] if head_first and not number else []
        assert story.doubts(PROVINCE) == expected
        assert story.notices(PROVINCE).count("log-contradicted") == len(expected)
    # What the roots did not excuse goes on to be told.
    story.bring(PROVINCE, "head-2.xml", forged)
    story.network.run()
    assert story.doubts(PROVINCE) == ["log-forked"]


def test_a_recovery_that_comes_first_leaves_no_alarm_and_excuses_nothing_later(story: LogStory) -> None:
    story.exchange("first")
    known = story.head(story.police)
    story.tamper(cut_to(2), forget_told)
    recovery = story.recovery(size=2, through=known.size)
    story.bring(PROVINCE, "recovery-1.xml", story.signed(recovery, story.root_key))
    story.exchange("second")
    assert story.doubts(story.police) == []
    assert story.head(story.police).size > 2

    # Another loss needs another statement.
    story.tamper(cut_to(2), forget_told)
    story.exchange("third")
    assert len(story.doubts(story.police)) == 1


def test_a_recovery_with_signatures_of_others_added_is_the_same_and_told_once(story: LogStory) -> None:
    story.exchange("first")
    known = story.head(story.police)
    story.tamper(cut_to(2), forget_told)
    document = story.signed(story.recovery(size=2, through=known.size), story.root_key)
    story.bring(PROVINCE, "recovery-1.xml", document)
    story.exchange("second")
    assert story.doubts(story.police) == []
    told = [len(story.events(code, "log-recovery-taken")) for code in (PROVINCE, POLICE)]
    assert told == [1, 1]

    # Everybody has it, and everybody can put a signature of his own below it: each makes another file.
    own = load_key(story.network.layout.data(POLICE) / "keys" / "link.key")

    def send_back(transaction: Transaction) -> None:
        payload = sign_log_recovery(document, own)
        assert story.network.nodes[POLICE].opened.statements.send_note(transaction, "log", PROVINCE, payload)

    story.network.nodes[POLICE].opened.ledger.write(send_back)
    story.network.run()
    story.wait(minutes=2)
    assert [len(story.events(code, "log-recovery-taken")) for code in (PROVINCE, POLICE)] == told
    assert len(log_entries.recoveries(story.read(PROVINCE), PROVINCE)) == 1


def test_a_recovery_about_another_log_is_not_taken_by_the_node_itself(story: LogStory) -> None:
    story.exchange("first")
    recovery = replace(story.recovery(size=2, through=9), root="0" * 64)
    story.bring(PROVINCE, "recovery-1.xml", story.signed(recovery, story.root_key))
    story.network.run()
    assert story.events(PROVINCE, "log-recovery-taken") == []


def test_two_front_ends_without_a_province_show_each_other_their_logs(tmp_path: Path) -> None:
    with Network(tmp_path / "lab", point_to_point()) as network:
        send(network, "first")
        network.run(120)
        sender, receiver = network.nodes[POLICE].opened, network.nodes[PROCURATORATE].opened
        newest = log_views.newest(sender.ledger.read(), PROCURATORATE)
        assert newest is not None
        assert newest.head.root == Tree(receiver.ledger.read(), newest.head.size).root().hex()
        later = network.clock.now() + timedelta(days=1)
        assert log_views.awaited(sender.ledger.read(), PROCURATORATE, later, 1) is None
        assert log_entries.owed(receiver.ledger.read()) == ()


def test_a_front_end_that_fetches_nothing_costs_a_few_notes(story: LogStory) -> None:
    """It can ask as often as it likes, and others can send to it: what is owed is told when it comes back."""
    story.exchange("first")
    wanted = story.accepted("first")
    province, police = story.network.nodes[PROVINCE].opened, story.network.nodes[POLICE]
    police.close()

    def ask(transaction: Transaction) -> None:
        log_entries.ask(transaction, POLICE, (1,), wanted)

    for _ in range(12):
        province.ledger.write(ask)
        story.wait(minutes=1)
    assert notes.under_way(story.read(PROVINCE), "log") == {POLICE: 4}

    police.open()
    story.exchange("second")
    story.wait(minutes=2)
    assert story.awaited(story.police) == 0
    assert notes.under_way(story.read(PROVINCE), "log") == {}


def test_where_no_road_leads_nothing_is_signed_again_and_again(tmp_path: Path) -> None:
    """A front-end that left: its link is gone, and the directory lists it for the sake of old receipts."""
    with LogStory(tmp_path, COURT) as story:
        story.exchange("first")
        story.stop()
        node = story.network.nodes[PROVINCE]
        links = tuple(link for link in node.config.links if link.peer != COURT)
        node.config = replace(node.config, links=links)
        story.start()

        def owe(transaction: Transaction) -> None:
            transaction.execute("INSERT INTO log_due VALUES (?, 0)", COURT)

        node.opened.ledger.write(owe)
        signed = len(story.events(PROVINCE, "log-head-signed"))
        for _ in range(5):
            story.wait(minutes=1)
        assert len(story.events(PROVINCE, "log-head-signed")) == signed


def test_heads_and_proofs_pass_bridges(tmp_path: Path) -> None:
    with Network(tmp_path / "lab", in_a_row()) as network:
        send(network, "first")
        network.run(200)
        police = network.nodes[POLICE].opened.ledger.read()
        newest = log_views.newest(police, PROVINCE)
        assert newest is not None
        later = network.clock.now() + timedelta(days=1)
        assert log_views.awaited(police, PROVINCE, later, 1) is None
        for bridge in ("bridge-north", "bridge-south"):
            assert log_views.nodes(network.nodes[bridge].opened.ledger.read()) == ()
