"""The generated pages of docs/ are those that the code makes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.docs import check
from cli.docs_errors import DocumentationError, all_errors
from cli.docs_text import plain, table
from exchanged.states import TRANSITIONS
from packet_spec.errors import ExchangeError
from packet_spec.sentences import all_codes

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


@pytest.mark.parametrize("language", ["zh_CN", pytest.param("en", marks=pytest.mark.slow)])
def test_the_pages_are_up_to_date_in_whatever_language_they_are_checked(language: str) -> None:
    """In a process of its own: help texts are translated once, when a command is loaded."""
    answer = subprocess.run(
        [sys.executable, "-m", "cli.docs", "--check"],
        cwd=ROOT,
        env={**os.environ, "EXCHANGED_LOCALE": language},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, f"run ./run docs\n{answer.stdout}{answer.stderr}"


def test_a_page_that_is_missing_or_differs_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("same")
    (tmp_path / "b.md").write_text("old")
    assert check({"a.md": "same", "b.md": "new", "c.md": "x"}, tmp_path) == ["b.md", "c.md"]


def test_every_error_finding_and_transition_is_on_its_page() -> None:
    errors = (DOCS / "errors.md").read_text(encoding="utf-8")
    for kind in all_errors():
        assert f"\n## {kind.reference}\n" in errors
    assert "\n## internal-error\n" in errors
    findings = (DOCS / "findings.md").read_text(encoding="utf-8")
    for code in all_codes():
        assert f"| `{code}` |" in findings
    states = (DOCS / "state-machine.md").read_text(encoding="utf-8")
    for line in TRANSITIONS:
        assert f"| {line.source} | {line.event} | {line.target} |" in states


def test_every_command_of_ours_is_on_its_page() -> None:
    commands = (DOCS / "cli.md").read_text(encoding="utf-8")
    for command in ("packet check", "packet new", "queue summary", "receipt verify", "ledger verify"):
        assert f"\n## exchangectl {command}\n" in commands
    assert "\n## exchanged\n" in commands
    assert "| 6 | damaged |" in commands


def test_every_key_of_the_configuration_is_on_its_page() -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert '| `data_dir` | required, e.g. `"/var/lib/exchanged/procuratorate"` |' in page
    assert "| `scan_names` | `20000` |" in page
    for section in ("node", "keys", "[link]", "folders", "limits", "rules", "retention", "log"):
        assert f"\n## `[{section}]`\n" in page


def test_two_errors_with_one_reference_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class FirstError(ExchangeError):
        """The first."""

        reference = "twin-of-a-test"

    class SecondError(ExchangeError):
        """The second."""

        reference = "twin-of-a-test"

    assert "twin-of-a-test" not in {kind.reference for kind in all_errors()}
    FirstError.__module__ = SecondError.__module__ = "exchanged.errors"
    with pytest.raises(DocumentationError, match="two errors bear one reference") as raised:
        all_errors()
    assert raised.value.where == "twin-of-a-test"
    SecondError.reference = "other-of-a-test"
    FirstError.__doc__ = ""
    with pytest.raises(DocumentationError, match="no docstring"):
        all_errors()
    FirstError.__module__ = SecondError.__module__ = __name__


def test_text_from_code_cannot_become_markup() -> None:
    assert plain("a ``code`` <b> & `<c>`\n  more") == "a `code` &lt;b> &amp; `<c>` more"
    assert table(("x",), [("a|b",)]) == "| x |\n| --- |\n| a\\|b |"
