"""Stored bytes that change on the disk go nowhere, and the node that holds them says so (C6, fault F12)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.fiction.case_file import CaseFile
from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from exchanged.acts.values import Act
from exchanged.folder_transport import FolderTransport
from exchanged.ledger import Transaction, batches, notices
from exchanged.transport import Source
from packet_spec.identity import sha256_hex
from packet_spec.model import ItemKind
from packet_spec.waybill_model import BatchException, ExceptionKind
from tests.support.acting import act, outcomes
from tests.support.bridging import rows
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.province import Province, answer, video_packet
from tests.support.traffic import drop_packet

IN_A_CASE = "prosecution.transfer"
LARGE = {"business_type": IN_A_CASE, "extra_documents": ("EVD-024",), "video_bytes": 1_300_000}
STATES = "SELECT DISTINCT state FROM destination"
FOUND = "SELECT packet_id, detail FROM event WHERE kind = 'bytes-rotten'"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as network:
        network.run()
        yield network


@pytest.fixture
def puts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The direction of each large part that is put into a mailbox."""
    found: list[str] = []
    put = FolderTransport.put

    def noting(transport: FolderTransport, name: str, source: Source) -> bool:
        if name.endswith(".blob"):
            found.append(transport._outgoing)
        return put(transport, name, source)

    monkeypatch.setattr(FolderTransport, "put", noting)
    return found


def take(world: Network, **changes: object) -> str:
    """The police take a drop, and their link has not run yet. The packet's id."""
    drop_packet(world, **({"seed": 1} | changes))  # type: ignore[arg-type]
    police = world.nodes[POLICE]
    count = len(rows(world, POLICE, "SELECT 1 FROM packet"))
    for _ in range(20):
        for station in police.stations:
            if not station.name.startswith("link:"):
                station.step()
        world.clock.advance(1)
        found = rows(world, POLICE, "SELECT packet_id FROM packet ORDER BY id DESC")
        if len(found) > count:
            return str(found[0][0])
    raise AssertionError("the drop was not taken")


def case_of(world: Network) -> CaseFile:
    """The case of the drop that ``take`` made."""
    request = DropRequest(IN_A_CASE, POLICE, PROCURATORATE, world.clock.now(), seed=1)
    return make_drop(request).case


def stored(world: Network, code: str, pattern: str) -> Path:
    (path,) = world.nodes[code].config.node.data_dir.glob(pattern)
    return path


def rot(path: Path) -> bytes:
    """A few bits in the middle; returns what it was."""
    data = path.read_bytes()
    middle = len(data) // 2
    changed = bytes(byte ^ 1 for byte in data[middle : middle + 8])
    path.write_bytes(data[:middle] + changed + data[middle + 8 :])
    return data


def rounds(world: Network, count: int = 60) -> None:
    for _ in range(count):
        world.round()


def told(world: Network, code: str) -> list[tuple[str, int]]:
    """Reference and number of packets of the notices that are open."""
    found = notices.open_notices(world.nodes[code].opened.ledger.read())
    return [(row.reference, len(json.loads(row.detail)["packets"])) for row in found]


def delivered(world: Network) -> int:
    return len([path for path in (world.agency(PROCURATORATE) / "inbox").glob("*/*") if path.is_dir()])


def no_errors(world: Network) -> bool:
    return not any(node.errors for node in world.nodes.values())


def test_a_large_part_that_rots_is_found_where_it_lies_told_once_and_put_no_more(
    world: Network, puts: list[str]
) -> None:
    packet_id = take(world, **LARGE)
    path = stored(world, POLICE, "blobs/*.1")
    whole = rot(path)
    rounds(world, 300)
    # Once in good faith; the neighbour found it, and the node that stores it looked.
    assert puts == ["up"]
    assert rows(world, POLICE, FOUND) == [(packet_id, f'{{"file": "blobs/{path.name}"}}')]
    assert (rows(world, POLICE, STATES), delivered(world)) == ([("offered",)], 0)
    assert not list(world.mailbox(POLICE).glob("up/*.blob"))
    assert told(world, POLICE) == [("bytes-rotten", 1)]
    assert path.name.partition(".")[0] not in "".join(
        each.read_text("utf-8") for each in world.agency(POLICE).glob("notices/*bytes-rotten*")
    )
    # A restart changes nothing, and is no reason to put it once more.
    world.nodes[POLICE].die()
    world.nodes[POLICE].open()
    rounds(world)
    assert (puts, len(rows(world, POLICE, FOUND))) == (["up"], 1)
    # Whoever puts the file back has nothing else to do.
    path.write_bytes(whole)
    rounds(world, 150)
    assert delivered(world) == 1
    assert rows(world, POLICE, "SELECT count(*) FROM event WHERE kind = 'bytes-mended'") == [(1,)]
    assert told(world, POLICE) == []
    assert no_errors(world)


