from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from exchanged.ledger import batches, packets, statements
from exchanged.ledger.rows import PacketRow
from exchanged.states import DestinationState, Event
from packet_spec.delivery import decode_delivery
from packet_spec.hop import open_hop
from packet_spec.identity import sha256_hex
from packet_spec.model import ItemKind, ReceiptKind
from packet_spec.names import OWN_NAMES
from packet_spec.receipt import open_receipt
from tests.support.clock import FakeClock
from tests.support.documents import NOW, PACKET_XML, POLICE, PROCURATORATE, PROVINCE, look_up
from tests.support.inbox import (
    BLOBS,
    INLINE,
    LINK,
    Arrival,
    FailingKernel,
    ReceivingFrontend,
    contents,
    packet_id,
)

ARRIVED, DELIVERING, DELIVERED = (
    DestinationState.ARRIVED,
    DestinationState.DELIVERING,
    DestinationState.DELIVERED,
)
FULL = OSError(errno.ENOSPC, "No space left on device")
BROKEN = OSError(errno.EIO, "Input/output error")


@pytest.fixture
def kernel() -> FailingKernel:
    return FailingKernel()


@pytest.fixture
def frontend(tmp_path: Path, kernel: FailingKernel) -> Iterator[ReceivingFrontend]:
    made = ReceivingFrontend(tmp_path, kernel=kernel, clock=FakeClock(NOW))
    yield made
    made.close()


def name_of(number: int) -> str:
    return f"{POLICE}_{packet_id(number)}"


def stage_only(frontend: ReceivingFrontend, kernel: FailingKernel, arrival: Arrival | None = None):
    """A packet that is staged and committed, its rename refused once."""
    key = frontend.arrive(arrival)
    kernel.rename_error = BROKEN
    frontend.delivery.step()
    assert frontend.state(key) is DELIVERING
    return key


# --- what the receiver finds -----------------------------------------------------------------------


def test_the_folder_holds_the_packet_its_attachments_and_its_proofs(frontend):
    key = frontend.deliver()
    assert frontend.visible() == [f"prosecution.transfer/{name_of(1)}"]
    found = contents(frontend.folder(key))
    own = {"packet.xml", "delivery.xml", "seal.xml", "seal.sig", "accepted.xml"}
    assert set(found) == {*own, *INLINE, *BLOBS}
    assert found["packet.xml"] == PACKET_XML.encode()
    assert found["起诉意见书.pdf"] == INLINE["起诉意见书.pdf"]
    assert found["media.mp4"] == BLOBS["media.mp4"]
    accepted = statements.receipts_of(frontend.ledger.read(), key)[0]
    assert found["accepted.xml"] == accepted.document
    delivery = decode_delivery(found["delivery.xml"])
    assert (delivery.key, delivery.recipient, delivery.attempt) == (key, PROCURATORATE, 1)
    assert delivery.seal_digest == sha256_hex(found["seal.xml"])
    assert (delivery.accepted_at, delivery.delivered_at) == (NOW, NOW)
    assert [(file.listed, file.file, file.size) for file in delivery.files] == [
        (name, name, len(data)) for name, data in (*INLINE.items(), *BLOBS.items())
    ]


def test_the_group_of_the_case_software_may_read_and_remove_and_nobody_else(frontend):
    key = frontend.deliver()
    folder = frontend.folder(key)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {0o660}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)} == {0o2770}


def test_an_unusual_encoding_comes_with_its_reading(frontend):
    text = PACKET_XML.replace("UTF-8", "GBK")
    key = frontend.deliver(Arrival(packet_xml=text.encode("gb18030"), encoding="gb18030"))
    found = contents(frontend.folder(key))
    assert found["packet.xml"] == text.encode("gb18030")
    assert found["packet.utf8.xml"].decode() == PACKET_XML
    assert decode_delivery(found["delivery.xml"]).encoding == "gb18030"


def test_utf_8_that_declares_another_encoding_comes_with_its_reading_too(frontend):
    """A reader that trusts the declaration would read other names (domain catalogue 2.4)."""
    key = frontend.deliver(Arrival(packet_xml=PACKET_XML.replace("UTF-8", "GBK").encode()))
    assert contents(frontend.folder(key))["packet.utf8.xml"].decode() == PACKET_XML


