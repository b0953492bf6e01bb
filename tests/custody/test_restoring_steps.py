"""C23 step by step: what a restored node asks, waits for, adopts and tells; backups that are not whole."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from exchanged import backup, restore_node
from exchanged.acts.opening import opened_desk
from exchanged.acts.values import Act
from exchanged.errors import AlreadyRunningError, BackupUnusableError, LedgerDamagedError
from exchanged.ledger import packets, restoring
from frontend_server.role import frontend_agency
from packet_spec.delivery import decode_delivery
from packet_spec.identity import PacketKey
from tests.support.acting import LI, act, outcomes, request
from tests.support.acting import desk as desk_at
from tests.support.clock import FakeRandomness
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE
from tests.support.restoring import World, accepted_times, check_books
from tests.support.traffic import drop_packet


def send(world: World, reference: str = "R-1", **changes: object) -> Path:
    """One packet from the police to the procuratorate."""
    path = drop_packet(world.network, seed=len(world.dropped) + 1, sender_ref=reference, **changes)
    world.dropped[reference] = (POLICE, path)
    return path


def incarnation(world: World, code: str) -> str:
    return world.network.nodes[code].opened.incarnation


def inbox(world: World, agency: str = PROCURATORATE) -> list[Path]:
    return sorted((world.network.agency(agency) / "inbox").glob("*/*/"))


def is_restoring(world: World, code: str) -> bool:
    return restoring.is_going_on(world.network.nodes[code].opened.ledger.read())


def test_c23_a_restored_province_takes_back_what_it_admitted_with_its_first_receipt(
    world: World, tmp_path: Path
) -> None:
    send(world, "R-0")
    world.drain()
    saved = world.snapshot(PROVINCE, tmp_path / "backup")
    before = incarnation(world, PROVINCE)
    path = send(world, "R-1", business_type="case.report")
    world.drain()
    status = world.network.agency(POLICE) / "status" / f"{path.name}.status.json"
    packet_id = json.loads(status.read_text("utf-8"))["packetId"]
    accepted = accepted_times(world.network, POLICE, packet_id)
    world.restore(PROVINCE, saved)
    node = world.network.nodes[PROVINCE]
    node.open()
    assert incarnation(world, PROVINCE) != before
    assert is_restoring(world, PROVINCE)
    world.drain()
    check_books(world)
    assert accepted_times(world.network, POLICE, packet_id) == accepted
    connection = node.opened.ledger.read()
    assert (
        connection.execute("SELECT count(*) FROM packet WHERE packet_id = ?", (packet_id,)).fetchone()[0] == 1
    )
    # The case is known again, by every number that the packet bears.
    assert connection.execute("SELECT count(*) FROM case_history").fetchone()[0] == 2
    # The content dropped once more is the same packet.
    shutil.move(world.network.agency(POLICE) / "sent" / path.name, path.parent / "again")
    world.drain()
    assert len(inbox(world)) == 2


def test_c23_nothing_leaves_a_restored_node_before_its_neighbour_answered(
    world: World, tmp_path: Path
) -> None:
    saved = world.snapshot(POLICE, tmp_path / "backup")
    world.restore(POLICE, saved)
    world.network.nodes[PROVINCE].close()
    world.network.nodes[POLICE].open()
    link = world.network.nodes[POLICE].opened.links.name_of(PROVINCE)
    assert outcomes(act(world.network.nodes[POLICE], Act.SKIP, link)) == ["not-asked-yet"]
    send(world)
    world.drain()
    assert is_restoring(world, POLICE)
    assert (world.network.agency(POLICE) / "outbox" / world.dropped["R-1"][1].name).exists()
    assert outcomes(act(world.network.nodes[POLICE], Act.SKIP, link)) == ["skipped"]
    world.drain()
    assert not is_restoring(world, POLICE)
    assert outcomes(act(world.network.nodes[POLICE], Act.SKIP, link)) == ["not-restoring"]
    world.network.nodes[PROVINCE].open()
    world.drain()
    check_books(world)


def test_c23_a_forgotten_drop_is_the_same_packet_again(world: World, tmp_path: Path) -> None:
    """The province was put back too: nobody knows the packet any more but the agency's folders."""
    saved = {code: world.snapshot(code, tmp_path / code) for code in (POLICE, PROVINCE)}
    path = send(world)
    for _ in range(2):
        world.network.nodes[POLICE].step()
    status = world.network.agency(POLICE) / "status" / f"{path.name}.status.json"
    packet_id = json.loads(status.read_text("utf-8"))["packetId"]
    assert not path.exists()
    for mailbox in (world.network.mailbox(POLICE) / "up").iterdir():
        mailbox.unlink()
    for code, source in saved.items():
        world.restore(code, source)
        world.network.nodes[code].open()
    world.drain()
    check_books(world)
    assert json.loads(status.read_text("utf-8"))["packetId"] == packet_id


