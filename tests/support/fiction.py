"""Invented packets for tests: requests between fitting agencies, and the check with the lab's directory."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from cli.fiction.agencies import DEFAULT_AGENCIES, FURTHER_KINDS
from cli.fiction.choose import choose_parties
from cli.fiction.request import DropRequest
from cli.fiction.values import SHANGHAI
from packet_spec.catalogue import load_catalogue
from packet_spec.check import CheckResult, check_packet
from packet_spec.model import Directory, DirectoryAgency
from packet_spec.pack import shipped_pack

CATALOGUE = load_catalogue()
MOMENT = datetime(2026, 7, 15, 9, 30, tzinfo=SHANGHAI)
DIRECTORY = Directory(
    version=1,
    issued_at=MOMENT,
    expires_at=MOMENT,
    threshold=1,
    roots=(),
    nodes=(),
    agencies=tuple(
        DirectoryAgency(
            agency.code,
            agency.kind,
            agency.level,
            agency.parent,
            agency.code,
            "620000-00-00",
            agency.name_zh,
            agency.name_en,
        )
        for agency in (*DEFAULT_AGENCIES, *FURTHER_KINDS)
    ),
)


def request_for(code: str, **changes: Any) -> DropRequest:
    """A request for this type between the first fitting agencies, with these changes."""
    sender, receiver = choose_parties(CATALOGUE, CATALOGUE.business_type(code))
    return replace(DropRequest(code, sender.code, receiver.code, MOMENT), **changes)


def check(path: Path) -> CheckResult:
    """The packet check of a folder drop, with the directory of the default lab."""
    data = (path / "packet.xml").read_bytes()
    return check_packet(data, directory=DIRECTORY, pack=shipped_pack())
