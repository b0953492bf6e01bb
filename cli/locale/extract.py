"""``./run texts``: every sentence that a reader of both commands can meet, and its translation.

Sentences are found in the running commands (help, options), in the source (``_("...")``, errors, checks,
event names), in the enums whose values are shown, in the command-line library and in the system's own
messages. Guarantees: a sentence without translation, an entry that nothing uses any more, differing
holes and templates that cannot be told apart are all named, with the place of the sentence.
"""

from __future__ import annotations

import ast
import errno
import importlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from cli.frame import english_help
from cli.locale import CHINESE, DOMAIN, FOLDER, Catalogue
from cli.locale.click_texts import CONTEXT, MODULES
from cli.locale.po_file import po_text
from cli.locale.sources import Sources
from cli.locale.templates import Sentence, Templates, holes

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("packet_spec", "exchanged", "frontend_server", "cli")

# Enums whose values stand in tables and sentences: module -> names.
_ENUMS: Final = {
    "packet_spec.findings": ("Severity", "Outcome"),
    "packet_spec.model": ("Priority", "ReceiptKind", "ItemKind", "NodeRole", "KeyUse"),
    "exchanged.states": ("ArrivalState", "PacketState", "DestinationState", "DropState", "Event"),
    "exchanged.ledger.questions_queue": ("WaitingKind",),
    "exchanged.trace_values": ("Evidence", "Holding"),
    "frontend_server.folders": ("MarkerState",),
    "frontend_server.outbox": ("DropKind",),
    "cli.checks": ("CheckState",),
    "cli.receipt_check": ("ClaimState",),
    "cli.link_view": ("LinkState",),
    "exchanged.ledger.restoring": ("PeerState",),
}
# Tables of sentences that are looked up at run time: module -> names.
_TABLES: Final = {
    "cli.acting_text": ("OUTCOMES", "OBSTACLES", "HINTS"),
    "cli.event_text": ("SENTENCES", "MOVES"),
}
# Enums for programs: configuration, wire, file names, and states inside one module.
_UNSHOWN: Final = frozenset(
    {
        *("Speaker", "Carriage", "ExceptionKind", "SequencePolicy", "Domain", "LinkTransport"),
        *("LinkSide", "DropProfile", "StatusEncoding", "LogLevel", "LogFormat", "Original", "Direction"),
        *("MailboxKind", "RouteKind", "Kind", "Status", "OpenFlag", "StepKind", "Because", "Volume", "Look"),
        *("How", "Readiness", "Standing", "DemoFault", "Act", "Ending", "Role", "Stage", "Telling", "_Level"),
        *("Level", "DocumentFormat", "ExitCode", "DropEncoding", "DropFormat"),
        *("NoticeLevel", "Obstacle", "SubjectKind", "Scope", "Field", "Fault", "Purpose", "NameKind"),
        *("Removed", "EntryKind", "HeadState", "CheckedScope", "_Encrypt", "Conflict", "Why"),
        *("Proven", "State", "StopKind"),
    }
)
# Words that reach a table as values, from where no reader of source can follow them.
_WORDS: Final = (
    *("running", "stopped", "died"),
    *("province", "city", "county", "agency", "sshd"),
    *("signature", "authority", "directory", "seal", "seal signature", "content", "packet", "revocation"),
    *("destination", "arrival", "receipt", "hop"),
    *("resolve", "connect", "host-key", "login", "list-down", "list-up", "bell", "space", "folder"),
    *("ours", "theirs", "network", "by hand", "door", "dial", "serve", "sftp"),
    *(f"log-{doubt}" for doubt in ("forked", "rewritten", "shortened", "split")),
    *("log-entry-missing", "log-hash-differs", "receipt-not-logged", "log-entry-without-receipt"),
    *("receipt-differs", "receipt-listed-wrongly", "log-entry-listed-wrongly"),
    *("log-head-unreadable", "log-differs-from-head", "schema-changed"),
    *(f"original-{where}" for where in ("outbox", "kept", "sent", "refused", "gone", "replaced")),
)
# Context of an enum's values and of words like them: that of plain sentences.
_PLAIN: Final = ""
# What an operator may meet of the system's messages; others are shown as the system writes them.
_ERRNO: Final = (
    "EACCES", "EADDRINUSE", "EAGAIN", "EBADF", "EBUSY", "ECONNREFUSED", "ECONNRESET", "EDQUOT", "EEXIST",
    "EFBIG", "EHOSTDOWN", "EHOSTUNREACH", "EILSEQ", "EINTR", "EINVAL", "EIO", "EISDIR", "ELOOP", "EMFILE",
    "EMLINK", "ENAMETOOLONG", "ENETDOWN", "ENETUNREACH", "ENFILE", "ENODEV", "ENOENT", "ENOEXEC", "ENOMEM",
    "ENOSPC", "ENOSYS", "ENOTCONN", "ENOTDIR", "ENOTEMPTY", "ENOTSUP", "ENXIO", "EOPNOTSUPP", "EPERM",
    "EPIPE", "EROFS", "ESTALE", "ETIMEDOUT", "ETXTBSY", "EXDEV",
)  # fmt: skip
# The resolver's own, which are no errors of the kernel.
_RESOLVER: Final = (
    "Name or service not known",
    "Temporary failure in name resolution",
    "No address associated with hostname",
)
# Values that are names of files, formats or programs, the same in every language.
_KEPT: Final = frozenset({"data_dir", "ok", "waybill", "{value} to {value_2}"})