def test_c23_what_a_copy_of_the_node_called_withdrawn_is_the_same_packet(
    world: World, tmp_path: Path
) -> None:
    """Two daemons on one outbox: the one that did not take the drop saw it go."""
    saved = world.snapshot(POLICE, tmp_path / "backup")
    path = send(world)
    world.drain()
    status = world.network.agency(POLICE) / "status" / f"{path.name}.status.json"
    said = json.loads(status.read_text("utf-8"))
    untrue = {key: value for key, value in said.items() if key != "packetId"}
    world.restore(POLICE, saved)
    status.write_text(json.dumps({**untrue, "state": "withdrawn", "destination": []}), "utf-8")
    world.network.nodes[POLICE].open()
    world.drain()
    assert len(inbox(world)) == 1
    assert json.loads(status.read_text("utf-8"))["packetId"] == said["packetId"]
    check_books(world)


def test_c23_what_may_have_been_delivered_before_is_marked(world: World, tmp_path: Path) -> None:
    """Delivered and taken, and neither the ledger nor the province ever heard of it."""
    saved = world.snapshot(PROCURATORATE, tmp_path / "backup")
    send(world)
    for code in (POLICE, PROVINCE, POLICE, PROVINCE, PROVINCE):
        world.network.nodes[code].step()
        world.network.clock.advance(1.0)
    receiver = world.network.nodes[PROCURATORATE]
    receiver.step()
    receiver.step()
    assert len(inbox(world)) == 1
    world.seen.look(world.network)
    shutil.rmtree(inbox(world)[0])
    for file in (world.network.mailbox(PROCURATORATE) / "up").glob("0*.batch"):
        file.unlink()
    world.restore(PROCURATORATE, saved)
    receiver.open()
    world.drain()
    (folder,) = inbox(world)
    assert decode_delivery((folder / "delivery.xml").read_bytes()).maybe_duplicate
    check_books(world)
    receiver.clock.advance(61.0)
    world.drain()
    notices = [
        path.name for path in (receiver.config.node.data_dir / "notices").glob("*maybe-duplicate*.xml")
    ]
    assert len(notices) == 1


def test_c23_what_still_lies_in_the_inbox_is_not_delivered_again(world: World, tmp_path: Path) -> None:
    saved = world.snapshot(PROCURATORATE, tmp_path / "backup")
    send(world)
    world.drain()
    (before,) = inbox(world)
    world.restore(PROCURATORATE, saved)
    world.network.nodes[PROCURATORATE].open()
    world.drain()
    assert inbox(world) == [before]
    check_books(world)
    # And it counts as lying there: taken later, the sender hears of it.
    shutil.rmtree(before)
    for _ in range(4):
        world.network.clock.advance(30.0)
        world.drain()
    status = world.network.agency(POLICE) / "status" / f"{world.dropped['R-1'][1].name}.status.json"
    assert json.loads(status.read_text("utf-8"))["state"] == "collected"


def test_a_backup_that_lacks_or_changes_anything_is_not_whole(world: World, tmp_path: Path) -> None:
    send(world)
    world.network.nodes[POLICE].step()
    saved = world.snapshot(POLICE, tmp_path / "backup")
    assert backup.verify(saved).is_whole
    manifest = backup.read_manifest(saved)
    assert not any("keys" in file.path for file in manifest.files)
    spool = next(file.path for file in manifest.files if "/spool/" in file.path)
    for path in (spool, "data/ledger.sqlite3"):
        whole = (saved / path).read_bytes()
        (saved / path).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert [problem.what for problem in backup.verify(saved).problems][:1] == ["backup-file-differs"]
        (saved / path).unlink()
        assert backup.verify(saved).problems[0].what == "backup-file-missing"
        (saved / path).write_bytes(whole)
    (saved / "manifest.json").unlink()
    with pytest.raises(BackupUnusableError):
        backup.verify(saved)


def test_keys_are_copied_apart_and_only_when_asked_for(world: World, tmp_path: Path) -> None:
    config, layout = world.network.nodes[POLICE].config, world.network.layout
    keys, own = tmp_path / "keys", config.node.data_dir / "keys"
    # One of before: what was encrypted to it may still come, or come again.
    shutil.copy2(own / "encrypt.key", own / "encrypt-1.key")
    backup.create(config, layout.config(POLICE), tmp_path / "b", world.network.clock.now(), keys=keys)
    assert {path.name for path in keys.iterdir()} >= {
        "seal.key", "link.key", "receipt.key", "encrypt.key", "encrypt-1.key",
    }  # fmt: skip
    assert all((keys / path.name).read_bytes() == path.read_bytes() for path in own.glob("*.key"))
    assert {path.stat().st_mode & 0o777 for path in keys.iterdir()} == {0o600}
    assert list((tmp_path / "b").rglob("*.key")) == []


def test_restoring_is_refused_beside_a_daemon_and_for_another_node(world: World, tmp_path: Path) -> None:
    saved = world.snapshot(POLICE, tmp_path / "backup")
    now = world.network.clock.now()
    with pytest.raises(AlreadyRunningError):
        restore_node.plan(world.network.nodes[POLICE].config, saved, now)
    world.network.nodes[PROCURATORATE].die()
    with pytest.raises(BackupUnusableError):
        restore_node.plan(world.network.nodes[PROCURATORATE].config, saved, now)