def test_names_that_are_not_safe_become_generated_ones_and_delivery_xml_maps_them(frontend):
    listed = ["../../escape.PDF", "collected", "seal.xml", "con.pdf", "a.pdf", "A.pdf"]
    listed.append("卷宗.pdf".encode("gbk"))
    inline = {name: f"fictional {place}".encode() for place, name in enumerate(listed)}
    key = frontend.deliver(Arrival(inline=inline, blobs={}))
    found = contents(frontend.folder(key))
    delivery = decode_delivery(found["delivery.xml"])
    assert [file.listed for file in delivery.files] == [*listed[:-1], "卷宗.pdf"]
    assert [file.file for file in delivery.files] == [
        "part-0001.pdf",
        "part-0002",
        "part-0003.xml",
        "part-0004.pdf",
        "a.pdf",
        "part-0006.pdf",
        "卷宗.pdf",
    ]
    for file, data in zip(delivery.files, inline.values(), strict=True):
        assert file.file not in OWN_NAMES
        assert found[file.file] == data
    assert not (frontend.folder(key) / "collected").exists()


# --- what it leaves in the ledger ------------------------------------------------------------------


def test_the_receipt_the_hop_note_and_the_title_to_the_blobs_are_one_with_the_state(frontend):
    key = frontend.deliver()
    connection = frontend.ledger.read()
    packet, destination = frontend.rows(key)
    assert destination.folder == f"prosecution.transfer/{name_of(1)}"
    (row,) = frontend.receipts(key, ReceiptKind.DELIVERED)
    receipt, _ = open_receipt(row.document, look_up)
    assert (receipt.recipient, receipt.issued_by) == (PROCURATORATE, PROCURATORATE)
    assert (receipt.content_digest, receipt.seal_digest) == (packet.content_digest, packet.seal_digest)
    assert receipt.folder_synced
    (hop_row,) = statements.hops_of(connection, key)
    hop, _ = open_hop(hop_row["document"], look_up)
    assert (hop.node, hop.next_node, hop.landed_at) == (PROCURATORATE, "", NOW)
    entitled = {tuple(each) for each in connection.execute("SELECT digest, agency FROM entitlement")}
    assert entitled == {(sha256_hex(BLOBS["media.mp4"]), PROVINCE)}
    waiting = {(item.kind, item.reference) for item in batches.due(connection, LINK, 10)}
    assert waiting == {(ItemKind.RECEIPT, row.id), (ItemKind.HOP, hop_row["id"])}
    assert {"collected", "effects"} <= set(frontend.wakes)


def test_a_share_that_syncs_no_folders_is_told_in_the_receipt(frontend, kernel, monkeypatch):
    whole = kernel.fsync

    def refuse_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        whole(descriptor)

    monkeypatch.setattr(kernel, "fsync", refuse_folders)
    key = frontend.deliver()
    receipt, _ = open_receipt(frontend.receipts(key, ReceiptKind.DELIVERED)[0].document, look_up)
    assert not receipt.folder_synced


# --- C18: expiry -----------------------------------------------------------------------------------


def test_a_packet_past_its_limit_expires_just_before_staging(frontend):
    key = frontend.arrive(Arrival(expires_at=NOW + timedelta(hours=1)))
    frontend.clock.advance(3600)
    frontend.delivery.step()
    assert frontend.state(key) is DestinationState.EXPIRED
    (row,) = frontend.receipts(key, ReceiptKind.EXPIRED)
    receipt, _ = open_receipt(row.document, look_up)
    assert receipt.recipient == PROCURATORATE
    assert frontend.visible() == frontend.staged() == []


def test_an_unsound_clock_expires_nothing(frontend):
    key = frontend.arrive(Arrival(expires_at=NOW + timedelta(hours=1)))
    frontend.clock.advance(3600)
    frontend.clock_is_sound = False
    frontend.delivery.step()
    assert frontend.state(key) is DELIVERED
    assert frontend.receipts(key, ReceiptKind.EXPIRED) == []


def test_what_is_staged_expires_no_more(frontend, kernel):
    key = stage_only(frontend, kernel, Arrival(expires_at=NOW + timedelta(hours=1)))
    frontend.clock.advance(7200)
    frontend.delivery.step()
    assert frontend.state(key) is DELIVERED


# --- C19: renames, markers, recovery ---------------------------------------------------------------


def test_a_rename_that_failed_is_tried_again(frontend, kernel):
    key = stage_only(frontend, kernel)
    assert frontend.visible() == []
    frontend.clock.advance(10)
    frontend.delivery.step()
    assert frontend.state(key) is DELIVERED
    assert frontend.staged() == []


