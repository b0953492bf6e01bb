"""``delivered`` is signed when the names on the way to the packet are durable (C19)."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged.durable import Kernel
from exchanged.states import DestinationState
from packet_spec.model import ReceiptKind
from packet_spec.receipt import open_receipt
from tests.support.documents import look_up
from tests.support.inbox import Arrival, ReceivingFrontend

BROKEN = OSError(errno.EIO, "Input/output error")
REFUSED = OSError(errno.EINVAL, "Invalid argument")


class FlushingKernel(Kernel):
    """Flushes of the inbox itself fail with ``error``; ``flushed`` are the folders and files that did not."""

    def __init__(self, inbox: Path) -> None:
        self.inbox = inbox
        self.error: OSError | None = None
        self.flushed: list[Path] = []

    def fsync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path == self.inbox and self.error is not None:
            raise self.error
        super().fsync(descriptor)
        self.flushed.append(path)


@pytest.fixture
def kernel(tmp_path: Path) -> FlushingKernel:
    return FlushingKernel(tmp_path / "agency" / "inbox")


@pytest.fixture
def frontend(tmp_path: Path, kernel: FlushingKernel) -> Iterator[ReceivingFrontend]:
    made = ReceivingFrontend(tmp_path, kernel=kernel)
    yield made
    made.close()


def test_c19_the_name_of_a_new_type_folder_is_flushed_before_delivered_is_signed(frontend, kernel):
    """The flush of the inbox failed once; by then the packet lay in its type folder."""
    key = frontend.arrive()
    kernel.error = BROKEN
    frontend.delivery.step()
    assert len(frontend.visible()) == 1
    assert frontend.receipts(key, ReceiptKind.DELIVERED) == []
    for _ in range(3):
        frontend.clock.advance(10)
        frontend.delivery.step()
    assert frontend.state(key) is DestinationState.DELIVERING
    kernel.error, kernel.flushed = None, []
    frontend.clock.advance(10)
    frontend.delivery.step()
    assert frontend.state(key) is DestinationState.DELIVERED
    assert {frontend.inbox, frontend.folder(key).parent} <= set(kernel.flushed)


@pytest.mark.parametrize("is_found", [False, True], ids=["renamed now", "renamed by an earlier run"])
def test_c19_a_share_that_syncs_no_names_of_type_folders_is_told_in_the_receipt(frontend, kernel, is_found):
    key = frontend.arrive(Arrival())
    if is_found:
        kernel.error = BROKEN
        frontend.delivery.step()
        frontend.clock.advance(10)
    kernel.error = REFUSED
    frontend.delivery.step()
    (row,) = frontend.receipts(key, ReceiptKind.DELIVERED)
    assert not open_receipt(row.document, look_up)[0].folder_synced
