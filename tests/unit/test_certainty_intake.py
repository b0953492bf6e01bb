"""The parts of the intake's shards that judge can fail: each is shown something wrong, and says so."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from certainty.intake import deeds, hostile, racers, slow, specials
from certainty.intake.burst import _rates
from certainty.intake.hostile import _unsafe_names
from certainty.intake.names import naughty_names
from certainty.intake.papers import PART, Paper, Papers
from certainty.intake.world import Delivered, World
from certainty.intake.writers import FORMS, STYLES, make_writer, write_all


@pytest.fixture(scope="module")
def papers() -> Papers:
    return Papers()


def delivered(paper: Paper, **changed: bytes) -> Delivered:
    files = {"packet.xml": paper.xml, **{name.decode(): data for name, data in paper.files.items()}}
    files["delivery.xml"] = b"<contentDigest>d-" + paper.ref.encode() + b"</contentDigest>"
    return Delivered(paper.ref, Path("/inbox/x"), files | changed)


def seen_by(*packets: Delivered) -> Any:
    return SimpleNamespace(delivered=lambda: iter(packets))


def test_drops_differ_and_are_the_same_again(papers: Papers) -> None:
    assert papers.lone(1).xml != papers.lone(2).xml
    assert papers.folder(1, 5000) == papers.folder(1, 5000)
    a, b = papers.pdf(3, 20_000, "A"), papers.pdf(3, 20_000, "B")
    assert len(a) == len(b)
    assert a != b


def test_what_is_not_exactly_what_was_written_is_seen(papers: Papers) -> None:
    paper = papers.folder(1, 5000)
    assert slow.is_whole(delivered(paper), paper)
    assert not slow.is_whole(delivered(paper, **{PART: paper.files[PART.encode()][:-1]}), paper)
    assert not slow.is_whole(delivered(paper, **{"packet.xml": paper.xml + b" "}), paper)
    assert not slow.is_whole(delivered(paper, more=b"x"), paper)


def test_mixed_foreign_and_doubled_packets_are_violations(papers: Papers) -> None:
    paper = papers.folder(7, racers._SIZE, digests=False)
    a, b = racers.versions(papers, 6)[0], racers.versions(papers, 6)[1]
    assert len(a) == len(b)
    a, b = papers.pdf(7, racers._SIZE, "A"), papers.pdf(7, racers._SIZE, "B")
    half = len(a) // 2
    good, found = racers.judge(seen_by(delivered(paper)), 7, 1)
    assert (good, found["version A"]) == ([], 1)
    mixed, _ = racers.judge(seen_by(delivered(paper, **{PART: a[:half] + b[half:]})), 7, 1)
    assert [each.invariant for each in mixed] == ["I4"]
    outside, _ = racers.judge(seen_by(delivered(paper, **{PART: racers.with_canary(a, 7)})), 7, 1)
    assert sorted(each.invariant for each in outside) == ["I4", "I6"]
    strange, _ = racers.judge(seen_by(delivered(papers.folder(9, 100))), 7, 1)
    assert [each.invariant for each in strange] == ["I6"]
    twice, _ = racers.judge(seen_by(delivered(paper), delivered(paper)), 7, 1)
    assert [each.invariant for each in twice] == ["I2"]


def test_all_that_lies_outside_holds_the_canary(tmp_path: Path) -> None:
    racers.put_outside(tmp_path / "outside")
    files = [path for path in (tmp_path / "outside").rglob("*") if path.is_file()]
    assert len(files) == 3
    assert all(racers.CANARY in path.read_bytes() for path in files)
    with pytest.raises(ValueError, match="no mark"):
        racers.with_canary(files[0].read_bytes(), 8)


def test_what_is_no_plain_file_must_be_refused_for_that() -> None:
    assert specials.expected("3-link-etc.xml") == specials.expected("0-inner-hard") == "drop-not-plain"
    assert specials.expected("3-giant.xml") == "too-large"


@pytest.mark.parametrize("rule", ["rename", "marker", "settled"])
def test_writers_end_with_the_whole_drop(papers: Papers, tmp_path: Path, rule: str) -> None:
    writers = [
        make_writer(tmp_path, papers.folder(number, 3000) if number % 3 < 2 else papers.lone(number), rule,
                    number, 0.02, 1)
        for number in range(9)
    ]  # fmt: skip
    write_all(writers, float("inf"))
    assert Counter((writer.form, writer.style) for writer in writers) == Counter(
        (form, style) for form in FORMS for style in STYLES
    )
    for writer in writers:
        path = tmp_path / writer.name
        if writer.form == "folder":
            assert (path / PART).read_bytes() == writer.paper.files[PART.encode()]
            path = path / "packet.xml"
        whole = writer.paper.zipped if writer.form == "zip" else writer.paper.xml
        assert path.read_bytes() == whole
        assert writer.done_at > 0


@pytest.mark.parametrize("style", range(3))
def test_writers_never_stand_still_once_nothing_is_missing(
    papers: Papers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, style: int
) -> None:
    """Else a drop that is rightly taken in that pause would count as taken too early."""
    clock = [1000.0]
    monkeypatch.setattr("certainty.intake.writers.time", SimpleNamespace(time=lambda: clock[0]))
    for number in range(2 + 3 * style, 200, 9):
        paper = papers.lone(number, number * 20)
        writer = make_writer(tmp_path, paper, "settled", number, 2.5, 1)
        path = tmp_path / writer.name
        for pause in writer.steps:
            assert path.read_bytes().rstrip() != paper.xml.rstrip(), writer
            clock[0] += pause
        assert path.read_bytes() == paper.xml
        assert writer.done_at == clock[0]


@pytest.mark.parametrize("rule", ["rename", "marker"])
def test_the_clock_of_a_writer_is_read_before_the_step_that_says_whole(
    papers: Papers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    """Else a drop would count as taken too early when the thread has to wait after that step."""
    said_before: list[bool] = []
    paper = papers.lone(2)
    writer = make_writer(tmp_path, paper, rule, 2, 0.2, 1)
    says = tmp_path / (writer.name if rule == "rename" else f"{writer.name}.ok")

    def look() -> float:
        said_before.append(says.exists())
        return 1.0

    monkeypatch.setattr("certainty.intake.writers.time", SimpleNamespace(time=look))
    list(writer.steps)
    assert says.exists()
    assert said_before
    assert not any(said_before)


def test_racers_leave_every_kind_of_deed_behind(papers: Papers, tmp_path: Path) -> None:
    rng = random.Random(1)  # noqa: S311 - the same deeds again
    a, b = papers.pdf(1, 5000, "A"), papers.pdf(1, 5000, "B")
    (tmp_path / "outside" / "folder").mkdir(parents=True)
    (tmp_path / "outside" / "file").write_bytes(a)
    drop = tmp_path / "drop"
    drop.mkdir()
    path = drop / PART
    for deed in deeds.DEEDS:
        path.write_bytes(a)
        deed(path, a, b, tmp_path / "outside", rng)
        assert path.read_bytes() in (a, b)


def test_what_is_left_for_good_leads_outside(tmp_path: Path) -> None:
    rng = random.Random(1)  # noqa: S311 - the same ways again
    racers.put_outside(tmp_path / "outside")
    seen = set()
    for number in range(20):
        drop = tmp_path / f"r{number}"
        drop.mkdir()
        (drop / PART).write_bytes(b"inside")
        deeds.leave(drop / PART, tmp_path / "outside", rng)
        assert racers.CANARY in (drop / PART).read_bytes()
        seen.add((drop.is_symlink(), (drop / PART).is_symlink(), (drop / PART).stat().st_nlink > 1))
    assert len(seen) >= 3


def test_the_list_of_names_is_long_and_holds_what_it_says() -> None:
    names = naughty_names()
    assert len(names) == len(set(names)) >= 500
    assert all(0 < len(name) <= 255 and b"/" not in name and b"\0" not in name for name in names)
    assert max(map(len, names)) == 255
    assert {"张伟".encode("gb18030"), b"\n", b"CON", "\u202e".encode() + b"x"} <= set(names)


@pytest.mark.parametrize(
    ("name", "is_taken"),
    [
        ("起诉意见书.pdf", True), ("$(id).pdf", True), ("CONSOLE.pdf", True), ("a\u00a0b.pdf", True),
        ("＜＞.pdf", True),
        ("con.pdf", False), ("ＣＯＮ.pdf", False), ("com¹ .txt.pdf", False), (" a.pdf", False),
        ("a:b.pdf", False), ("a\u202efdp.exe.pdf", False), ("n\nn.pdf", False), ("案" * 84 + ".pdf", False),
    ],
)  # fmt: skip
def test_names_of_attachments_end_as_the_format_says(name: str, is_taken: bool) -> None:
    refused = {"state": "refused", "finding": [{"code": "attachment-name-refused", "severity": "refuse"}]}
    delivered = {"state": "delivered", "finding": [{"code": "predecessor-missing", "severity": "flag"}]}
    other = {"state": "refused", "finding": [{"code": "too-large", "severity": "refuse"}]}
    assert hostile.may_be_listed(name) is is_taken
    for told, is_right in ((refused, not is_taken), (delivered, is_taken), (other, False)):
        assert (list(hostile.wrong_ends({"r": (name, b"")}, {"part-r": told})) == []) is is_right
    assert len(list(hostile.wrong_ends({"r": (name, b"")}, {}))) == 1


def test_delivered_names_that_are_not_safe_are_seen(tmp_path: Path) -> None:
    good = tmp_path / "620199-01-00_01a22736-fc3f-760c-bde1-82128483d2e9"
    good.mkdir()
    (good / "packet.xml").touch()
    assert _unsafe_names(good) == []
    (good / "a\nb").touch()
    assert len(_unsafe_names(good)) == 1


@pytest.mark.parametrize(
    ("line", "is_fine"),
    [
        ("2026-11-29T12:00:00.000Z info event=ready node=1", True),
        ('2026-11-29T12:00:00.000Z error event=x trace="Traceback"', False),
        ("event=forged", False),
        ("2026-11-29T12:00:00.000Z info event=x name=\x1b[31m", False),
    ],
)
def test_lines_of_the_log_that_are_none_are_seen(line: str, is_fine: bool) -> None:
    world: Any = SimpleNamespace(lab=SimpleNamespace(nodes=("n",)), log=lambda _: line + "\n")
    assert (World.log_problems(world) == []) is is_fine


def test_rates_of_the_first_and_the_last_third() -> None:
    told = _rates([(float(second), second * 100) for second in range(9)])
    assert told == "100 a second in the first third, 100 a second in the last third"
