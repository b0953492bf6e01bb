"""C13 and C23: what becomes of originals in sent/ that a restored ledger does not know, one by one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exchanged.acts.values import Act
from exchanged.config import load_config
from exchanged.durable import DurableFiles
from exchanged.errors import CheckTakesLongError, ForeignVolumeError
from exchanged.pool import InlinePool
from frontend_server.judging import name_drop
from tests.support.acting import act
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.restored_folders import (
    NOT_POSSIBLE,
    delivered,
    do,
    events,
    folder,
    lose_mail,
    lying,
    mark,
    pause,
    pinned,
    police,
    restore,
    rewrite,
    save,
    seal,
    send,
    shown,
    status,
)
from tests.support.restoring import World


def network_of(tmp_path: Path) -> Network:
    return Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE, COURT))


@pytest.fixture
def marked(tmp_path: Path) -> Iterator[World]:
    """The police's case software lays a marker beside each drop."""
    network = network_of(tmp_path)
    config = network.layout.config(POLICE)
    text = config.read_text("utf-8")
    assert "profile" not in text
    config.write_text(text.replace("[folders]\n", '[folders]\nprofile = "marker"\n'), "utf-8")
    network.nodes[POLICE].config = load_config(config)
    with network:
        network.run()
        yield World(network, 1)


# --- which originals are forgotten ---------------------------------------------------------------


def test_c13_a_forgotten_drop_is_found_though_earlier_ones_of_its_name_were_archived(
    world: World, tmp_path: Path
) -> None:
    for reference in ("R-1", "R-2"):
        send(world, reference)
        world.drain()
    for name in lying(world, "sent"):
        shutil.rmtree(folder(world, "sent") / name)
    saved = save(world, tmp_path, POLICE, PROVINCE)
    packet_id = seal(world, "R-3")
    lose_mail(world)
    restore(world, saved)
    assert sorted(delivered(world)) == ["R-1", "R-2", "R-3"]
    assert delivered(world)["R-3"] == packet_id
    assert status(world)["packetId"] == packet_id


def test_c13_twins_of_a_name_are_each_the_packet_that_they_were(world: World, tmp_path: Path) -> None:
    send(world, "R-0")
    world.drain()
    saved = save(world, tmp_path, POLICE, PROVINCE)
    before = {"R-1": seal(world, "R-1"), "R-2": ""}
    send(world, "R-2")
    for _ in range(3):
        police(world).step()
    before["R-2"] = status(world, "DATA~2")["packetId"]
    lose_mail(world)
    restore(world, saved)
    assert delivered(world) == {"R-0": delivered(world)["R-0"], **before}
    assert lying(world, "outbox") == []
    assert len(lying(world, "sent")) == 3


@pytest.mark.parametrize("name", ["REPORT~1", "案卷" * 40], ids=["short", "long"])
def test_c13_a_name_that_looks_like_one_of_ours_is_a_name(world: World, tmp_path: Path, name: str) -> None:
    stem = {"REPORT~1": "REPORT%7E1"}.get(name)
    pause(world)
    path = send(world, name=name)
    for _ in range(3):
        police(world).step()
    (told,) = (folder(world, "status") / "by-id").glob("*.status.xml")
    if stem is not None:
        assert (folder(world, "status") / f"{stem}.status.json").exists()
    do(world, Act.CANCEL, told.name.removesuffix(".status.xml"))
    act(police(world), Act.RESUME, police(world).opened.links.name_of(PROVINCE))
    restore(world, save(world, tmp_path, POLICE))
    assert lying(world, "sent") == [path.name]
    assert delivered(world) == {}
    assert events(world, "sent-again") == []


def test_c13_a_forgotten_drop_of_such_a_name_keeps_it(world: World, tmp_path: Path) -> None:
    saved = save(world, tmp_path, POLICE, PROVINCE)
    pause(world)
    send(world, name="REPORT~1")
    for _ in range(3):
        police(world).step()
    lose_mail(world)
    restore(world, saved)
    assert list(delivered(world)) == ["R-1"]
    assert lying(world, "sent") == ["REPORT~1"]


def test_c13_what_was_left_lying_under_the_name_of_a_forgotten_drop_is_another_one(
    world: World, tmp_path: Path
) -> None:
    """Refused where it lay, and reported, when the backup was made; put right and sent after it."""
    strange = folder(world, "outbox") / "DATA"
    (strange / "below").mkdir(parents=True)
    for _ in range(20):
        world.network.round()
    assert status(world)["state"] == "refused"
    saved = save(world, tmp_path, POLICE)
    shutil.rmtree(strange)
    world.drain()
    send(world)
    world.drain()
    restore(world, saved)
    assert list(delivered(world)) == ["R-1"]
    assert status(world)["state"] == "delivered"
    assert lying(world, "outbox") == []


