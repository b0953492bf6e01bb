"""What sshd runs at each login: its answers, and that a kept one counts only while nothing has changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cli import keys_command
from cli.keys_command import main
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import default_plan
from packet_spec.directory import open_directory
from packet_spec.model import Directory, RootKey
from tests.support.listing import next_version, with_node
from tests.support.publishing import signed

ROOT = Path(__file__).resolve().parents[2]


class Place:
    """The province of a lab, whose first agency has an account."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.agency = lab.agencies[0]
        self.account = f"ex-{self.agency}"
        self.config = lab.node_config(lab.province)
        text = self.config.read_text()
        mailbox = f'mailbox = "{lab.layout.mailbox(self.agency)}"\n'
        self.config.write_text(text.replace(mailbox, f'{mailbox}account = "{self.account}"\n'))
        self.door = lab.layout.data(lab.province) / "door"
        self.cache = folder / "cache"
        self.cache.mkdir(mode=0o700)
        self.keys = folder / "keys"
        self.keys.mkdir()

    @property
    def words(self) -> list[str]:
        keys = str(self.keys / self.account)
        return ["--config", str(self.config), "--keys", keys, "--cache", str(self.cache)]

    def directory(self) -> Directory:
        (path,) = self.door.glob("*.xml")
        data = path.read_bytes()
        from exchanged.config import load_config  # noqa: PLC0415 - as the command does

        config = load_config(self.config)
        roots: tuple[RootKey, ...] = config.keys.roots
        return open_directory(data, roots, 1)

    def publish(self, directory: Directory) -> None:
        (self.door / f"directory-{directory.version}.xml").write_bytes(signed(self.lab, directory))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(create_lab(tmp_path / "lab", default_plan(2), "sftp"), tmp_path)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often an answer was worked out."""
    calls: list[str] = []
    made = keys_command._made

    def count(config: str, keys_folder: str, account: str, place: str = "") -> list[str]:
        calls.append(account)
        return made(config, keys_folder, account, place)

    monkeypatch.setattr(keys_command, "_made", count)
    return calls


def said(place: Place, capsys: pytest.CaptureFixture[str], account: str = "") -> list[str]:
    assert main([*place.words, account or place.account]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_key_that_the_directory_lists_opens_the_account(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    public = place.lab.layout.login_key(place.agency).with_suffix(".pub").read_text().split()
    assert said(place, capsys) == [f"restrict {public[0]} {public[1]} {place.agency}"]
    assert said(place, capsys, "root") == []


def test_a_kept_answer_serves_until_anything_changes(
    place: Place, capsys: pytest.CaptureFixture[str], asked: list[str]
) -> None:
    first = said(place, capsys)
    assert said(place, capsys) == first
    assert said(place, capsys, "somebody") == []
    assert len(asked) == 1
    place.publish(next_version(with_node(place.directory(), place.agency, disabled=True)))
    assert said(place, capsys) == []
    assert len(asked) == 2
    (place.keys / place.account).write_text("restrict ssh-ed25519 AAAA by-hand\n")
    assert said(place, capsys) == []
    assert len(asked) == 3
    place.config.write_text(place.config.read_text().replace(f'account = "{place.account}"\n', ""))
    assert said(place, capsys) == []
    assert len(asked) == 4


def test_a_kept_answer_ends_when_a_key_does(
    place: Place, capsys: pytest.CaptureFixture[str], asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said(place, capsys)
    (kept,) = place.cache.glob("*.json")
    until = json.loads(kept.read_text())["accounts"][place.account]["until"]
    assert until > time.time()
    monkeypatch.setattr(time, "time", lambda: until + 1)
    said(place, capsys)
    assert len(asked) == 2
    # Before it was made: the clock was set back, and what ended may count again.
    monkeypatch.setattr(time, "time", lambda: until - 10**9)
    said(place, capsys)
    assert len(asked) == 3


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_cache_that_others_can_write_is_not_believed(
    place: Place, capsys: pytest.CaptureFixture[str], asked: list[str], mode: int
) -> None:
    said(place, capsys)
    (kept,) = place.cache.glob("*.json")
    forged = json.loads(kept.read_text())
    forged["accounts"][place.account]["lines"] = ["ssh-ed25519 AAAA thief"]
    kept.write_text(json.dumps(forged))
    assert said(place, capsys) == ["ssh-ed25519 AAAA thief"], "the test forges what would be believed"
    place.cache.chmod(mode)
    assert "thief" not in " ".join(said(place, capsys))
    assert len(asked) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"marks": 1}', "null"])
def test_a_damaged_cache_is_made_anew(
    place: Place, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    first = said(place, capsys)
    (kept,) = place.cache.glob("*.json")
    kept.write_text(content)
    assert said(place, capsys) == first


@pytest.mark.parametrize("suffix", ["new", "lock"])
def test_a_full_disk_below_the_cache_locks_nobody_out(
    place: Place, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    first = said(place, capsys)
    (kept,) = place.cache.glob("*.json")
    kept.unlink()
    full = kept.with_name(f"{kept.name}.{suffix}")
    full.unlink(missing_ok=True)
    # Of the lock not even the name can be made.
    full.symlink_to("/dev/full" if suffix == "new" else "/nowhere/at/all")
    assert said(place, capsys) == first != []


@pytest.mark.parametrize(
    "words", [[], ["x"], ["--config", "/nowhere.toml"], ["--config", "/nowhere.toml", "x"], ["--config"]]
)
def test_what_cannot_be_looked_at_prints_nothing_and_fails(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 1
    heard = capsys.readouterr()
    assert heard.out == ""
    assert "Traceback" not in heard.err


def test_a_forged_newer_directory_closes_nothing_and_opens_nothing(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    first = said(place, capsys)
    document = signed(place.lab, replace(place.directory(), version=2))
    (place.door / "directory-2.xml").write_bytes(document.replace(b'version="2"', b'version="3"'))
    assert said(place, capsys) == first


def test_it_runs_with_nothing_of_an_environment_and_starts_without_our_packages(place: Place) -> None:
    """As sshd runs it; what is kept already is answered from the standard library alone."""
    code = (
        "import sys; from cli.keys_command import main; main(sys.argv[1:]);"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}"
        " & {'packet_spec', 'exchanged', 'lxml', 'nacl'}), file=sys.stderr)"
    )
    command = [sys.executable, "-P", "-c", code, *place.words, place.account]
    heard = [
        subprocess.run(
            command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True, cwd=os.sep
        )
        for _ in range(2)
    ]
    assert heard[0].stdout == heard[1].stdout != ""
    assert heard[0].stderr.split() == ["exchanged", "lxml", "nacl", "packet_spec"]
    assert heard[1].stderr.split() == []


def test_in_a_lab_every_node_logs_in_as_one_user(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--every", "--config", str(place.config), "anybody"]) == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == list(place.lab.agencies)
