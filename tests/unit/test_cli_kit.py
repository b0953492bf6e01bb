"""``exchangectl kit build``: a vendor's folder, checked while it is written, the same every time."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from lxml import etree

from cli.fiction.drop import make_drop
from cli.kit import faults
from cli.kit.examples import EXPECTED
from cli.kit.faults import Good, faulty_drops
from cli.main import main
from frontend_server.status_words import MESSAGES
from packet_spec.catalogue import load_catalogue
from packet_spec.pack import FORMAT, shipped_pack
from packet_spec.sentences import all_codes
from packet_spec.ustar import END, encode_header, padding
from tests.support.asking import Operator, operator
from tests.support.fiction import request_for

CATALOGUE = load_catalogue()
TYPES = ("trial.indict", "common.accept", "plac.supervise")
BUILD = ("kit", "build", *(word for code in TYPES for word in ("--types", code)))


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kit with the examples of three types."""
    folder = tmp_path_factory.mktemp("kit") / "厂商"
    assert main([*BUILD, str(folder)]) == 0
    return folder


@pytest.fixture
def vendor(capsys: pytest.CaptureFixture[str]) -> Operator:
    return operator(None, capsys)


def check_examples(kit: Path, vendor: Operator) -> Counter[str]:
    """``packet check`` over the whole kit says of every drop what expected.json beside it says."""
    said = vendor.json("packet", "check", kit, code=1)
    for each in said["checked"]:
        path = Path(each["path"])
        expected = json.loads((path.parent / EXPECTED).read_text("utf-8"))
        assert {**each, "path": path.name} == expected, path
    assert {Path(each["path"]).parent for each in said["checked"]} == {
        path.parent for path in kit.rglob(EXPECTED)
    }
    return Counter(each["outcome"] for each in said["checked"])


def test_the_check_says_of_every_example_what_stands_beside_it(kit: Path, vendor: Operator) -> None:
    outcomes = check_examples(kit, vendor)
    assert outcomes["held"] == 1
    assert outcomes["valid"] == 9
    assert outcomes["refused"] > 15


def test_bad_examples_are_named_for_the_only_finding_that_refuses_them(kit: Path) -> None:
    for path in (kit / "examples").rglob(EXPECTED):
        said = json.loads(path.read_text("utf-8"))
        name = path.parent.name
        if name.startswith("bad-"):
            assert {f"bad-{finding['code']}" for finding in said["findings"]} == {name}
        else:
            assert all(finding["severity"] == "warn" for finding in said["findings"])


def test_every_type_has_at_least_three_faults_and_every_fault_a_sentence() -> None:
    assert set(faults.FAULTS) <= set(all_codes())
    used: Counter[str] = Counter()
    for row in CATALOGUE.business_types.values():
        request = request_for(row.code, video_bytes=0)
        good = Good(CATALOGUE, row, request, make_drop(request, CATALOGUE))
        codes = [code for code, _drop in faulty_drops(good)]
        assert len(codes) >= 3, row.code
        used.update(codes)
    assert set(used) == set(faults.FAULTS)


def test_the_same_twice_and_the_manifest_lists_every_byte(kit: Path, tmp_path: Path) -> None:
    assert main([*BUILD, str(tmp_path / "again")]) == 0
    manifest = (kit / "MANIFEST").read_bytes()
    assert (tmp_path / "again" / "MANIFEST").read_bytes() == manifest
    lines = manifest.decode().splitlines()
    assert [line for line in lines if line.startswith("#")][-1] == f"# {shipped_pack().digest}"
    listed = dict(reversed(line.split("  ", 1)) for line in lines if not line.startswith("#"))
    found = {
        path.relative_to(kit).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in kit.rglob("*")
        if path.is_file() and path.name != "MANIFEST"
    }
    assert listed == found
    assert listed["catalogue.json"] == CATALOGUE.digest
    assert listed[f"standard-{CATALOGUE.version}.pack"] == shipped_pack().digest


