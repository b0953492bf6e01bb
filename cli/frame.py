"""What all commands share: the settings of one call, lazy nouns, the ``--json`` option, translated help."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from weakref import WeakKeyDictionary, WeakSet

import click

from cli.help_text import HelpContext
from cli.locale import ENGLISH, _, in_english, language, told
from exchanged.errors import ConfigurationError
from packet_spec.errors import ExchangeError

if TYPE_CHECKING:
    from exchanged.config import Config
    from packet_spec.model import RootKey

_F = TypeVar("_F", bound=Callable[..., Any])

# Help as it was before it was translated, and commands whose short help is made by us.
_ENGLISH_HELP: Final[WeakKeyDictionary[click.Command | click.Option, str]] = WeakKeyDictionary()
_SHORTENED: Final[WeakSet[click.Command]] = WeakSet()

DEFAULT_CONFIG: Final = Path("/etc/exchanged/exchanged.toml")

_COMMAND: Final = re.compile(r"\b(exchangectl|exchanged) (?=[a-z]|--recover)")


@dataclass(frozen=True, slots=True)
class Settings:
    """The global options of one call, given to commands by ``@click.pass_obj``."""

    config_path: Path
    debug: bool = False

    def load(self) -> Config:
        """The node's configuration. Raises ConfigurationError with every problem."""
        from exchanged.config import load_config  # noqa: PLC0415 - help must not wait for libraries

        return load_config(self.config_path)


class PartlyDoneError(Exception):
    """A command did a part of what it was asked, and then met ``error``: ``answer`` tells of that part."""

    def __init__(self, answer: object, error: ExchangeError) -> None:
        super().__init__(str(error))
        self.answer = answer
        self.error = error


class InputFileError(ExchangeError):
    """A file named on the command line cannot be read, or is larger than such a file may be."""

    reference = "input-file-unreadable"
    hint = "check the name and who may read the file"


class PlanError(ConfigurationError):
    """A plan (of a directory or a lab) cannot be used; all problems are told together."""

    reference = "plan-unusable"
    hint = "mend the plan and call the command again"

    def __init__(self, problems: tuple[str, ...], *, where: str = "") -> None:
        super().__init__(problems, where=where)
        self.summary = "the plan cannot be used: " + "; ".join(problems)


def read_input(path: Path, limit_bytes: int) -> bytes:
    """The bytes of a file named on the command line. Raises InputFileError."""
    try:
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except OSError as error:
        found = error.strerror or ""
        raise InputFileError("the file cannot be read", where=str(path), found=found) from error
    if len(data) > limit_bytes:
        most = f"at most {limit_bytes} bytes"
        raise InputFileError("the file is too large", where=str(path), expected=most)
    return data


def read_roots(texts: Sequence[str]) -> tuple[RootKey, ...]:
    """The root keys of ``--root suite:HEX``. Raises click.BadParameter for another form."""
    from exchanged.public_keys import parse_public_key  # noqa: PLC0415 - help must not wait for libraries
    from packet_spec.model import RootKey  # noqa: PLC0415 - likewise

    try:
        keys = [parse_public_key(text) for text in texts]
    except ExchangeError as error:
        raise click.BadParameter(told(str(error)), param_hint="--root") from error
    return tuple(RootKey(key.key_id, key.suite, key.public) for key in keys)


def config_option(function: _F) -> _F:
    """Add ``--config``; both entry points find a node's configuration in the same way."""
    return click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        default=DEFAULT_CONFIG,
        envvar="EXCHANGED_CONFIG",
        show_default=True,
        metavar="FILE",
        help="The configuration of the node; also EXCHANGED_CONFIG.",
    )(function)


def as_called(text: str, config_path: Path) -> str:
    """``text`` with every command in it as it has to be pasted: with ``--config`` where it is not the usual.

    Whoever pastes it has the same environment, but not the same command line.
    """
    if str(config_path) in {str(DEFAULT_CONFIG), os.environ.get("EXCHANGED_CONFIG")}:
        return text
    option = f"--config {shlex.quote(str(config_path))}"
    return _COMMAND.sub(lambda match: f"{match[1]} {option} ", text)


def json_option(function: _F) -> _F:
    """Add ``--json``; the command gets it as ``as_json: bool``, and its JSON is English in every language."""

    @wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        if not kwargs.get("as_json"):
            return function(*args, **kwargs)
        with in_english():
            return function(*args, **kwargs)

    option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
    return option(cast("_F", command))


class LazyGroup(click.Group):
    """A group whose members are modules, imported when one is called.

    ``nouns`` maps a name to its one-line help; the member is the object of that name in
    ``cli.commands.<name>``. A noun whose module is not installed is not offered.
    """

    def __init__(self, *args: Any, nouns: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._nouns = dict(nouns or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The nouns that are installed, in the order of the table."""
        return [*(noun for noun in self._nouns if _is_installed(noun)), *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the noun's module and give its command."""
        if cmd_name not in self._nouns or not _is_installed(cmd_name):
            return super().get_command(ctx, cmd_name)
        return _import_member(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the nouns from the table: help must not import every module."""
        rows = [(noun, _(self._nouns[noun])) for noun in self.list_commands(ctx) if noun in self._nouns]
        if rows:
            with formatter.section(_("Commands")):
                formatter.write_dl(rows)


class NounGroup(click.Group):
    """A noun whose verbs may stand in modules of their own, imported when one is called.

    ``members`` maps a verb to the module below ``cli.commands`` that exports a command of the module's
    own name. A verb whose module is not installed is not offered.
    """

    def __init__(self, *args: Any, members: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._members = dict(members or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs by name."""
        installed = (verb for verb, module in self._members.items() if _is_installed(module))
        return sorted([*super().list_commands(ctx), *installed])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A verb by name, imported where it stands in a module of its own."""
        module = self._members.get(cmd_name)
        if module is None or not _is_installed(module):
            return super().get_command(ctx, cmd_name)
        return _import_member(module)


def translate_help(command: click.Command) -> None:
    """Put the help of a command, its options and its members into the operator's language.

    May be called again, also after the language changed: the English text is kept.
    """
    english = language() == ENGLISH
    command.context_class = HelpContext
    command.help = _(english_help(command)) or None
    if not command.short_help or command in _SHORTENED:
        # The library shortens an English text by its full stops and spaces; Chinese has others.
        _SHORTENED.add(command)
        command.short_help = None if english else _first_sentence(command.help or "")
    command.options_metavar = _("[OPTIONS]")
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            parameter.help = _(english_help(parameter)) or None
    if isinstance(command, click.Group):
        command.subcommand_metavar = _("COMMAND [ARGS]...")
        for member in command.commands.values():
            translate_help(member)


def english_help(thing: click.Command | click.Option) -> str:
    """The help as it stands in the source, without the indent of a docstring."""
    return _ENGLISH_HELP.setdefault(thing, inspect.cleandoc(thing.help or ""))


def _first_sentence(text: str) -> str:
    first, stop, _rest = text.partition("\n\n")[0].partition("。")
    return first + stop


def _import_member(name: str) -> click.Command:
    """The command ``name`` of the module of that name, with its help in the operator's language."""
    member = getattr(importlib.import_module(_module(name)), name)
    if not isinstance(member, click.Command):
        raise TypeError(f"{_module(name)}.{name} is not a command")
    translate_help(member)
    return member


def _module(noun: str) -> str:
    return f"cli.commands.{noun}"


def _is_installed(noun: str) -> bool:
    return find_spec(_module(noun)) is not None
