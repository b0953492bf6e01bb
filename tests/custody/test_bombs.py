"""A schema that blows up was published all the same: its packets wait, nobody else does (real workers)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.pack.source import build_pack
from exchanged.pool import ProcessWorkPool
from packet_spec.model import ItemKind, PackReference, ReceiptKind
from packet_spec.pack import Pack, read_pack, shipped_pack
from tests.support.measuring import measured
from tests.support.peer import Sealed
from tests.support.province import Province, node, publish

ROWS = """[pack]
name = "bomb"
version = "1"
[[business_type]]
code = "local.bomb"
zh = "虚构"
en = "fictional"
category = "filing"
main_flow = "MF01"
unit = "none"
senders = ["police", "procuratorate"]
receivers = ["police", "procuratorate"]
schema = "own.xsd"
"""
# XSD 1.1, so that Python's own patterns decide: those never give up.
PATTERN = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:exchanged:body:1"
 xmlns:vc="http://www.w3.org/2007/XMLSchema-versioning" vc:minVersion="1.1"
 targetNamespace="urn:exchanged:body:1" elementFormDefault="qualified">
 <xs:element name="local.bomb"><xs:complexType><xs:sequence>
 <xs:element name="word" maxOccurs="unbounded"><xs:simpleType>
 <xs:restriction base="xs:string"><xs:pattern value="((a|aa)+)+b"/></xs:restriction>
 </xs:simpleType></xs:element></xs:sequence></xs:complexType></xs:element></xs:schema>"""
BODY = b'<body><local.bomb xmlns="urn:exchanged:body:1"><word>%s</word></local.bomb></body>'


@pytest.fixture
def bomb(tmp_path: Path) -> Pack:
    folder = tmp_path / "bomb"
    folder.mkdir()
    (folder / "pack.toml").write_text(ROWS, encoding="utf-8")
    (folder / "own.xsd").write_text(PATTERN, encoding="utf-8")
    return read_pack(build_pack(folder))


@pytest.fixture
def real(province: Province, tmp_path: Path, bomb: Pack) -> Iterator[Province]:
    """The province with real worker processes, where the bomb's pack is in force."""
    pool = ProcessWorkPool(2, 8.0, patience_seconds=5.0)
    opened = node(province)
    opened.close()
    opened.pool = pool
    opened.open()
    since = province.network.clock.now() - timedelta(days=1)
    packs = tuple(
        PackReference(pack.name, pack.version, pack.digest, since) for pack in (shipped_pack(), bomb)
    )
    directory = replace(opened.opened.trust.directory, version=2, packs=packs)
    opened.opened.trust.offer(publish(province, directory))
    opened.opened.packs.offer(build_pack(tmp_path / "bomb"), directory)
    yield province
    pool.close()


def seal_bomb(province: Province, bomb: Pack, word: bytes, seed: int) -> Sealed:
    def edit(data: bytes) -> bytes:
        data = re.sub(rb"<body>.*</body>", lambda _: BODY % word, data, flags=re.DOTALL)
        return re.sub(rb"<businessType>[^<]*<", b"<businessType>local.bomb<", data)

    request = province.request(business_type="common.accept", seed=seed)
    return province.police.seal(
        request, change={"business_type": "local.bomb", "pack": bomb.stamp}, edit=edit
    )


@pytest.mark.slow
def test_packets_that_blow_up_the_validator_wait_and_nobody_else_does(
    real: Province, bomb: Pack, record_property: Any
) -> None:
    harmless = seal_bomb(real, bomb, b"aab", 3)
    real.police.send(harmless)
    real.run()
    assert real.arrivals() == []
    assert real.procuratorate.items(ItemKind.PACKET) == [harmless.data]
    bombs = [seal_bomb(real, bomb, b"a" * 60, seed) for seed in (4, 5)]
    honest = real.procuratorate.seal(
        replace(
            real.request(business_type="common.accept", seed=6),
            sender=real.procuratorate.agency,
            receiver=real.police.agency,
        )
    )
    real.police.send(*bombs)
    real.procuratorate.send(honest)
    with measured() as took:
        real.network.round()
        real.network.round()
    # Each is tried alone, one after the other, with more than twice the patience that is shipped.
    record_property("seconds", round(took.seconds / len(bombs), 1))
    assert real.police.items(ItemKind.PACKET) == [honest.data]
    assert {state for state, _reason in real.arrivals()} == {"held"}
    assert {reason for _state, reason in real.arrivals()} <= {"check-takes-long", "worker-died"}
    assert len(real.arrivals()) == 2
    # Of the harmless one, and of the honest one that came to it.
    assert {receipt.kind for receipt in real.receipts(real.police)} == {ReceiptKind.ACCEPTED}