def test_a_rename_that_failed_but_happened_is_not_done_twice(frontend, kernel):
    kernel.rename_happens = True
    key = stage_only(frontend, kernel)
    assert frontend.receipts(key, ReceiptKind.DELIVERED) == []
    frontend.clock.advance(10)
    frontend.delivery.step()
    assert frontend.state(key) is DELIVERED
    assert len(frontend.receipts(key, ReceiptKind.DELIVERED)) == 1
    assert frontend.visible() == [f"prosecution.transfer/{name_of(1)}"]
    assert json.loads(frontend.events("place")[0])["how"] == "found"


def test_without_a_good_marker_nothing_is_concluded(frontend, kernel):
    """The share is not mounted: the staged folder is not to be seen, which proves nothing."""
    key = stage_only(frontend, kernel)
    root = frontend.folders.root
    root.rename(root.with_name("unmounted"))
    root.mkdir()
    frontend.folders.inbox.mkdir()
    frontend.clock.advance(10)
    assert frontend.delivery.step() is not None
    assert frontend.state(key) is DELIVERING
    assert frontend.receipts(key, ReceiptKind.DELIVERED) == []
    assert list(frontend.folders.inbox.iterdir()) == []
    assert len(frontend.events("inbox-unusable")) == 1

    frontend.folders.inbox.rmdir()
    root.rmdir()
    root.with_name("unmounted").rename(root)
    frontend.clock.advance(10)
    frontend.delivery.step()
    assert frontend.state(key) is DELIVERED
    assert frontend.visible() == [f"prosecution.transfer/{name_of(1)}"]


@pytest.mark.parametrize("answers", [(True, False, True), (True, True, False)])
def test_a_marker_that_goes_while_we_look_is_no_good_marker(frontend, kernel, monkeypatch, answers):
    """The share was away for a moment, before or after the staged folder was not to be seen."""
    key = stage_only(frontend, kernel)
    (frontend.folders.staging / name_of(1)).rename(frontend.folders.root / "hidden")
    places, answers = frontend.delivery._folders, iter(answers)
    monkeypatch.setattr(places, "marker_is_good", lambda folder: next(answers))
    frontend.clock.advance(10)
    frontend.delivery.step()
    assert frontend.state(key) is DELIVERING


def test_a_missing_staging_folder_stops_deliveries_instead_of_confirming_them(frontend, kernel):
    key = stage_only(frontend, kernel)
    frontend.folders.staging.rename(frontend.folders.root / "moved")
    frontend.clock.advance(10)
    frontend.delivery.step()
    assert frontend.state(key) is DELIVERING
    assert frontend.events("inbox-unusable")


def test_staged_and_gone_under_a_good_marker_was_delivered(frontend, kernel):
    """The rename happened and the case software took the folder before we could write it down."""
    kernel.rename_happens = True
    key = stage_only(frontend, kernel)
    taken = frontend.inbox / "prosecution.transfer" / name_of(1)
    taken.rename(frontend.folders.root / "taken")
    taken.parent.rmdir()
    frontend.clock.advance(10)
    frontend.delivery.step()
    assert frontend.state(key) is DELIVERED
    assert json.loads(frontend.events("place")[0])["how"] == "gone"


def test_a_taken_name_is_never_replaced_and_blocks_nobody(frontend):
    stranger = frontend.inbox / "prosecution.transfer" / name_of(1)
    stranger.mkdir(parents=True)
    (stranger / "notes.txt").write_bytes(b"mine")
    blocked, other = frontend.arrive(), frontend.arrive(Arrival(2))
    assert frontend.delivery.step() == 1.0
    assert (frontend.state(blocked), frontend.state(other)) == (DELIVERING, DELIVERED)
    assert contents(stranger) == {"notes.txt": b"mine"}
    assert json.loads(frontend.events("delivery-waiting")[0])["reason"] == "name-taken"
    for _ in range(3):
        frontend.clock.advance(60)
        frontend.delivery.step()
    assert frontend.state(blocked) is DELIVERING
    assert len(frontend.events("delivery-waiting")) == 1

    stranger.rename(frontend.folders.root / "moved away")
    frontend.clock.advance(60)
    frontend.delivery.step()
    assert frontend.state(blocked) is DELIVERED
    assert len(contents(stranger)) > 1


