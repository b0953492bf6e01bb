"""Copying and sealing: what travels inline, what as a blob, and that a seal says what was copied."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from exchanged.errors import NoSpaceError, VolumeDamagedError
from exchanged.keyring import always
from exchanged.ledger import blobs
from exchanged.states import DropState
from exchanged.volume import Kernel
from frontend_server.copying import CopiedDrop, CopiedPart, choose_carriages
from frontend_server.sealing import Checked, Sealer, SealNumbers
from packet_spec.binding import check_seal_against_packet
from packet_spec.check import check_packet
from packet_spec.errors import SchemaError
from packet_spec.identity import content_digest, sha256_hex
from packet_spec.limits import INLINE_PART_BYTES, INLINE_PARTS_BYTES, MIB
from packet_spec.model import Carriage, SealPart
from packet_spec.pack import shipped_pack
from packet_spec.seal import PacketReader, decode_seal, encode_seal
from tests.support.documents import KEY, NOW, SEAL_KEY, look_up
from tests.support.outbox import LARGE, SMALL, SendingFrontend, packet_xml
from tests.support.papers import pdf

INLINE, BLOB = Carriage.INLINE, Carriage.BLOB

CHECKED = Checked("utf-8", shipped_pack().stamp)


class Target(io.BytesIO):
    """A group that is no file."""

    @property
    def offset(self) -> int:
        return self.tell()

    def append(self, block: bytes) -> int:
        position = self.tell()
        self.write(block)
        return position


@pytest.mark.parametrize(
    ("sizes", "carriages"),
    [
        ([], []),
        ([0, 1, INLINE_PART_BYTES], [INLINE, INLINE, INLINE]),
        ([INLINE_PART_BYTES + 1, 5], [BLOB, INLINE]),
        ([MIB] * 8, [INLINE] * 8),
        # Of equal sizes the last goes; the largest goes before.
        ([MIB] * 9, [INLINE] * 8 + [BLOB]),
        ([10, *[MIB] * 8, 20], [INLINE] * 8 + [BLOB, INLINE]),
        ([MIB - 1, *[MIB] * 8], [INLINE] * 8 + [BLOB]),
    ],
)
def test_what_is_large_travels_apart(sizes: list[int], carriages: list[Carriage]) -> None:
    assert choose_carriages(sizes) == carriages
    inline = [size for size, carriage in zip(sizes, carriages, strict=True) if carriage is INLINE]
    assert sum(inline) <= INLINE_PARTS_BYTES


def copied(files: dict[str, bytes], document: bytes) -> CopiedDrop:
    parts = tuple(
        CopiedPart(SealPart(index, name.encode(), len(data), sha256_hex(data), INLINE, "COM-005"), data)
        for index, (name, data) in enumerate(files.items(), start=1)
    )
    digest = sha256_hex(document)
    listing = [(each.part.name, each.part.size, each.part.digest) for each in parts]
    return CopiedDrop(document, digest, parts, content_digest(digest, listing))


def test_a_seal_says_what_was_copied_and_what_the_envelope_states() -> None:
    document = packet_xml(SMALL, expiresAt="", packetId=KEY.packet_id)
    packet = check_packet(document, directory=None, pack=shipped_pack()).packet
    assert packet is not None
    sealer = Sealer(always(SEAL_KEY))
    numbers = SealNumbers(KEY, 3, "5f3a", 17, NOW)
    target = Target()
    target.append(b"what lies before")
    drop = copied(SMALL, document)
    sealed = sealer.write(target, packet.envelope, CHECKED, drop, numbers)  # type: ignore[arg-type]
    assert (sealed.start, sealed.start + sealed.length) == (16, target.tell())
    reader = PacketReader(io.BytesIO(target.getvalue()[16:]).read)
    seal = reader.open(look_up)
    assert seal == sealed.seal == decode_seal(reader.seal_bytes)
    assert reader.packet_xml() == document
    assert [b"".join(blocks) for _, blocks in reader.parts()] == list(SMALL.values())
    assert check_seal_against_packet(seal, packet) == ()
    assert (seal.key, seal.attempt, seal.incarnation, seal.sequence) == (KEY, 3, "5f3a", 17)
    assert (seal.pack, seal.key_id) == (shipped_pack().stamp, SEAL_KEY.key_id)
    assert seal.content_digest == drop.content_digest
    assert sealed.seal_digest == sha256_hex(encode_seal(seal))


def test_a_value_that_cannot_be_sealed_writes_nothing() -> None:
    document = packet_xml(SMALL)
    packet = check_packet(document, directory=None, pack=shipped_pack()).packet
    assert packet is not None
    target = Target()
    unnamed = copied({"": b"x"}, document)
    with pytest.raises(SchemaError):
        Sealer(always(SEAL_KEY)).write(
            target, packet.envelope, CHECKED, unnamed, SealNumbers(KEY, 1, "5f3a", 1, NOW)  # type: ignore[arg-type]
        )
    assert target.getvalue() == b""


def test_parts_travel_as_they_were_copied(tmp_path: Path) -> None:
    files = {f"{number}.pdf": pdf(str(number), size=MIB) for number in range(10)}
    frontend = SendingFrontend(tmp_path / "front-end")
    frontend.drop_folder("A", {**files, **LARGE})
    frontend.run()
    seal, _, parts = frontend.open(frontend.packets()[0])
    assert [part.carriage for part in seal.parts] == [INLINE] * 8 + [BLOB] * 3
    assert parts == {**files, **LARGE}
    digests = {part.digest for part in seal.parts if part.carriage is BLOB}
    assert {digest for digest, _ in frontend.blobs.files_on_disk()} == digests
    references = blobs.references(frontend.ledger.read(), seal.key)
    assert {reference.digest for reference in references} == digests
    frontend.close()


def test_the_same_attachment_twice_is_one_blob(tmp_path: Path) -> None:
    data = LARGE["卷宗.pdf"]
    files = {"a.pdf": data, "b.pdf": data}
    frontend = SendingFrontend(tmp_path / "front-end")
    frontend.drop_folder("A", files)
    frontend.run()
    assert frontend.open(frontend.packets()[0])[2] == files
    assert len(frontend.blobs.files_on_disk()) == 1
    assert list(frontend.blobs.incoming.iterdir()) == []
    frontend.close()


def test_a_stored_blob_that_lost_its_file_is_stored_again(tmp_path: Path) -> None:
    frontend = SendingFrontend(tmp_path / "front-end")
    frontend.drop_folder("A", LARGE)
    frontend.run()
    ((digest, generation),) = frontend.blobs.files_on_disk()
    frontend.blobs.path(digest, generation).unlink()
    frontend.drop_folder("B", LARGE, document=packet_xml(LARGE, senderRef="R-2"))
    frontend.run()
    assert frontend.open(frontend.packets()[1])[2] == LARGE
    frontend.close()


def test_a_blob_that_was_collected_gets_a_new_generation(tmp_path: Path) -> None:
    frontend = SendingFrontend(tmp_path / "front-end")
    frontend.drop_folder("A", LARGE)
    frontend.run()
    frontend.ledger.write(lambda tx: tx.execute("UPDATE blob SET state = 'dead'"))
    frontend.drop_folder("B", LARGE, document=packet_xml(LARGE, senderRef="R-2"))
    frontend.run()
    assert {generation for _, generation in frontend.blobs.files_on_disk()} == {1, 2}
    assert frontend.open(frontend.packets()[1])[2] == LARGE
    frontend.close()


class FailingKernel(Kernel):
    """Our own volume fails at one kind of call."""

    def __init__(self, number: int, on: str) -> None:
        self.number = number
        self.on = on
        self.active = False

    def write(self, descriptor: int, block: bytes | memoryview) -> int:
        if self.active and self.on == "write":
            raise OSError(self.number, "as the test wants")
        return super().write(descriptor, block)

    def fsync(self, descriptor: int) -> None:
        if self.active and self.on == "fsync":
            raise OSError(self.number, "as the test wants")
        super().fsync(descriptor)


def test_a_full_spool_takes_nothing_and_leaves_no_group(tmp_path: Path) -> None:
    kernel = FailingKernel(28, "write")
    frontend = SendingFrontend(tmp_path / "front-end", own_kernel=kernel)
    frontend.drop_folder()
    kernel.active = True
    with pytest.raises(NoSpaceError):
        frontend.intake.step()
    kernel.active = False
    assert frontend.packets() == []
    assert frontend.spool.names() == ()
    frontend.run()
    assert [row.state for row in frontend.rows()] == [DropState.TAKEN]
    frontend.close()


@pytest.mark.parametrize("on", ["write", "fsync"])
def test_a_damaged_volume_ends_the_process_with_nothing_promised(tmp_path: Path, on: str) -> None:
    kernel = FailingKernel(5, on)
    frontend = SendingFrontend(tmp_path / "front-end", own_kernel=kernel)
    frontend.drop_folder("A", {**SMALL, **LARGE})
    kernel.active = True
    with pytest.raises(VolumeDamagedError):
        frontend.intake.step()
    kernel.active = False
    assert frontend.packets() == []
    assert (frontend.outbox / "A").is_dir()
    frontend.close()
