"""The migration ``0018-case-types``: what is found although there is much else beside it.

The types that a case has had, without the rest of its history; what is held of one packet for one reason; how
often somebody has said the same of a packet; the large parts that are still here.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = """
DROP INDEX case_history_case;
CREATE INDEX case_history_type ON case_history(case_id, business_type, at);
CREATE INDEX arrival_held_packet ON arrival(packet_id, sender, reason) WHERE state = 'held';
CREATE INDEX receipt_said ON receipt(packet_id, sender, issued_by, kind, attempt, recipient) WHERE own = 0;
CREATE INDEX blob_live ON blob(since) WHERE state = 'live'
"""
