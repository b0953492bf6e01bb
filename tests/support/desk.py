"""The desk of those who keep a directory, played by commands alone.

All agencies and names are fictional (虚构).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from exchanged.clock import SystemRandomness
from exchanged.config import load_config
from exchanged.durable import DurableFiles, Volume
from exchanged.keys import generate_key, generate_ssh_key, write_public_key
from exchanged.trust import Trust
from packet_spec.directory import decode_directory
from packet_spec.signing import split_signed

PROVINCE, POLICE, COURT = "620000-00-00", "620199-01-00", "620199-04-00"
NAMES = (
    "--kind",
    "police",
    "--level",
    "county",
    "--name-zh",
    "虚构县公安局",
    "--name-en",
    "Fictional Police",
)


@dataclass
class Desk:
    """A folder with everything, and a way to call commands in it."""

    root: Path
    capsys: pytest.CaptureFixture[str]

    def call(self, *words: object, config: str = "none", code: int = 0) -> dict[str, Any]:
        command = ["--config", str(self.root / f"{config}.toml"), *map(str, words), "--json"]
        exit_code = main(command)
        captured = self.capsys.readouterr()
        assert exit_code == code, captured.out + captured.err
        return json.loads(captured.out) if captured.out else {}

    def path(self, name: str) -> Path:
        return self.root / name

    def sign(self, name: str, *keys: str) -> Path:
        for key in keys:
            self.call("directory", "sign", self.path(name), "--key", self.path(f"{key}.key"))
        return self.path(name)

    def read(self, name: str) -> Any:
        return decode_directory(split_signed(self.path(name).read_bytes())[0])

    def make_node(self, role: str, code: str, peer: str, name: str) -> None:
        owner = ("--owner", "root") if os.geteuid() == 0 else ()
        self.call("node", "init", "--role", role, "--code", code, "--peer", peer, *owner, config=name)


def new_desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A province with two of three keepers, its first directory, and a police node that was just made."""
    desk = Desk(tmp_path, capsys)
    for name in ("one", "two", "three", "four"):
        key = generate_key(tmp_path / f"{name}.key", SystemRandomness())
        write_public_key(tmp_path / f"{name}.pub", key.public_key)
    generate_ssh_key(tmp_path / "host", SystemRandomness())
    desk.make_node("provincial", PROVINCE, POLICE, "province")
    desk.make_node("frontend", POLICE, PROVINCE, "police")
    plan = tmp_path / "plan.toml"
    head = '[directory]\nversion = 1\nthreshold = 2\nroots = ["one.pub", "two.pub", "three.pub"]\n'
    plan.write_text(head + (tmp_path / "province/enrolment.toml").read_text(), encoding="utf-8")
    desk.call("directory", "build", plan, "--output", tmp_path / "draft.xml")
    desk.call(
        "directory", "next", tmp_path / "draft.xml",
        "--host-key", PROVINCE, tmp_path / "host.pub", "--output", tmp_path / "first.xml",
    )  # fmt: skip
    desk.sign("first.xml", "one", "two")
    return desk


def enrolled(desk: Desk) -> dict[str, Any]:
    """Directory 2 lists the police, and a pack for it lies there."""
    request = desk.path("police/enrolment.toml")
    common = ("--directory", desk.path("first.xml"), "--output", desk.path("second.xml"))
    desk.call("agency", "enrol", request, *NAMES, *common)
    desk.sign("second.xml", "two", "three")
    return pack(desk, "second.xml")


def pack(desk: Desk, file: str, *more: object) -> dict[str, Any]:
    common = ("--host", "10.88.1.1", "--output", desk.path("police.enrol"))
    return desk.call("agency", "pack", POLICE, "--directory", desk.path(file), *common, *more)


def trust_of(desk: Desk, name: str = "police") -> Trust:
    """What the node's daemon trusts after it looked into the folder where directories are put."""
    config = load_config(desk.path(f"{name}.toml"))
    trust = Trust(
        config.node.data_dir / "directory", DurableFiles(Volume.OWN), config.keys.roots, config.keys.threshold
    )
    trust.load()
    for path in sorted(trust.incoming.glob("*.xml"), key=lambda path: len(path.name)):
        trust.offer(path.read_bytes())
    return trust
