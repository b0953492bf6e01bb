"""The engine: ledger, spool, links, relay, receipts and routing of one node.

It builds on ``packet_spec`` and knows nothing of outboxes or command lines.
"""

__version__ = "0.2.0"
