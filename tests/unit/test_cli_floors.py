"""A library that is missing or of the wrong version is named with what is asked for, before it is used."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires
from importlib.metadata import version as installed
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import floors
from cli.daemon import exchanged
from cli.floors import require_libraries, unfit


def version_of(name: str) -> str:
    try:
        return {"old": "4.9", "fine": "4.10.2", "new": "5.0", "odd": "6.1rc2"}[name]
    except KeyError:
        raise PackageNotFoundError(name) from None


def test_what_is_missing_too_old_and_too_new_is_named_with_its_bounds() -> None:
    wanted = ["old>=4.10", "fine>=4.10,<5", "new<5,>=4", "odd>=6.1", "gone>=1", 'tool>=9; extra == "dev"']
    assert list(unfit(wanted, version_of)) == [
        ("old", ">=4.10", "4.9"),
        ("new", "<5,>=4", "5.0"),
        ("gone", ">=1", "none"),
    ]


def test_what_is_installed_here_fits() -> None:
    require_libraries()
    assert requires("exchanged")


def test_the_daemon_refuses_to_start_and_names_library_and_floor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floors, "version", lambda name: "5.4" if name == "lxml" else installed(name))
    done = CliRunner().invoke(exchanged, ["--config", str(tmp_path / "exchanged.toml")])
    assert done.exit_code == 2
    for word in ("lxml", ">=6.1", "5.4", "dependency-unfit"):
        assert word in done.output + done.stderr
