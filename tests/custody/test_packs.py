"""Versions of the standard side by side: who judges by which, how packs travel, and what waits for one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from cli.lab.plan import Standard
from cli.pack.source import build_pack
from packet_spec.model import Directory, ItemKind, PackReference, PackStamp, ReceiptKind, Route
from packet_spec.pack import Pack, read_pack, shipped_pack
from tests.support.network import POLICE, PROCURATORATE, Network, small_plan
from tests.support.province import Province, node, publish

ROOT = Path(__file__).resolve().parents[2]
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
LOCAL = build_pack(ROOT / "examples" / "local-pack")


def reference(pack: Pack, clock: Any, *, days: float = -1, until: float | None = None) -> PackReference:
    now = clock.now()
    ends = None if until is None else now + timedelta(days=until)
    return PackReference(pack.name, pack.version, pack.digest, now + timedelta(days=days), ends)


def local_network(tmp_path: Path, standard: Standard) -> Network:
    return Network(tmp_path, replace(small_plan(POLICE, PROCURATORATE), standard=standard))


def drop(network: Network, business_type: str, pack: Pack, **settings: Any) -> Path:
    request = DropRequest(business_type, POLICE, PROCURATORATE, network.clock.now(), **settings)
    return write_drop(make_drop(request, pack.catalogue), network.agency(POLICE) / "outbox")


def details(province: Province, kind: str) -> list[dict[str, str]]:
    return [json.loads(str(event["detail"])) for event in province.events(kind)]


def status(network: Network, drop: Path) -> str:
    return (network.agency(POLICE) / "status" / f"{drop.name}.status.json").read_text(encoding="utf-8")


def test_a_local_type_travels_once_the_directory_names_its_pack(tmp_path: Path) -> None:
    """The pack lies at the province alone; the front-ends get it over their links."""
    local = read_pack(LOCAL)
    named = PackReference(local.name, local.version, local.digest, LONG_AGO)
    with local_network(tmp_path, Standard(((named, LOCAL),))) as network:
        sent = drop(network, "local.drugtest.report", local)
        network.run()
        assert '"delivered"' in status(network, sent)
        inbox = network.agency(PROCURATORATE) / "inbox" / "local.drugtest.report"
        assert len(list(inbox.iterdir())) == 1
        for each in network.nodes.values():
            assert each.opened.packs.has(local.digest)
        lying = [path.name for path in network.mailbox(POLICE).rglob("*.pack")]
        assert lying == []


def test_without_its_pack_a_local_type_is_unknown(tmp_path: Path) -> None:
    with local_network(tmp_path, Standard()) as network:
        sent = drop(network, "local.drugtest.report", read_pack(LOCAL))
        network.run()
        assert '"refused"' in status(network, sent)
        assert "type-unknown" in status(network, sent)


def test_what_was_sealed_by_an_unknown_pack_is_held_with_both_versions_named(province: Province) -> None:
    packet = province.police.seal(
        province.request(), change={"pack": PackStamp("elsewhere", "9.9", "ab" * 32)}
    )
    province.police.send(packet)
    province.run()
    assert province.arrivals() == [("held", "pack-unknown")]
    (held,) = [each for each in details(province, "hold") if each["reason"] == "pack-unknown"]
    assert "elsewhere 9.9" in str(held["note"])
    assert shipped_pack().version in str(held["note"])
    assert province.receipts(province.police) == []


def test_a_pack_that_comes_later_releases_what_waits_for_it(province: Province) -> None:
    local = read_pack(LOCAL)
    packet = province.police.seal(province.request(), change={"pack": local.stamp})
    province.police.send(packet)
    province.run()
    assert province.arrivals() == [("held", "pack-unknown")]
    opened, clock = node(province).opened, province.network.clock
    packs = (reference(local, clock), reference(shipped_pack(), clock))
    opened.trust.offer(publish(province, replace(opened.trust.directory, version=2, packs=packs)))
    province.run()
    assert province.arrivals() == [("held", "pack-unknown")]
    (opened.packs.incoming / "any-name.pack").write_bytes(LOCAL)
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]
    assert list(opened.packs.incoming.iterdir()) == []


def test_what_was_sealed_by_a_pack_out_of_force_is_refused(province: Province) -> None:
    opened, clock = node(province).opened, province.network.clock
    local = read_pack(LOCAL)
    opened.packs.offer(LOCAL, named(opened.trust.directory, reference(local, clock)))
    packs = (reference(shipped_pack(), clock, days=-9, until=-5), reference(local, clock))
    opened.trust.offer(publish(province, replace(opened.trust.directory, version=2, packs=packs)))
    province.police.send(province.police.seal(province.request()))
    province.run()
    (receipt,) = province.receipts(province.police)
    assert receipt.kind is ReceiptKind.REFUSED
    (finding,) = receipt.findings
    assert finding.code == "pack-not-in-force"
    assert local.version in finding.expected
    assert shipped_pack().version in finding.found


def named(directory: Directory, *packs: PackReference) -> Directory:
    return replace(directory, packs=packs)


def test_the_older_of_two_packs_in_force_still_serves_and_warns(tmp_path: Path) -> None:
    """The newer one asks for a document that this software does not know of yet."""
    folder = tmp_path / "stricter"
    folder.mkdir()
    (folder / "pack.toml").write_text(
        '[pack]\nname = "standard"\nversion = "99"\n[[business_type]]\ncode = "case.report"\n'
        'required_documents = ["POL-002", "POL-003"]\n',
        encoding="utf-8",
    )
    data = build_pack(folder)
    newer, old = read_pack(data), shipped_pack()
    long_ago = LONG_AGO
    packs = (
        (PackReference(old.name, old.version, old.digest, long_ago), b""),
        (PackReference(newer.name, newer.version, newer.digest, long_ago + timedelta(days=1)), data),
    )
    with local_network(tmp_path / "lab", Standard(packs)) as network:
        first = drop(network, "case.report", newer)
        network.run()
        second = drop(network, "case.report", old, seed=2)
        network.run()
        assert '"delivered"' in status(network, first)
        assert "pack-older" not in status(network, first)
        assert '"delivered"' in status(network, second)
        assert "pack-older" in status(network, second)


def test_the_pack_of_a_program_stays_when_the_program_goes(province: Province) -> None:
    """The next program carries another standard; what is named must not be lost with this one."""
    opened, clock = node(province).opened, province.network.clock
    kept = opened.packs.folder / f"{shipped_pack().digest}.pack"
    assert not kept.exists()
    directory = replace(opened.trust.directory, version=2, packs=(reference(shipped_pack(), clock),))
    (opened.trust.incoming / "new.xml").write_bytes(publish(province, directory))
    province.run()
    assert read_pack(kept.read_bytes()).digest == shipped_pack().digest
    kept.unlink()
    node(province).die()
    node(province).open()
    assert kept.is_file()


@pytest.mark.parametrize("junk", [b"junk", LOCAL[:-1], b"x" * 9_000_000])
def test_a_pack_that_is_none_is_not_taken_from_a_neighbour(province: Province, junk: bytes) -> None:
    local, clock, opened = read_pack(LOCAL), province.network.clock, node(province).opened
    packs = (reference(shipped_pack(), clock), reference(local, clock))
    opened.trust.offer(publish(province, replace(opened.trust.directory, version=2, packs=packs)))
    path = province.police.mailbox / "up" / f"{local.digest}.pack"
    path.write_bytes(junk)
    province.run()
    assert not opened.packs.has(local.digest)
    assert [each["file"] for each in details(province, "mailbox-file-refused")] == [path.name]
    path.unlink()
    province.run()
    path.write_bytes(LOCAL)
    province.police.send(province.police.seal(province.request()))
    province.run()
    assert len(province.procuratorate.items(ItemKind.PACKET)) == 1


def test_a_route_says_how_strictly_order_is_kept(province: Province) -> None:
    """The node's own policy is to warn; the directory enforces it between these two."""
    opened = node(province).opened
    routes = (Route("police", PROCURATORATE, sequence="enforce"),)
    opened.trust.offer(publish(province, replace(opened.trust.directory, version=2, routes=routes)))
    late = province.request(business_type="supplement.resubmit")
    province.police.send(province.police.seal(late))
    for _ in range(8):
        province.run()
        province.network.clock.advance(60)
    (receipt,) = province.receipts(province.police)
    codes = [finding.code for finding in receipt.findings]
    assert (receipt.kind, codes) == (ReceiptKind.REFUSED, ["predecessor-missing"])