@pytest.mark.parametrize("is_answered", [True, False])
def test_c22_a_forgotten_disposition_is_given_once(world: World, tmp_path: Path, is_answered: bool) -> None:
    send(world)
    world.drain()
    saved = save(world, tmp_path, PROCURATORATE)
    answer = (
        f'<disposition xmlns="urn:exchanged:disposition:1" kind="signed" sender="{POLICE}"'
        f' packetId="{delivered(world)["R-1"]}" by="虚构丙" at="2026-07-16T10:00:00+08:00"/>'
    )
    home = world.network.agency(PROCURATORATE)
    (home / ("outbox" if is_answered else "sent") / "ANSWER.xml").write_text(answer, "utf-8")
    world.drain()
    assert (home / "sent" / "ANSWER.xml").exists()
    restore(world, saved)
    assert status(world)["state"] == "signed"
    assert (home / "sent" / "ANSWER.xml").exists()
    rows = (
        world.network.nodes[PROCURATORATE]
        .opened.ledger.read()
        .execute("SELECT kind FROM event WHERE kind LIKE 'sent-again%'")
    )
    assert [row["kind"] for row in rows] == ([] if is_answered else ["sent-again"])


# --- the id goes to these files alone ------------------------------------------------------------


def test_c13_the_id_of_a_forgotten_drop_goes_to_no_other_of_its_name(world: World, tmp_path: Path) -> None:
    saved = save(world, tmp_path, POLICE, PROVINCE)
    packet_id = seal(world)
    lose_mail(world)
    for code, source in saved.items():
        world.restore(code, source)
    send(world, "R-2")
    for code in saved:
        world.network.nodes[code].open()
    world.drain()
    assert list(delivered(world)) == ["R-2"]
    assert packet_id not in delivered(world).values()
    assert events(world, NOT_POSSIBLE) == [{"drop": shown(world), "why": "name-taken"}]
    assert "DATA" in lying(world, "sent")
    assert pinned(world) == []


def test_c13_the_id_of_a_forgotten_drop_outlives_a_crash_before_it_moves(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = save(world, tmp_path, POLICE, PROVINCE)
    packet_id = seal(world)
    lose_mail(world)
    rename, failed = DurableFiles.rename_new, []

    def fail_once(files: DurableFiles, source: Path, target: Path) -> None:
        if source.parent.name == "sent" and target.parent.name == "outbox" and not failed:
            failed.append(pinned(world))
            raise ForeignVolumeError("the share is away")
        rename(files, source, target)

    monkeypatch.setattr(DurableFiles, "rename_new", fail_once)
    restore(world, saved)
    assert failed == [[(packet_id, 1)]]
    assert delivered(world) == {"R-1": packet_id}
    assert pinned(world) == []


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        b"\xff\xfe\x00",
        b"<status>" * 5000,
        b"[" * 100_000,
        b'<status xmlns="urn:exchanged:status:1" formatVersion="1"><drop>DATA</drop></status>',
        b'<status xmlns="urn:exchanged:status:9" formatVersion="9"/>',
    ],
)
def test_c23_an_odd_status_file_is_none_and_stops_no_restore(
    world: World, tmp_path: Path, odd: bytes
) -> None:
    saved = save(world, tmp_path, POLICE)
    send(world)
    world.drain()
    for path in folder(world, "status").rglob("*.status.*"):
        path.write_bytes(odd)
    restore(world, saved)
    assert list(delivered(world)) == ["R-1"]
    assert status(world)["state"] == "delivered"


@pytest.mark.parametrize("attempt", ["x", "9" * 20, "9" * 18, "0"])
def test_c23_an_odd_attempt_in_a_status_file_stops_no_restore(
    world: World, tmp_path: Path, attempt: str
) -> None:
    saved = save(world, tmp_path, POLICE)
    send(world)
    world.drain()
    words = {
        "<attempt>1</attempt>": f"<attempt>{attempt}</attempt>",
        '"attempt": 1': f'"attempt": {json.dumps(attempt)}',
    }
    rewrite(world, status(world)["packetId"], words)
    restore(world, saved)
    assert list(delivered(world)) == ["R-1"]
    assert status(world)["state"] == "delivered"


# --- markers ---------------------------------------------------------------------------------------


def test_c13_markers_without_an_original_stay_where_they_are(marked: World, tmp_path: Path) -> None:
    """Retention removes originals after their days; what marked them stays."""
    for reference in ("R-1", "R-2"):
        mark(send(marked, reference))
        marked.drain()
    for name in ("DATA", "DATA~2"):
        shutil.rmtree(folder(marked, "sent") / name)
    restore(marked, save(marked, tmp_path, POLICE))
    assert (lying(marked, "sent"), lying(marked, "outbox")) == (["DATA.ok", "DATA~2.ok"], [])
    assert events(marked, "sent-again") == events(marked, NOT_POSSIBLE) == []


