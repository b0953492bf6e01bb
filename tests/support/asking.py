"""An operator at one node: a configuration, a directory, a ledger, and exchangectl run in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from cli.render import display_width
from exchanged.public_keys import public_key_text
from packet_spec.directory import encode_directory, sign_directory
from tests.support.books import LINK
from tests.support.documents import BRIDGE, POLICE, ROOTS, make_directory

_CONFIG = """
[node]
code = "{code}"
role = "frontend"
data_dir = "data"

[keys]
roots = [{roots}]
threshold = 2

[[link]]
name = "{link}"
peer = "{peer}"
transport = "folder"
side = "dial"
mailbox = "mailbox"

[folders]
root = "agency"
"""


def make_node(root: Path) -> Path:
    """The configuration of the police front-end below ``root``, its directory installed. No ledger yet."""
    keys = ", ".join(f'"{public_key_text(key.public_key)}"' for key in ROOTS)
    config = root / "exchanged.toml"
    config.write_text(
        _CONFIG.format(code=POLICE, roots=keys, link=LINK, peer=BRIDGE), encoding="utf-8"
    )
    folder = root / "data" / "directory"
    folder.mkdir(parents=True)
    (folder / "directory-3.xml").write_bytes(directory_file())
    return config


def directory_file() -> bytes:
    """The directory of ``tests.support.documents``, signed by two of its three roots."""
    return sign_directory(encode_directory(make_directory()), ROOTS[:2])


class Operator:
    """Runs commands against one configuration and keeps what they printed."""

    def __init__(self, config: Path | None, captured: Callable[[], Any]) -> None:
        self._before = [] if config is None else ["--config", str(config)]
        self._captured = captured
        self.errors = ""

    def text(self, *words: object, code: int = 0) -> str:
        """What a command prints; its exit code must be ``code`` and no line wider than the terminal."""
        assert main([*self._before, *map(str, words)]) == code
        printed = self._captured()
        self.errors = printed.err
        assert "Traceback" not in printed.err
        return printed.out

    def table(self, *words: object, code: int = 0) -> str:
        """The same, where every line must fit a terminal of 80 columns."""
        text = self.text(*words, code=code)
        wide = [line for line in text.splitlines() if display_width(line) > 80]
        assert not wide, "\n".join(wide)
        return text

    def json(self, *words: object, code: int = 0) -> Any:
        """What a command says as JSON."""
        return json.loads(self.text(*words, "--json", code=code))


def operator(config: Path | None, capsys: pytest.CaptureFixture[str]) -> Operator:
    """An operator whose output pytest captures."""
    return Operator(config, capsys.readouterr)
