"""Real front-ends and the province in one thread: C1, C2, C7, C10, C13, C15, C18 to C22 from outside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import DropFormat, write_drop
from exchanged.bell import Bell
from exchanged.ledger import questions
from exchanged.link import LinkStation
from exchanged.trace import trace
from exchanged.trace_values import Holding, Viewpoint
from packet_spec.identity import PacketKey
from packet_spec.model import ReceiptKind
from packet_spec.receipt import open_receipt
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode, small_plan


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """Police, procuratorate, court and the province."""
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE, COURT)) as made:
        yield made


def drop(
    network: Network,
    business_type: str = "case.report",
    *,
    name: str,
    sender: str = POLICE,
    receiver: str = PROCURATORATE,
    drop_format: DropFormat = DropFormat.FOLDER,
    **changes: Any,
) -> Path:
    """Write a drop into the sender's outbox."""
    request = DropRequest(business_type, sender, receiver, network.clock.now(), name=name, **changes)
    return write_drop(make_drop(request), network.agency(sender) / "outbox", drop_format=drop_format)


def status(network: Network, name: str, agency: str = POLICE) -> dict[str, Any]:
    """The status file of a drop."""
    path = network.agency(agency) / "status" / f"{name}.status.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def inbox(network: Network, agency: str = PROCURATORATE) -> list[Path]:
    """The packets in an agency's inbox."""
    return sorted((network.agency(agency) / "inbox").glob("*/*/"))


def downs(node: SimulatedNode) -> list[str]:
    """The links of a node that are down."""
    return [each.name for each in node.stations if isinstance(each, LinkStation) and each.is_down]


def receipts(network: Network, packet_id: str, agency: str = POLICE) -> list[ReceiptKind]:
    """The receipts in the sender's folder, verified with the directory's keys."""
    trust = network.nodes[agency].opened.trust
    folder = network.agency(agency) / "receipts" / packet_id
    found = [open_receipt(path.read_bytes(), trust.key)[0] for path in folder.iterdir()]
    return [receipt.kind for receipt in sorted(found, key=lambda one: (one.issued_at, one.kind))]


