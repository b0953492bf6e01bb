"""Archives as attachments, through three real nodes: opaque bytes that travel unchanged, or refused by name.

Documents are opened (docs/adr/0014), so an archive whose entries lead out of it is refused with the entry
named, at the sender and, where a tampered front-end let it through, at the admitting node. Nothing is ever
unpacked to a disk: whatever an entry calls itself, no file of that name appears anywhere.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from packet_spec.identity import sha256_hex
from packet_spec.model import ItemKind, ReceiptKind
from tests.custody.test_front_ends import inbox, status
from tests.support.network import POLICE, PROCURATORATE, Network, small_plan
from tests.support.outbox import SMALL, packet_xml
from tests.support.papers import package, pdf
from tests.support.province import Province

ESCAPED = "escaped-9d1f"
LEADING_OUT = [
    f"../{ESCAPED}.pdf",
    f"../../../../../../../../tmp/{ESCAPED}.pdf",
    f"/tmp/{ESCAPED}.pdf",  # noqa: S108 - where it leads
    f"//tmp/{ESCAPED}.pdf",
    f"a/../../{ESCAPED}.pdf",
    f"a/./../../{ESCAPED}.pdf",
    f"..\\{ESCAPED}.pdf",
    f"..\\..\\{ESCAPED}.pdf",
    f"C:\\{ESCAPED}.pdf",
    f"C:{ESCAPED}.pdf",
    f"\\\\host\\share\\{ESCAPED}.pdf",
    f"a/..\\../{ESCAPED}.pdf",
    f"..／{ESCAPED}/../../x.pdf",
    f"~/../{ESCAPED}.pdf",
    f"./../{ESCAPED}.pdf",
    f"{ESCAPED}/../../../x.pdf",
]
# Entries that lead nowhere, however odd.
HARMLESS = [
    {"卷/一/001.pdf": pdf("fictional one"), "卷/二/002.pdf": pdf("fictional two")},
    {"a/b/c/d/e/f/g/h.pdf": pdf("fictional"), "b..pdf": pdf("fictional dots")},
    {"a..b/c...pdf": pdf("fictional"), "etc/passwd.pdf": pdf("fictional passwd")},
]


def archive(*names: str, link: bool = False) -> bytes:
    """An archive with one good entry, and one under each of these names."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as made:
        made.writestr(zipfile.ZipInfo("good.pdf"), pdf("fictional"))
        for name in names:
            entry = zipfile.ZipInfo("x")
            entry.filename = name
            if link:
                entry.external_attr = 0o120777 << 16
            made.writestr(entry, b"/etc/passwd" if link else pdf("fictional"))
    return target.getvalue()


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        yield made


def drop(network: Network, name: str, held: bytes) -> None:
    """A drop of two documents, the second one an archive."""
    files = {**SMALL, "卷宗.zip": held}
    folder = network.layout.root / f"{name}.writing"
    folder.mkdir()
    for each, data in files.items():
        (folder / each).write_bytes(data)
    document = packet_xml(files, sender=POLICE, receiver=PROCURATORATE, senderRef=f"REF-{name}")
    (folder / "packet.xml").write_bytes(document)
    folder.rename(network.agency(POLICE) / "outbox" / name)


def nothing_escaped(network: Network) -> bool:
    places = (network.layout.root.parent, Path("/tmp"))  # noqa: S108 - where the names lead
    found = [path for place in places for path in place.glob(f"**/*{ESCAPED}*") if "outbox" not in str(path)]
    return found == []


@pytest.mark.parametrize("held", HARMLESS, ids=range(len(HARMLESS)))
def test_f50_an_archive_travels_byte_identical(
    network: Network, held: dict[str, bytes], record_property: Any
) -> None:
    data = package(held)
    drop(network, "A", data)
    network.run()
    assert status(network, "A")["state"] == "delivered", status(network, "A")
    (folder,) = inbox(network)
    assert (folder / "卷宗.zip").read_bytes() == data
    record_property("archives", 1)


@pytest.mark.parametrize("name", LEADING_OUT)
def test_f50_an_archive_that_leads_out_is_refused_at_the_sender(
    network: Network, name: str, record_property: Any
) -> None:
    for number, held in enumerate((archive(name), archive(name, link=True), archive("b.pdf", name))):
        drop(network, f"drop {number}", held)
        network.run()
        told = status(network, f"drop {number}")
        assert told["state"] == "refused"
        assert "document-entry-refused" in str(told)
    assert inbox(network) == []
    assert nothing_escaped(network)
    record_property("archives", 3)


def test_f50_an_archive_that_leads_out_is_refused_at_the_admitting_node(
    province: Province, record_property: Any
) -> None:
    """The front-end's own check was taken away by whoever owns its machine."""
    for number, name in enumerate(LEADING_OUT, start=1):
        request = province.request("prosecution.transfer", extra_documents=("COM-001",), seed=number)
        held = archive(name)

        def edit(document: bytes, held: bytes = held) -> bytes:
            size, digest = str(len(held)), sha256_hex(held)
            line = re.compile(r'<attachment [^>]*file="([^"]*)\.zip"[^>]*>')
            text = document.decode()
            (found,) = line.finditer(text)
            changed = re.sub(r'size="\d+"', f'size="{size}"', found[0])
            changed = re.sub(r'sha256="[0-9a-f]+"', f'sha256="{digest}"', changed)
            return text.replace(found[0], changed).encode()

        honest = province.police.seal(request)
        (part,) = [each.name.decode() for each in honest.seal.parts if each.name.endswith(b".zip")]
        packet = province.police.seal(request, parts={part: held}, edit=edit)
        province.police.send(packet)
        province.run()
        (receipt,) = province.receipts(province.police)
        assert receipt.kind is ReceiptKind.REFUSED, name
        assert {finding.code for finding in receipt.findings} == {"document-entry-refused"}
        province.police.acknowledge()
        province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == []
    assert nothing_escaped(province.network)
    record_property("archives", len(LEADING_OUT))
