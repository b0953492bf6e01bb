"""The generated pages about errors and findings.

Guarantees: every error class of the four packages stands on the page, under a reference of its own.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Final

from cli.docs_text import page, plain, table
from cli.exit_codes import exit_code_of
from packet_spec.errors import ExchangeError
from packet_spec.sentences import all_codes

PACKAGES: Final = ("packet_spec", "exchanged", "frontend_server", "cli")

_ABOUT_ERRORS: Final = """\
What a log line names as `error=` and a command as `see: docs/errors.md#...`. *Temporary* means that trying
again can help without a change. *Other agencies see* is all that leaves this node."""
_INTERNAL: Final = """\
## usage

The command line cannot be understood: an unknown option or value, or the beginning of a packet id that
several packets have. Nothing was done.

- Temporary: no
- Exit code: 2

## internal-error

An error that nobody foresaw: a bug of this program. What it had in hand is left as it was.

- Temporary: taken for it
- Exit code: 3
- Hint: call the command again with `--debug` and report what it prints"""
_ABOUT_FINDINGS: Final = """\
Everything that a check can find, with the sentence that a clerk reads. `refuse` stops a packet, `warn`
travels with it; a rule may say otherwise for one business type. Words in braces are filled in."""


class DocumentationError(ExchangeError):
    """What a generated page is made from contradicts itself: two errors with one reference, no meaning."""

    reference = "documentation-inconsistent"
    hint = "give each error its own reference and a docstring whose first line is its meaning"


def all_errors() -> list[type[ExchangeError]]:
    """Every error of the four packages by its reference. Raises DocumentationError."""
    for package in PACKAGES:
        _import_all(package)
    by_reference: dict[str, type[ExchangeError]] = {}
    for kind in _subclasses(ExchangeError):
        if kind.__module__.partition(".")[0] not in PACKAGES:
            continue
        other = by_reference.setdefault(kind.reference, kind)
        if other is not kind:
            raise DocumentationError(
                "two errors bear one reference",
                where=kind.reference,
                found=f"{other.__module__}.{other.__name__}, {kind.__module__}.{kind.__name__}",
            )
        if not _meaning(kind):
            raise DocumentationError("an error has no docstring", where=kind.reference)
    return [by_reference[reference] for reference in sorted(by_reference)]


def _import_all(package: str) -> None:
    module = importlib.import_module(package)
    for found in pkgutil.walk_packages(module.__path__, f"{package}."):
        if not found.name.endswith(".__main__"):
            importlib.import_module(found.name)


def _subclasses(kind: type[ExchangeError]) -> Iterator[type[ExchangeError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _subclasses(child)


def _meaning(kind: type[ExchangeError]) -> str:
    """The first paragraph of the class's own docstring."""
    own = kind.__dict__.get("__doc__") or ""
    return own.strip().partition("\n\n")[0]


def errors_page() -> str:
    """docs/errors.md. Raises DocumentationError."""
    errors = [_error(kind) for kind in all_errors()]
    return page("Errors", "the error classes of the four packages", _ABOUT_ERRORS, *errors, _INTERNAL)


def _error(kind: type[ExchangeError]) -> str:
    code = int(exit_code_of(kind.__new__(kind)))
    lines = [
        f"## {kind.reference}\n\n{plain(_meaning(kind))}\n",
        f"- Temporary: {'yes' if kind.temporary else 'no'}",
        f"- Exit code: {code}",
    ]
    if kind.hint:
        lines.append(f"- Hint: {plain(kind.hint)}")
    lines.append(f"- Other agencies see: {plain(kind.peer_text)}")
    return "\n".join(lines)


def findings_page() -> str:
    """docs/findings.md. Raises CatalogueError when a code has two sentences."""
    rows = [
        (f"`{code}`", severity.value, _template(zh), _template(en))
        for code, (severity, zh, en) in sorted(all_codes().items())
    ]
    return page(
        "Findings",
        "the sentences of packet_spec",
        _ABOUT_FINDINGS,
        table(("Code", "Severity", "中文", "English"), rows),
    )


def _template(text: str) -> str:
    """Placeholders without the suffix that only says which language they are in."""
    return re.sub(r"\{(\w+?)_(?:zh|en)\}", r"{\1}", text)