def test_a_packet_that_lies_there_already_is_not_shown_twice(frontend, tmp_path):
    """The ledger was set back to before the delivery, the inbox was not (C23)."""
    key = frontend.deliver()
    inode = frontend.folder(key).stat().st_ino

    def set_back(tx):
        tx.execute("UPDATE destination SET state = 'arrived', folder = ''")
        tx.execute("UPDATE packet SET state = 'active', spool = 1")

    frontend.ledger.write(set_back)
    frontend.delivery.step()
    assert frontend.state(key) is DELIVERED
    assert frontend.folder(key).stat().st_ino == inode
    assert frontend.visible() == [f"prosecution.transfer/{name_of(1)}"]
    assert frontend.staged() == []


def test_spares_of_a_crash_are_removed_and_nothing_else(frontend, kernel):
    key = stage_only(frontend, kernel)
    for name in (name_of(7), f"{name_of(8)}_a2", f"removed-{name_of(9)}"):
        (frontend.folders.staging / name).mkdir()
        (frontend.folders.staging / name / "packet.xml").write_bytes(b"half")
    (frontend.folders.staging / "something-else").mkdir()
    assert frontend.delivery.reconcile() == 3
    assert frontend.staged() == [name_of(1), "something-else"]
    frontend.clock.advance(10)
    frontend.delivery.step()
    assert frontend.state(key) is DELIVERED


def test_nothing_of_an_older_staging_gets_into_the_folder(frontend):
    frontend.delivery.step()
    spare = frontend.folders.staging / name_of(1)
    spare.mkdir()
    (spare / "left-over.pdf").write_bytes(b"of another day")
    key = frontend.deliver()
    assert "left-over.pdf" not in contents(frontend.folder(key))


# --- troubles of one packet ------------------------------------------------------------------------


def test_damaged_bytes_in_the_spool_hold_their_packet_only(frontend):
    damaged, good = frontend.arrive(), frontend.arrive(Arrival(2))
    where = frontend.rows(damaged)[0].bytes_at
    path = frontend.spool.path(where.name)
    path.write_bytes(path.read_bytes().replace(b"fictional opinion", b"fictional OPINION"))
    frontend.delivery.step()
    assert (frontend.state(damaged), frontend.state(good)) == (ARRIVED, DELIVERED)
    assert frontend.visible() == [f"prosecution.transfer/{name_of(2)}"]
    assert frontend.staged() == []
    assert json.loads(frontend.events("delivery-waiting")[0])["reason"] == "digest-mismatch"


def test_a_damaged_seal_is_not_even_parsed(frontend):
    key = frontend.arrive()
    where = frontend.rows(key)[0].bytes_at
    path = frontend.spool.path(where.name)
    path.write_bytes(path.read_bytes().replace(b"A620199-0007", b"A620199-0008", 1))
    frontend.delivery.step()
    assert frontend.state(key) is ARRIVED
    assert json.loads(frontend.events("delivery-waiting")[0])["reason"] == "signature-error"


def test_a_damaged_blob_is_never_delivered(frontend):
    key = frontend.arrive()
    path = frontend.blobs.path(sha256_hex(BLOBS["media.mp4"]), 1)
    path.write_bytes(path.read_bytes().replace(b"film", b"FILM", 1))
    frontend.delivery.step()
    assert frontend.state(key) is ARRIVED
    assert frontend.visible() == frontend.staged() == []


def test_another_packet_in_the_ledgers_place_is_not_delivered(frontend):
    """A range that names the wrong packet: everything in it verifies, but it is not this one."""
    first, second = frontend.arrive(), frontend.arrive(Arrival(2))
    where = frontend.rows(second)[0].bytes_at
    frontend.ledger.write(
        lambda tx: tx.execute(
            "UPDATE packet SET spool = ?, start = 0, length = ? WHERE packet_id = ?",
            where.spool,
            where.length,
            first.packet_id,
        )
        and None
    )
    frontend.delivery.step()
    assert (frontend.state(first), frontend.state(second)) == (ARRIVED, DELIVERED)


def test_a_packet_waits_for_its_accepted_receipt(frontend):
    key = frontend.arrive(Arrival(is_accepted=False))
    assert frontend.delivery.step() == 1.0
    assert frontend.state(key) is ARRIVED
    assert json.loads(frontend.events("delivery-waiting")[0])["reason"] == "accepted-receipt-missing"


