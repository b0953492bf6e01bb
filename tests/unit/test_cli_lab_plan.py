"""Plans of a lab, and the lab that is made from one: keys, directory, configurations, folders."""

from __future__ import annotations

import codecs
import stat
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.exit_codes import ExitCode
from cli.fiction.agencies import DEFAULT_AGENCIES, PROVINCE
from cli.jail.answers import every_line
from cli.lab.errors import LabError
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import LabPlan, default_plan, load_plan, parse_plan
from cli.main import exchangectl, main
from cli.toml_files import load_plan_file
from exchanged.config import Config, LinkSide, LinkTransport, load_config
from exchanged.errors import ConfigurationError, NotFoundError
from exchanged.keys import check_private_file, load_encryption_key, load_key
from packet_spec.directory import open_directory
from packet_spec.model import KeyUse, NodeRole
from packet_spec.sequence_policy import SequencePolicy

CODE = "620199-01-00"
ROOT = Path(__file__).resolve().parents[2]
MOMENT = datetime(2026, 7, 1, 8, 0, tzinfo=UTC)


class StillClock:
    def now(self) -> datetime:
        return MOMENT

    def monotonic(self) -> float:
        return 0.0


class Counting:
    def __init__(self) -> None:
        self.count = 0

    def token(self, size_bytes: int) -> bytes:
        self.count += 1
        return self.count.to_bytes(size_bytes, "big")

    def fraction(self) -> float:
        return 0.5


def make(folder: Path, plan: LabPlan, link: str = "folder") -> Lab:
    return create_lab(folder, plan, link, clock=StillClock(), randomness=Counting())


def test_a_byte_order_mark_before_a_plan_is_passed_over(tmp_path: Path) -> None:
    """As Windows Notepad saves a file."""
    path = tmp_path / "plan.toml"
    path.write_bytes(codecs.BOM_UTF8 + "a = 'é'\n".encode())
    assert load_plan_file(path, dict) == {"a": "é"}


def configs(lab: Lab) -> Iterator[Config]:
    for code in lab.nodes:
        yield load_config(lab.node_config(code))


def test_the_default_plan_is_the_sample_case() -> None:
    plan = default_plan()
    assert plan.province == PROVINCE
    assert plan.agencies == DEFAULT_AGENCIES


@pytest.mark.parametrize("count", [1, 3, 10, 17, 600])
def test_a_plan_of_any_size_has_superiors_within_itself(count: int) -> None:
    plan = default_plan(count)
    codes = [agency.code for agency in plan.agencies]
    assert len(set(codes)) == count
    assert {agency.parent for agency in plan.agencies} <= {PROVINCE.code, *codes}


