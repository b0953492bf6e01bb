"""The migration ``0015-expiring``: own packets that may expire while they wait, found without reading all."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = """
CREATE INDEX packet_expiring ON packet(expires_at)
  WHERE own = 1 AND state = 'active' AND expires_at IS NOT NULL
"""