def dispose(network: Network, packet_id: str, kind: str, name: str) -> None:
    """The receiver's software answers a delivered packet."""
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<disposition xmlns="urn:exchanged:disposition:1" packetId="{packet_id}" sender="{POLICE}"'
        f' kind="{kind}" by="收案人员" at="2026-07-15T10:00:00+08:00">'
        + ('<finding code="wrong-agency"><zh>不属本单位管辖</zh></finding>' if kind == "refused" else "")
        + "</disposition>\n"
    )
    (network.agency(PROCURATORATE) / "outbox" / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("drop_format", [DropFormat.FOLDER, DropFormat.ZIP])
def test_a_packet_lies_whole_in_the_inbox_with_receipts_back(
    network: Network, drop_format: DropFormat
) -> None:
    path = drop(network, "prosecution.transfer", name="案件", drop_format=drop_format)
    network.run()
    told = status(network, path.name)
    assert (told["state"], told["final"]) == ("delivered", True)
    (folder,) = inbox(network)
    assert {"packet.xml", "seal.xml", "seal.sig", "accepted.xml", "delivery.xml"} <= {
        entry.name for entry in folder.iterdir()
    }
    assert receipts(network, told["packetId"]) == [ReceiptKind.ACCEPTED, ReceiptKind.DELIVERED]


def test_a_lone_xml_arrives_too(network: Network) -> None:
    drop(network, "prosecution.transfer", name="移送")
    network.run()
    sent = PacketKey(POLICE, status(network, "移送")["packetId"])
    path = drop(
        network, "common.accept", name="受理", sender=PROCURATORATE, receiver=POLICE,
        drop_format=DropFormat.XML, documents=(), in_reply_to=sent,
    )  # fmt: skip
    network.run()
    assert path.name == "受理.xml"
    assert status(network, "受理.xml", PROCURATORATE)["state"] == "delivered"
    (folder,) = inbox(network, POLICE)
    assert {"packet.xml", "delivery.xml", "accepted.xml"} <= {entry.name for entry in folder.iterdir()}


def test_copies_go_to_every_recipient_and_the_status_is_the_worst_of_them(network: Network) -> None:
    drop(network, "trial.judgment", name="判决", sender=COURT, receiver=PROCURATORATE, copy_to=(POLICE,))
    network.nodes[POLICE].die()
    network.run()
    told = status(network, "判决", COURT)
    assert {row["agency"]: row["state"] for row in told["destination"]} == {
        PROCURATORATE: "delivered",
        POLICE: "accepted",
    }
    assert (told["state"], told["final"]) == ("accepted", False)
    network.nodes[POLICE].open()
    network.run()
    assert status(network, "判决", COURT)["state"] == "delivered"


def test_c1_who_wrote_a_mailbox_file_removes_it_and_nobody_else(network: Network) -> None:
    drop(network, name="报备")
    network.run()
    for agency in (POLICE, PROCURATORATE):
        for direction in ("up", "down"):
            names = {path.name for path in (network.mailbox(agency) / direction).iterdir()}
            assert names <= {"ack.batch"}
    network.nodes[POLICE].die()
    strange = network.mailbox(POLICE) / "up" / "00000077-0123456789abcdef.batch"
    strange.write_bytes(b"not ours")
    network.run()
    assert strange.read_bytes() == b"not ours"


def test_c2_a_scan_reads_exact_names_only_and_never_recurses(network: Network) -> None:
    up = network.mailbox(POLICE) / "up"
    (up / "sub").mkdir()
    shutil.copy(network.layout.config(PROVINCE), up / "sub" / "00000001-0123456789abcdef.batch")
    for number in range(300):
        (up / f"flood-{number}").write_bytes(b"")
    drop(network, name="报备")
    network.run()
    assert status(network, "报备")["state"] == "delivered"


def test_c7_the_bell_is_a_fifo_of_the_serving_side_and_only_a_hint(network: Network) -> None:
    bell = network.mailbox(POLICE) / "bell"
    network.run()
    assert bell.is_fifo()
    assert Bell(bell).ring() is False
    bell.unlink()
    bell.mkdir()
    drop(network, name="报备")
    network.run()
    assert status(network, "报备")["state"] == "delivered"
    bell.rmdir()
    drop(network, name="再报")
    network.run()
    assert status(network, "再报")["state"] == "delivered"
    assert bell.is_fifo()


def test_i9_a_served_mailbox_that_is_not_there_downs_its_own_link_only(network: Network) -> None:
    """Also when the node is opened: a share may be mounted later than the daemon starts."""
    province, mailbox = network.nodes[PROVINCE], network.mailbox(COURT)
    province.close()
    mailbox.rename(mailbox.with_name("not-mounted"))
    province.open()
    drop(network, name="报备")
    network.run()
    assert status(network, "报备")["state"] == "delivered"
    assert downs(province) == [f"link:{COURT}"]
    mailbox.with_name("not-mounted").rename(mailbox)
    drop(network, "info.share", name="通报", sender=COURT)
    network.run()
    assert status(network, "通报", COURT)["state"] == "delivered"
    assert downs(province) == []


def test_i9_a_bell_that_is_no_fifo_keeps_no_node_from_starting(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    province, bell = network.nodes[PROVINCE], network.mailbox(COURT) / "bell"
    province.close()
    bell.unlink(missing_ok=True)
    bell.write_bytes(b"what copied the folder made a file of it")
    province.open()
    drop(network, name="报备")
    drop(network, "info.share", name="通报", sender=COURT)
    network.run()
    assert status(network, "报备")["state"] == "delivered"
    assert status(network, "通报", COURT)["state"] == "delivered"
    told = [record.fields["where"] for record in caplog.records if record.message == "bell-unusable"]
    assert told == [str(bell)]


def test_c9_and_c10_the_same_video_goes_up_once_and_is_kept_by_reference(network: Network) -> None:
    """Entered once, used many times: a second packet with the same blob carries only its reference."""
    video: dict[str, Any] = {"extra_documents": ("EVD-024",), "video_bytes": 3_000_000}
    drop(network, "prosecution.transfer", name="移送", **video)
    network.run()
    province = network.nodes[PROVINCE].opened
    stored = province.blobs.files_on_disk()
    assert stored
    seen: set[str] = set()
    network.before_round = lambda: seen.update(
        path.name for code in (PROCURATORATE, POLICE) for path in network.mailbox(code).glob("*/*.blob")
    )
    path = network.agency(POLICE) / "sent" / "移送"
    again = network.agency(POLICE) / "outbox" / "补充.tmp"
    shutil.copytree(path, again)
    text = (again / "packet.xml").read_text("utf-8")
    reference = text[text.index("<senderRef>") : text.index("</senderRef>")]
    (again / "packet.xml").write_text(text.replace(reference, "<senderRef>SECOND-1"), "utf-8")
    again.rename(again.with_name("补充"))
    network.run()
    assert status(network, "补充")["state"] == "delivered"
    assert seen == set()
    assert province.blobs.files_on_disk() == stored
    first, second = inbox(network)
    for entry in first.glob("*.mp4"):
        assert (second / entry.name).read_bytes() == entry.read_bytes()


def test_c13_the_same_drop_twice_sends_once_and_ends_as_a_duplicate(network: Network) -> None:
    drop(network, name="甲", sender_ref="F-1")
    network.run()
    first = status(network, "甲")
    shutil.copytree(network.agency(POLICE) / "sent" / "甲", network.agency(POLICE) / "outbox" / "乙")
    network.run()
    second = status(network, "乙")
    assert (second["state"], second["final"]) == ("duplicate", True)
    assert first["packetId"] in json.dumps(second)
    assert len(inbox(network)) == 1
    assert receipts(network, first["packetId"]) == [ReceiptKind.ACCEPTED, ReceiptKind.DELIVERED]
    assert list((network.agency(POLICE) / "outbox").glob("[!.]*")) == []


def test_c13_after_a_refusal_the_same_content_is_a_higher_attempt_of_the_same_packet(
    network: Network,
) -> None:
    drop(network, name="甲", sender_ref="F-1")
    network.run()
    packet_id = status(network, "甲")["packetId"]
    dispose(network, packet_id, "refused", "退回.xml")
    network.run()
    assert status(network, "甲")["state"] == "refused"
    shutil.copytree(network.agency(POLICE) / "sent" / "甲", network.agency(POLICE) / "outbox" / "乙")
    network.run()
    again = status(network, "乙")
    assert (again["state"], again["attempt"], again["packetId"]) == ("delivered", 2, packet_id)


def test_c15_a_reply_waits_for_nothing_of_others_but_its_own_order_is_kept(network: Network) -> None:
    drop(network, "prosecution.transfer", name="一", sender_ref="F-1")
    drop(network, "case.report", name="二", sender_ref="F-2", seed=1)
    network.run()
    order = [folder.parent.name for folder in sorted(inbox(network), key=lambda path: path.stat().st_ino)]
    assert len(order) == 2
    assert {status(network, name)["state"] for name in ("一", "二")} == {"delivered"}


def test_c18_a_packet_past_its_limit_expires_only_before_it_is_staged(network: Network) -> None:
    network.nodes[PROCURATORATE].die()
    path = drop(network, name="甲", sender_ref="F-1")
    packet = path / "packet.xml"
    limit = (network.clock.now() + timedelta(seconds=90)).isoformat()
    text = packet.read_text("utf-8")
    if "<expiresAt" not in text:
        text = text.replace("<secrecy>", f"<expiresAt>{limit}</expiresAt><secrecy>")
    packet.write_text(text, "utf-8")
    network.run()
    assert status(network, "甲")["state"] == "accepted"
    network.clock.advance(600)
    network.run()
    # on the way nothing expires: a passed limit elsewhere is no proof of anything
    assert status(network, "甲")["state"] == "accepted"
    network.nodes[PROCURATORATE].open()
    network.run()
    told = status(network, "甲")
    assert (told["state"], told["final"]) == ("expired", True)
    assert inbox(network) == []


def test_c19_without_a_good_marker_nothing_is_delivered_and_nothing_is_lost(network: Network) -> None:
    marker = network.agency(PROCURATORATE) / "inbox" / ".exchanged-marker"
    kept = marker.read_bytes()
    marker.unlink()
    drop(network, name="甲")
    network.run()
    assert inbox(network) == []
    assert status(network, "甲")["state"] == "accepted"
    marker.write_bytes(kept)
    network.clock.advance(600)
    network.run()
    assert len(inbox(network)) == 1
    assert status(network, "甲")["state"] == "delivered"


def test_c20_a_folder_that_is_gone_was_collected(network: Network) -> None:
    drop(network, name="甲")
    network.run()
    (folder,) = inbox(network)
    shutil.rmtree(folder)
    for _ in range(4):
        network.clock.advance(30)
        network.run()
    told = status(network, "甲")
    assert told["state"] == "collected"
    assert ReceiptKind.COLLECTED in receipts(network, told["packetId"])


def test_c20_an_inbox_that_vanished_altogether_says_nothing(network: Network) -> None:
    drop(network, name="甲")
    network.run()
    root = network.agency(PROCURATORATE) / "inbox"
    root.rename(root.with_name("unmounted"))
    root.mkdir()
    for _ in range(4):
        network.clock.advance(30)
        network.run()
    assert status(network, "甲")["state"] == "delivered"


def test_c22_a_disposition_signs_for_a_delivered_packet_once(network: Network) -> None:
    drop(network, name="甲")
    network.run()
    packet_id = status(network, "甲")["packetId"]
    dispose(network, packet_id, "signed", "签收.xml")
    network.run()
    assert status(network, "甲")["state"] == "signed"
    assert receipts(network, packet_id)[-1] is ReceiptKind.SIGNED
    dispose(network, packet_id, "refused", "又退回.xml")
    network.run()
    told = status(network, "又退回.xml", PROCURATORATE)
    assert told["state"] == "refused"
    assert told["finding"][0]["code"] == "disposition-repeated"
    assert status(network, "甲")["state"] == "signed"


def test_a_refusal_at_the_sender_is_a_status_with_findings_and_no_receipt(network: Network) -> None:
    drop(network, name="缺件", omit_documents=frozenset({"POL-002"}))
    network.run()
    told = status(network, "缺件")
    assert (told["state"], told["final"]) == ("refused", True)
    (finding,) = told["finding"]
    assert finding["code"] == "document-missing"
    refused = network.agency(POLICE) / "refused" / "缺件"
    assert (refused / "packet.xml").exists() or list((network.agency(POLICE) / "refused").iterdir())
    assert list((network.agency(POLICE) / "receipts").iterdir()) == []
    assert inbox(network) == []


def test_the_delivered_receipt_of_a_copy_says_who_received_it(network: Network) -> None:
    plan = replace(DropRequest("prosecution.transfer", POLICE, PROCURATORATE, network.clock.now()), name="甲")
    write_drop(make_drop(plan), network.agency(POLICE) / "outbox")
    network.run()
    trust = network.nodes[POLICE].opened.trust
    folder = network.agency(POLICE) / "receipts" / status(network, "甲")["packetId"]
    delivered = open_receipt(next(folder.glob("delivered-*")).read_bytes(), trust.key)[0]
    assert (delivered.recipient, delivered.issued_by) == (PROCURATORATE, PROCURATORATE)


def test_c18_a_packet_that_never_left_expires_at_its_sender(network: Network) -> None:
    """The link is down: nothing was offered, so the passed limit is certain here."""
    mailbox = network.mailbox(POLICE)
    mailbox.rename(mailbox.with_name("unplugged"))
    path = drop(network, name="甲", sender_ref="F-1")
    packet = path / "packet.xml"
    limit = (network.clock.now() + timedelta(seconds=90)).isoformat()
    text = packet.read_text("utf-8")
    packet.write_text(text.replace("<secrecy>", f"<expiresAt>{limit}</expiresAt><secrecy>"), "utf-8")
    network.run()
    assert status(network, "甲")["state"] == "queued"
    network.clock.advance(600)
    mailbox.with_name("unplugged").rename(mailbox)
    network.run()
    told = status(network, "甲")
    assert (told["state"], told["final"]) == ("expired", True)
    assert inbox(network) == []
    key = PacketKey(POLICE, told["packetId"])
    facts = questions.facts(network.nodes[POLICE].opened.ledger.read(), key)
    (way,) = trace(facts, Viewpoint(POLICE, {})).ways
    assert (way.holder.holding, way.holder.node) == (Holding.NOBODY, POLICE)


def test_c10_a_blob_goes_when_its_last_packet_has_been_final_long_enough(network: Network) -> None:
    drop(network, "prosecution.transfer", name="移送", extra_documents=("EVD-024",), video_bytes=2_000_000)
    network.run()
    province = network.nodes[PROVINCE].opened
    assert province.blobs.files_on_disk()
    # The original in sent/ goes by days too.
    original = network.layout.root / "original"
    shutil.copytree(network.agency(POLICE) / "sent" / "移送", original)
    network.clock.advance(80 * 86_400)
    network.run()
    assert province.blobs.files_on_disk()
    # A day counts once the neighbours' signs of life say so; the sweep looks every hour.
    for seconds in (11 * 86_400, 3_700):
        network.clock.advance(seconds)
        network.run()
    assert province.blobs.files_on_disk() == {}
    # the neighbours believe that it is still there: the province says need, and gets it
    again = network.agency(POLICE) / "outbox" / "再.tmp"
    shutil.copytree(original, again)
    text = (again / "packet.xml").read_text("utf-8")
    reference = text[text.index("<senderRef>") : text.index("</senderRef>")]
    (again / "packet.xml").write_text(text.replace(reference, "<senderRef>SECOND-1"), "utf-8")
    again.rename(again.with_name("再"))
    network.run()
    assert status(network, "再")["state"] == "delivered"
    assert province.blobs.files_on_disk()