# What prints its arguments; tables and fields by their headers and labels.
_PRINTING: Final = ("say", "print", "ask", "table", "fields", "progress", "BadParameter", "UsageError")
_LABEL: Final = re.compile(r"[A-Za-z]{2,}")
_PROSE: Final = re.compile(r"^(?! *exchangectl ).*[A-Za-z]{3,}[^/]* [a-z]{2,}")
# Tools of the project's own; no operator runs them.
_ENGLISH_ONLY: Final = frozenset(
    {"cli/docs.py", "cli/docs_errors.py", "cli/docs_text.py", "cli/locale/extract.py"}
)


def sentences(sources: Sources) -> dict[Sentence, str]:
    """Every sentence to translate, with one place where it stands."""
    found: dict[Sentence, str] = {}
    for sentence, place in (
        *_commands(),
        *_marked(sources),
        *sources.sentences(),
        *_event_names(sources),
        *_words(),
        *_library(),
        *_system(),
    ):
        if sentence.text.strip() and not _is_kept(sentence):
            found.setdefault(sentence, place)
    return found


def problems(catalogue: Catalogue, wanted: dict[Sentence, str]) -> list[str]:
    """What is wrong with a catalogue, one sentence each; empty when it is complete."""
    said = catalogue.sentences
    wrong = [
        f"{place}: no translation of {sentence}"
        for sentence, place in wanted.items()
        if not said.get(sentence)
    ]
    # The library has other sentences in its next version: an entry may wait for it.
    wrong += [
        f"nothing says {sentence} any more"
        for sentence in said
        if sentence not in wanted and sentence.context not in {CONTEXT, "system"}
    ]
    several = plurals()
    for sentence, target in said.items():
        allowed = (sentence.text, several.get(sentence.text, sentence.text))
        if target and not any(sorted(_fields(target)) == sorted(_fields(source)) for source in allowed):
            wrong.append(f"{sentence}: other holes in the translation")
    return [*wrong, *_confusions(said)]


def _confusions(said: dict[Sentence, str]) -> Iterator[str]:
    """Templates that fit each other's texts equally well, or that are nearly all hole."""
    contexts = {sentence.context for sentence in said} - {_PLAIN, CONTEXT, "system"}
    for context in sorted(contexts):
        pairs = [(sentence.text, target) for sentence, target in said.items() if sentence.context == context]
        templates = Templates(pairs)
        for source, _target in pairs:
            if not holes(source):
                continue
            probe = re.sub(r"\{number\w*\}", "7", source)
            probe = re.sub(r"\{\w+\}", "[value 1; 2, x: y]", probe)
            fits = [template.source for template in templates.fitting(probe)]
            if fits != [source]:
                yield f"{context}: {source!r} cannot be told from {fits}"


def _fields(text: str) -> list[str]:
    """Holes of either kind, with their format: {name}, {value!r}, %(prog)s."""
    return re.findall(r"\{[^{}]*\}|%\(\w+\)s", text)


def _is_kept(sentence: Sentence) -> bool:
    """A name, number or path that no language changes."""
    literal = re.sub(r"\{\w+\}", "", sentence.text)
    if sentence.context in {_PLAIN, CONTEXT, "system"}:
        return False
    if sentence.text in _KEPT or not re.search(r"[A-Za-z]{2,}", literal):
        return True
    is_one_word = sentence.context != "error" and " " not in literal.strip()
    return is_one_word and bool(re.search(r"[./=@:\d]", literal))


def _commands() -> Iterator[tuple[Sentence, str]]:
    """Help and options of every command of both programs, as they are without translation."""
    from cli.daemon import exchanged  # noqa: PLC0415 - the daemon's libraries, for its help only
    from cli.main import NOUNS, exchangectl  # noqa: PLC0415 - likewise

    for text in (*NOUNS.values(), "[OPTIONS]", "COMMAND [ARGS]..."):
        yield Sentence(_PLAIN, text), "cli/main.py"
    for name, command in (("exchangectl", exchangectl), ("exchanged", exchanged)):
        yield from _helps(name, command)


def _helps(words: str, command: click.Command) -> Iterator[tuple[Sentence, str]]:
    yield Sentence(_PLAIN, english_help(command)), words
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.help:
            yield Sentence(_PLAIN, english_help(parameter)), f"{words} {parameter.opts[0]}"
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            member = command.get_command(context, name)
            if member is not None:
                yield from _helps(f"{words} {name}", member)


def _marked(sources: Sources) -> Iterator[tuple[Sentence, str]]:
    """What stands in ``_("...")``, also in a table of a module that ``_(TABLE[...])`` looks up."""
    for module in sources.modules:
        for call in module.calls.get("_", ()):
            for text in _literals(call.args[0], module.constants):
                yield Sentence(_PLAIN, text), f"{module.name}:{call.lineno}"


