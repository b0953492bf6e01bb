"""exchangectl as a frame: exit codes, error texts, terminals that lack characters, lazy nouns."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cli.daemon import exchanged as daemon
from cli.exit_codes import ExitCode, exit_code_of
from cli.frame import LazyGroup, translate_help
from cli.locale import Catalogue, _, language
from cli.main import NOUNS, describe, exchangectl, main
from exchanged import errors
from packet_spec.errors import (
    ExchangeError,
    FormatError,
    NameRefusedError,
    SignatureError,
    UnknownKeyError,
    VersionError,
)

ROOT = Path(__file__).resolve().parents[2]


class VanishedError(ExchangeError):
    reference = "vanished"
    hint = "run: exchangectl find it"


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, BaseException]]:
    """A command ``fail`` that raises what the test puts in."""
    holder: dict[str, BaseException] = {}

    @click.command("fail")
    @click.option("--json", is_flag=True)
    def fail(**_options: object) -> None:
        raise holder["error"]

    monkeypatch.setitem(exchangectl.commands, "fail", fail)
    return holder


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigurationError(("x",)), 2),
        (errors.KeyFileError("x"), 2),
        (NameRefusedError("x"), 2),
        (errors.TransportError("x"), 3),
        (errors.NoSpaceError("x"), 3),
        (VersionError("x"), 3),
        (UnknownKeyError("x"), 3),
        (errors.NotFoundError("x"), 4),
        (SignatureError("x"), 5),
        (FormatError("x"), 5),
        (errors.HostKeyError("x"), 5),
        (errors.IllegalTransitionError("x"), 5),
        (errors.VolumeDamagedError("x"), 6),
        (errors.LedgerDamagedError("x"), 6),
        (errors.AlreadyRunningError("x"), 7),
        (VanishedError("x"), 5),
    ],
)
def test_each_kind_of_error_has_its_exit_code(
    raising: dict[str, BaseException], error: ExchangeError, code: int
) -> None:
    assert exit_code_of(error) == code
    raising["error"] = error
    assert main(["fail"]) == code


def test_an_error_says_what_expected_found_hint_and_where_to_read(
    raising: dict[str, BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    raising["error"] = VanishedError("a thing is gone", where="drawer 3", expected="one", found="none")
    main(["fail"])
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "a thing is gone: drawer 3",
        "  expected: one",
        "  found: none",
        "hint: run: exchangectl find it",
        "see: docs/errors.md#vanished",
    ]


def test_configuration_problems_stand_one_per_line() -> None:
    problems = ("[node] code: is missing", "[log] level: odd")
    text = describe(errors.ConfigurationError(problems, where="/x.toml"))
    assert text.splitlines()[:3] == [
        "the configuration cannot be used: /x.toml",
        "  - [node] code: is missing",
        "  - [log] level: odd",
    ]


def test_an_error_under_json_is_json_too(
    raising: dict[str, BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    raising["error"] = errors.ConfigurationError(("a", "b"), where="f")
    assert main(["fail", "--json"]) == 2
    said = json.loads(capsys.readouterr().out)["error"]
    assert said["reference"] == "configuration-unusable"
    assert said["problems"] == ["a", "b"]
    assert said["exit_code"] == 2


def test_an_outside_name_cannot_steer_the_terminal() -> None:
    text = describe(VanishedError("gone", found="\x1b[2Jevil\u202etxt\nhint: rm"))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "  found: \\x1b[2Jevil\\u202etxt\\x0ahint: rm" in text.splitlines()


def test_an_error_nobody_foresaw_is_one_line_and_a_traceback_on_request(
    raising: dict[str, BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    raising["error"] = ZeroDivisionError("secret detail")
    assert main(["fail"]) == ExitCode.TEMPORARY
    quiet = capsys.readouterr().err
    assert quiet.splitlines() == [
        "internal error (ZeroDivisionError); for the details add --debug; see: docs/errors.md#internal-error"
    ]
    assert main(["--debug", "fail"]) == ExitCode.TEMPORARY
    assert "Traceback" in capsys.readouterr().err


def test_what_the_system_refuses_is_named_with_what_to_do(
    raising: dict[str, BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    raising["error"] = PermissionError(errno.EACCES, "Permission denied", "/data/keys")
    assert main(["fail"]) == ExitCode.TEMPORARY
    assert capsys.readouterr().err.splitlines() == [
        "the system refuses a file operation: /data/keys",
        "  expected: -",
        "  found: Permission denied",
        "hint: run this as root, or as the user to whom it belongs",
        "see: docs/errors.md#file-operation-failed",
    ]
    raising["error"] = OSError(errno.ENOSPC, "No space left on device")
    assert main(["fail"]) == ExitCode.TEMPORARY
    assert "hint: make room on that volume" in capsys.readouterr().err.splitlines()


def test_so_does_the_daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(_path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/data/volume-damaged")

    monkeypatch.setattr("exchanged.config.load_config", refuse)
    done = CliRunner().invoke(daemon, ["--config", str(tmp_path / "exchanged.toml")])
    assert done.exit_code == ExitCode.TEMPORARY
    assert "the system refuses a file operation: /data/volume-damaged" in done.stderr
    assert "nobody foresaw" not in done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (click.Abort(), 2),
        (click.UsageError("no"), 2),
        (click.exceptions.Exit(1), 1),
    ],
)
def test_leaving_early_has_a_code(raising: dict[str, BaseException], error: BaseException, code: int) -> None:
    raising["error"] = error
    assert main(["fail"]) == code


def test_usage_errors_end_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-noun"]) == 2
    assert main(["config", "check", "--no-such-option"]) == 2
    assert "No such option" in capsys.readouterr().err


def test_a_usage_error_under_json_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["queue", "list", "--state", "no-such-state", "--json"]) == 2
    told = capsys.readouterr()
    said = json.loads(told.out)["error"]
    assert (said["reference"], said["exit_code"]) == ("usage", 2)
    assert "no-such-state" in said["summary"]
    assert said["summary"] in told.err


def test_a_missing_configuration_is_told_and_ends_with_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--config", str(tmp_path / "none.toml"), "config", "check"]) == 2
    printed = capsys.readouterr().err
    assert "cannot be read" in printed
    assert "docs/errors.md#configuration-unusable" in printed


def test_nouns_are_listed_without_importing_their_modules() -> None:
    code = (
        "import sys; from cli.main import main; main(['--help']);"
        "sys.exit(any(n in sys.modules for n in ('cli.commands.lab', 'lxml', 'nacl', 'paramiko', 'sqlite3')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for noun in ("config", "key", "directory", "lab"):
        assert f"\n  {noun} " in done.stdout


def test_a_noun_that_is_not_installed_is_not_offered() -> None:
    group = LazyGroup("x", nouns={"config": "Check.", "no_such_module": "Nothing."})
    context = click.Context(group)
    assert group.list_commands(context) == ["config"]
    assert group.get_command(context, "no_such_module") is None


def commands(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        member = group.get_command(context, name)
        assert member is not None
        if isinstance(member, click.Group):
            yield from commands(member, (*words, name))
        else:
            yield " ".join((*words, name)), member


def test_every_command_has_an_example_and_json() -> None:
    lacking = []
    for words, command in commands(exchangectl):
        if words == "fail":
            continue
        example = f"exchangectl {words}".split()
        shown = (command.help or "").split("Example", 1)[-1].split()
        if not set(example) <= set(shown):
            lacking.append(f"{words}: example")
        if not any("--json" in parameter.opts for parameter in command.params):
            lacking.append(f"{words}: --json")
    assert lacking == []


@pytest.mark.parametrize("encoding", ["ascii", "gbk"])
def test_a_terminal_that_lacks_characters_gets_escapes(encoding: str, tmp_path: Path) -> None:
    missing = tmp_path / "镕\U00020000.toml"
    done = subprocess.run(
        [sys.executable, "-m", "cli", "--config", str(missing), "config", "check", "--json"],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert json.loads(done.stdout.decode(encoding))["error"]["where"] == str(missing)
    assert "\\U00020000" in done.stderr.decode(encoding)


def test_a_reader_that_goes_away_is_no_error(
    raising: dict[str, BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, write = os.pipe()
    os.close(read)
    with io.TextIOWrapper(io.FileIO(write, "w")) as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        code = main(["--help"])
        monkeypatch.undo()
    assert code == ExitCode.PIPE_CLOSED


@pytest.mark.parametrize("words", [["--help"], ["packet", "check", "--json", "/nonexistent"]])
def test_output_that_cannot_be_written_is_told_without_a_traceback(words: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "cli", *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == ExitCode.TEMPORARY
    assert b"No space left" in done.stderr or b"internal error" in done.stderr
    assert b"Traceback" not in done.stderr


def test_the_language_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, wanted in (("zh_CN.UTF-8", "zh_CN"), ("zh", "zh_CN"), ("de_DE", "en"), ("C.UTF-8", "en")):
        monkeypatch.setenv("LC_ALL", value)
        assert language() == wanted
    monkeypatch.setenv("EXCHANGED_LOCALE", "zh_CN")
    assert _("hint") == "建议"
    assert _("no such sentence") == "no such sentence"
    command = click.Command("x", help="Check the configuration of a node.")
    translate_help(command)
    assert command.help == "检查节点的配置。"


def test_every_noun_is_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXCHANGED_LOCALE", "zh_CN")
    assert [help_line for help_line in NOUNS.values() if _(help_line) == help_line] == []


def test_a_catalogue_reads_long_and_escaped_entries() -> None:
    text = '#: cli\nmsgid ""\n"one "\n"two\\n"\nmsgstr "eins "\n"\\"zwei\\"\\n"\n\nmsgid "x"\nmsgstr ""\n'
    catalogue = Catalogue(text)
    assert catalogue.gettext("one two\n") == 'eins "zwei"\n'
    assert catalogue.gettext("x") == "x"
