"""What a Chinese operator sees of a node's answers: no English words are left, and JSON stays English."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.acting_text import sentence
from cli.event_text import event_words
from exchanged.acts.values import Entry, Obstacle, Outcome, SubjectKind
from exchanged.clock import SystemClock
from exchanged.errors import LoginRefusedError
from exchanged.ledger import batches
from exchanged.ledger.questions_event import ChainEvent
from exchanged.link_health import LinkHealth
from exchanged.states import Event
from packet_spec.identity import PacketKey
from tests.support.asking import Operator, make_node, operator
from tests.support.books import LINK, Books, packet_id
from tests.support.clock import FakeClock
from tests.support.documents import BRIDGE, COURT, POLICE, PROCURATORATE

# What no code, path or command has, and hardly any English sentence lacks.
ENGLISH = re.compile(r"(?<![\w=-])(the|is|are|it|its|was|has|not|no|of|and|for|by|to|cannot|files)(?![\w=-])")


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Operator:
    """Some packets, one of them on hold, a held arrival, an incomplete drop, an act and a broken link."""
    monkeypatch.setenv("EXCHANGED_LOCALE", "zh_CN")
    clock = FakeClock(SystemClock().now() - timedelta(hours=2))
    config = make_node(tmp_path)
    with Books(tmp_path / "data", clock) as books:
        first = books.packet(1, PROCURATORATE, sender_ref="R-1")
        books.move(first, Event.HOLD)
        books.move(books.packet(2, COURT, sender_ref="R-2"), Event.OFFER, Event.ACKNOWLEDGE, recipient=COURT)
        books.arrival(PacketKey(COURT, packet_id(8)), Event.HOLD, reason="unknown-key")
        books.drop("first.zip", Event.LISTED_PART_MISSING, missing=("起诉意见书.pdf",))
        act = {"operator": "li.wei", "reason": "对方搬迁", "act": "queue-hold", "request": "0a", "things": []}
        books.write(lambda tx: tx.event("operator-act", first, detail=act))
        books.write(lambda tx: batches.remember(tx, LINK, "heard-at", tx.stamp))
        LinkHealth(books.ledger, LINK, BRIDGE).note_down(LoginRefusedError("not you"))
    return operator(config, capsys)


@pytest.mark.parametrize(
    ("command", "code", "some"),
    [
        (("link", "list"), 0, "原因在对方"),
        (("link", "show", LINK), 0, "文件夹, 本方主动连接"),
        (("link", "test", LINK), 3, "应由本方处理"),
        (("node", "status"), 2, "没有运行"),
        (("config", "check"), 2, "没有单位的任何文件夹"),
        (("packet", "find", "first.zip"), 0, "材料不齐"),
        (("packet", "find", "R-1"), 0, "暂缓"),
        (("packet", "show", packet_id(1)), 0, "现在可做的操作"),
        (("queue", "list"), 0, "暂缓"),
        (("event", "list"), 0, "操作员 li.wei：queue hold；原因：对方搬迁"),
        (("event", "list", "--kind", "hold"), 0, "由操作员暂缓"),
        (("event", "list", "--kind", "link-down"), 0, "应处理方：对方"),
    ],
)
def test_no_english_is_left(desk: Operator, command: tuple[str, ...], code: int, some: str) -> None:
    shown = desk.text(*command, code=code)
    # A cell may be broken anywhere.
    assert some.replace(" ", "") in re.sub(r"\s+", "", shown), shown
    assert ENGLISH.findall(shown) == [], shown


@pytest.mark.parametrize("command", [("event", "list"), ("node", "status"), ("config", "check")])
def test_json_is_english_whoever_asks(
    desk: Operator, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    code = 0 if command[0] == "event" else 2
    in_chinese = desk.text(*command, "--json", code=code)
    monkeypatch.setenv("EXCHANGED_LOCALE", "en")
    in_english = desk.text(*command, "--json", code=code)
    varying = re.compile(r"\d+")
    assert varying.sub("", in_chinese) == varying.sub("", in_english)


def test_what_stands_in_the_way_is_told_with_its_states(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(outcome: Outcome | None, obstacle: Obstacle | None, **fields: str) -> str:
        entry = Entry(
            token="p:1", kind=SubjectKind.PACKET, name="x", state="", since="",
            outcome=outcome, obstacle=obstacle, fields=fields,
        )  # fmt: skip
        return sentence(entry)

    state = f"{COURT}: cancelled since 2026-07-15T01:30:00Z, {POLICE}: handed-over since 2026-07-15T01:30:00Z"
    in_english = told(None, Obstacle.ENDED, state=state)
    assert in_english == f"it has ended already; {state}"
    monkeypatch.setenv("EXCHANGED_LOCALE", "zh_CN")
    assert told(None, Obstacle.ENDED, state=state) == (
        f"它已经终结；{COURT}：已取消，自 2026-07-15T01:30:00Z, {POLICE}：已移交，自 2026-07-15T01:30:00Z"
    )
    assert told(None, Obstacle.NOT_HELD, state="quarantined").endswith("；已隔离")
    assert told(Outcome.RESENT, None, receipts="accepted 1, delivered 1") == "已重新发送：已受理 1, 已送达 1"
    # A reason is a code that is typed.
    assert "unknown-key" in told(Outcome.TO_JUDGE, None, item="packet", held_by="unknown-key")


def test_an_act_under_another_account_names_it() -> None:
    def said(account: str) -> str:
        detail = {"operator": "wang", "account": account, "uid": 0, "act": "link-pause", "reason": "r"}
        return event_words(ChainEvent(1, datetime.now(UTC), "operator-act", None, "", detail))

    assert said("wang") == "operator wang: link pause; reason: r"
    assert said("root") == "operator wang: link pause account=root; reason: r"
