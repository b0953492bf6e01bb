"""The migration ``0013-seals``: seal and signature of what was sealed, admitted or received here.

The sealed bytes go when a packet is done; what proves who sent it stays like the receipts do.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = """
CREATE TABLE seal (
  digest TEXT PRIMARY KEY, document BLOB NOT NULL, signature BLOB NOT NULL
) WITHOUT ROWID
"""
