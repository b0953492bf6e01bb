"""F33: folders that hang keep nobody who asks about them."""

from __future__ import annotations

import threading

import pytest

from frontend_server.patience import FolderHangsError, Patience


def test_an_answer_and_an_error_come_through() -> None:
    patience = Patience()
    assert patience.ask(lambda: 7) == 7

    def fail() -> None:
        raise ValueError("said")

    with pytest.raises(ValueError, match="said"):
        patience.ask(fail)
    assert patience.ask(lambda: 8) == 8


def test_while_one_question_hangs_the_next_ones_are_not_even_asked() -> None:
    patience, goes_on = Patience(0.05), threading.Event()
    asked: list[int] = []

    def hang() -> None:
        asked.append(1)
        goes_on.wait()

    with pytest.raises(FolderHangsError):
        patience.ask(hang)
    with pytest.raises(FolderHangsError):
        patience.ask(lambda: asked.append(2))
    goes_on.set()
    assert patience._open is not None
    patience._open.result(10)
    patience.ask(lambda: asked.append(3))
    assert asked == [1, 3]
