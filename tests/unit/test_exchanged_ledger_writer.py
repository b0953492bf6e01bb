"""The ledger's connections: one for each thread that reads, for as long as it lives."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

from exchanged.ledger import Ledger
from tests.support.clock import FakeClock


def _handles() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def test_a_thread_that_ended_leaves_no_connection(tmp_path: Path) -> None:
    """A step that takes long is relieved by another thread and ends its own, as long as the daemon runs."""
    path = tmp_path / "ledger.db"
    with closing(Ledger(path, FakeClock(), on_wake=lambda _: None, threaded=False)) as ledger:
        assert ledger.read().execute("SELECT count(*) FROM event").fetchone()[0] == 0
        before = _handles()
        for _ in range(20):
            thread = threading.Thread(target=lambda: ledger.read().execute("SELECT 1 FROM event").fetchall())
            thread.start()
            thread.join()
        assert _handles() - before <= 4
        # Whoever lives keeps its own.
        assert ledger.read().execute("SELECT count(*) FROM event").fetchone()[0] == 0
