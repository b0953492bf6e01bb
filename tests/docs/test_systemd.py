"""The unit file says what the daemon does."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

from cli.exit_codes import ExitCode
from cli.unit_places import OPEN, shut_places
from exchanged.config import load_config

UNIT = Path(__file__).resolve().parents[2] / "systemd" / "exchanged@.service"


def test_the_unit_is_not_restarted_where_a_person_must_look() -> None:
    unit = ConfigParser(interpolation=None, strict=False)
    unit.read(UNIT, encoding="utf-8")
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert service["ExecStart"].split()[1] == "--config"
    codes = {int(word) for word in service["RestartPreventExitStatus"].split()}
    # Who holds the lock may be a daemon of before that waits for a disk: it is tried again, for ever.
    assert codes == {ExitCode.USAGE, ExitCode.DAMAGED}
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert service["Restart"] == "on-failure"
    assert int(service["TimeoutStopSec"].rstrip("s")) > 10


def test_what_the_unit_leaves_open_is_what_a_configuration_is_compared_with() -> None:
    unit = ConfigParser(interpolation=None, strict=False)
    unit.read(UNIT, encoding="utf-8")
    service = unit["Service"]
    assert service["ProtectSystem"] == "strict"
    assert tuple(
        place.replace("%i", "{name}")
        for place in (
            f"/var/lib/{service['StateDirectory']}",
            f"/run/{service['RuntimeDirectory']}",
            service["ReadWritePaths"].removeprefix("-"),
        )
    ) == OPEN


def test_the_example_lies_where_the_unit_lets_it() -> None:
    example = load_config(UNIT.parents[1] / "examples" / "exchanged.toml")
    assert shut_places(example, Path("/etc/exchanged/procuratorate.toml")) == ()
    named_otherwise = shut_places(example, Path("/etc/exchanged/police.toml"))
    assert [shut.key for shut in named_otherwise] == ["data_dir"]


def test_a_node_starts_after_whatever_waits_for_the_clock() -> None:
    """What it dates in its first minutes bears the machine's time; it wants no such service by itself."""
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    assert any(line.startswith("After=") and "time-sync.target" in line.split() for line in lines)
    assert not any(line.startswith(("Wants=", "Requires=")) and "time-sync" in line for line in lines)


def test_what_watches_the_doors_starts_before_there_are_any() -> None:
    """A condition is asked once, when the node starts: the daemon makes its folder only after that."""
    for kind in ("path", "timer"):
        text = UNIT.with_name(f"exchanged-doors@.{kind}").read_text(encoding="utf-8")
        assert f"exchanged-doors@%i.{kind}" in UNIT.read_text(encoding="utf-8")
        assert "\nCondition" not in text
    service = UNIT.with_name("exchanged-doors@.service").read_text(encoding="utf-8")
    assert "ConditionPathExists=/srv/exchanged/doors/%i" in service


def test_a_burst_of_directories_stops_no_look_at_the_doors() -> None:
    """Where systemd starts the service no more, the path that starts it fails as well."""
    for kind, section in (("path", "[Path]"), ("service", "[Service]")):
        unit = UNIT.with_name(f"exchanged-doors@.{kind}").read_text(encoding="utf-8")
        assert "\nStartLimitIntervalSec=0\n" in unit[: unit.index(section)]
