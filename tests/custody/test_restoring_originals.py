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
from exchanged.errors import ForeignVolumeError
from exchanged.ledger import restoring
from packet_spec.delivery import decode_delivery
from tests.support.acting import act, outcomes
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode, small_plan
from tests.support.restoring import World
from tests.support.traffic import drop_packet

NOT_POSSIBLE = "sent-again-not-possible"


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


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with network_of(tmp_path) as network:
        network.run()
        yield World(network, 1)


def police(world: World) -> SimulatedNode:
    return world.network.nodes[POLICE]


def folder(world: World, name: str) -> Path:
    return world.network.agency(POLICE) / name


def send(world: World, reference: str = "R-1", name: str = "DATA") -> Path:
    """One packet from the police to the procuratorate, by case software that has one name for everything."""
    path = drop_packet(world.network, seed=len(world.dropped) + 1, sender_ref=reference)
    world.dropped[reference] = (POLICE, path)
    return path.rename(path.with_name(name))


def seal(world: World, reference: str = "R-1", name: str = "DATA") -> str:
    """The same, sealed and put away, while the link rests. Its packet id."""
    pause(world)
    send(world, reference, name)
    for _ in range(3):
        police(world).step()
    said = status(world, name)
    assert said["state"] == "queued", said
    return str(said["packetId"])


def pause(world: World) -> None:
    link = police(world).opened.links.name_of(PROVINCE)
    act(police(world), Act.PAUSE, link)


def do(world: World, what: Act, packet_id: str) -> None:
    """An operator does it, and the status says so."""
    assert outcomes(act(police(world), what, packet_id))[0] in {"cancelled", "on-hold", "to-link"}
    for _ in range(3):
        police(world).step()


def lying(world: World, name: str) -> list[str]:
    return sorted(path.name for path in folder(world, name).iterdir() if not path.name.startswith("."))


def status(world: World, name: str = "DATA") -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder(world, "status") / f"{name}.status.json").read_text("utf-8"))
    return told


def delivered(world: World) -> dict[str, str]:
    """Sender's number -> packet id of what lies in the receiver's inbox; nothing lies there twice."""
    found = [
        decode_delivery(path.read_bytes())
        for path in (world.network.agency(PROCURATORATE) / "inbox").glob("*/*/delivery.xml")
    ]
    assert len({each.sender_ref for each in found}) == len(found)
    return {each.sender_ref: each.key.packet_id for each in found}


def events(world: World, kind: str) -> list[dict[str, Any]]:
    rows = police(world).opened.ledger.read().execute("SELECT detail FROM event WHERE kind = ?", (kind,))
    return [json.loads(row["detail"]) for row in rows]


def save(world: World, target: Path, *codes: str) -> dict[str, Path]:
    return {code: world.snapshot(code, target / code) for code in codes}


def restore(world: World, saved: dict[str, Path]) -> None:
    """The nodes die and come back from their backups, and everything that still can happens."""
    for code, source in saved.items():
        world.restore(code, source)
    for code in saved:
        world.network.nodes[code].open()
    if POLICE in saved:
        act(police(world), Act.RESUME, police(world).opened.links.name_of(PROVINCE))
    world.drain()
    assert not restoring.is_going_on(police(world).opened.ledger.read())


def lose_mail(world: World) -> None:
    """What the police had put into their mailbox never arrives."""
    for path in (world.network.mailbox(POLICE) / "up").iterdir():
        path.unlink()


# --- what ended, and what a person stopped -------------------------------------------------------


@pytest.mark.parametrize("reuse", [False, True], ids=["alone", "its name was used again"])
def test_c23_what_was_cancelled_after_the_backup_stays_cancelled(
    world: World, tmp_path: Path, reuse: bool
) -> None:
    saved = save(world, tmp_path, POLICE)
    do(world, Act.CANCEL, seal(world))
    if reuse:
        seal(world, "R-2")
    restore(world, saved)
    assert list(delivered(world)) == (["R-2"] if reuse else [])
    assert lying(world, "sent") == (["DATA", "DATA~2"] if reuse else ["DATA"])
    assert events(world, NOT_POSSIBLE) == []
    if not reuse:
        assert (status(world)["state"], status(world)["final"]) == ("cancelled", True)


def test_c23_what_expired_after_the_backup_stays_expired(world: World, tmp_path: Path) -> None:
    saved = save(world, tmp_path, POLICE)
    packet_id = seal(world)
    rewrite(world, packet_id, {"queued": "expired"})
    restore(world, saved)
    assert delivered(world) == {}
    assert lying(world, "sent") == ["DATA"]


def test_c23_what_was_on_hold_waits_for_a_person(world: World, tmp_path: Path) -> None:
    saved = save(world, tmp_path, POLICE)
    do(world, Act.HOLD, seal(world))
    restore(world, saved)
    assert delivered(world) == {}
    assert (lying(world, "sent"), lying(world, "outbox")) == (["DATA"], [])
    assert events(world, NOT_POSSIBLE) == [{"drop": "DATA", "why": "stopped"}]
    # The person: back into the outbox.
    (folder(world, "sent") / "DATA").rename(folder(world, "outbox") / "DATA")
    world.drain()
    assert list(delivered(world)) == ["R-1"]


@pytest.mark.parametrize(
    ("what", "state"), [(Act.CANCEL, "cancelled"), (Act.HOLD, "on-hold")], ids=["cancelled", "on hold"]
)
@pytest.mark.parametrize("is_told", [True, False], ids=["status told", "status to be told"])
def test_c18_what_waited_in_the_backup_and_was_stopped_after_it_does_not_leave(
    world: World, tmp_path: Path, what: Act, state: str, is_told: bool
) -> None:
    pause(world)
    send(world)
    (intake,) = (each for each in police(world).stations if each.name == "intake")
    intake.step()
    assert "DATA" in lying(world, "outbox")
    if is_told:
        police(world).step()
    # Else the ledger of the backup still means to write that it is queued.
    saved = save(world, tmp_path, POLICE)
    police(world).step()
    do(world, what, status(world)["packetId"])
    restore(world, saved)
    assert delivered(world) == {}
    assert status(world)["state"] == state
    if what is Act.HOLD:
        do(world, Act.RELEASE, status(world)["packetId"])
        world.drain()
        assert list(delivered(world)) == ["R-1"]


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
    rows = world.network.nodes[PROCURATORATE].opened.ledger.read().execute(
        "SELECT kind FROM event WHERE kind LIKE 'sent-again%'"
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
    assert events(world, NOT_POSSIBLE) == [{"drop": "DATA", "why": "name-taken"}]
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


def pinned(world: World) -> list[tuple[str, int]]:
    """The ids that wait for their drops."""
    rows = police(world).opened.ledger.read().execute("SELECT packet_id, attempt FROM restore_pinned")
    return [tuple(row) for row in rows]


def rewrite(world: World, packet_id: str, words: dict[str, str]) -> None:
    """Somebody, or a node that is gone, wrote other words into both status files."""
    for path in folder(world, "status").rglob("*.status.*"):
        if packet_id in (text := path.read_text("utf-8")):
            for old, new in words.items():
                text = text.replace(old, new)
            path.write_text(text, "utf-8")


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


def mark(path: Path) -> None:
    path.with_name(f"{path.name}.ok").touch()


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
    assert events(world, NOT_POSSIBLE) == [{"drop": "DATA", "why": why}, {"drop": "DATA~2", "why": why}]


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
    assert events(world, NOT_POSSIBLE) == [{"drop": "DATA", "why": "unreadable"}]
