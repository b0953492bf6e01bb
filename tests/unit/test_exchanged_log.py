"""Lines of the log: one for each event, whatever a library says and however."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator

import pytest

from exchanged.log import configure_logging


@pytest.fixture
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # Who began a daemon in this process before, and ended with it, left the capture begun: a second beginning
    # would do nothing.
    logging.captureWarnings(capture=False)
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize("as_json", [False, True])
def test_a_warning_of_the_language_is_one_line(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logging("info", as_json=as_json)
        warnings.warn("of a name\nin two lines", RuntimeWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    (line,) = capsys.readouterr().err.splitlines()
    assert "in two lines" in line
    assert "warning" in line
