"""The reader of the programme reads what was delivered again, and tells whatever somebody did to it later."""

from __future__ import annotations

from pathlib import Path

import pytest

from certainty.books.watching import Watching
from certainty.books.world import read_lines

RECEIVER = "620199-03-00"
TYPE = "interrogation.cancel"
NAME = "620199-01-00_00000000-0000-4000-8000-000000000001"


class Inbox:
    """An inbox, and what a reader of it wrote down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.history = folder / "inbox.jsonl"
        (folder / "inbox" / TYPE).mkdir(parents=True)
        self.packet = folder / "inbox" / TYPE / NAME

    def watching(self) -> Watching:
        """A reader that leaves everything where it is."""
        return Watching(
            {
                "inboxes": {RECEIVER: str(self.folder / "inbox")},
                "history": str(self.history),
                "trash": {},
                "take_seconds": None,
                "take_share": 0.0,
                "seed": 1,
            }
        )

    def deliver(self) -> None:
        staged = self.folder / "staged"
        staged.mkdir()
        (staged / "packet.xml").write_bytes(b"<packet>fictional</packet>")
        staged.rename(self.packet)

    @property
    def told(self) -> list[str]:
        return [line["what"] for line in read_lines(self.history)]


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path)


def test_what_was_changed_long_after_it_came_is_told_at_the_end(inbox: Inbox) -> None:
    watching = inbox.watching()
    inbox.deliver()
    watching.look()
    # What is looked at again soon after was looked at: nobody is going to read it before the end.
    watching._again.clear()
    (inbox.packet / "packet.xml").write_bytes(b"")
    watching.look()
    assert inbox.told == ["seen"]
    watching.stopping = True
    watching.run()
    assert inbox.told == ["seen", "changed"]
    assert [line["files"]["packet.xml"][1] for line in read_lines(inbox.history)] == [26, 0]


def test_what_is_still_as_it_was_is_not_told(inbox: Inbox) -> None:
    watching = inbox.watching()
    inbox.deliver()
    watching.stopping = True
    watching.run()
    (inbox.packet / "collected").touch()
    again = inbox.watching()
    again.stopping = True
    again.run()
    assert inbox.told == ["seen"]


def test_what_was_changed_while_nobody_watched_is_told_by_the_next_reader(inbox: Inbox) -> None:
    inbox.deliver()
    inbox.watching().look()
    (inbox.packet / "packet.xml").write_bytes(b"<packet>another</packet>")
    watching = inbox.watching()
    watching.look()
    assert inbox.told == ["seen"]
    watching.compare_known()
    assert inbox.told == ["seen", "changed"]


def test_a_reader_compares_what_it_knows_before_it_says_that_it_watches(
    inbox: Inbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox.deliver()
    inbox.watching().look()
    (inbox.packet / "added").write_bytes(b"x")
    said: list[list[str]] = []
    watching = inbox.watching()
    watching.stopping = True
    monkeypatch.setattr("builtins.print", lambda *_, **__: said.append(inbox.told))
    watching.run()
    assert said == [["seen", "changed"]]
    assert capsys.readouterr().out == ""


def test_both_forms_of_a_packet_are_kept_where_it_has_two(inbox: Inbox) -> None:
    inbox.deliver()
    inbox.watching().look()
    assert [sorted(line["papers"]) for line in read_lines(inbox.history)] == [[]]
    (inbox.packet / "packet.utf8.xml").write_bytes(b"<packet>fictional</packet>")
    watching = inbox.watching()
    watching.look()
    watching.compare_known()
    assert sorted([*read_lines(inbox.history)][-1]["papers"]) == ["packet.utf8.xml", "packet.xml"]
