"""The unit file says what the daemon does."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

from cli.exit_codes import ExitCode

UNIT = Path(__file__).resolve().parents[2] / "systemd" / "exchanged@.service"


def test_the_unit_is_not_restarted_where_a_person_must_look() -> None:
    unit = ConfigParser(interpolation=None, strict=False)
    unit.read(UNIT, encoding="utf-8")
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert service["ExecStart"].split()[1] == "--config"
    codes = {int(word) for word in service["RestartPreventExitStatus"].split()}
    assert codes == {ExitCode.USAGE, ExitCode.DAMAGED, ExitCode.LOCKED}
    assert int(service["TimeoutStopSec"].rstrip("s")) > 10
