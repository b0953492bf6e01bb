"""One real OpenSSH server for all contract tests, with an empty mailbox for each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from exchanged.sftp_connection import SftpConnection
from tests.support.sftp_server import SftpServer, make_mailbox, running_server


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    with running_server(tmp_path_factory.mktemp("sftp")) as server:
        yield server


@pytest.fixture(scope="session")
def connection(shared_server: SftpServer) -> Iterator[SftpConnection]:
    connection = SftpConnection(shared_server.settings())
    yield connection
    connection.close()


@pytest.fixture
def server(shared_server: SftpServer) -> SftpServer:
    """The shared server with an empty mailbox."""
    shutil.rmtree(shared_server.mailbox, ignore_errors=True)
    make_mailbox(shared_server.mailbox)
    return shared_server
