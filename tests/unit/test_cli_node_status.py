"""``exchangectl node status``: one screen, and an exit code that a monitoring program can believe."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cli import node_status, status_lines
from cli.check_values import CheckState
from cli.checks_folders import check_markers
from cli.directory_trusted import find_directory
from cli.exit_codes import ExitCode
from cli.main import main
from cli.node_status import NodeStatus, look_at
from cli.render import local_time
from cli.service import describe_health
from exchanged.config import Config
from exchanged.errors import MailboxUnusableError
from exchanged.ledger import batches, notices
from exchanged.ledger.notices import NoticeRow
from exchanged.link_health import CLOCK_AHEAD, LinkHealth
from exchanged.lock import NodeLock, holder
from exchanged.node import Node
from exchanged.places import DAMAGE_FILE, DIRECTORY_FOLDER, LEDGER_FILE, LOCK_FILE
from frontend_server.folders import MARKER_NAME
from tests.support.asking import make_node, operator
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode, small_plan


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """One for all: a test that breaks something mends it, and the last one leaves it broken."""
    with Network(tmp_path_factory.mktemp("status") / "lab", small_plan(POLICE, PROCURATORATE)) as built:
        built.only(POLICE, PROVINCE)
        built.run()
        yield built


def status(node: SimulatedNode, config: Config | None = None) -> NodeStatus:
    return look_at(config or node.config, node.clock.now())


def wrong(found: NodeStatus) -> dict[str, str]:
    """What is not good, without what follows from a lab: everything on one volume, files of one user."""
    return {
        line.name: line.detail
        for line in found.lines
        if line.state.value != "good" and line.name not in {"isolation", "data_dir"}
    }


def test_a_node_that_works_has_nothing_to_tell(network: Network) -> None:
    found = status(network.nodes[POLICE])
    assert wrong(found) == {}
    assert found.exit_code in {ExitCode.DONE, ExitCode.FINDINGS}
    names = [line.name for line in found.lines]
    assert names[:6] == ["daemon", "disk data", "disk agency", "clock", "folder outbox", "folder inbox"]
    assert {"ledger", "oldest", "set aside", "directory", "keys"} <= set(names)
    assert len(found.lines) <= 20


def test_a_stopped_daemon_and_a_crashed_one(network: Network) -> None:
    node = network.nodes[POLICE]
    node.close()
    stopped = status(node)
    assert "stopped cleanly" in wrong(stopped)["daemon"]
    assert stopped.exit_code is ExitCode.TEMPORARY
    starting = NodeLock(node.config.node.data_dir / LOCK_FILE)
    assert wrong(status(node))["daemon"].startswith("starting, process ")
    starting.release()
    node.open()
    node.die()
    assert "did not stop cleanly" in wrong(status(node))["daemon"]
    assert "open, nobody runs" in wrong(status(node))["ledger"]
    node.open()
    assert "before that it did not stop cleanly" in wrong(status(node))["daemon"]


def test_looking_never_takes_the_lock(tmp_path: Path) -> None:
    """A daemon that starts while somebody looks must not end with code 7."""
    path = tmp_path / "lock"
    assert holder(path) is None
    lock = NodeLock(path)
    assert holder(path) == int(path.read_text())
    lock.release()
    assert holder(path) is None
    again = NodeLock(path)
    again.release()


def test_links_clock_and_disk(network: Network) -> None:
    node = network.nodes[POLICE]
    parts = node.opened
    link = node.config.links[0]
    health = LinkHealth(parts.ledger, link.name, link.peer)
    health.note_down(MailboxUnusableError("gone"))
    parts.ledger.write(lambda tx: batches.remember(tx, link.name, CLOCK_AHEAD, "4000"))
    limits = replace(node.config.limits, free_space_bytes=1 << 62)
    found = wrong(status(node, replace(node.config, limits=limits)))
    assert found[f"link {link.name}"].startswith("down 0s, fault: ours, mailbox-unusable")
    assert found["clock"] == f"{PROVINCE} was 1h 6m ahead of us when last heard; so say 1 of 1"
    assert "nothing large is taken in" in found["disk data"]
    with pytest.MonkeyPatch.context() as patch:
        # On a volume of its own the agency's disk stops no intake.
        patch.setattr(status_lines, "_is_same_volume", lambda path, other: path == other)
        found = wrong(status(node, replace(node.config, limits=limits)))
    assert "deliveries may not fit" in found["disk agency"]
    assert "nothing large is taken in" in found["disk data"]
    assert status(node).exit_code is ExitCode.TEMPORARY
    health.note_up()
    parts.ledger.write(lambda tx: batches.remember(tx, link.name, CLOCK_AHEAD, "0"))


def test_a_clock_that_the_daemon_doubts_is_a_problem_and_stands_in_its_status(network: Network) -> None:
    node = network.nodes[POLICE]
    sound = node.clock.now()
    node.clock.jump(4000.0)
    node.step()
    found = status(node)
    since, _, follows = wrong(found)["clock"].partition(": ")
    told = (local_time(sound - timedelta(seconds=ago)) for ago in range(5))
    assert since in {f"doubted since {at}" for at in told}
    assert follows.startswith("what has to be dated waits; set it right")
    assert found.exit_code is ExitCode.TEMPORARY
    health = Node(node.opened, (), {}).health()
    assert "; clock doubtful: nothing is admitted until it is right or neighbours confirm it" in (
        describe_health(health)
    )
    node.clock.jump(-4000.0)
    node.step()
    node.clock.advance(61.0)
    node.step()
    assert "clock" not in wrong(status(node))
    assert "clock" not in describe_health(Node(node.opened, (), {}).health())


def test_open_notices_are_told(network: Network) -> None:
    """Just above the floor intake is still stopped, and only the notice says so."""
    node = network.nodes[POLICE]
    at = node.clock.now()
    row = NoticeRow(
        id=90, reference="disk-floor", subject="", level="alarm", raised_at=at, updated_at=at, over_at=None,
        detail="{}", name="n", document=b"", plain=b"", unwritten=0,
    )  # fmt: skip
    node.opened.ledger.write(lambda tx: notices.put(tx, row))
    assert wrong(status(node))["notices"] == "open: disk-floor"
    node.opened.ledger.write(lambda tx: notices.put(tx, replace(row, over_at=at)))
    assert "notices" not in wrong(status(node))


def test_a_lost_mount_or_another_marker_is_for_a_person(network: Network) -> None:
    node = network.nodes[POLICE]
    assert node.config.folders is not None
    marker = node.config.folders.root / "outbox" / MARKER_NAME
    said = marker.read_text()
    marker.write_text(said.replace("token ", "token 00"))
    assert "another marker" in wrong(status(node))["folder outbox"]
    marker.unlink()
    found = status(node)
    assert "folder init" in wrong(found)["folder outbox"]
    assert found.exit_code is ExitCode.USAGE
    # What the line says helps, and the command alone does not: the ledger remembers another marker.
    node.die()
    for more, code in (((), ExitCode.FINDINGS), (("--accept",), ExitCode.DONE)):
        words = ("--config", str(network.layout.config(POLICE)), "folder", "init", *more)
        assert main(words) == code
    node.open()
    assert "folder outbox" not in wrong(status(node))
    gone = replace(node.config.folders, root=node.config.folders.root / "not-mounted")
    assert "disk agency" in wrong(status(node, replace(node.config, folders=gone)))
    assert wrong(status(node)).keys() <= {"daemon"}


def test_expiry_is_told_a_month_ahead(network: Network) -> None:
    node = network.nodes[PROVINCE]
    directory = node.opened.trust.directory
    keys = min(key.not_after for each in directory.nodes for key in each.keys)
    for moment, state in (
        (directory.expires_at - timedelta(days=31), "good"),
        (directory.expires_at - timedelta(days=29), "warning"),
        (directory.expires_at + timedelta(days=1), "problem"),
    ):
        line = next(line for line in look_at(node.config, moment).lines if line.name == "directory")
        assert line.state.value == state
    late = [line for line in look_at(node.config, keys - timedelta(days=29)).lines if line.name == "keys"]
    assert [line.state.value for line in late] == ["warning"]


def test_mailboxes_on_the_volume_of_the_ledger_isolate_nothing(network: Network) -> None:
    """C2."""
    line = next(line for line in status(network.nodes[PROVINCE]).lines if line.name == "isolation")
    assert (line.state.value, "mailboxes on the ledger's volume: 2" in line.detail) == ("warning", True)


def test_many_good_links_are_one_line_and_the_screen_is_never_left(
    network: Network, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = network.nodes[PROVINCE]
    (link, *_) = node.config.links
    links = tuple(
        replace(link, name=f"link-{number:03d}", peer=f"6201{number:02d}-09-00") for number in range(30)
    )
    found = status(node, replace(node.config, links=links))
    broken = [
        replace(line, state=CheckState.PROBLEM) if number % 2 else line
        for number, line in enumerate(found.lines)
    ]
    desk = operator(network.layout.config(PROVINCE), capsys)
    for lines, fine in ((found.lines, 30), (tuple(broken), 15)):
        made = replace(found, lines=lines)
        monkeypatch.setattr(node_status, "look_at", lambda _config, _now, made=made: made)
        text = desk.table("node", "status", code=made.exit_code)
        assert len(text.splitlines()) <= 22
        assert (f"{fine} are good" in text) is (fine == 30)
        assert len(desk.text("node", "status", "--all", code=made.exit_code).splitlines()) == 1 + len(lines)


def test_a_node_that_never_ran_and_one_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = operator(make_node(tmp_path), capsys)
    said = desk.json("node", "status", code=2)
    assert said["exit_code"] == 2
    assert said["status"]["facts"] is None
    assert "none yet: the daemon never ran here" in [line["detail"] for line in said["status"]["lines"]]
    sqlite3.connect(tmp_path / "data" / LEDGER_FILE).close()
    assert desk.json("node", "status", code=6)["exit_code"] == 6


def test_without_a_directory_nothing_is_said_of_the_packs_that_one_would_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = operator(make_node(tmp_path), capsys)
    assert "the directory names no pack" in desk.text("pack", "show")
    shutil.rmtree(tmp_path / "data" / DIRECTORY_FOLDER)
    assert "no directory is in force here: none is installed" in desk.text("pack", "show")


def test_a_node_that_lost_its_ledger_is_not_taken_for_a_new_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = operator(make_node(tmp_path), capsys)
    (tmp_path / "data" / "spool").mkdir(exist_ok=True)
    (tmp_path / "data" / "spool" / "1").touch()
    lines = desk.json("node", "status", code=6)["status"]["lines"]
    told = [line["detail"] for line in lines if line["name"] == "ledger"]
    assert len(told) == 1
    assert "the ledger of this node is gone" in told[0]
    assert "node restore BACKUP" in told[0]
    checks = desk.json("config", "check", code=2)["checks"]
    assert [check["state"] for check in checks if check["name"] == "ledger lost"] == ["problem"]
    assert desk.json("queue", "summary", code=6)["error"]["reference"] == "ledger-damaged"


def test_damage_outweighs_everything(network: Network) -> None:
    node = network.nodes[POLICE]
    node.close()
    (node.config.node.data_dir / DAMAGE_FILE).touch()
    found = status(node)
    assert found.exit_code is ExitCode.DAMAGED
    assert "exchanged --recover" in wrong(found)["volume"]
    (node.config.node.data_dir / DAMAGE_FILE).unlink()
    (node.config.node.data_dir / LEDGER_FILE).write_bytes(b"no ledger at all" * 500)
    assert status(node).exit_code is ExitCode.DAMAGED
    assert "ledger" in wrong(status(node))


def test_who_may_not_look_is_told_so_and_sent_to_make_nothing_new(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not an internal error, not 'run folder init', not 'install a directory'."""
    node = network.nodes[POLICE]

    def refuse(path: Path, *_: object, **__: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    assert node.config.folders is not None
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", refuse)
        patch.setattr(Path, "iterdir", refuse)
        marker = next(iter(check_markers(node.config.folders.root)))
        directory, check = find_directory(node.config)
    assert "Permission denied" in marker.detail
    assert directory is None
    assert (check.state, "Permission denied" in check.detail) == (CheckState.PROBLEM, True)
    monkeypatch.setattr(status_lines, "_may_look", lambda _folder: False)
    moved = replace(node.config.folders, root=node.config.folders.root / "unseen")
    lines = status_lines.markers(replace(node.config, folders=moved), None)
    assert ["as root" in line.detail for line in lines] == [True, True]


def test_f33_a_share_that_hangs_is_told_and_not_asked(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = network.nodes[POLICE]
    monkeypatch.setattr("cli.status_lines.answers", lambda _: False)
    monkeypatch.setattr("cli.status_lines.AgencyFolders", None)
    found = wrong(status(node))
    assert "does not answer" in found["folders"]