def test_numbers_are_told(tmp_path: Path, vendor: Operator) -> None:
    said = vendor.json("kit", "build", tmp_path / "kit", "--types", "info.share")
    files = [path for path in (tmp_path / "kit").rglob("*") if path.is_file()]
    assert (said["types"], said["files"], said["pack_digest"]) == (1, len(files), shipped_pack().digest)
    assert said["size_bytes"] == sum(path.stat().st_size for path in files if path.name != "MANIFEST")
    assert said["examples"] == len([path for path in files if path.name == EXPECTED])
    assert not (tmp_path / "kit.tmp").exists()


def test_nothing_that_exists_is_replaced(tmp_path: Path, vendor: Operator) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "own.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "left.tmp").mkdir()
    for name in ("full", "file", "left"):
        said = vendor.json("kit", "build", tmp_path / name, "--types", "info.share", code=2)
        assert said["error"]["reference"] == "kit-folder-unusable"
        assert said["error"]["summary"].startswith(("something lies", "an interrupted build"))
    assert (tmp_path / "full" / "own.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    vendor.json("kit", "build", tmp_path / "empty", "--types", "info.share")
    vendor.json("kit", "build", tmp_path / "new", "--types", "no.such.type", code=2)
    assert not list(tmp_path.glob("new*"))


def _members(catalogue: bytes, schemas: Mapping[str, bytes]) -> bytes:
    """A pack as somebody else's program may write it: nothing looks at what is in it."""
    about = json.dumps({"format": FORMAT, "name": "x", "version": "1"}).encode()
    found = {"pack.json": about, "catalogue.json": catalogue}
    found |= {f"schemas/{name}": schemas[name] for name in sorted(schemas)}
    return b"".join(
        encode_header(name, len(data)) + data + bytes(padding(len(data))) for name, data in found.items()
    ) + END


@pytest.mark.parametrize("what", ["schema", "hidden schema", "schema in a folder", "category", "type"])
def test_a_pack_writes_nothing_outside_the_kit(tmp_path: Path, vendor: Operator, what: str) -> None:
    """Its schemas and codes become names of files."""
    catalogue, schemas = shipped_pack().compiled, dict(shipped_pack().schemas)
    name = {"schema": "../../../out.xsd", "hidden schema": ".out.xsd", "schema in a folder": "a/out.xsd"}
    if what in name:
        schemas[name[what]] = schemas["arrest.xsd"]
    else:
        data = json.loads(catalogue)
        rows = data["categories" if what == "category" else "business_types"]
        rows.append({**rows[0], "code": "../../../../out"})
        catalogue = json.dumps(data).encode()
    (tmp_path / "hostile.pack").write_bytes(_members(catalogue, schemas))
    place = tmp_path / "a" / "b" / "kit"
    words = ("--pack", tmp_path / "hostile.pack", "--types", "case.report")
    said = vendor.json("kit", "build", place, *words, code=5)
    assert said["error"]["reference"] == "pack-unusable"
    assert [path.name for path in tmp_path.rglob("*")] == ["hostile.pack"]


def test_an_example_that_is_judged_otherwise_stops_the_build(
    tmp_path: Path, vendor: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault that is none, and a fault under another name."""
    secrecy = faults.FAULTS["secrecy-refused"]
    for code, maker in (("field-empty", lambda good: good.drop), ("field-empty", secrecy)):
        monkeypatch.setattr(faults, "FAULTS", MappingProxyType({code: maker}))
        said = vendor.json("kit", "build", tmp_path / "kit", "--types", "info.share", code=5)
        assert said["error"]["reference"] == "kit-verdict-differs"
        assert said["error"]["where"] == "info.share/bad-field-empty"
        assert list(tmp_path.iterdir()) == []


# --- schemas, guide, data -----------------------------------------------------------------------


def test_the_schemas_stand_alone_and_take_the_good_examples(kit: Path) -> None:
    for path in (kit / "schemas").rglob("*.xsd"):
        etree.XMLSchema(file=str(path))
    packet = etree.parse(str(kit / "examples/trial.indict/good/drop/packet.xml"))
    etree.XMLSchema(file=str(kit / "schemas/packet.xsd")).assertValid(packet)
    (body,) = packet.getroot()[1]
    etree.XMLSchema(file=str(kit / "schemas/body/trial.xsd")).assertValid(etree.ElementTree(body))
    bad = etree.parse(str(kit / "examples/trial.indict/bad-field-missing/drop/packet.xml"))
    (body,) = bad.getroot()[1]
    assert not etree.XMLSchema(file=str(kit / "schemas/body/trial.xsd")).validate(etree.ElementTree(body))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_guide_names_every_type_with_its_documents_and_fields(kit: Path, language: str) -> None:
    guide = kit / "guide" / language
    for category in CATALOGUE.categories:
        page = (guide / f"types-{category}.md").read_text("utf-8")
        for row in (row for row in CATALOGUE.business_types.values() if row.category == category):
            start = page.index(f"\n## {row.code}\n")
            end = page.find("\n## ", start + 1)
            section = page[start : end if end > 0 else None]
            wanted = {*row.allowed_documents, *row.allowed_fields, *row.senders, *row.receivers}
            wanted |= {*row.outcome_codes}
            assert not [code for code in wanted if f"`{code}`" not in section], row.code
            assert getattr(row, language) in section
    findings = (guide / "findings.md").read_text("utf-8")
    assert not [code for code in all_codes() if f"`{code}`" not in findings]
    status = (guide / "status.md").read_text("utf-8")
    assert not [str(state) for state in MESSAGES if f"`{state}`" not in status]


def test_links_of_the_guide_lead_somewhere_and_no_mark_is_left(kit: Path) -> None:
    pages = [*(kit / "guide").rglob("*.md"), kit / "README.md"]
    assert len(pages) == 2 * (3 + 3 + len(CATALOGUE.categories)) + 1
    for page in pages:
        text = page.read_text("utf-8")
        for link in re.findall(r"\]\(([^)#]+)\)", text):
            assert (page.parent / link).exists(), (page, link)
        assert not re.search("@[A-Z]+@", text)


def test_the_shortest_example_of_the_guide_is_good(kit: Path, tmp_path: Path, vendor: Operator) -> None:
    """Its attachment apart, which a page cannot hold: what is missing then is that one file."""
    for language in ("zh", "en"):
        text = (kit / "guide" / language / "drop.md").read_text("utf-8")
        (example,) = re.findall(r"```xml\n(.*?)```", text, re.DOTALL)
        folder = tmp_path / language
        folder.mkdir()
        (folder / "packet.xml").write_text(example.replace("9f86d0...(64)", "9f" * 32), encoding="utf-8")
        (said,) = vendor.json("packet", "check", folder, code=3)["checked"]
        assert (said["missing"], said["findings"]) == (["通知公告.pdf"], [])
        answer = (kit / "guide" / language / "status.md").read_text("utf-8")
        (example,) = re.findall(r"```xml\n(.*?)```", answer, re.DOTALL)
        (tmp_path / "answer.xml").write_text(example, encoding="utf-8")
        assert vendor.json("packet", "check", tmp_path / "answer.xml")["checked"][0]["outcome"] == "valid"


def test_data_for_programs(kit: Path) -> None:
    findings: list[dict[str, Any]] = json.loads((kit / "findings.json").read_text("utf-8"))
    assert {each["code"]: (each["severity"], each["zh"], each["en"]) for each in findings} == {
        code: (severity.value, zh, en) for code, (severity, zh, en) in all_codes().items()
    }
    programs = {"README.md", "Send.cs", "Send.java", "send.py"}
    assert {path.name for path in (kit / "vendor").iterdir()} == programs


@pytest.mark.slow
def test_the_whole_kit(tmp_path: Path, vendor: Operator) -> None:
    """Every type: a good example, at least three bad ones; and the check says of each what stands there."""
    made = vendor.json("kit", "build", tmp_path / "kit")
    assert made["types"] == len(CATALOGUE.business_types)
    assert made["size_bytes"] < 64 * 1024 * 1024
    outcomes = check_examples(tmp_path / "kit", vendor)
    assert outcomes.total() == made["examples"]
    for row in CATALOGUE.business_types.values():
        names = {path.name for path in (tmp_path / "kit" / "examples" / row.code).iterdir()}
        if row.enabled_by_default:
            assert "good" in names
            assert len(names) >= 4, row.code
        else:
            assert names == {"bad-type-disabled"}
