"""A large encrypted part through real daemons and a real OpenSSH server, cut on its way. Fictional data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import Standard
from exchanged.clock import SystemClock
from packet_spec.model import Carriage
from packet_spec.part_cipher import carried_size
from packet_spec.seal_document import decode_seal
from tests.support.encrypting import ROUTES
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, small_plan
from tests.support.stories import exchangectl, wait_until

pytestmark = [pytest.mark.process, pytest.mark.slow]

_VIDEO_BYTES = 150_000_000
_BLOCK = 1 << 20


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Two agencies and the province, over sshd; every part between the agencies is encrypted."""
    plan = replace(small_plan(POLICE, PROCURATORATE), standard=Standard(routes=ROUTES))
    made = create_lab(tmp_path / "lab", plan, "sftp")
    try:
        made.start()
        yield made
    finally:
        made.stop()


def digest_of(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            hasher.update(block)
    return hasher.hexdigest()


def holds(root: Path, canary: bytes) -> list[Path]:
    """Files below ``root`` with these bytes in them, read in overlapping blocks."""
    found = []
    for path in (each for each in root.rglob("*") if each.is_file()):
        tail = b""
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                if canary in tail + block:
                    found.append(path)
                    break
                tail = block[-len(canary) :]
    return found


def test_a_large_part_is_encrypted_cut_resumed_and_opened_and_the_province_reads_nothing(lab: Lab) -> None:
    layout = lab.layout
    request = DropRequest(
        "prosecution.transfer", POLICE, PROCURATORATE, SystemClock().now(), name="A",
        extra_documents=("EVD-024",), video_bytes=_VIDEO_BYTES,
    )  # fmt: skip
    desk = layout.root / "desk"
    desk.mkdir()
    dropped = write_drop(make_drop(request), desk)
    wanted = {path.name: digest_of(path) for path in dropped.iterdir()}
    video = next(path for path in dropped.iterdir() if path.suffix == ".mp4")
    with video.open("rb") as file:
        file.seek(_VIDEO_BYTES // 2)
        canary = file.read(64)
    dropped.rename(layout.agency(POLICE) / "outbox" / "A")

    up = layout.mailbox(POLICE) / "up"
    wait_until(lambda: any(path.stat().st_size > _BLOCK for path in up.iterdir()), "the upload to begin")
    lab.kill_node(POLICE)
    lab.start_node(POLICE)

    inbox = layout.agency(PROCURATORATE) / "inbox"
    wait_until(lambda: any(inbox.glob("*/*/delivery.xml")), "the packet in the inbox")
    (folder,) = inbox.glob("*/*/")
    assert {name: digest_of(folder / name) for name in wanted} == wanted
    seal = decode_seal((folder / "seal.xml").read_bytes())
    assert seal.encryption is not None
    (blob,) = (part for part in seal.parts if part.carriage is Carriage.BLOB)
    assert blob.size == carried_size((folder / video.name).stat().st_size)
    assert holds(layout.data(PROVINCE), canary) == []
    assert holds(layout.root / "mailboxes", canary) == []
    assert holds(layout.data(PROCURATORATE), canary) == []
    assert digest_of(next(layout.data(PROVINCE).glob(f"blobs/{blob.digest}.*"))) == blob.digest
    shown = exchangectl(lab, PROVINCE, "packet", "show", seal.key.packet_id)
    assert ", encrypted" in shown.stdout
    told = json.loads((layout.agency(POLICE) / "status" / "A.status.json").read_text("utf-8"))
    assert told["packetId"] == seal.key.packet_id
