"""A server is known by the host keys that the directory lists, while they count (C24)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exchanged.durable import DurableFiles, Volume
from exchanged.errors import HostKeyEndedError, HostKeyError
from exchanged.sftp_connection import SftpConnection
from exchanged.sftp_transport import SftpTransport
from packet_spec.ssh_keys import SshKeys
from tests.support.sftp_server import SftpServer

pytestmark = pytest.mark.process

STRANGER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


class Listing:
    """What the directory says; a test changes it while the connection lives."""

    def __init__(self, *valid: str, ended: tuple[str, ...] = ()) -> None:
        self.keys = SshKeys(tuple(map(bare, valid)), frozenset(map(bare, ended)), is_listed=True)

    def __call__(self) -> SshKeys:
        return self.keys


def bare(line: str) -> str:
    return " ".join(line.split()[:2])


@pytest.fixture
def made() -> Iterator[list[SftpConnection]]:
    connections: list[SftpConnection] = []
    yield connections
    for connection in connections:
        connection.finish()


def dial(
    server: SftpServer, made: list[SftpConnection], listing: Listing, configured: str = STRANGER
) -> SftpTransport:
    made.append(SftpConnection(server.settings(host_key=configured), listed=listing))
    return SftpTransport(made[-1], DurableFiles(Volume.OWN))


def accepted(server: SftpServer) -> int:
    return sum("Accepted" in line for line in server.log)


def test_a_listed_key_counts_although_another_one_is_configured(
    server: SftpServer, made: list[SftpConnection]
) -> None:
    dial(server, made, Listing(server.host_key)).list_names()


def test_in_an_overlap_either_key_counts(server: SftpServer, made: list[SftpConnection]) -> None:
    dial(server, made, Listing(STRANGER, server.host_key)).list_names()
    dial(server, made, Listing(STRANGER), server.host_key).list_names()


def test_a_key_that_the_directory_ended_never_counts_even_if_configured(
    server: SftpServer, made: list[SftpConnection]
) -> None:
    before = accepted(server)
    for listing in (Listing(STRANGER, ended=(server.host_key,)), Listing(ended=(server.host_key,))):
        with pytest.raises(HostKeyEndedError) as caught:
            dial(server, made, listing, server.host_key).list_names()
        assert "nothing was sent" in caught.value.summary
        assert caught.value.temporary
    assert accepted(server) == before


def test_a_key_that_nobody_lists_is_named_with_all_that_count(
    server: SftpServer, made: list[SftpConnection]
) -> None:
    before = accepted(server)
    with pytest.raises(HostKeyError) as caught:
        dial(server, made, Listing(STRANGER.replace("HR4f", "HR4e"))).list_names()
    assert caught.value.expected.count("SHA256:") == 2
    assert accepted(server) == before


def test_a_standing_connection_ends_when_its_key_does_and_a_new_one_needs_no_restart(
    server: SftpServer, made: list[SftpConnection]
) -> None:
    listing = Listing(server.host_key)
    transport = dial(server, made, listing)
    transport.list_names()
    logins = accepted(server)
    made[0].hold_to_directory()
    transport.list_names()
    assert accepted(server) == logins, "nothing has changed: the connection stands"
    listing.keys = Listing(STRANGER, ended=(server.host_key,)).keys
    made[0].hold_to_directory()
    with pytest.raises(HostKeyEndedError):
        transport.list_names()
    listing.keys = Listing(server.host_key).keys
    transport.list_names()
