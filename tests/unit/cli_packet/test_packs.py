"""``exchangectl pack``: built, put to the test, shown, compared; and what a bad pack comes to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest

from cli.checks_packs import check_packs
from cli.main import main
from cli.pack.acceptance import Piece, look_at, pieces_of, problems_of_pack
from cli.pack.source import build_pack
from exchanged.config import load_config
from exchanged.pool import InlinePool, ProcessWorkPool
from packet_spec.model import PackReference
from packet_spec.pack import Pack, read_pack, shipped_pack, shipped_pack_bytes, write_pack
from tests.support.asking import Operator, make_node, operator
from tests.support.documents import NOW, make_directory

ROOT = Path(__file__).resolve().parents[3]
LOCAL = ROOT / "examples" / "local-pack"
BOMB = """<?xml version="1.0"?>
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:exchanged:body:1"
 targetNamespace="urn:exchanged:body:1" elementFormDefault="qualified">
 <xs:element name="local.bomb"><xs:complexType><xs:sequence><xs:element name="word"><xs:simpleType>
 <xs:restriction base="xs:string"><xs:pattern value="((a|aa)+)+b"/></xs:restriction>
 </xs:simpleType></xs:element></xs:sequence></xs:complexType></xs:element></xs:schema>"""
ROW = """[pack]
name = "{name}"
version = "1"
[[business_type]]
code = "local.{name}"
zh = "虚构"
en = "fictional"
category = "filing"
main_flow = "MF01"
unit = "none"
senders = ["police"]
receivers = ["procuratorate"]
schema = "own.xsd"
"""


def folder_with(path: Path, name: str, schema: str) -> Path:
    path.mkdir()
    (path / "pack.toml").write_text(ROW.format(name=name), encoding="utf-8")
    (path / "own.xsd").write_text(schema, encoding="utf-8")
    return path


@pytest.fixture
def vendor(capsys: pytest.CaptureFixture[str]) -> Operator:
    return operator(None, capsys)


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "local.pack"
    path.write_bytes(built())
    return path


@cache
def built() -> bytes:
    """Built once: it takes a second."""
    return build_pack(LOCAL)


def test_a_pack_is_built_from_a_folder(vendor: Operator, tmp_path: Path) -> None:
    path = tmp_path / "local.pack"
    said = vendor.json("pack", "build", LOCAL, "--output", path)
    assert said["own_schemas"] == ["local.custody.count"]
    assert said["digest"] == read_pack(path.read_bytes()).digest
    assert path.read_bytes() == built()


def test_a_pack_is_shown_and_compared(vendor: Operator, local: Path) -> None:
    shown = vendor.json("pack", "show", local)
    assert (shown["name"], shown["business_types"]) == ("example-province", 173)
    assert vendor.json("pack", "show", "standard")["digest"] == shipped_pack().digest
    changes = vendor.json("pack", "diff", "standard", local, code=1)["changes"]
    told = {(each["table"], each["row"], each["kind"], each["key"]) for each in changes}
    assert ("business_types", "local.drugtest.report", "added", "") in told
    assert ("business_types", "case.report", "changed", "optional_documents") in told
    assert ("schema", "custody-count.xsd", "added", "") in told
    assert vendor.json("pack", "diff", local, local) == {"changes": []}
    assert "added document_types LOC-001" in vendor.text("pack", "diff", "standard", local, code=1)
    assert "nothing changed" in vendor.text("pack", "diff", "standard", "standard")


def test_a_drop_of_a_local_type_is_made_and_checked_at_the_desk(
    vendor: Operator, local: Path, tmp_path: Path
) -> None:
    words = ("packet", "new", "--type", "local.drugtest.report", "--pack", local, "--out", tmp_path)
    drop = vendor.json(*words)["path"]
    (checked,) = vendor.json("packet", "check", "--pack", local, drop)["checked"]
    assert (checked["outcome"], checked["pack"]) == ("valid", read_pack(local.read_bytes()).title)
    (checked,) = vendor.json("packet", "check", drop, code=1)["checked"]
    assert checked["findings"][0]["code"] == "type-unknown"


def test_a_folder_that_cannot_become_a_pack_is_told_in_whole(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    words = ["pack", "build", str(folder), "--output", str(tmp_path / "x.pack")]
    assert main(words) == 2
    assert "pack.toml" in capsys.readouterr().err
    (folder / "pack.toml").write_text(
        '[pack]\nname = "a b"\n[[business_type]]\ncode = "x"\n[[no_table]]\n', encoding="utf-8"
    )
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "name" in said
    assert "version" in said
    assert "no_table" in said
    assert not (tmp_path / "x.pack").exists()


def test_the_pieces_of_a_pack_are_all_its_files_types_and_patterns(local: Path) -> None:
    pack = read_pack(local.read_bytes())
    pieces = pieces_of(pack, local)
    named = {kind: {piece.name for piece in pieces if piece.kind == kind} for kind in ("file", "type")}
    assert named == {"file": set(pack.schemas), "type": set(pack.catalogue.business_types)}
    some = [piece for piece in pieces if piece.name in {"local.drugtest.report", "local.custody.count"}]
    patterns = [piece for piece in pieces if piece.kind == "pattern"]
    assert len(some) == 2
    assert len(patterns) > 5
    assert problems_of_pack([*some, *patterns], InlinePool()) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('type="text.40"', 'type="text.999"', "libxml2 does not take the schema"),
        ('<xs:element name="case_name" type="text.1000"/>', "", "libxml2 says not valid"),
        ('name="local.drugtest.report"', 'name="local.other"', "has no element"),
    ],
)
def test_a_schema_that_does_not_say_what_the_rows_say_is_found(
    local: Path, tmp_path: Path, old: str, new: str, told: str
) -> None:
    pack = read_pack(local.read_bytes())
    schemas = dict(pack.schemas)
    text = schemas["filing.xsd"].decode()
    start = text.index('name="local.drugtest.report"')
    schemas["filing.xsd"] = (text[:start] + text[start:].replace(old, new, 1)).encode()
    path = tmp_path / "wrong.pack"
    path.write_bytes(write_pack("x", "1", pack.compiled, schemas))
    problems = look_at(Piece(str(path), "file", "filing.xsd"))
    if not problems:
        problems = look_at(Piece(str(path), "type", "local.drugtest.report"))
    assert told in " ".join(problems)


def test_a_pattern_that_explodes_is_found_before_it_is_published(tmp_path: Path, vendor: Operator) -> None:
    path = tmp_path / "bomb.pack"
    vendor.json("pack", "build", folder_with(tmp_path / "bomb", "bomb", BOMB), "--output", path)
    pieces = [piece for piece in pieces_of(read_pack(path.read_bytes()), path) if "aa" in piece.name]
    assert [piece.kind for piece in pieces] == ["pattern"]
    pool = ProcessWorkPool(1, 2.0, patience_seconds=0.5)
    try:
        (problem,) = problems_of_pack(pieces, pool)
    finally:
        pool.close()
    assert "pattern ((a|aa)+)+b" in problem


@pytest.mark.parametrize(
    "schema", [BOMB.replace("local.bomb", "local.other"), BOMB.replace("xs:string", "xs:strange")]
)
def test_a_schema_that_an_engine_does_not_take_is_found(
    vendor: Operator, tmp_path: Path, schema: str
) -> None:
    path = tmp_path / "x.pack"
    vendor.json("pack", "build", folder_with(tmp_path / "x", "bomb", schema), "--output", path)
    assert look_at(Piece(str(path), "type", "local.bomb"))


def test_a_pack_is_handed_to_a_node_only_when_it_passed(desk: Operator, tmp_path: Path) -> None:
    """Who says that it was looked at is believed; the test itself takes a while."""
    path, incoming = tmp_path / "x.pack", tmp_path / "data" / "packs" / "incoming"
    desk.json("pack", "build", folder_with(tmp_path / "x", "bomb", BOMB), "--output", path)
    said = desk.json("pack", "install", path, "--checked")
    assert [each.name for each in incoming.iterdir()] == [f"{said['digest']}.pack"]
    assert (incoming / f"{said['digest']}.pack").read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_a_bomb_is_not_installed(desk: Operator, tmp_path: Path) -> None:
    path = tmp_path / "x.pack"
    desk.json("pack", "build", folder_with(tmp_path / "x", "bomb", BOMB), "--output", path)
    said = desk.json("pack", "install", path, code=1)
    assert not said["taken"]
    assert any("((a|aa)+)+b" in problem for problem in said["problems"])
    assert not (tmp_path / "data" / "packs").exists()


@pytest.mark.slow
def test_the_shipped_standard_passes_the_second_opinion(vendor: Operator, tmp_path: Path) -> None:
    path = tmp_path / "standard.pack"
    path.write_bytes(shipped_pack_bytes())
    said = vendor.json("pack", "check", path)
    assert said["problems"] == []
    assert said["looked_at"] > 171


def test_config_check_names_what_is_in_force_and_what_is_missing(tmp_path: Path) -> None:
    made = make_directory()
    local, config = read_pack(built()), load_config(make_node(tmp_path))

    def said(*packs: PackReference) -> list[tuple[str, str]]:
        directory = replace(made, packs=packs)
        return [(str(each.state), each.detail) for each in check_packs(config, directory, NOW)]

    def named(pack: Pack, days: int | None) -> PackReference:
        until = None if days is None else NOW + timedelta(days=days)
        return PackReference(pack.name, pack.version, pack.digest, NOW - timedelta(days=9), until)

    assert said() == [("good", shipped_pack().title)]
    assert said(named(shipped_pack(), None)) == [("good", shipped_pack().title)]
    assert said(named(shipped_pack(), 3)) == [("warning", shipped_pack().title)]
    (state, _), (missing, told) = said(named(shipped_pack(), -1), named(local, -1))
    assert (state, missing) == ("problem", "warning")
    assert local.version in told
