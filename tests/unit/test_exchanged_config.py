"""Configuration: every problem at once, no unknown key, and an example that tells the defaults."""

from __future__ import annotations

import codecs
import re
import tomllib
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exchanged.config import (
    Config,
    DropProfile,
    LinkSide,
    LinkTransport,
    ScannerConfig,
    load_config,
    parse_config,
)
from exchanged.errors import ConfigurationError
from packet_spec.model import NodeRole

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "exchanged.toml"
BASE = Path("/etc/exchanged")
ROOT_KEY = "ed25519-sha256:" + "ab" * 32

FRONTEND: dict[str, Any] = {
    "node": {"code": "620199-03-00", "role": "frontend", "data_dir": "data"},
    "keys": {"roots": [ROOT_KEY]},
    "link": [
        {
            "name": "province",
            "peer": "620000-00-00",
            "transport": "sftp",
            "side": "dial",
            "mailbox": "/",
            "host": "127.0.0.1",
            "user": "ex",
            "key": "login",
            "host_key": "ssh-ed25519 AAAA",
        }
    ],
    "folders": {"root": "/srv/exchange"},
}
PROVINCE: dict[str, Any] = {
    "node": {"code": "620000-00-00", "role": "provincial", "data_dir": "data"},
    "keys": {"roots": [ROOT_KEY]},
    "link": [
        {"name": "a", "peer": "620199-03-00", "transport": "folder", "side": "serve", "mailbox": "m/a"}
    ],
}


def parse(original: dict[str, Any], **changes: Any) -> Config:
    """Parse a copy in which ``section__key=value`` sets a key, and None takes it away."""
    data = deepcopy(original)
    for name, value in changes.items():
        section, _, key = name.partition("__")
        table = data.setdefault(section, {})
        table = table[0] if isinstance(table, list) else table
        if value is None:
            del table[key]
        else:
            table[key] = value
    return parse_config(data, BASE)


def problems_of(original: dict[str, Any], **changes: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        parse(original, **changes)
    return caught.value.problems


def test_a_short_frontend_gets_the_defaults() -> None:
    config = parse(FRONTEND)
    assert config.node.role is NodeRole.FRONTEND
    assert config.node.agency == "620199-03-00"
    assert config.node.data_dir == BASE / "data"
    assert config.keys.seal == BASE / "data/keys/seal.key"
    assert config.keys.threshold == 1
    assert config.folders is not None
    assert config.folders.profile is DropProfile.RENAME
    assert config.folders.mode == 0o2770
    (link,) = config.links
    assert (link.transport, link.side, link.port, link.key) == (
        LinkTransport.SFTP,
        LinkSide.DIAL,
        22,
        BASE / "login",
    )


def test_a_serving_link_has_a_local_mailbox_and_no_login() -> None:
    config = parse(PROVINCE)
    (link,) = config.links
    assert (link.mailbox, link.key, link.host, link.port) == ("/etc/exchanged/m/a", None, "", 0)
    assert config.folders is None
    assert config.node.agency == ""


def test_every_problem_is_told_at_once_with_section_and_key() -> None:
    problems = problems_of(
        FRONTEND,
        node__code="62",
        node__data_dir=7,
        keys__threshold=2,
        link__host_key="AAAA",
        link__colour="red",
        folders__mode="rwx",
        limits__workers=0,
        rules__sequence="maybe",
        retention__blob_days="long",
        log__level="loud",
        extra__x=1,
    )
    starts = [problem.split(":")[0] for problem in problems]
    assert starts == [
        "[node] code",
        "[node] agency",
        "[node] data_dir",
        "[keys] threshold",
        "[link province] host_key",
        "[link province] colour",
        "[folders] mode",
        "[limits] workers",
        "[rules] sequence",
        "[retention] blob_days",
        "[log] level",
        "[extra]",
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"node__role": None}, "[node] role: is missing"),
        ({"node__role": "bridge"}, "[node] role: the role bridge goes with"),
        ({"node__agency": "x"}, "[node] agency: expected an agency code"),
        ({"keys__roots": []}, "[keys] roots: at least one"),
        ({"keys__roots": [ROOT_KEY, ROOT_KEY]}, "[keys] roots: a root key stands there twice"),
        ({"keys__roots": ["sm2:ab"]}, "[keys] roots: not a public key"),
        ({"link__side": "serve"}, "[link province] transport: the serving side"),
        ({"link__carried": True}, "[link province] carried: this version knows no such key"),
        ({"link__port": 0}, "[link province] port: expected 1 to 65535, found 0"),
        ({"link__port": True}, "[link province] port: expected a whole number, found True"),
        ({"link__transport": "folder"}, "[link province] host: this version knows no such key"),
        ({"link__peer": "620199-03-00"}, "[link province] peer: this node itself"),
        ({"folders__root": "/etc/exchanged/data/folders"}, "[folders] root: must lie apart from data_dir"),
        ({"folders__root": "/etc"}, "[folders] root: must lie apart from data_dir"),
        ({"folders__mode": "0007"}, '[folders] mode: expected an octal mode such as "2770", with 7 for'),
        ({"folders__mode": "2772"}, '[folders] mode: expected an octal mode such as "2770", with 7 for'),
        ({"folders__mode": "2570"}, '[folders] mode: expected an octal mode such as "2770", with 7 for'),
        ({"folders__optional_sha256": "yes"}, "[folders] optional_sha256: expected true or false"),
        ({"limits__retry_max_seconds": 0.5}, "[limits] retry_max_seconds: must not be below"),
        ({"limits__retry_max_seconds": float("nan")}, "[limits] retry_max_seconds: expected 0.05 to"),
        ({"limits__batch_bytes": 1 << 30}, "[limits] batch_bytes: expected"),
    ],
)
def test_a_wrong_value_is_named(changes: dict[str, Any], problem: str) -> None:
    problems = problems_of(FRONTEND, **changes)
    assert any(found.startswith(problem) for found in problems), problems


