"""Every sentence that an operator can read has a Chinese text, and no text outlives its sentence.

When this fails: ``./run texts --update``, then fill in the empty entries (docs/translating.md).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from cli.locale import CHINESE, Catalogue
from cli.locale.extract import (
    PACKAGES,
    ROOT,
    catalogue_text,
    plurals,
    problems,
    sentences,
    undecided,
    unmarked,
)  # fmt: skip
from cli.locale.po_file import po_text
from cli.locale.sources import Sources
from cli.locale.templates import Sentence


@cache
def everything() -> tuple[Sources, dict[Sentence, str]]:
    sources = Sources(ROOT, PACKAGES)
    return sources, sentences(sources)


def test_every_sentence_is_translated_and_every_entry_is_used() -> None:
    sources, wanted = everything()
    assert problems(Catalogue(catalogue_text()), wanted) == []
    assert unmarked(sources) == []
    assert undecided(sources) == []


def test_the_file_is_written_as_the_tool_writes_it() -> None:
    said = Catalogue(catalogue_text()).sentences
    assert po_text(CHINESE, said, plurals()) == catalogue_text()


def test_sentences_of_every_kind_are_found() -> None:
    _sources, wanted = everything()
    for context, text in (
        ("", "Check the configuration of a node."),  # a noun
        ("", "Print JSON instead of text."),  # an option
        ("", "hint"),  # _("...")
        ("", "held now by {node} (this node) since {since}"),  # _(TABLE[...])
        ("", "quarantined"),  # the value of an enum
        ("", "delivery-waiting"),  # an event of the ledger
        ("error", "the key file is missing"),  # an error
        ("error", "the key file cannot be read: {system}"),  # with a message of the system in it
        ("error", "run: chmod {wanted} {path}; if others could read it, retire the key"),  # a hint
        ("error", "check the disk, then start with: exchanged --recover"),  # a hint of a class
        ("error", "expected {word}, found {word_2}"),  # a problem of a configuration
        ("error", "{value} stands in more than one link"),  # behind its place
        ("word", "an agency code or an agency kind"),  # what such a problem expected
        ("", "what is found holds for this user only"),  # a check
        ("value", "at most {value} bytes"),
        ("system", "No such file or directory"),
        ("click", "Missing argument"),
    ):
        assert Sentence(context, text) in wanted, text


def test_the_check_can_fail() -> None:
    catalogue = Catalogue(catalogue_text())
    catalogue.sentences |= {
        Sentence("", "hint"): "",
        Sentence("", "a sentence of nobody"): "无",
        Sentence("error", "the key file cannot be read: {system}"): "无法读取：{found}",
        Sentence("error", "the key file cannot be opened: {other}"): "{other}",
    }
    wrong = "\n".join(problems(catalogue, everything()[1]))
    assert "no translation of Sentence(context='', text='hint')" in wrong
    assert "nothing says Sentence(context='', text='a sentence of nobody') any more" in wrong
    assert "text='the key file cannot be read: {system}'): other holes in the translation" in wrong
    assert "error: 'the key file cannot be opened: {other}' cannot be told from" in wrong


def test_text_that_is_printed_without_being_marked_is_found(tmp_path: Path) -> None:
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "x.py").write_text(
        'say("all is well here")\nsay(_("all is well"))\ntable(("state", _("age")), rows)\n', encoding="utf-8"
    )
    found = unmarked(Sources(tmp_path, ("cli",)))
    assert [line.partition(" is printed")[0] for line in found] == [
        "cli/x.py:1: 'all is well here'",
        "cli/x.py:3: 'state'",
    ]


def test_an_enum_of_which_nobody_decided_is_found(tmp_path: Path) -> None:
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "x.py").write_text('class Mood(StrEnum):\n    GOOD = "good"\n', encoding="utf-8")
    assert len(undecided(Sources(tmp_path, ("cli",)))) == 1
