"""Packets that are lost, refused or late: its figures say so, and no hours are lost with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bench import agencies
from bench.crowd import Crowd
from bench.mix import Letter, Mix
from bench.post import Patience, Post
from bench.result import SHORT, Result, Run
from bench.volume import Books, Sitting, Supply, _pass
from cli.fiction.agencies import LabAgency
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import default_plan, parse_plan

AGENCIES: tuple[LabAgency, ...] = default_plan(14).agencies


class Time:
    """A time that passes when somebody sleeps, and ``lag`` at each look at it."""

    def __init__(self) -> None:
        self.now, self.lag = 1_000.0, 0.0

    def monotonic(self) -> float:
        self.now += self.lag
        return self.now

    def monotonic_ns(self) -> int:
        return int(self.now * 1e9)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    for module in ("agencies", "meter", "post", "volume"):
        monkeypatch.setattr(f"bench.{module}.time", SimpleNamespace(
            monotonic=made.monotonic, monotonic_ns=made.monotonic_ns, sleep=made.sleep,
            process_time=lambda: 0.0,
        ))  # fmt: skip
    return made


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    codes = [{"code": each.code} for each in AGENCIES[:2]]
    return create_lab(tmp_path / "lab", parse_plan({"agency": codes}))


def letters_of(lab: Lab, count: int) -> list[Letter]:
    one, other = lab.agencies
    folder = lab.layout.root / "staged"
    names = [f"bench-{number:07d}" for number in range(count)]
    made = [Letter(name, "info.share", one, other, folder / name) for name in names]
    for each in made:
        each.path.mkdir(parents=True)
        (each.path / "packet.xml").write_text(f"<p><senderRef>{each.reference}</senderRef></p>")
    return made


def arrive(lab: Lab, letter: Letter) -> None:
    """Out of the outbox into the inbox, with its receipt."""
    place = lab.agency_root(letter.receiver) / "inbox" / letter.business_type
    place.mkdir(parents=True, exist_ok=True)
    (lab.agency_root(letter.sender) / "outbox" / letter.reference).rename(place / letter.reference)
    receipts = lab.agency_root(letter.sender) / "receipts" / letter.reference
    receipts.mkdir(parents=True)
    (receipts / "delivered-1.xml").touch()


def refuse(lab: Lab, letter: Letter) -> None:
    """As a front-end does: the original, and findings beside it."""
    root = lab.agency_root(letter.sender)
    (root / "refused").mkdir(exist_ok=True)
    (root / "outbox" / letter.reference).rename(root / "refused" / letter.reference)
    for suffix in ("xml", "txt"):
        (root / "refused" / f"{letter.reference}.findings.{suffix}").touch()


def test_a_refused_drop_is_one_whatever_lies_beside_it(lab: Lab) -> None:
    letters, post = letters_of(lab, 2), Post(lab)
    post.drop(letters)
    refuse(lab, letters[1])
    assert post.refused() == {"bench-0000001"}
    assert "1 were refused" in post.problems(2)


def test_patience_ends_when_nothing_moves_and_not_while_something_does(lab: Lab, clock: Time) -> None:
    letters, post = letters_of(lab, 3), Post(lab)
    post.drop(letters)
    patience = Patience(post, 1_800.0)
    for letter in letters[:2]:
        clock.now += 1_700.0
        arrive(lab, letter)
        post.look()
        assert not patience.is_over()
    assert patience.moved == clock.now
    clock.now += 1_800.0
    assert not patience.is_over()
    clock.now += 1.0
    assert patience.is_over()


def test_what_was_refused_is_not_waited_for(lab: Lab, clock: Time) -> None:
    letters, post = letters_of(lab, 2), Post(lab)
    post.drop(letters)
    patience = Patience(post, 1_800.0)
    refuse(lab, letters[0])
    clock.now += 200.0
    assert not patience.is_over()
    refuse(lab, letters[1])
    assert patience.is_over()


class Street:
    """What a crowd does while the bench looks: each letter arrives, but for some."""

    def __init__(self, lab: Lab, *, lost: Sequence[str] = (), refused: Sequence[str] = ()) -> None:
        self.lab, self.lost, self.refused = lab, lost, refused
        self.agencies = AGENCIES[:2]

    def require_health(self) -> None:
        one, other = self.lab.agencies
        for path in list((self.lab.agency_root(one) / "outbox").iterdir()):
            letter = Letter(path.name, "info.share", one, other, path)
            if path.name in self.refused:
                refuse(self.lab, letter)
            elif path.name not in self.lost:
                arrive(self.lab, letter)


class Pile:
    """Stands for the mix, and for the supply: letters that lie there already."""

    def __init__(self, letters: Sequence[Letter], street: Street) -> None:
        self.letters, self.street = list(letters), street

    def write(self, number: int, _folder: Path) -> Letter:
        return self.letters[number]

    def take(self, most: int) -> list[Letter]:
        taken, self.letters = self.letters[:most], self.letters[most:]
        self.street.require_health()
        return taken


@pytest.mark.parametrize("what", ["lost", "refused"])
def test_a_load_of_which_one_does_not_arrive_has_figures_and_is_short(
    lab: Lab, clock: Time, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.agencies.PER_MINUTE", 60)
    letters = letters_of(lab, 60)
    street = Street(lab, **{what: ["bench-0000007"]})
    (tmp_path / "run" / "lab").mkdir(parents=True)
    run = Run(tmp_path / "run", full=False)
    mix = cast("Mix", Pile(letters, street))
    began = clock.now
    checks, figures, books = agencies._load(run, cast("Crowd", street), mix)
    assert Result(checks).verdict == SHORT
    assert "59 of 60 arrived" in books
    waited = clock.now - began
    assert figures["load, most, s"] > 120.0
    assert waited < 300.0 if what == "refused" else waited > 1_800.0
    # What was waited in vain is no time of the load.
    assert checks[1].found > 50.0


@pytest.mark.parametrize("what", ["lost", "refused"])
def test_a_volume_of_which_one_does_not_arrive_comes_to_its_end(
    lab: Lab, clock: Time, what: str, tmp_path: Path
) -> None:
    street = Street(lab, **{what: ["bench-0000002"]})
    supply = cast("Supply", Pile(letters_of(lab, 6), street))
    books, post = Books.open(tmp_path / "books.json"), Post(lab)
    for _ in range(2):
        # A later sitting ends too.
        books.sittings.append(Sitting())
        _pass(Run(tmp_path, full=True), post, supply, books, 6)
        assert post.arrived == 5
        assert books.total().seconds < 300.0
    assert "5 of 6 arrived" in post.problems(6)


def test_templates_that_a_break_left_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "staged").mkdir()
    first = Mix(tmp_path / "templates", AGENCIES).write(0, tmp_path / "staged")
    again = Mix(tmp_path / "templates", AGENCIES).write(0, tmp_path / "staged")
    assert again == first
