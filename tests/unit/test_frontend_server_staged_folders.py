"""Nothing is left in the private folder of a packet that is not delivered from there (C19)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from exchanged.durable import Kernel
from exchanged.ledger import packets
from exchanged.states import DestinationState, Event
from packet_spec.identity import PacketKey
from tests.support.inbox import Arrival, FailingKernel, ReceivingFrontend


class BusyKernel(Kernel):
    """Somebody else acts when a file is written, once."""

    meanwhile: Callable[[], None] | None = None

    def write(self, descriptor: int, block: bytes | memoryview) -> int:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return super().write(descriptor, block)


def move(frontend: ReceivingFrontend, key: PacketKey, event: Event) -> None:
    packet, destination = frontend.rows(key)
    frontend.ledger.write(lambda tx: packets.move(tx, packet, destination, event) and None)


@pytest.mark.parametrize("event", [Event.HOLD, Event.RECALL, Event.RECEIPT_UNDELIVERABLE])
def test_what_somebody_moved_while_it_was_staged_is_not_left_there(tmp_path: Path, event: Event) -> None:
    """An operator was faster than the commit, or a receipt of before a restore."""
    kernel = BusyKernel()
    frontend = ReceivingFrontend(tmp_path, kernel=kernel)
    key, other = frontend.arrive(), frontend.arrive(Arrival(2))
    kernel.meanwhile = lambda: move(frontend, key, event)
    frontend.delivery.step()
    assert frontend.staged() == []
    assert frontend.visible() == [f"prosecution.transfer/{other.sender}_{other.packet_id}"]
    frontend.close()


def test_what_is_recalled_when_it_was_staged_already_is_not_left_there(tmp_path: Path) -> None:
    """Before a restart, or in this run."""
    kernel = FailingKernel()
    frontend = ReceivingFrontend(tmp_path, kernel=kernel)
    key = frontend.arrive()
    kernel.rename_error = OSError(5, "Input/output error")
    frontend.delivery.step()
    assert frontend.state(key) is DestinationState.DELIVERING
    frontend.close()
    again = ReceivingFrontend(tmp_path, kernel=kernel, clock=frontend.clock)
    kernel.rename_error = OSError(5, "Input/output error")
    again.delivery.step()
    assert len(again.staged()) == 1
    move(again, key, Event.RECALL)
    again.delivery.step()
    assert again.staged() == []
    again.close()