def test_a_rotten_part_stops_nothing_else(world: Network) -> None:
    take(world, **LARGE)
    rot(stored(world, POLICE, "blobs/*.1"))
    rounds(world)
    take(world, seed=2)
    rounds(world)
    assert delivered(world) == 1


def test_a_rotten_part_that_comes_again_is_stored_anew_and_serves_what_waits(province: Province) -> None:
    """The province does not say any more that it has it, and who has it puts it once more."""
    packet, police, procuratorate = video_packet(province), province.police, province.procuratorate
    police.send(packet)
    province.run()
    ((digest, content),) = packet.blobs.items()
    lying = procuratorate.mailbox / "down" / f"{digest}.blob"
    rot(stored(province.network, PROVINCE, "blobs/*.1"))
    assert sha256_hex(lying.read_bytes()) == digest
    number = procuratorate.waybills()[0].number or 0
    found = answer(procuratorate, BatchException(number, ExceptionKind.NEED, "again 1", (digest,)))
    procuratorate.put(procuratorate.batch([], bare=True, acknowledgement=found), name="ack.batch")
    province.run()
    assert not lying.exists()
    police.acknowledge()
    (police.mailbox / "up" / lying.name).unlink()
    other = video_packet(province)
    assert (other.key != packet.key, [*other.blobs]) == (True, [digest])
    police.send(other, blobs=False)
    province.run()
    answered = police.acknowledgement()
    assert answered is not None
    assert [each.kind for each in answered.exceptions] == [ExceptionKind.NEED]
    police.put_blob(content)
    province.run()
    assert sha256_hex(lying.read_bytes()) == digest


def test_a_packet_that_rots_before_it_is_offered_is_put_on_hold(world: Network) -> None:
    packet_id = take(world)
    path = stored(world, POLICE, "spool/*.group")
    whole = rot(path)
    rounds(world)
    assert rows(world, POLICE, STATES) == [("on-hold",)]
    assert rows(world, POLICE, FOUND) == [(packet_id, f'{{"file": "spool/{path.name}"}}')]
    assert rows(world, PROVINCE, "SELECT 1 FROM arrival") == []
    rounds(world)
    assert told(world, POLICE) == [("bytes-rotten", 1)]
    # Released as it is, it is held again.
    assert outcomes(act(world.nodes[POLICE], Act.RELEASE, packet_id)) == ["to-link"]
    rounds(world)
    assert (rows(world, POLICE, STATES), delivered(world)) == ([("on-hold",)], 0)
    path.write_bytes(whole)
    assert outcomes(act(world.nodes[POLICE], Act.RELEASE, packet_id)) == ["to-link"]
    rounds(world)
    assert (delivered(world), told(world, POLICE)) == (1, [])
    assert no_errors(world)