def _event_names(sources: Sources) -> Iterator[tuple[Sentence, str]]:
    """What the ledger's events are called: the first argument of ``transaction.event``."""
    for module in sources.modules:
        for call in module.calls.get("event", ()):
            for text in _literals(call.args[0], module.constants) if call.args else ():
                yield Sentence(_PLAIN, text), f"{module.name}:{call.lineno}"


def undecided(sources: Sources) -> list[str]:
    """Enums of which nobody said whether their values are shown to people."""
    known = {name for names in _ENUMS.values() for name in names} | _UNSHOWN
    return [
        f"{module.name}:{kind.lineno}: {kind.name} is neither in _ENUMS nor in _UNSHOWN of extract.py"
        for module in sources.modules
        for kind in module.classes
        if any(ast.unparse(base).endswith("Enum") for base in kind.bases) and kind.name not in known
    ]


def unmarked(sources: Sources) -> list[str]:
    """Places of ``cli`` that print English words which were not given to ``_``."""
    wrong = []
    for module in sources.modules:
        for name in _PRINTING if module.name.startswith("cli/") else ():
            for call in module.calls.get(name, ()):
                if isinstance(call.func, ast.Attribute) and name in {"table", "fields"}:
                    continue
                wanted = _LABEL if name in {"table", "fields", "progress"} else _PROSE
                wrong += [
                    f"{module.name}:{call.lineno}: {text!r} is printed and not translated"
                    for argument in call.args
                    for text in _bare(argument)
                    if wanted.search(text) and text.isascii() and module.name not in _ENGLISH_ONLY
                ]
    return wrong


def _bare(node: ast.AST) -> Iterator[str]:
    """Texts below ``node`` that no call takes up: what is called translates or formats them itself."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif not isinstance(node, ast.Call | ast.FormattedValue | ast.Subscript | ast.Compare):
        for child in ast.iter_child_nodes(node):
            yield from _bare(child)


def _literals(node: ast.expr, tables: dict[str, ast.expr]) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp():
            yield from (*_literals(node.body, tables), *_literals(node.orelse, tables))
        case ast.Subscript(value=ast.Name(id=name)) if isinstance(tables.get(name), ast.Dict):
            for value in getattr(tables[name], "values", ()):
                yield from _literals(value, tables)
        case _:
            return


def _words() -> Iterator[tuple[Sentence, str]]:
    for module, names in _ENUMS.items():
        for name in names:
            for member in getattr(importlib.import_module(module), name):
                yield Sentence(_PLAIN, str(member.value)), f"{module}.{name}"
    for module, names in _TABLES.items():
        for name in names:
            texts = getattr(importlib.import_module(module), name).values()
            for text in texts:
                if not text.startswith("exchangectl "):
                    yield Sentence(_PLAIN, text), f"{module}.{name}"
    for word in _WORDS:
        yield Sentence(_PLAIN, word), "cli/locale/extract.py"


def _library() -> Iterator[tuple[Sentence, str]]:
    for texts, place in _library_texts():
        yield Sentence(CONTEXT, texts[0]), place
    yield Sentence(CONTEXT, "required"), "click.core"


def plurals() -> dict[str, str]:
    """English singular -> plural of the library's sentences that count."""
    return {texts[0]: texts[1] for texts, _place in _library_texts() if len(texts) == 2}


def _library_texts() -> Iterator[tuple[list[str], str]]:
    """The literal arguments of the library's ``_`` and ``ngettext``."""
    for module in MODULES:
        for node in ast.walk(ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"_", "ngettext"}:
                texts = [one.value for one in node.args if isinstance(one, ast.Constant)]
                if texts:
                    yield [str(text) for text in texts], f"{module.__name__}:{node.lineno}"


def _system() -> Iterator[tuple[Sentence, str]]:
    for name in _ERRNO:
        yield Sentence("system", os.strerror(getattr(errno, name))), name
    for text in _RESOLVER:
        yield Sentence("system", text), "getaddrinfo"


def catalogue_path(name: str = CHINESE) -> Path:
    """The .po file of a language."""
    return FOLDER / name / "LC_MESSAGES" / f"{DOMAIN}.po"


def catalogue_text() -> str:
    """The Chinese .po file as it is shipped."""
    return catalogue_path().read_text(encoding="utf-8")


@click.command()
@click.option("--update", is_flag=True, help="Write the file anew: add empty entries, remove unused ones.")
def main(update: bool) -> None:
    """Compare the Chinese catalogue with what can be said."""
    sources = Sources(ROOT, PACKAGES)
    wanted = sentences(sources)
    catalogue = Catalogue(catalogue_text())
    if update:
        text = po_text(CHINESE, {one: catalogue.sentences.get(one, "") for one in wanted}, plurals())
        catalogue_path().write_text(text, encoding="utf-8")
        catalogue = Catalogue(text)
    wrong = [*problems(catalogue, wanted), *unmarked(sources), *undecided(sources)]
    print("\n".join(wrong or [f"{len(wanted)} sentences, all translated"]))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