def test_only_a_frontend_has_folders_and_an_agency() -> None:
    problems = problems_of(PROVINCE, folders__root="/srv", node__agency="620199-03-00")
    assert problems == (
        "[node] agency: only a front-end serves an agency",
        "[folders]: only a front-end has agency folders",
    )


def test_a_key_of_earlier_versions_is_no_problem_and_counts_for_nothing() -> None:
    config = parse(FRONTEND, node__locale="en")
    assert config.retired == ("[node] locale",)
    assert replace(config, retired=()) == parse(FRONTEND)
    (problem,) = problems_of(FRONTEND, node__locale="en", node__zz=1)
    assert "locale" not in problem


def test_a_missing_role_draws_no_complaint_about_folders() -> None:
    assert problems_of(FRONTEND, node__role=None) == ("[node] role: is missing",)


def test_links_have_names_and_mailboxes_of_their_own() -> None:
    twice = deepcopy(PROVINCE)
    twice["link"].append(dict(twice["link"][0]))
    assert problems_of(twice) == (
        "[link] name: a stands in more than one link",
        "[link] peer: 620199-03-00 stands in more than one link",
        "[link] mailbox: /etc/exchanged/m/a stands in more than one link",
    )


def test_two_servers_may_have_their_mailboxes_at_one_path() -> None:
    two = deepcopy(FRONTEND)
    two["link"].append(two["link"][0] | {"name": "north", "peer": "630000-00-00", "host": "127.0.0.2"})
    assert [link.mailbox for link in parse(two).links] == ["/", "/"]
    # By one account at one server it is one folder, however it is written.
    two["link"][1] |= {"host": "127.0.0.1", "mailbox": "//"}
    assert problems_of(two) == ("[link] mailbox: ex@127.0.0.1:22 / stands in more than one link",)


def test_a_wrong_kind_of_section_is_a_problem_and_no_crash() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_config({"node": 1, "link": {"name": "x"}, "keys": [], "limits": "many"}, BASE)
    assert "[link]: expected sections [[link]], found a section" in caught.value.problems
    assert "[node]: expected a section [node], found 1" in caught.value.problems


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"[node\n", "is not TOML"), (b"# \xb0\n", "is not UTF-8 at byte 2"), (None, "cannot be read")],
)
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "exchanged.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    assert problem in caught.value.problems[0]
    assert caught.value.where == str(path)