def test_a_packet_that_rots_after_it_was_numbered_goes_to_no_quarantine(
    world: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The neighbour finds its batch bad; then it is looked at here, and the rest of the batch goes on."""
    packet_id = take(world)
    path = stored(world, POLICE, "spool/*.group")
    take(world, seed=2)
    whole: list[bytes] = []
    put = FolderTransport.put

    def rotting(transport: FolderTransport, name: str, source: Source) -> bool:
        if transport._outgoing == "up" and name[0].isdigit() and not whole:
            whole.append(rot(path))
        return put(transport, name, source)

    monkeypatch.setattr(FolderTransport, "put", rotting)
    rounds(world)
    assert rows(world, POLICE, "SELECT state FROM destination ORDER BY packet")[0] == ("on-hold",)
    assert rows(world, POLICE, "SELECT packet_id FROM event WHERE kind = 'bytes-rotten'") == [(packet_id,)]
    assert rows(world, PROVINCE, "SELECT state FROM arrival") == []
    assert delivered(world) == 1
    path.write_bytes(whole[0])
    act(world.nodes[POLICE], Act.RELEASE, packet_id)
    rounds(world)
    assert delivered(world) == 2


def test_c15_what_belongs_behind_a_rotten_packet_in_its_case_waits_with_it(world: Network) -> None:
    """Also where both would have gone into one batch."""
    packet_id, case = take(world, business_type=IN_A_CASE), case_of(world)
    path = stored(world, POLICE, "spool/*.group")
    take(world, seed=2, case=case, business_type=IN_A_CASE)
    ((first,), (second,)) = rows(world, POLICE, "SELECT case_key FROM packet")
    assert first == second != ""
    whole = rot(path)
    rounds(world, 2)
    states = "SELECT state FROM destination ORDER BY packet"
    assert rows(world, POLICE, states) == [("on-hold",), ("queued",)]
    path.write_bytes(whole)
    act(world.nodes[POLICE], Act.RELEASE, packet_id)
    rounds(world)
    assert delivered(world) == 2


def test_c23_rotten_bytes_are_not_given_back_to_a_restored_neighbour(world: Network) -> None:
    """The packet is final here, and on hold it cannot be: it waits until its file is whole."""
    take(world)
    rounds(world)
    assert delivered(world) == 1
    path = stored(world, POLICE, "spool/*.group")
    whole = rot(path)
    ledger = world.nodes[POLICE].opened.ledger
    link = world.nodes[POLICE].opened.links.name_of(PROVINCE)
    (row,) = rows(world, POLICE, "SELECT id FROM packet")

    def wanted(tx: Transaction) -> None:
        batches.enqueue(tx, link, ItemKind.PACKET, row[0])
        tx.execute("UPDATE outgoing SET again = 1")

    ledger.write(wanted)
    before = len(rows(world, PROVINCE, "SELECT 1 FROM batch_in"))
    rounds(world)
    assert len(rows(world, PROVINCE, "SELECT 1 FROM batch_in")) == before
    assert len(rows(world, POLICE, FOUND)) == 1
    assert told(world, POLICE) == [("bytes-rotten", 1)]
    path.write_bytes(whole)
    rounds(world)
    assert len(rows(world, PROVINCE, "SELECT 1 FROM batch_in")) > before
    assert (told(world, POLICE), rows(world, POLICE, "SELECT 1 FROM outgoing")) == ([], [])
    assert no_errors(world)


def test_a_packet_that_cannot_be_mended_is_cancelled_and_dropped_again(world: Network) -> None:
    packet_id = take(world)
    rot(stored(world, POLICE, "spool/*.group"))
    rounds(world)
    assert outcomes(act(world.nodes[POLICE], Act.CANCEL, packet_id)) == ["cancelled"]
    rounds(world)
    assert told(world, POLICE) == []
    drop_packet(world, seed=1)
    rounds(world)
    assert delivered(world) == 1


def test_a_part_that_cannot_be_mended_is_taken_anew_with_the_next_attempt(world: Network) -> None:
    packet_id = take(world, **LARGE)
    rot(stored(world, POLICE, "blobs/*.1"))
    rounds(world)
    done = act(world.nodes[PROVINCE], Act.DISCARD, packet_id, without_parts=True)
    assert outcomes(done) == ["discarded-told"]
    rounds(world)
    assert rows(world, POLICE, STATES) == [("undeliverable",)]
    drop_packet(world, seed=1, **LARGE)  # type: ignore[arg-type]
    rounds(world, 100)
    assert delivered(world) == 1
    kept = world.nodes[POLICE].config.node.data_dir.glob("blobs/*.?")
    assert {path.suffix for path in kept} == {".1", ".2"}