def test_a_missing_blob_is_waited_for(frontend):
    key = frontend.arrive()
    frontend.ledger.write(lambda tx: tx.execute("UPDATE blob SET state = 'dead'") and None)
    frontend.delivery.step()
    assert frontend.state(key) is ARRIVED
    frontend.ledger.write(lambda tx: tx.execute("UPDATE blob SET state = 'live'") and None)
    frontend.clock.advance(10)
    frontend.delivery.step()
    assert frontend.state(key) is DELIVERED


def test_a_full_volume_backs_off_and_leaves_no_half_folder(frontend, kernel):
    key = frontend.arrive()
    kernel.write_error = FULL
    delays = []
    for _ in range(5):
        delays.append(frontend.delivery.step())
        frontend.clock.advance(delays[-1])
    assert delays == [1.0, 2.0, 4.0, 8.0, 8.0]
    assert frontend.state(key) is ARRIVED
    assert frontend.staged() == []
    assert [json.loads(detail)["reason"] for detail in frontend.events("delivery-waiting")] == ["no-space"]
    kernel.write_error = None
    frontend.delivery.step()
    assert frontend.state(key) is DELIVERED


def test_more_stuck_packets_than_one_step_takes_do_not_starve_the_next(frontend):
    stuck = [frontend.arrive(Arrival(number, is_accepted=False)) for number in range(1, 41)]
    good = frontend.arrive(Arrival(100))
    for _ in range(3):
        frontend.delivery.step()
    assert frontend.state(good) is DELIVERED
    assert {frontend.state(key) for key in stuck} == {ARRIVED}


def test_one_step_takes_a_group_and_asks_for_the_next(frontend):
    keys = [frontend.arrive(Arrival(number, blobs={})) for number in range(1, 35)]
    assert frontend.delivery.step() == 0.0
    assert frontend.delivery.step() is None
    assert {frontend.state(key) for key in keys} == {DELIVERED}


def test_a_packet_for_somebody_else_is_left_alone(frontend):
    key = frontend.arrive()
    frontend.ledger.write(lambda tx: tx.execute("UPDATE destination SET recipient = '620199-04-00'") and None)
    frontend.delivery.step()
    assert frontend.state(key) is ARRIVED
    assert frontend.events("delivery-waiting") == []


# --- attempts --------------------------------------------------------------------------------------


def refuse(frontend: ReceivingFrontend, packet: PacketRow) -> None:
    """The recipient refused it by a disposition."""
    (destination,) = packets.destinations(frontend.ledger.read(), packet.id)
    frontend.ledger.write(lambda tx: packets.move(tx, packet, destination, Event.RECEIPT_REFUSED) and None)


def test_a_higher_attempt_lies_beside_the_refused_one(frontend):
    key = frontend.deliver()
    refuse(frontend, frontend.rows(key)[0])
    frontend.deliver(Arrival(attempt=2))
    first = f"prosecution.transfer/{name_of(1)}"
    assert frontend.visible() == [first, f"{first}_a2"]
    refuse(frontend, frontend.rows(key)[0])
    frontend.deliver(Arrival(attempt=3))
    assert frontend.folder(key).name == f"{name_of(1)}_a3"
    assert decode_delivery(contents(frontend.folder(key))["delivery.xml"]).attempt == 3
    assert [row.attempt for row in frontend.receipts(key, ReceiptKind.DELIVERED)] == [1, 2, 3]


def test_a_higher_attempt_takes_the_plain_name_once_it_is_free(frontend):
    key = frontend.deliver()
    refuse(frontend, frontend.rows(key)[0])
    frontend.folder(key).rename(frontend.folders.root / "taken")
    frontend.deliver(Arrival(attempt=2))
    assert frontend.visible() == [f"prosecution.transfer/{name_of(1)}"]


def test_an_attempt_that_was_refused_elsewhere_gives_no_right_to_another_name(frontend):
    """Attempt 2, whose first attempt never came here: a taken name is a stranger's."""
    (frontend.inbox / "prosecution.transfer" / name_of(1)).mkdir(parents=True)
    key = frontend.arrive(Arrival(attempt=2))
    frontend.delivery.step()
    assert frontend.state(key) is DELIVERING
    assert frontend.visible() == [f"prosecution.transfer/{name_of(1)}"]


def test_the_proof_of_another_attempt_is_not_enough(frontend):
    key = frontend.arrive()
    frontend.ledger.write(lambda tx: tx.execute("UPDATE receipt SET attempt = 7") and None)
    frontend.delivery.step()
    assert frontend.state(key) is ARRIVED
