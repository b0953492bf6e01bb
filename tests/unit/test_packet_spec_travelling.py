from __future__ import annotations

import pickle
from dataclasses import dataclass

import pytest

from packet_spec.check import check_packet
from packet_spec.errors import SchemaError
from packet_spec.pack import shipped_pack
from packet_spec.travelling import travels_by_values
from tests.conformance.generated_packets import made


@travels_by_values
@dataclass(frozen=True, slots=True)
class Range:
    """A value whose class refuses some arguments."""

    low: int
    high: int = 9

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise SchemaError("a range ends before it begins")


def arrived(value: object) -> object:
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes


def test_a_packet_arrives_as_it_was_sent() -> None:
    for code in ("prosecution.transfer", "info.query"):
        packet = check_packet(made(code).xml(), directory=None, pack=shipped_pack()).packet
        assert packet is not None
        assert arrived(packet) == packet


def test_what_arrives_was_made_by_its_class() -> None:
    sent = Range(3)
    assert arrived(sent) == sent
    object.__setattr__(sent, "high", 2)
    with pytest.raises(SchemaError):
        arrived(sent)