@pytest.mark.parametrize("lies_as", ["DATA", "DATA~2"])
def test_c13_a_forgotten_original_goes_back_with_its_marker(
    marked: World, tmp_path: Path, lies_as: str
) -> None:
    if lies_as != "DATA":
        mark(send(marked, "R-0"))
        marked.drain()
    saved = save(marked, tmp_path, POLICE, PROVINCE)
    pause(marked)
    mark(send(marked))
    for _ in range(3):
        police(marked).step()
    packet_id = status(marked)["packetId"]
    assert lies_as in lying(marked, "sent")
    lose_mail(marked)
    restore(marked, saved)
    assert delivered(marked)["R-1"] == packet_id
    assert lying(marked, "outbox") == []
    assert {lies_as, f"{lies_as}.ok"} <= set(lying(marked, "sent"))


def test_c13_what_cannot_go_back_keeps_its_marker(marked: World, tmp_path: Path) -> None:
    saved = save(marked, tmp_path, POLICE, PROVINCE)
    pause(marked)
    mark(send(marked))
    for _ in range(3):
        police(marked).step()
    lose_mail(marked)
    for code, source in saved.items():
        marked.restore(code, source)
    send(marked, "R-2")
    for code in saved:
        marked.network.nodes[code].open()
    marked.drain()
    # The other drop of that name waits for a marker of its own.
    assert delivered(marked) == {}
    assert (lying(marked, "sent"), lying(marked, "outbox")) == (["DATA", "DATA.ok"], ["DATA"])


# --- what nobody can tell --------------------------------------------------------------------------


def test_c23_originals_that_nobody_can_tell_apart_wait_for_a_person(world: World, tmp_path: Path) -> None:
    """Other documents under one name and one number of the sender; one of them was cancelled."""
    saved = save(world, tmp_path, POLICE)
    do(world, Act.CANCEL, seal(world))
    send(world)
    for _ in range(3):
        police(world).step()
    lose_mail(world)
    restore(world, saved)
    assert delivered(world) == {}
    assert lying(world, "sent") == ["DATA", "DATA~2"]
    why = "not-told-apart"
    assert events(world, NOT_POSSIBLE) == [
        {"drop": shown(world, name), "why": why} for name in ("DATA", "DATA~2")
    ]


def test_c13_a_forgotten_duplicate_stays_one(world: World, tmp_path: Path) -> None:
    saved = save(world, tmp_path, POLICE)
    path = send(world)
    shutil.copytree(path, path.with_name("SAME"))
    world.drain()
    (folder(world, "sent") / "SAME").rename(folder(world, "outbox") / "DATA")
    world.drain()
    restore(world, saved)
    assert list(delivered(world)) == ["R-1"]
    assert lying(world, "outbox") == []
    assert events(world, NOT_POSSIBLE) == events(world, "sent-again") == []


@pytest.mark.parametrize("is_archived", [True, False], ids=["linked", "copied"])
def test_c13_an_original_on_another_disk_begins_no_new_attempt(
    world: World, tmp_path: Path, is_archived: bool
) -> None:
    """Files that were copied are others than the ledger knows; their content is not."""
    packet_id = seal(world)
    do(world, Act.CANCEL, packet_id)
    act(police(world), Act.RESUME, police(world).opened.links.name_of(PROVINCE))
    saved = save(world, tmp_path, POLICE)
    sent = folder(world, "sent")
    if is_archived:
        shutil.copytree(sent / "DATA", tmp_path / "archive", copy_function=os.link)
    else:
        shutil.copytree(sent / "DATA", sent / "copy")
        shutil.rmtree(sent / "DATA")
        (sent / "copy").rename(sent / "DATA")
    restore(world, saved)
    assert delivered(world) == {}
    assert (lying(world, "sent"), lying(world, "outbox")) == (["DATA"], [])
    assert events(world, NOT_POSSIBLE) == []
    assert len(events(world, "sent-again")) == (0 if is_archived else 1)


def test_c13_an_original_that_cannot_be_read_waits_for_a_person(world: World, tmp_path: Path) -> None:
    saved = save(world, tmp_path, POLICE)
    send(world)
    world.drain()
    (folder(world, "sent") / "DATA" / "packet.xml").write_bytes(b"<packet>")
    restore(world, saved)
    assert lying(world, "sent") == ["DATA"]
    assert events(world, NOT_POSSIBLE) == [{"drop": shown(world), "why": "unreadable"}]


def test_c23_nothing_is_decided_before_all_originals_were_read(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two takes long to read: the only status that is left may be its own."""
    saved = save(world, tmp_path, POLICE, PROVINCE)
    packet_id = seal(world)
    send(world)
    for _ in range(3):
        police(world).step()
    lose_mail(world)
    for path in folder(world, "status").rglob("*.status.xml"):
        if packet_id in path.read_text("utf-8"):
            path.unlink()
    run, slow = InlinePool.run, [CheckTakesLongError("it goes on apart")]

    def slowly(pool: InlinePool, function: Any, works: Any) -> Any:
        return [slow.pop()] if slow and function is name_drop else run(pool, function, works)

    monkeypatch.setattr(InlinePool, "run", slowly)
    restore(world, saved)
    assert slow == []
    assert delivered(world) == {}
    assert [each["why"] for each in events(world, NOT_POSSIBLE)] == ["not-told-apart"] * 2
