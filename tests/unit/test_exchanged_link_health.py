"""A link's health in the ledger: written at changes only, over a transport that fails by a script."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from exchanged import errors
from exchanged.errors import (
    ConnectionRefusedByPeerError,
    LoginRefusedError,
    MailboxUnusableError,
    NoSpaceError,
    TransportError,
    VolumeDamagedError,
)
from exchanged.ledger.questions_event import EventFilter, list_events
from exchanged.ledger.questions_link import link_facts
from exchanged.link import LinkStation
from exchanged.link_health import FAULTS, Fault, LinkHealth, fault_of
from packet_spec.errors import ExchangeError
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.transports import ScriptedTransport


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with Network(tmp_path_factory.mktemp("health"), small_plan(POLICE, PROCURATORATE)) as network:
        network.run()
        yield network


def station(network: Network, script: str, link: str) -> LinkStation:
    parts = network.nodes[PROVINCE].opened
    config = next(each for each in parts.config.links if each.name == link)
    context = parts.link_context(config)
    return LinkStation(replace(context, transport=ScriptedTransport(context.transport, script)), rings=False)


def memory(network: Network, link: str) -> tuple[str, str, str]:
    found = link_facts(network.nodes[PROVINCE].opened.ledger.read(), link).memory
    return tuple(found.get(name, "") for name in ("down-since", "down-reason", "down-fault"))  # type: ignore[return-value]


def changes(network: Network) -> list[tuple[str, object]]:
    found = list_events(network.nodes[PROVINCE].opened.ledger.read(), EventFilter(kind="link-*"))
    return [(event.kind, event.detail.get("error")) for event in found]


def test_down_is_written_once_and_lasts_over_a_restart_until_a_round_goes_well(built: Network) -> None:
    link = built.nodes[PROVINCE].config.links[0].name
    links = station(built, "TTT", link)
    down_at = built.clock.now()
    for _ in range(2):
        with pytest.raises(TransportError):
            links.step()
        built.clock.advance(60)
    since, reason, fault = memory(built, link)
    assert (since[:19], reason, fault) == (down_at.isoformat()[:19], "transport-failed", "network")
    assert changes(built) == [("link-down", "transport-failed")]
    again = station(built, "T", link)
    with pytest.raises(TransportError):
        again.step()
    assert memory(built, link)[0] == since
    assert len(changes(built)) == 1
    again.step()
    assert memory(built, link) == ("", "", "")
    assert changes(built) == [("link-down", "transport-failed"), ("link-up", None)]
    head = built.nodes[PROVINCE].head()
    for _ in range(3):
        again.step()
    assert built.nodes[PROVINCE].head() == head


def test_another_reason_is_told_and_down_since_stays(built: Network) -> None:
    parts = built.nodes[PROVINCE].opened
    health = LinkHealth(parts.ledger, "other", POLICE)
    health.note_down(TransportError("no answer"))
    since = memory(built, "other")[0]
    built.clock.advance(5)
    health.note_down(LoginRefusedError("not you"))
    assert memory(built, "other") == (since, "login-refused", "theirs")
    health.note_down(KeyError("a mistake of ours"))
    assert memory(built, "other") == (since, "internal-error", "ours")
    health.note_up()
    assert memory(built, "other") == ("", "", "")


def test_after_a_damaged_volume_nothing_is_written(built: Network) -> None:
    link = built.nodes[PROVINCE].config.links[1].name
    links = station(built, "", link)
    links._landing = _Raising(VolumeDamagedError("fsync failed"))  # type: ignore[assignment]
    head = built.nodes[PROVINCE].head()
    with pytest.raises(VolumeDamagedError):
        links.step()
    assert built.nodes[PROVINCE].head() == head


def test_a_volume_that_fails_while_the_link_is_down_is_heard_of(
    built: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process must end with code 6 then, whatever else is wrong."""
    link = built.nodes[PROVINCE].config.links[1].name
    links = station(built, "TT", link)

    def fail(_self: LinkHealth, _error: Exception) -> None:
        raise VolumeDamagedError("fsync failed")

    monkeypatch.setattr(LinkHealth, "note_down", fail)
    with pytest.raises(VolumeDamagedError):
        links.step()

    def full(_self: LinkHealth, _error: Exception) -> None:
        raise NoSpaceError("no room for the ledger")

    monkeypatch.setattr(LinkHealth, "note_down", full)
    with pytest.raises(TransportError, match="as the script wants"):
        links.step()


class _Raising:
    def __init__(self, error: ExchangeError) -> None:
        self._error = error

    def step(self, _listing: object) -> bool:
        raise self._error


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (TransportError("x"), Fault.NETWORK),
        (ConnectionRefusedByPeerError("x"), Fault.THEIRS),
        (errors.HostKeyError("x"), Fault.THEIRS),
        (errors.MailboxFullError("x"), Fault.THEIRS),
        (NoSpaceError("x"), Fault.OURS),
        (MailboxUnusableError("x"), Fault.OURS),
        (errors.KeyFileError("x"), Fault.OURS),
        (RuntimeError("x"), Fault.OURS),
    ],
)
def test_whose_fault_an_error_is(error: Exception, fault: Fault) -> None:
    assert fault_of(error) is fault


def test_every_transport_error_stands_in_the_table_and_the_table_names_none_that_is_not() -> None:
    def leaves(kind: type[ExchangeError]) -> Iterator[str]:
        yield kind.reference
        for below in kind.__subclasses__():
            yield from leaves(below)

    assert set(leaves(TransportError)) <= FAULTS.keys()
    known = set(leaves(ExchangeError))
    assert FAULTS.keys() <= known