@pytest.mark.parametrize("is_skipped", [False, True], ids=["waits", "skipped"])
def test_c23_a_backup_of_a_node_that_had_not_all_back_asks_as_far_back_as_that_restore(
    world: World, tmp_path: Path, is_skipped: bool
) -> None:
    """Restored twice: the second backup was made while nobody had answered yet, or after one was skipped."""
    network = world.network
    province = network.nodes[PROVINCE]
    others = [network.nodes[code] for code in (POLICE, PROCURATORATE, COURT)]
    saved = world.snapshot(PROVINCE, tmp_path / "saved")
    send(world)
    network.run()
    (packet_id,) = [path.name for path in (network.agency(POLICE) / "receipts").iterdir()]
    network.clock.advance(timedelta(days=2).total_seconds())
    network.run()
    for other in others:
        other.die()
    world.restore(PROVINCE, saved)
    province.open()
    for _ in range(3):
        network.round()
    if is_skipped:
        for other in others:
            act(province, Act.SKIP, province.opened.links.name_of(other.code))
        network.run()
    assert is_restoring(world, PROVINCE) is not is_skipped
    network.clock.advance(timedelta(days=2).total_seconds())
    world.restore(PROVINCE, world.snapshot(PROVINCE, tmp_path / "second"))
    for each in (province, *others):
        each.open()
    world.drain()
    assert not is_restoring(world, PROVINCE)
    known = packets.find(province.opened.ledger.read(), PacketKey(POLICE, packet_id))
    assert known is not None
    check_books(world)
    # That one had everything back: the next one asks for what is newer.
    world.restore(PROVINCE, world.snapshot(PROVINCE, tmp_path / "third"))
    province.open()
    since = restoring.forgotten_since(province.opened.ledger.read())
    assert since is not None
    assert network.clock.now() - since < timedelta(hours=2)


def test_what_lies_in_the_data_directory_moves_aside(world: World, tmp_path: Path) -> None:
    saved = world.snapshot(POLICE, tmp_path / "backup")
    send(world)
    world.drain()
    node = world.network.nodes[POLICE]
    ledger = (node.config.node.data_dir / "ledger.sqlite3").stat().st_ino
    node.die()
    made = restore_node.plan(node.config, saved, world.network.clock.now())
    assert made.forgets is not None
    assert made.forgets > 0
    assert "ledger.sqlite3" in made.moves
    assert "keys" not in made.moves
    restore_node.restore(node.config, saved, made, world.network.clock)
    assert (made.aside / "ledger.sqlite3").stat().st_ino == ledger
    node.open()
    world.drain()
    check_books(world)


def test_a_restore_that_was_broken_off_starts_no_empty_node(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that lost power in the middle starts its daemon by itself."""
    saved = world.snapshot(POLICE, tmp_path / "backup")
    node = world.network.nodes[POLICE]
    node.die()
    made = restore_node.plan(node.config, saved, world.network.clock.now())
    with monkeypatch.context() as patched:
        patched.setattr(restore_node, "_mark", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            restore_node.restore(node.config, saved, made, world.network.clock)
    with pytest.raises(LedgerDamagedError, match="broken off"):
        node.open()
    again = restore_node.plan(node.config, saved, world.network.clock.now() + timedelta(seconds=1))
    restore_node.restore(node.config, saved, again, world.network.clock)
    node.open()
    world.drain()
    check_books(world)


def test_c22_a_restored_node_answers_nothing_before_it_knows_what_it_answered(
    world: World, tmp_path: Path
) -> None:
    """Neither without the daemon nor with it: the forgotten answer would be contradicted."""
    path = send(world)
    world.drain()
    status = world.network.agency(POLICE) / "status" / f"{path.name}.status.json"
    packet_id = json.loads(status.read_text("utf-8"))["packetId"]
    receiver = world.network.nodes[PROCURATORATE]
    saved = world.snapshot(PROCURATORATE, tmp_path / "backup")
    assert outcomes(act(receiver, Act.SIGN, packet_id, by="虚构丙")) == ["signed"]
    world.drain()
    world.restore(PROCURATORATE, saved)
    agency = frontend_agency(receiver.config)
    refusing = request(Act.SIGN, packet_id, by="虚构丁", refuses=True, findings=("a fictional finding",))
    with opened_desk(receiver.config, receiver.clock, FakeRandomness("x"), receiver.pool, agency) as desk:
        assert outcomes(desk.handle(refusing, LI)) == ["node-restoring"]
    world.network.nodes[PROVINCE].close()
    receiver.open()
    assert outcomes(desk_at(receiver).handle(refusing, LI)) == ["node-restoring"]
    world.network.nodes[PROVINCE].open()
    world.drain()
    assert not is_restoring(world, PROCURATORATE)
    assert outcomes(desk_at(receiver).handle(refusing, LI)) == ["answered"]
    assert json.loads(status.read_text("utf-8"))["state"] == "signed"
