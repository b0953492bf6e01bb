"""Poison, clock, configuration, upgrade, the ledger of ten years, backups: what operation does to a node."""
