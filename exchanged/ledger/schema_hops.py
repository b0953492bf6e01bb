"""The migration ``0022-hops``: how often a node spoke of a packet is counted without reading what others said."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = """
DROP INDEX hop_packet;
CREATE INDEX hop_packet ON hop(packet_id, sender, node)
"""
