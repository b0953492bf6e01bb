"""From the directory that revokes to the last door that closes: seconds, with real daemons and sshd."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest

from cli.directory_trusted import find_directory
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import default_plan
from cli.lab.sshd import HOST, user_name
from cli.main import main
from exchanged.clock import SystemClock
from exchanged.config import load_config
from packet_spec.model import Directory, KeyUse
from tests.support.listing import next_version, with_node, with_revoked
from tests.support.publishing import signed

pytestmark = [pytest.mark.process, pytest.mark.slow]

FIRST, SECOND = "620199-01-00", "620199-02-00"
# What is promised; it takes seconds.
MINUTE = 60.0


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = create_lab(tmp_path / "lab", default_plan(2), "sftp")
    made.start()
    yield made
    made.stop()


def eventually(what: Callable[[], object], seconds: float = MINUTE) -> float:
    """How long it took."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, what
        time.sleep(0.05)
    return time.monotonic() - began


def in_force(lab: Lab, code: str) -> Directory:
    found, _state = find_directory(load_config(lab.node_config(code)))
    assert found is not None
    return found


def install(lab: Lab, directory: Directory) -> None:
    path = lab.layout.root / "directory.xml"
    path.write_bytes(signed(lab, directory))
    assert main(["--config", str(lab.node_config(lab.province)), "directory", "install", str(path)]) == 0


def may_log_in(lab: Lab, code: str) -> bool:
    port = load_config(lab.node_config(code)).links[0].port
    transport = paramiko.Transport((HOST, port))
    try:
        transport.start_client(timeout=20)
        transport.auth_publickey(user_name(), paramiko.Ed25519Key(filename=str(lab.layout.login_key(code))))
    except paramiko.AuthenticationException:
        return False
    finally:
        transport.close()
    return True


def down(lab: Lab, code: str) -> list[str]:
    return [path.name for path in (lab.layout.mailbox(code) / "down").iterdir()]


def test_a_revoked_agency_is_refused_at_every_door_within_a_minute(lab: Lab, record_property: Any) -> None:
    eventually(lambda: down(lab, FIRST))
    assert may_log_in(lab, FIRST)
    assert may_log_in(lab, SECOND)
    revoked = before = in_force(lab, lab.province)
    for use in (KeyUse.LOGIN, KeyUse.LINK, KeyUse.SEAL, KeyUse.RECEIPT):
        revoked = with_revoked(revoked, FIRST, use, SystemClock().now())
    install(lab, next_version(with_node(revoked, FIRST, disabled=True)))
    began = time.monotonic()
    took = {
        "login": eventually(lambda: not may_log_in(lab, FIRST)),
        "taken back": eventually(lambda: not down(lab, FIRST)),
        "the other agency knows": eventually(lambda: in_force(lab, SECOND).version == 2),
    }
    whole = time.monotonic() - began
    record_property("seconds", round(whole, 1))
    assert whole < MINUTE, took
    assert may_log_in(lab, SECOND), "nobody else is touched"
    enabled = next_version(next_version(before))
    install(lab, enabled)
    eventually(lambda: may_log_in(lab, FIRST))
    # Nobody restarted it: it dials again by itself, and gets what it missed.
    eventually(lambda: in_force(lab, FIRST).version == enabled.version)
    eventually(lambda: down(lab, FIRST))


def test_a_host_key_in_life_changes_without_a_restart(lab: Lab) -> None:
    eventually(lambda: down(lab, FIRST))
    before = in_force(lab, lab.province)
    gone = with_revoked(before, lab.province, KeyUse.HOST, before.issued_at)
    install(lab, next_version(gone))
    log = lab.log(FIRST)
    eventually(lambda: "host-key-ended" in log.read_text("utf-8", errors="replace"))
    install(lab, next_version(next_version(before)))
    # It cannot fetch that one: somebody carries it there.
    assert in_force(lab, FIRST).version == 2
    path = lab.layout.root / "directory.xml"
    assert main(["--config", str(lab.node_config(FIRST)), "directory", "install", str(path)]) == 0
    eventually(lambda: "link-up" in log.read_text("utf-8", errors="replace").rpartition("host-key-ended")[2])
