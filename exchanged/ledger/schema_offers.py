"""The migration ``0027-offers``: how many keys of a node were revoked when it offered others.

Of offers from before this step it counts as none: a node with a revoked key makes them again within a week.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = """
ALTER TABLE key_offer ADD COLUMN revoked INTEGER NOT NULL DEFAULT 0
"""