def test_a_plan_file_names_agencies_and_fills_in_what_is_known() -> None:
    plan = parse_plan(
        {
            "province": {"present": True},
            "agency": [{"code": "620199-01-00"}, {"code": "620199-03-77", "via": "province"}],
        }
    )
    police, office = plan.agencies
    assert police == DEFAULT_AGENCIES[0]
    assert (office.kind, office.level, office.parent) == ("procuratorate", "county", PROVINCE.code)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"province": {"present": False}}, "[province] present: without a province exactly two agencies"),
        ({"agency": [{"code": CODE}], "bridge": [{"name": "a"}]}, f"no link leads from {PROVINCE.code} to"),
        ({"bridge": [{"name": "A_"}]}, "[bridge A_] name: expected a name of a-z, 0-9 and -"),
        ({"link": [{"between": ["province"]}]}, "[link 1] between: expected two nodes, found 1"),
        ({"link": [{"between": ["a", "b"], "transport": "x"}]}, "[link 1] transport: expected one of"),
        (
            {"agency": [{"code": CODE}], "link": [{"between": ["province", CODE]}] * 2},
            f"{PROVINCE.code} and {CODE} are joined by two ways",
        ),
        (
            {"agency": [{"code": CODE}], "bridge": [{"name": "a", "between": [CODE]}]},
            f"no link leads from {PROVINCE.code} to bridge-a",
        ),
        ({"agency": []}, "[[agency]]: a lab needs at least one agency"),
        ({"agency": [{"code": "x"}]}, "[agency x] code: expected an agency code"),
        ({"agency": [{"code": CODE, "kind": "bakery"}]}, f"[agency {CODE}] kind: expected one of"),
        ({"agency": [{"code": CODE, "via": "bridge-a"}]}, "the plan has no node bridge-a"),
        ({"agency": [{"code": CODE, "size": 1}]}, f"[agency {CODE}] size: this version knows no such key"),
        ({"agency": [{"code": "620199-01-00"}] * 2}, "[agency] code: 620199-01-00 stands there twice"),
        ({"agency": [{"code": PROVINCE.code}]}, "[agency] code: 620000-00-00 is the province's own node"),
        ({"province": {"sequence": "strict"}}, "[province] sequence: expected one of"),
        (
            {"province": {"present": False, "sequence": "warn"}, "agency": [{"code": CODE}] * 2},
            "[province] sequence: without a province",
        ),
        (
            {"agency": [{"code": CODE, "case_kinds": ["theft", "thefts"]}]},
            f"[agency {CODE}] case_kinds: expected some of",
        ),
        ({"agencies": 3}, "[agencies]: this version knows no such section"),
    ],
)
def test_a_plan_that_cannot_be_built_is_refused(data: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_plan(data)
    assert any(found.startswith(problem) for found in caught.value.problems), caught.value.problems


def test_bridges_and_links_are_one_tree_below_the_province() -> None:
    other = DEFAULT_AGENCIES[2].code
    plan = parse_plan(
        {
            "agency": [{"code": CODE, "via": "bridge-north"}, {"code": other}],
            "bridge": [
                {"name": "north", "between": ["bridge-south"], "link": "folder"},
                {"name": "bridge-south", "between": ["province"], "link": "sftp"},
            ],
        }
    )
    assert plan.nodes == (PROVINCE.code, "bridge-north", "bridge-south", CODE, other)
    assert [(joint.upper, joint.lower, joint.transport) for joint in plan.links] == [
        (PROVINCE.code, "bridge-south", LinkTransport.SFTP),
        (PROVINCE.code, other, None),
        ("bridge-south", "bridge-north", LinkTransport.FOLDER),
        ("bridge-north", CODE, None),
    ]


def test_the_example_plan_can_be_made() -> None:
    plan = load_plan(ROOT / "examples" / "lab-plan.toml")
    assert [(joint.upper, joint.lower) for joint in plan.links] == [
        (PROVINCE.code, "bridge-south"),
        (PROVINCE.code, DEFAULT_AGENCIES[2].code),
        ("bridge-south", "bridge-north"),
        ("bridge-north", CODE),
    ]


def test_two_agencies_without_a_province_admit_for_each_other(tmp_path: Path) -> None:
    other = DEFAULT_AGENCIES[2].code
    plan = parse_plan(
        {
            "province": {"present": False},
            "agency": [{"code": CODE}, {"code": other}],
            "bridge": [{"name": "a", "between": [CODE, other]}],
        }
    )
    lab = make(tmp_path / "lab", plan)
    assert lab.nodes == ("bridge-a", CODE, other)
    for config in configs(lab):
        data = (config.node.data_dir / "directory" / "directory-1.xml").read_bytes()
        directory = open_directory(data, config.keys.roots, 1)
        admitting = {one.code: one.admitting_node for one in directory.agencies}
        assert admitting == {CODE: other, other: CODE}
    bridge = load_config(lab.node_config("bridge-a"))
    assert bridge.node.role is NodeRole.BRIDGE
    sides = {link.peer: link.side for link in bridge.links}
    assert sides == {other: LinkSide.SERVE, CODE: LinkSide.DIAL}
    assert not (bridge.node.data_dir / "keys" / "receipt.key").exists()


def test_the_plan_says_how_strict_the_province_is_and_what_an_agency_takes(tmp_path: Path) -> None:
    plan = parse_plan(
        {"province": {"sequence": "enforce"}, "agency": [{"code": CODE, "case_kinds": ["theft"]}]}
    )
    lab = make(tmp_path / "lab", plan)
    province, police = configs(lab)
    assert province.rules.sequence is SequencePolicy.ENFORCE
    assert police.rules.sequence is SequencePolicy.WARN
    signed = (police.node.data_dir / "directory" / "directory-1.xml").read_bytes()
    listed = open_directory(signed, police.keys.roots, 1).agency(CODE)
    assert listed is not None
    assert listed.case_kinds == ("theft",)


def test_the_command_line_says_it_before_the_plan(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(f'[province]\nsequence = "off"\n[[agency]]\ncode = "{CODE}"\n', encoding="utf-8")
    for words, policy in (((), "off"), (("--sequence", "enforce"), "enforce")):
        folder = tmp_path / f"lab-{policy}"
        command = ["lab", "create", str(folder), "--link", "folder", "--plan", str(plan), *words]
        done = CliRunner().invoke(exchangectl, command)
        assert done.exit_code == 0, done.output
        lab = Lab.open(folder)
        assert load_config(lab.node_config(lab.province)).rules.sequence is SequencePolicy(policy)


def test_two_agencies_point_to_point_have_nobody_who_knows_the_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    agencies = "".join(f'[[agency]]\ncode = "{code}"\n' for code in (CODE, DEFAULT_AGENCIES[2].code))
    bridge = f'[[bridge]]\nname = "a"\nbetween = ["{CODE}", "{DEFAULT_AGENCIES[2].code}"]\n'
    plan.write_text(f"[province]\npresent = false\n{agencies}{bridge}", encoding="utf-8")
    command = ["lab", "create", str(tmp_path / "lab"), "--plan", str(plan), "--sequence", "warn"]
    assert main(command) == ExitCode.USAGE
    assert "without a province" in capsys.readouterr().err


def test_a_plan_file_is_named_in_its_problems(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text("[[agency]]\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_plan(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("link", ["sftp", "folder"])
def test_every_node_of_a_lab_is_configured_and_known_to_the_directory(tmp_path: Path, link: str) -> None:
    lab = make(tmp_path / "a lab 100% 省", default_plan(), link)
    province, *frontends = configs(lab)
    assert province.node.role is NodeRole.PROVINCIAL
    assert [served.peer for served in province.links] == [agency.code for agency in DEFAULT_AGENCIES]
    assert {served.side for served in province.links} == {LinkSide.SERVE}
    for config in (province, *frontends):
        signed = (config.node.data_dir / "directory" / "directory-1.xml").read_bytes()
        directory = open_directory(signed, config.keys.roots, config.keys.threshold)
        assert directory.expires_at > MOMENT
        node = directory.node(config.node.code)
        assert node is not None
        assert node.role is config.node.role
        held = {KeyUse.LINK: config.keys.link, KeyUse.RECEIPT: config.keys.receipt}
        if config.node.role is NodeRole.FRONTEND:
            held |= {KeyUse.SEAL: config.keys.seal, KeyUse.ENCRYPT: config.keys.encrypt}
        else:
            held[KeyUse.LOG] = config.keys.log
        of_ssh = {use for key in node.keys for use in key.uses} & {KeyUse.LOGIN, KeyUse.HOST}
        is_above = config.node.role is NodeRole.PROVINCIAL
        expected = {KeyUse.HOST if is_above else KeyUse.LOGIN} if link == "sftp" else set()
        assert of_ssh == expected
        assert {key.uses[0]: key.key_id for key in node.keys if key.uses[0] not in of_ssh} == {
            use: (load_encryption_key if use is KeyUse.ENCRYPT else load_key)(path).key_id
            for use, path in held.items()
        }
    served = {each.peer: each.mailbox for each in province.links}
    for config in frontends:
        (dialled,) = config.links
        assert dialled.transport is LinkTransport(link)
        assert dialled.mailbox == served[config.node.code]
        assert sorted(child.name for child in Path(dialled.mailbox).iterdir()) == ["down", "up"]
        if dialled.key is not None:
            check_private_file(dialled.key)


def test_an_agency_finds_its_folders_and_the_markers_agree(tmp_path: Path) -> None:
    lab = make(tmp_path / "lab", default_plan(2))
    tokens = set()
    for code in lab.agencies:
        root = lab.agency_root(code)
        assert sorted(child.name for child in root.iterdir()) == [
            "inbox",
            "notices",
            "outbox",
            "receipts",
            "refused",
            "sent",
            "status",
        ]
        markers = {(root / name / ".exchanged-marker").read_text() for name in ("outbox", "inbox")}
        (marker,) = markers
        assert marker.splitlines()[0] == f"node {code}"
        tokens.add(marker.splitlines()[1])
    assert len(tokens) == 2


def test_each_agency_logs_in_with_a_key_of_its_own(tmp_path: Path) -> None:
    lab = make(tmp_path / "lab", default_plan(3), "sftp")
    lines = every_line([lab.node_config(lab.province)])
    assert [line.split()[0] for line in lines] == ["restrict"] * 3
    assert [line.split()[3] for line in lines] == list(lab.agencies)
    assert len({line.split()[2] for line in lines}) == 3
    pinned = {config.links[0].host_key for config in configs(lab) if config.node.role is NodeRole.FRONTEND}
    assert pinned == {" ".join((lab.layout.sshd / "host_key.pub").read_text().split()[:2])}


def test_keys_are_private(tmp_path: Path) -> None:
    lab = make(tmp_path / "lab", default_plan(1), "sftp")
    keys = [*lab.layout.root.rglob("*.key"), *lab.layout.root.rglob("login"), lab.layout.sshd / "host_key"]
    assert len(keys) == 1 + 3 + 4 + 1 + 1
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}


def test_a_lab_is_not_made_over_something_else(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(LabError, match="something lies there already"):
        make(tmp_path, default_plan(1))
    assert [child.name for child in tmp_path.iterdir()] == ["letter.txt"]
    with pytest.raises(LabError, match="cannot be made"):
        make(tmp_path / "letter.txt", default_plan(1))
    with pytest.raises(LabError, match="cannot name this folder"):
        make(tmp_path / 'a"b', default_plan(1))


def test_a_lab_is_opened_only_where_one_is(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no lab"):
        Lab.open(tmp_path)
    (tmp_path / "lab.json").write_text('{"format": "exchanged-lab-9"}')
    with pytest.raises(LabError, match="another version"):
        Lab.open(tmp_path)


def test_a_new_lab_is_stopped_and_knows_only_its_own_nodes(tmp_path: Path) -> None:
    lab = make(tmp_path / "lab", default_plan(2), "sftp")
    assert [(each.name, each.state, each.pid) for each in lab.status()] == [
        (name, "stopped", None) for name in ("sshd", *lab.nodes)
    ]
    assert lab.pid(lab.province) is None
    for ask in (lab.agency_root, lab.node_config, lab.pid, lab.kill_node, lab.log):
        with pytest.raises(NotFoundError):
            ask("620199-99-99")


def test_two_labs_share_no_secret(tmp_path: Path) -> None:
    for name in ("a", "b"):
        create_lab(tmp_path / name, default_plan(1), "folder")
    assert (tmp_path / "a/keys/root.key").read_bytes() != (tmp_path / "b/keys/root.key").read_bytes()


def test_a_lab_configuration_stays_readable_by_a_person(tmp_path: Path) -> None:
    lab = make(tmp_path / "lab", default_plan(1), "sftp")
    data = tomllib.loads(lab.node_config(lab.agencies[0]).read_text(encoding="utf-8"))
    assert list(data) == ["node", "keys", "link", "folders", "limits"]
