"""The migration ``0022-hops``: a node's notes about a packet are counted without reading those of others."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = """
DROP INDEX hop_packet;
CREATE INDEX hop_packet ON hop(packet_id, sender, node)
"""