def test_where_the_file_is_not_there_those_beside_it_are_named(tmp_path: Path) -> None:
    path = tmp_path / "exchanged.toml"
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    assert caught.value.advice.endswith("EXCHANGED_CONFIG")
    for name in ("police.toml", "court.toml", "notes.txt"):
        (tmp_path / name).touch()
    path.symlink_to("nothing")
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    assert caught.value.advice.endswith(f"sudo drops; there is {tmp_path}/court.toml, {tmp_path}/police.toml")
    for number in range(9):
        (tmp_path / f"{number}.toml").touch()
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    assert caught.value.advice.endswith("EXCHANGED_CONFIG"), "a folder of anything is no help"


def test_a_byte_order_mark_before_the_text_is_passed_over(tmp_path: Path) -> None:
    """As Windows Notepad saves a file, with its line ends."""
    path = tmp_path / "exchanged.toml"
    path.write_bytes(codecs.BOM_UTF8 + EXAMPLE.read_bytes().replace(b"\n", b"\r\n"))
    (tmp_path / "plain.toml").write_bytes(EXAMPLE.read_bytes())
    assert load_config(path) == load_config(tmp_path / "plain.toml")


def test_problems_of_a_file_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "exchanged.toml"
    path.write_text("", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    assert caught.value.where == str(path)
    assert "[node] code: is missing" in caught.value.problems


def test_a_scanner_is_a_program_by_its_path_and_not_on_a_bridge() -> None:
    assert parse(FRONTEND).scanner is None
    config = parse(PROVINCE, scanner__command=["/usr/bin/clamdscan", "-"], scanner__timeout_seconds=5)
    assert config.scanner == ScannerConfig(("/usr/bin/clamdscan", "-"), 5.0)
    for command in (["clamdscan"], [""]):
        (problem,) = problems_of(PROVINCE, scanner__command=command)
        assert problem.startswith("[scanner] command: expected a program by its full path")
    (problem,) = problems_of(PROVINCE, scanner__command=["/x"], scanner__timeout_seconds=120)
    assert problem.startswith("[scanner] timeout_seconds: must be below [limits]")
    bridge = PROVINCE | {"node": {"code": "bridge-east", "role": "bridge", "data_dir": "data"}}
    (problem,) = problems_of(bridge, scanner__command=["/usr/bin/clamdscan"])
    assert problem.startswith("[scanner] command: a bridge looks into no packet")


def test_the_example_is_a_configuration() -> None:
    config = load_config(EXAMPLE)
    assert config.node.code == "620199-03-00"
    assert config.links[0].name == "province"


def test_the_example_shows_every_key_with_its_true_default() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    # A commented line of the form `# key = value` is a default; with the hash gone it changes nothing.
    spelled_out = re.sub(r"^# ([a-z0-9_]+ = )", r"\1", text, flags=re.MULTILINE)
    assert spelled_out != text
    assert parse_config(tomllib.loads(spelled_out), BASE) == parse_config(tomllib.loads(text), BASE)


def test_the_example_names_every_key_that_is_known() -> None:
    shown = set(re.findall(r"^(?:# )?([a-z0-9_]+) = ", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE))
    known: set[str] = set()
    sections = ("node", "keys", "folders", "limits", "rules", "retention", "notices", "scanner")
    unknown = {section: {"zz": 1} for section in sections}
    for original in (FRONTEND, PROVINCE):
        data = deepcopy(original)
        for section, table in (unknown | {"log": {"zz": 1}, "control": {"zz": 1}}).items():
            data.setdefault(section, {}).update(table)
        data["link"][0]["zz"] = 1
        with pytest.raises(ConfigurationError) as caught:
            parse_config(data, BASE)
        for problem in caught.value.problems:
            if "zz" in problem:
                known.update(problem.rpartition("known: ")[2].split(", "))
    assert shown == known - {"zz"}
