"""The language of operators: how it is chosen, and errors told in it with their values untouched."""

from __future__ import annotations

import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import click
import pytest

from cli.frame import translate_help
from cli.help_text import broken
from cli.locale import _, language, told
from cli.main import describe, exchangectl
from cli.render import display_width, encodable, fields, table
from exchanged import errors
from exchanged.config import parse_config
from exchanged.states import DestinationState
from packet_spec.errors import DigestMismatchError, NameRefusedError

NAMES = ("EXCHANGED_LOCALE", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXCHANGED_LOCALE", "zh_CN")


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh_CN"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"),
        ({"LC_MESSAGES": "en_US.UTF-8", "LC_ALL": "zh_CN.GBK"}, "zh_CN"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "de:zh_CN:en"}, "zh_CN"),
        ({"LANG": "C", "LANGUAGE": "zh_CN"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LANGUAGE": "en"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "EXCHANGED_LOCALE": "en"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({}, "en"),
    ],
)
def test_the_language_is_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], wanted: str
) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language() == wanted


@pytest.mark.parametrize(("encoding", "wanted"), [("gbk", "zh_CN"), ("ascii", "en"), ("latin-1", "en")])
def test_a_terminal_without_chinese_gets_english(
    monkeypatch: pytest.MonkeyPatch, chinese: None, encoding: str, wanted: str
) -> None:
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(BytesIO(), encoding))
    assert language() == wanted


def test_an_error_is_told_whole(chinese: None) -> None:
    error = errors.KeyFileError(
        "others may read or write the key file",
        where="/keys/seal.key",
        expected="mode 0600",
        found="mode 0644",
        hint="run: chmod 600 /keys/seal.key; if others could read it, retire the key",
    )
    assert describe(error).splitlines() == [
        "他人可以读写密钥文件: /keys/seal.key",
        "  应为: 权限 0600",
        "  实际: 权限 0644",
        "建议: 请运行：chmod 600 /keys/seal.key；如他人曾可读取，请终止该密钥",
        "参见: docs/errors.md#key-file-unusable",
    ]


def test_the_systems_words_are_translated_and_values_are_not(chinese: None) -> None:
    assert told("the key file cannot be read: Permission denied") == "无法读取密钥文件：没有权限"
    assert told("the key file cannot be read: Reason unheard of") == "无法读取密钥文件：Reason unheard of"
    assert told("arrival of 620199-01-00/the key file is missing is no longer held") == (
        "到达件 620199-01-00/the key file is missing 的状态已不是 held"
    )
    assert told("letter to judge.pdf", "value") == "letter to judge.pdf"
    assert told("{braces} in {a name}", "value") == "{braces} in {a name}"
    assert told("no sentence of ours") == "no sentence of ours"


def test_problems_of_a_configuration_keep_their_place(chinese: None) -> None:
    with pytest.raises(errors.ConfigurationError) as raised:
        parse_config({"node": {"code": "x", "role": "king", "data_dir": 1}, "nonsense": {}}, Path("/"))
    lines = describe(raised.value)
    for said in (
        "  - [node] code: 应为单位代码 DDDDDD-KK-SS 或 bridge-<名称>，实际为 'x'",
        "  - [node] role: 应为下列之一：frontend, provincial, bridge；实际为 'king'",
        "  - [node] data_dir: 应为文本，实际为 1",
        "  - [nonsense]: 本版本没有此配置节；可用：",
    ):
        assert said in lines
    assert "expected" not in lines
    assert "found" not in lines


def test_an_error_in_one_line_is_told_too(chinese: None) -> None:
    error = DigestMismatchError("a part is not what the seal names", where="part 3")
    assert told(f"{error.reference}: {error}") == "digest-mismatch: 一个部分与封装所列不符；位置：第 3 部分"
    wrong = NameRefusedError("a file name is refused: it is the name of a device", found="CON")
    assert told(str(wrong)) == "文件名不予接受：是设备名称；应为：-，实际：CON"


def test_a_hint_with_a_semicolon_and_a_summary_with_one_are_told(chinese: None) -> None:
    hint = "compare the server's key with the enrolment pack; never accept it unseen"
    summary = "the server shows another host key than the pinned one; nothing was sent"
    error = errors.HostKeyError(summary, where="host:22", expected="a", found="b")
    assert told(f"{error}; {hint}") == (
        "服务器出示的主机密钥不是约定的密钥；没有发送任何内容；位置：host:22；应为：a，实际：b"
        "；把服务器的密钥与入网资料核对；未经核对不得接受"
    )
    assert told(hint) == "把服务器的密钥与入网资料核对；未经核对不得接受"
    for hostile in ("a: ", "[a] b: ", "; where: ", "a to b ", "the ledger is damaged: "):
        assert len(told(hostile * (999 // len(hostile)))) > 200
        assert told(hostile * 1000) == hostile * 1000
    assert told("x: y; z: of nobody") == "x: y; z: of nobody"


def test_states_are_shown_in_the_operators_language_and_measured(chinese: None) -> None:
    rare = "张\U00020164三\u3000\U0001f600"
    shown = table((_("state"), "x"), [(DestinationState.DELIVERED, "a"), (rare, "b")])
    lines = shown.splitlines()
    assert lines[2].startswith("已送达")
    assert {display_width(line[: line.rindex(end)]) for line, end in zip(lines, "x-ab", strict=True)} == {
        display_width(lines[0]) - 1
    }
    assert fields([(_("state"), DestinationState.DELIVERED)]) == "状态: 已送达"


def test_a_cell_is_measured_as_the_terminal_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(BytesIO(), "gbk"))
    lines = table(("a", "b"), [("张\U00020164", "x"), ("李", "y")], width=80).splitlines()
    assert lines[2] == "张\\U00020164  x"
    assert display_width(lines[3]) == display_width(lines[2])
    assert encodable("\U0001f600", sys.stdout) == "\\U0001f600"


def test_help_follows_the_language_back_and_forth(monkeypatch: pytest.MonkeyPatch) -> None:
    english, other = ("en", "Check the configuration", "[OPTIONS]"), ("zh_CN", "检查节点", "[选项]")
    for name, text, usage in (english, other, english, other):
        monkeypatch.setenv("EXCHANGED_LOCALE", name)
        command = exchangectl.get_command(click.Context(exchangectl), "config")
        assert command is not None
        assert (command.help or "").startswith(text)
        assert command.options_metavar == usage
    monkeypatch.setenv("EXCHANGED_LOCALE", "en")
    translate_help(exchangectl)


def test_chinese_is_broken_by_width_and_punctuation_stays() -> None:
    text = "检查密钥、文件夹（outbox 和 inbox）、信箱和已安装的名录；不作任何改动。"
    for width in range(12, 60):
        lines = broken(text, width)
        assert all(display_width(line) <= width for line in lines)
        assert not any(line[0] in "、）；。" or line[-1] == "（" for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
