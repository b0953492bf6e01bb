"""The admitting node looks into documents itself: a tampered front-end gets nothing past it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.documents import document
from cli.documents.context import DocumentContext
from exchanged import examine, judge
from exchanged.config import ScannerConfig
from exchanged.errors import WorkerDiedError
from exchanged.pool import InlinePool
from packet_spec.errors import ExchangeError, ValidatorError
from packet_spec.limits import MIB
from packet_spec.model import ItemKind, ReceiptKind
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.peer import Peer
from tests.support.province import Province, node, video_packet
from tests.support.scanners import names_seen, scanner


def refused_codes(province: Province) -> list[list[str]]:
    receipts = province.receipts(province.police)
    assert all(receipt.kind is ReceiptKind.REFUSED for receipt in receipts)
    return [[finding.code for finding in receipt.findings] for receipt in receipts]


@pytest.fixture
def cut_pdf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every PDF loses its last kilobyte before it is listed, hashed and sealed."""
    render = document.render_pdf

    def cut(context: DocumentContext) -> tuple[bytes, int]:
        data, pages = render(context)
        return data[:-1024], pages

    monkeypatch.setattr(document, "render_pdf", cut)


@pytest.fixture
def cut_video(monkeypatch: pytest.MonkeyPatch) -> None:
    write = document.write_mp4

    def cut(target: document.Target, context: DocumentContext, size_bytes: int) -> int:
        whole = io.BytesIO()
        size = write(whole, context, size_bytes)
        target.write(whole.getvalue()[:-1024])
        return size - 1024

    monkeypatch.setattr(document, "write_mp4", cut)


@pytest.mark.usefixtures("cut_pdf")
def test_f9_a_broken_pdf_that_a_front_end_let_through_is_refused(province: Province) -> None:
    packet = province.police.seal(province.request("prosecution.transfer"))
    province.police.send(packet)
    province.run()
    (codes,) = refused_codes(province)
    assert set(codes) == {"document-unreadable"}
    assert province.procuratorate.items(ItemKind.PACKET) == []


@pytest.mark.usefixtures("cut_video")
def test_a_broken_large_part_is_refused(province: Province) -> None:
    packet = video_packet(province)
    assert packet.blobs
    province.police.send(packet)
    province.run()
    assert refused_codes(province) == [["document-unreadable"]]
    assert province.procuratorate.items(ItemKind.PACKET) == []


def test_whole_documents_pass_large_ones_too(province: Province) -> None:
    packet = video_packet(province)
    province.police.send(packet)
    province.run()
    assert [receipt.kind for receipt in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]


@pytest.mark.parametrize("error", [WorkerDiedError("it died"), ValidatorError("it failed")])
def test_a_check_that_fails_by_itself_holds_and_is_tried_again(
    province: Province, monkeypatch: pytest.MonkeyPatch, error: ExchangeError
) -> None:
    inspect = examine.inspect_documents

    def fail(_: Any) -> Any:
        raise error

    monkeypatch.setattr(examine, "inspect_documents", fail)
    packet = province.police.seal(province.request("prosecution.transfer"))
    province.police.send(packet)
    province.network.round()
    province.network.round()
    ((state, reason),) = province.arrivals()
    assert (state, reason) == ("held", error.reference)
    assert province.receipts(province.police) == []
    monkeypatch.setattr(examine, "inspect_documents", inspect)
    province.network.clock.advance(600)
    province.run()
    assert [receipt.kind for receipt in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]


def test_a_large_part_that_nobody_looked_into_is_not_accepted(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes while its packet is examined: the next look sees it."""
    stored = judge.Judge._stored_blobs
    looks: list[int] = []

    def late(self: judge.Judge, row: Any) -> Any:
        looks.append(row.id)
        return () if len(looks) == 1 else stored(self, row)

    monkeypatch.setattr(judge.Judge, "_stored_blobs", late)
    packet = video_packet(province)
    province.police.send(packet)
    province.run()
    assert len(looks) == 2
    assert [receipt.kind for receipt in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]


class _Timed(InlinePool):
    """Notes what time the pieces of work are given."""

    def __init__(self) -> None:
        self.extra: list[float] = []

    def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
        self.extra += [work.allowance_seconds for work in works]
        # The slow lane knows a piece by its value.
        assert len({hash(work) for work in works}) == len(works)
        return super().run(function, works)


def opened(tmp_path: Path, scanner_config: ScannerConfig | None, pool: InlinePool) -> Network:
    network = Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE, COURT))
    network.only(PROVINCE)
    simulated = network.nodes[PROVINCE]
    simulated.config = replace(simulated.config, scanner=scanner_config)
    simulated.pool = pool
    return network


def test_a_packet_has_time_in_proportion_to_its_large_parts(tmp_path: Path) -> None:
    pool = _Timed()
    with opened(tmp_path, None, pool) as network:
        province = Province(network, Peer(network, POLICE), Peer(network, PROCURATORATE))
        province.police.send(province.police.seal(province.request()), video_packet(province))
        province.run()
    assert min(pool.extra) < 0.1
    assert max(pool.extra) > 2_000_000 / (4 * MIB)


@pytest.mark.parametrize(
    ("script", "kind"), [("exit 0", ReceiptKind.ACCEPTED), ("exit 1", ReceiptKind.REFUSED)]
)
def test_the_scanner_of_the_province_decides_too(tmp_path: Path, script: str, kind: ReceiptKind) -> None:
    program = scanner(tmp_path, f'echo "$EXCHANGED_FILE_NAME" >> "$0.names"; {script}')
    with opened(tmp_path, program, InlinePool()) as network:
        province = Province(network, Peer(network, POLICE), Peer(network, PROCURATORATE))
        packet = video_packet(province)
        province.police.send(packet)
        province.run()
        (receipt,) = province.receipts(province.police)
        assert receipt.kind is kind
        assert {finding.code for finding in receipt.findings} <= {"document-infected"}
        assert len(names_seen(tmp_path)) == len(packet.seal.parts)
        assert bool(receipt.findings) is (kind is ReceiptKind.REFUSED)


def test_without_the_scanners_answer_the_province_holds(tmp_path: Path) -> None:
    with opened(tmp_path, ScannerConfig(("/nonexistent",), 5.0), InlinePool()) as network:
        province = Province(network, Peer(network, POLICE), Peer(network, PROCURATORATE))
        province.police.send(province.police.seal(province.request("prosecution.transfer")))
        network.round()
        network.round()
        assert province.arrivals() == [("held", "scanner-failed")]
        assert province.receipts(province.police) == []
        assert node(province).errors == []
