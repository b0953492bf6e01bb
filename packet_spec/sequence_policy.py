"""How strictly a route holds to the order of a case. Apart from the rules, which need the whole catalogue."""

from __future__ import annotations

from enum import StrEnum


class SequencePolicy(StrEnum):
    """How strictly a route holds to the order; a setting per deployment and route."""

    ENFORCE = "enforce"
    WARN = "warn"
    OFF = "off"
