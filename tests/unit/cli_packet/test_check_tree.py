"""``exchangectl packet check`` over a whole tree: every drop once, nothing else, and the worst counts."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tracemalloc
from itertools import islice
from pathlib import Path

import pytest

from cli.main import main
from cli.packet_check import Rules, outcome_text
from cli.packet_tree import Tally, check_all, count_drops
from packet_spec.findings import Outcome
from tests.support.asking import Operator, operator
from tests.support.books import packet_id
from tests.support.documents import NOW, POLICE, make_packet

RULES = Rules(None, "none", optional_sha256=False, now=NOW)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder drop and a zip, both good."""
    folder = tmp_path_factory.mktemp("made")
    for name, kind in (("good", "folder"), ("good2", "zip")):
        words = ["packet", "new", "--type", "notice.publish", "--name", name, "--format", kind]
        assert main([*words, "--created-at", "2026-07-15T09:30:00+08:00", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def tree(made: Path, tmp_path: Path) -> Path:
    """A good folder two levels down, a good zip, a sealed packet, an answer; and all that is passed over."""
    top = tmp_path / "tree"
    deep = top / "a" / "b"
    deep.mkdir(parents=True)
    shutil.copytree(made / "good", deep / "good")
    shutil.copy(made / "good2.zip", top / "a" / "Upper.ZIP")
    (top / "sealed.packet").write_bytes(make_packet())
    said = f'packetId="{packet_id(1)}" sender="{POLICE}" by="x" at="2026-07-15T09:30:00+08:00"'
    head = '<?xml version="1.0"?>\n<!-- <status/> -->'
    answer = f'{head}<d:disposition xmlns:d="urn:exchanged:disposition:1" {said} kind="signed"/>'
    (top / "answer.xml").write_text(answer)
    (top / "status").mkdir()
    (top / "status" / "good.status.xml").write_text('<status xmlns="urn:exchanged:status:1"/>')
    other = '<?xml version="1.0" encoding="GBK"?><!--縿<packet>--><其他/>'
    (top / "status" / "gbk.xml").write_bytes(other.encode("gbk"))
    (top / "status" / "wide.xml").write_bytes("<receipt/>".encode("utf-16"))
    for hidden in (".hidden", "half.tmp", "half.PART", "~$lock"):
        shutil.copytree(made / "good", top / hidden)
    shutil.copy(made / "good" / "packet.xml", top / "good.findings.xml")
    (top / "Thumbs.db").write_bytes(b"x")
    (top / "notes.txt").write_bytes(b"x")
    (top / "empty").mkdir()
    return top


@pytest.fixture
def vendor(capsys: pytest.CaptureFixture[str]) -> Operator:
    return operator(None, capsys)


def names(found: list[dict], top: Path) -> dict[str, str]:
    return {str(Path(each["path"]).relative_to(top)): each["outcome"] for each in found}


def test_every_drop_of_a_tree_gets_one_verdict(vendor: Operator, tree: Path) -> None:
    said = vendor.json("packet", "check", tree, code=3)
    assert names(said["checked"], tree) == {
        "a/b/good": "valid", "a/Upper.ZIP": "valid", "answer.xml": "valid", "sealed.packet": "held",
    }  # fmt: skip
    assert said["summary"] == {
        "checked": 4, "valid": 3, "refused": 0, "held": 1, "other_xml": 3, "not_followed": 0,
    }  # fmt: skip
    assert count_drops([tree]) == 4


def test_xml_whose_root_cannot_be_told_is_checked_and_not_passed_over(vendor: Operator, tree: Path) -> None:
    (tree / "sealed.packet").unlink()
    broken = {
        "empty.xml": b"", "half.xml": b"<", "text.xml": b"no markup", "wrong.xml": b"<packet>",
        "late.xml": b"<!--" + b" " * 70_000 + b"--><status/>",
        "doctype.xml": b"<!DOCTYPE packet><packet/>",
    }  # fmt: skip
    for name, data in broken.items():
        (tree / name).write_bytes(data)
    said = vendor.json("packet", "check", tree, code=1)
    outcomes = names(said["checked"], tree)
    assert {name for name, outcome in outcomes.items() if outcome == "refused"} == set(broken)


def test_links_and_special_files_are_neither_followed_nor_opened(
    vendor: Operator, tree: Path, made: Path
) -> None:
    (tree / "sealed.packet").unlink()
    (tree / "link").symlink_to(made / "good")
    (tree / "link.zip").symlink_to(made / "good2.zip")
    (tree / "circle").symlink_to(tree)
    os.mkfifo(tree / "pipe.xml")
    said = vendor.json("packet", "check", tree)
    assert (said["summary"]["checked"], said["summary"]["not_followed"]) == (3, 4)


def test_what_is_inside_a_drop_is_no_drop_of_its_own(vendor: Operator, tree: Path, made: Path) -> None:
    shutil.copy(made / "good2.zip", tree / "a" / "b" / "good")
    said = vendor.json("packet", "check", tree / "a", code=1)
    assert names(said["checked"], tree) == {"a/b/good": "refused", "a/Upper.ZIP": "valid"}


def test_people_read_each_verdict_and_a_summary(
    vendor: Operator, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    next((tree / "a" / "b" / "good").glob("*.pdf")).write_bytes(b"x")
    text = vendor.text("packet", "check", tree, code=1)
    assert f"{tree / 'answer.xml'}: valid" in text
    summary = text[text.index("\nverdict") :].split()
    assert summary[:2] == ["verdict", "packets"]
    counts = {word: summary[summary.index(word) + 1] for word in ("valid", "refused", "held", "all")}
    assert counts == {"valid": "2", "refused": "1", "held": "1", "all": "4"}
    assert "passed over: 3 XML files that are no packets" in text
    monkeypatch.setenv("EXCHANGED_LOCALE", "zh_CN")
    assert "跳过" in vendor.text("packet", "check", tree, code=1)


def test_names_that_are_no_utf_8_are_told_and_stop_nothing(
    vendor: Operator, tree: Path, made: Path
) -> None:
    (tree / os.fsdecode("投件.zip".encode("gbk"))).write_bytes((made / "good2.zip").read_bytes())
    assert "\\udcbc\\udcfe.zip: valid" in vendor.text("packet", "check", tree, code=3)
    assert vendor.json("packet", "check", tree, code=3)["summary"]["valid"] == 4


def test_a_single_drop_has_no_summary(vendor: Operator, made: Path) -> None:
    assert "verdict" not in vendor.text("packet", "check", made / "good")


def test_a_tree_without_anything_to_check_is_held_and_says_so(vendor: Operator, tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "status.xml").write_text("<status/>")
    said = vendor.json("packet", "check", tmp_path, code=3)
    (only,) = said["checked"]
    assert (only["outcome"], only["held_because"], only["missing"]) == ("held", "incomplete", ["packet.xml"])
    assert "nothing to check lies here" in only["note"]


def test_what_cannot_be_read_is_held_and_does_not_stop_the_others(
    vendor: Operator, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_bytes = Path.read_bytes

    def unreadable(path: Path) -> bytes:
        if path.name == "answer.xml":
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", unreadable)
    said = vendor.json("packet", "check", tree, code=3)
    outcomes = names(said["checked"], tree)
    assert (outcomes["answer.xml"], outcomes["a/b/good"]) == ("held", "valid")


def test_memory_does_not_grow_with_the_number_of_drops(tmp_path: Path) -> None:
    for number in range(400):
        folder = tmp_path / str(number // 20)
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.xml").write_bytes(b"<packet>" + b"x" * 4096)
    tally = Tally()

    def used(folder_count: int) -> int:
        tracemalloc.start()
        for each in islice(check_all([tmp_path], RULES, tally), folder_count):
            assert outcome_text(each)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    used(10)
    few, many = used(20), used(400)
    # All texts and findings of 400 drops together would be some hundred KiB.
    assert many < few + 100_000
    assert tally.outcomes[Outcome.REFUSED] == 430


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_shows_how_far_it_is_and_leaves_the_lines_alone(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert main(["packet", "check", str(tree)]) == 3
    assert "checking" in err.getvalue()
    assert "100%" in err.getvalue()
    assert f"{tree / 'answer.xml'}: valid\n" in out.getvalue()
    err.truncate(0)
    assert main(["packet", "check", str(tree / "answer.xml")]) == 0
    assert "checking" not in err.getvalue()
