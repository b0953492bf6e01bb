"""``exchangectl link test`` against a real OpenSSH server and against folders: how far, and whose fault."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from cli.main import main
from exchanged.clock import SystemClock, SystemRandomness
from exchanged.config import LinkConfig, LinkSide, LinkTransport, load_config
from exchanged.keys import generate_ssh_key
from exchanged.ledger import batches
from exchanged.link_probe import ProbeStep, probe
from tests.support.asking import make_node
from tests.support.books import Books
from tests.support.sftp_server import SftpServer, make_mailbox

pytestmark = pytest.mark.process

WHOLE = ["resolve", "connect", "host-key", "login", "list-down", "list-up", "bell", "space"]


@pytest.fixture
def link(server: SftpServer, tmp_path: Path) -> LinkConfig:
    """A link to the server, with a login key of its own in a file."""
    key = tmp_path / "login"
    line = generate_ssh_key(key, SystemRandomness())
    with (server.folder / "authorized_keys").open("a") as file:
        file.write(f"{line}\n")
    return LinkConfig(
        "province", "620000-00-00", LinkTransport.SFTP, LinkSide.DIAL, str(server.mailbox), "127.0.0.1",
        server.port, server.user, key, server.host_key,
    )  # fmt: skip


def steps(link: LinkConfig) -> tuple[list[str], ProbeStep]:
    found = probe(link, SystemClock())
    return [step.name for step in found], found[-1]


def said(step: ProbeStep) -> tuple[str, str]:
    assert step.error is not None
    assert step.fault is not None
    return step.error.reference, step.fault.value


def test_a_link_that_works_passes_every_step_and_leaves_nothing_behind(
    link: LinkConfig, server: SftpServer
) -> None:
    before = sorted(path.name for path in server.mailbox.rglob("*"))
    names, last = steps(link)
    assert names == WHOLE
    assert last.error is None
    assert last.found.endswith("MiB free")
    assert sorted(path.name for path in server.mailbox.rglob("*")) == before


def test_how_far_it_came_and_who_has_to_act(link: LinkConfig, server: SftpServer, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = replace(link, port=free.getsockname()[1])
        names, last = steps(nobody)
        assert (names, said(last)) == (["resolve", "connect"], ("connection-refused", "theirs"))
    names, last = steps(replace(link, host="no..name"))
    assert (names, said(last)) == (["resolve"], ("transport-failed", "network"))
    other = SftpServer(tmp_path / "other").host_key
    names, last = steps(replace(link, host_key=other))
    assert (names, said(last)) == (["resolve", "connect", "host-key"], ("host-key-changed", "theirs"))
    generate_ssh_key(tmp_path / "unknown", SystemRandomness())
    names, last = steps(replace(link, key=tmp_path / "unknown"))
    assert (names[-1], said(last)) == ("login", ("login-refused", "theirs"))
    names, last = steps(replace(link, key=tmp_path / "missing"))
    assert (names[-1], said(last)) == ("connect", ("key-not-given", "ours"))
    names, last = steps(replace(link, mailbox="/nowhere"))
    assert (names[-1], said(last)) == ("list-down", ("remote-refused", "theirs"))


def test_a_folder_link_is_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_node(tmp_path)
    make_mailbox(tmp_path / "mailbox")
    (link,) = load_config(config).links
    names, last = steps(link)
    assert names == ["folder", "list-up", "list-down"]
    assert last.error is None
    names, last = steps(replace(link, side=LinkSide.SERVE))
    assert names == ["folder", "list-up", "list-down", "bell"]
    assert main(["--config", str(config), "link", "test", "province"]) == 0
    assert "list-down" in capsys.readouterr().out
    with Books(tmp_path / "data") as books:
        books.write(lambda tx: batches.remember(tx, "province", "paused", "the line is laid anew"))
    assert main(["--config", str(config), "link", "test", "province"]) == 1
    assert capsys.readouterr().out.endswith("nothing goes over it now: paused: the line is laid anew\n")
    (tmp_path / "mailbox" / "down").rmdir()
    assert main(["--config", str(config), "link", "test", "province", "--json"]) == 3
    failed = json.loads(capsys.readouterr().out)["steps"][-1]
    assert (failed["name"], failed["fault"], failed["error"]["reference"]) == (
        "list-down", "ours", "mailbox-unusable",
    )  # fmt: skip
    assert main(["--config", str(config), "link", "test", "province"]) == 3
    assert "to act: this side" in capsys.readouterr().out
