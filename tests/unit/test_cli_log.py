"""``exchangectl log``: what a person sees, carries to another agency, and gets signed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import main
from packet_spec.log_recovery import open_log_recovery
from packet_spec.model import KeyUse
from tests.support.listing import next_version, with_revoked
from tests.support.logs import LogStory, cut_to, forget_told, reorder, replace_receipt
from tests.support.network import POLICE, PROCURATORATE, PROVINCE
from tests.support.publishing import signed


@pytest.fixture
def story(tmp_path: Path) -> Iterator[LogStory]:
    with LogStory(tmp_path) as made:
        made.exchange("first")
        yield made


def call(story: LogStory, code: str, *words: str) -> int:
    return main(["--config", str(story.network.layout.config(code)), "log", *words])


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    answer: dict[str, object] = json.loads(capsys.readouterr().out)
    return answer


def test_show_tells_of_the_own_log_and_of_those_of_others(story, capsys):
    assert call(story, PROVINCE, "show", "--json") == 0
    own = said(capsys)["own"]
    assert own["size"] == story.head(POLICE).size
    assert own["told"] == {POLICE: own["size"], PROCURATORATE: own["size"]}
    assert call(story, POLICE, "show", "--json") == 0
    (other,) = said(capsys)["others"]
    assert other["node"] == PROVINCE
    assert other["head"]["root"] == own["root"]
    assert other["awaited"] is None
    for code in (PROVINCE, POLICE):
        assert call(story, code, "show") == 0
        assert own["root"] in capsys.readouterr().out


def test_two_agencies_compare_heads_of_one_size_by_hand(story, tmp_path, capsys):
    head = tmp_path / "head.xml"
    assert call(story, POLICE, "export", "--node", PROVINCE, "--output", str(head)) == 0
    for code in (PROCURATORATE, PROVINCE):
        assert call(story, code, "compare", str(head)) == 0
    head.write_bytes(
        story.forked_head(replace_receipt(story.keys, story.key("first")), story.head(POLICE).size)
    )
    capsys.readouterr()
    for code in (PROCURATORATE, PROVINCE):
        assert call(story, code, "compare", str(head), "--json") == 5
        assert said(capsys)["same"] is False
    story.network.run()
    assert story.doubts(PROCURATORATE) == ["log-split"]
    assert call(story, PROCURATORATE, "show") == 1
    assert "log-split" in capsys.readouterr().out


@pytest.mark.parametrize("size", [1, 0], ids=["another size", "the same size"])
def test_a_head_under_a_key_that_was_revoked_since_says_nothing(story, tmp_path, capsys, size, monkeypatch):
    """Who stole the key dates backwards: it would call an honest node one that shows two logs."""
    clock = story.network.clock
    forged = story.forked_head(reorder, size or story.head(PROCURATORATE).size)
    head = tmp_path / "head.xml"
    head.write_bytes(forged)
    clock.advance(60)
    before = story.network.nodes[PROVINCE].opened.trust.directory
    revoked = next_version(with_revoked(before, PROVINCE, KeyUse.LOG, clock.now()))
    for each in story.network.nodes.values():
        each.opened.trust.offer(signed(story.network, revoked))
    clock.advance(60)
    monkeypatch.setattr("exchanged.clock.SystemClock.now", lambda _self: clock.now())
    capsys.readouterr()
    assert call(story, PROCURATORATE, "compare", str(head), "--json") == 3
    assert said(capsys)["error"]["reference"] == "revoked-since"
    story.network.run()
    assert story.doubts(PROCURATORATE) == []


def test_heads_of_other_sizes_are_given_to_the_daemon(story, tmp_path, capsys):
    head = tmp_path / "head.xml"
    head.write_bytes(story.forked_head(reorder, 1))
    assert call(story, POLICE, "compare", str(head)) == 1
    story.network.run()
    story.wait(minutes=1)
    assert story.doubts(POLICE) == ["log-split"]
    # The evidence: both heads.
    assert call(story, POLICE, "export", "--node", PROVINCE, "--output", str(tmp_path / "e.xml")) == 0
    assert (tmp_path / "e.xml.held").read_bytes() == head.read_bytes()
    assert (tmp_path / "e.xml").read_bytes() != head.read_bytes()
    main(["--config", str(story.network.layout.config(POLICE)), "node", "status"])
    assert f"{PROVINCE}" in capsys.readouterr().out


def test_a_node_shows_what_contradicts_its_own_log(story, tmp_path, capsys):
    head = tmp_path / "head.xml"
    head.write_bytes(story.forked_head(reorder, 1))
    assert call(story, PROVINCE, "compare", str(head)) == 5
    story.network.run()
    capsys.readouterr()
    assert call(story, PROVINCE, "show", "--json") == 1
    (doubt,) = said(capsys)["own"]["contradictions"]
    assert doubt["reason"] == "log-forked"
    assert call(story, PROVINCE, "show") == 1
    assert "log-forked" in capsys.readouterr().out
    # The evidence: the head that was brought, and what this node says itself.
    assert call(story, PROVINCE, "export", "--output", str(tmp_path / "e.xml")) == 0
    assert (tmp_path / "e.xml.held").read_bytes() == head.read_bytes()
    assert (tmp_path / "e.xml").read_bytes() != head.read_bytes()


def test_what_is_no_head_is_refused(story, tmp_path):
    head = tmp_path / "head.xml"
    head.write_bytes(story.forked_head(lambda _: None, 1).replace(b'size="1"', b'size="2"'))
    assert call(story, POLICE, "compare", str(head)) == 5
    assert call(story, POLICE, "compare", str(tmp_path / "missing.xml")) == 2
    assert call(story, POLICE, "export", "--node", "620199-04-00", "--output", str(head)) == 4


def test_a_recovery_statement_from_the_restored_node_to_the_agencies(story, tmp_path, capsys):
    known, file = story.head(POLICE), tmp_path / "recovery.xml"
    story.tamper(cut_to(2), forget_told)
    words = ("--through", str(known.size), "--reason", "虚构：磁盘损坏", "--output", str(file))
    assert call(story, PROVINCE, "recovery", *words) == 0
    assert call(story, PROVINCE, "install", str(file)) == 5
    assert call(story, PROVINCE, "sign", str(file), "--key", str(story.network.layout.root_key)) == 0
    directory = story.network.nodes[PROVINCE].opened.trust.directory
    recovery = open_log_recovery(file.read_bytes(), directory.roots, directory.threshold)
    assert (recovery.size, recovery.excused_above, recovery.excused_through) == (2, 2, known.size)
    assert recovery.root == story.root(2)
