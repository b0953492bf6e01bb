"""Every error sentence of the four packages, found in the source: what may meet a reader at run time.

An error's text is written where it is raised, in English, often as an f-string; the reader's language is
chosen where it is shown (``cli.locale.told``). So the sentences are found by reading the source: each text
that reaches an ``ExchangeError``, a configuration problem, a check or a claim. An f-string becomes a
template: ``the key file cannot be read: {system}``. The name of a hole says what it holds:
``{system...}`` the system's own words, ``{word...}`` words of ours that are translated as well,
``{error...}`` the text of another error; anything else is data and is copied as it is.

Guarantees: a text is followed through local names, both branches of a condition, constants, the
functions of its module and the arguments of their callers. Known limit: a text that comes out of a data
structure is not followed; keep sentences where they are raised.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from cli.locale.templates import PLACE, Sentence

_DEPTH: Final = 6
_HOLE: Final = re.compile(r"\{(\w+)\}")
# What a number, a path, an address or a file name ending has, and words for people do not.
_SIGNS: Final = re.compile(r"[./:@=\d]")
# Calls whose hole is called after what is given to them.
_TRANSPARENT: Final = frozenset({"str", "repr", "len", "sorted", "size"})
# Nothing is said below these.
_LEAVES: Final = (
    ast.expr_context, ast.operator, ast.cmpop, ast.boolop, ast.unaryop, ast.Constant, ast.alias, ast.Name,
)  # fmt: skip
_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
# The first argument of an error and its fields -> the context under which it is translated.
_ERROR: Final[Mapping[int | str, str]] = {
    0: "error", "summary": "error", "problems": "error", "hint": "error",
    "expected": "value", "found": "value", "where": "value",
}  # fmt: skip
# Calls with texts: the position or name of an argument -> its context.
_SINKS: Final[Mapping[str, Mapping[int | str, str]]] = {
    "problem": {1: "error"},
    "Check": {0: "value", 2: "error", "name": "value", "detail": "error"},
    "Step": {0: "value", "detail": "value"},
    "note": {1: "value"},
    "Checked": {"note": "error"},
    "Claim": {2: "error", "detail": "error"},
    "_proved": {1: "error"},
    "require_threshold": {5: "error"},
    "Problem": {0: "error", 1: "value", 2: "value", 3: "value"},
}


@dataclass(slots=True)
class _Module:
    """One parsed file, with what is looked up in it. ``above``: the function or class around a node."""

    name: str
    tree: ast.Module
    functions: dict[str, list[_FUNCTION]] = field(default_factory=dict)
    above: dict[ast.AST, _FUNCTION | ast.ClassDef | None] = field(default_factory=dict)
    calls: dict[str, list[ast.Call]] = field(default_factory=dict)
    classes: list[ast.ClassDef] = field(default_factory=list)
    constants: dict[str, ast.expr] = field(default_factory=dict)


class Sources:
    """The source of some packages below ``root``, ready to be asked for its sentences."""

    def __init__(self, root: Path, packages: tuple[str, ...]) -> None:
        files = (path for package in packages for path in sorted((root / package).rglob("*.py")))
        self.modules = [_parse(path.relative_to(root).as_posix(), path.read_text("utf-8")) for path in files]
        self._errors = self._error_classes()

    def sentences(self) -> Iterator[tuple[Sentence, str]]:
        """Each sentence with the place (file:line) where it reaches a reader; one may come several times."""
        for module in self.modules:
            for node, found in self._all_of(module):
                for sentence in found:
                    yield sentence, f"{module.name}:{node.lineno}"

    def _all_of(self, module: _Module) -> Iterator[tuple[ast.expr | ast.stmt, Iterator[Sentence]]]:
        for name, calls in module.calls.items():
            if name in self._errors or name in _SINKS or name == "append":
                for call in calls:
                    yield call, self._of_call(module, call)
        for kind in module.classes:
            if kind.name in self._errors:
                yield kind, self._of_class(module, kind)
        for function in module.functions.get("_contradictions", ()):
            yield function, self._texts(module, function, "error", _yielded(function))

    def _error_classes(self) -> frozenset[str]:
        """The names of all classes below ExchangeError."""
        bases = {
            node.name: {_last(base) for base in node.bases}
            for module in self.modules
            for node in module.classes
        }
        known = {"ExchangeError"}
        while more := {name for name, above in bases.items() if above & known} - known:
            known |= more
        return frozenset(known)

    def _of_class(self, module: _Module, node: ast.ClassDef) -> Iterator[Sentence]:
        for statement in node.body:
            value = getattr(statement, "value", None)
            target = getattr(statement, "target", None) or next(iter(getattr(statement, "targets", ())), None)
            if isinstance(target, ast.Name) and target.id == "hint" and value is not None:
                yield from self._texts(module, node, "error", [value])

    def _of_call(self, module: _Module, node: ast.Call) -> Iterator[Sentence]:
        name = _last(node.func)
        sinks: Mapping[int | str, str]
        if name in self._errors:
            sinks = _ERROR
        elif name == "append" and _last(getattr(node.func, "value", node.func)).endswith("problems"):
            sinks = {0: "error"}
        else:
            sinks = _SINKS.get(name, {})
        for position, context in sinks.items():
            value = _argument(node, position)
            if value is not None:
                yield from self._texts(module, node, context, [value])

    def _texts(
        self, module: _Module, node: ast.AST, context: str, values: list[ast.expr]
    ) -> Iterator[Sentence]:
        for value in values:
            follow = _Follow(self, module)
            texts = sorted(follow.texts(value, _function_of(module, node), _DEPTH))
            said = [PLACE.sub("", text) if context == "error" else text for text in texts]
            said = [text for text in said if re.search(r"[A-Za-z]", _HOLE.sub("", text))]
            yield from (Sentence(context, _plain_holes(text, context)) for text in said)
            if any("{word" in text for text in said):
                yield from (Sentence("word", _plain_holes(word, "word")) for word in sorted(follow.words))


class _Follow:
    """What one expression can say. ``words`` are the sentences that fill its holes."""

    def __init__(self, sources: Sources, module: _Module) -> None:
        self._sources = sources
        self._module = module
        self._seen: set[tuple[int, int]] = set()
        self.words: set[str] = set()

    def texts(self, node: ast.expr, function: _FUNCTION | None, depth: int) -> set[str]:
        """The texts and templates; a part that is data alone says nothing."""
        found: set[str] = set()
        if depth == 0:
            return found
        match node:
            case ast.Constant(value=str(text)):
                found = {text} - {""}
            case ast.JoinedStr():
                found = self._joined(node.values, function, depth)
            case ast.BinOp(op=ast.Add()):
                found = self._joined([node.left, node.right], function, depth)
            case ast.IfExp():
                found = self._all([node.body, node.orelse], function, depth)
            case ast.BoolOp():
                found = self._all(node.values, function, depth)
            case ast.Tuple() | ast.List():
                found = self._all(node.elts, function, depth)
            case ast.Starred() | ast.NamedExpr():
                found = self.texts(node.value, function, depth)
            case ast.GeneratorExp() | ast.ListComp():
                found = self.texts(node.elt, function, depth)
            case ast.Name():
                found = self._named(node.id, function, depth)
            case ast.Call():
                found = self._called(node, function, depth)
            case ast.Subscript(value=ast.Name(id=name)) if name in self._module.constants:
                found = self._values(self._module.constants[name], depth)
        return found

    def _all(self, nodes: list[ast.expr], function: _FUNCTION | None, depth: int) -> set[str]:
        return {text for node in nodes for text in self.texts(node, function, depth)}

    def _values(self, node: ast.expr, depth: int) -> set[str]:
        """The values of a dictionary that is a constant of the module."""
        return self._all(list(node.values), None, depth - 1) if isinstance(node, ast.Dict) else set()

    def _joined(self, parts: list[ast.expr], function: _FUNCTION | None, depth: int) -> set[str]:
        texts = {""}
        used: set[str] = set()
        for part in parts:
            if isinstance(part, ast.Constant):
                said = {str(part.value)}
            elif isinstance(part, ast.JoinedStr | ast.BinOp):
                said = self.texts(part, function, depth)
            else:
                value = part.value if isinstance(part, ast.FormattedValue) else part
                number = isinstance(part, ast.FormattedValue) and _is_number(part.format_spec)
                said = {f"{{{self._hole(value, function, depth, used, is_number=number)}}}"}
            texts = {text + more for text in texts for more in said}
        return {text for text in texts if re.sub(r"\{\w+\}", "", text).strip()}

    def _hole(
        self, node: ast.expr, function: _FUNCTION | None, depth: int, used: set[str], *, is_number: bool
    ) -> str:
        """A name that is free in this text, and that says how the value is shown."""
        name = _name_of(node)
        if name == "strerror" or (name == "found" and isinstance(node, ast.Attribute)):
            name = "system"
        elif name in {"what", "why"} and not isinstance(node, ast.Name):
            name = "error"
        elif is_number:
            name = f"number_{name}"
        elif words := {text for text in self.texts(node, function, depth - 1) if _is_words(text)}:
            self.words |= words
            name = "word"
        elif name in {"word", "system", "number"}:
            name = "text"
        number, free = 1, name
        while free in used:
            number += 1
            free = f"{name}_{number}"
        used.add(free)
        return free

    def _named(self, name: str, function: _FUNCTION | None, depth: int) -> set[str]:
        if function is None or (id(function), hash(name)) in self._seen:
            return set()
        self._seen.add((id(function), hash(name)))
        assigned = [
            node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr)
            and node.value is not None
            and name in {_last(one) for one in getattr(node, "targets", [getattr(node, "target", node)])}
        ]
        assigned += [
            value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)
            for target, value in zip(node.targets[0].elts, getattr(node.value, "elts", ()), strict=False)
            if _last(target) == name
        ]
        found = self._all(assigned, function, depth - 1)
        names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
        if name in names or name in {argument.arg for argument in function.args.kwonlyargs}:
            found |= self._given(function, name, names, depth)
        elif not assigned and name in self._module.constants:
            found |= self.texts(self._module.constants[name], None, depth - 1)
        return found

    def _given(self, function: _FUNCTION, name: str, names: list[str], depth: int) -> set[str]:
        """What the callers give as the argument ``name``: by position in this module, by name anywhere."""
        called = function.name
        if called == "__init__":
            parent = self._module.above.get(function)
            called = parent.name if isinstance(parent, ast.ClassDef) else called
        found: set[str] = set()
        position = names.index(name) - (names[:1] == ["self"]) if name in names else None
        for module in self._sources.modules:
            for call in module.calls.get(called, ()):
                value = _argument(call, name)
                if value is None and module is self._module and position is not None:
                    value = _argument(call, position)
                if value is not None:
                    follow = self if module is self._module else _Follow(self._sources, module)
                    found |= follow.texts(value, _function_of(module, call), depth - 1)
                    self.words |= follow.words
        return found

    def _called(self, node: ast.Call, function: _FUNCTION | None, depth: int) -> set[str]:
        """A function of this module: what it returns. ``"...".format(...)``: the text before it."""
        name = _last(node.func)
        if name == "str" and node.args:
            return self.texts(node.args[0], function, depth - 1)
        if name == "format" and isinstance(node.func, ast.Attribute):
            return self.texts(node.func.value, function, depth - 1)
        if name == "tuple" and node.args:
            return self.texts(node.args[0], function, depth - 1)
        found: set[str] = set()
        for definition in self._module.functions.get(name, ()):
            if (id(definition), 0) not in self._seen:
                self._seen.add((id(definition), 0))
                found |= self._all(_returned(definition), definition, depth - 1)
        return found


def _parse(name: str, text: str) -> _Module:
    module = _Module(name, ast.parse(text))
    nodes: list[tuple[ast.AST, _FUNCTION | ast.ClassDef | None]] = [(module.tree, None)]
    while nodes:
        node, above = nodes.pop()
        if isinstance(node, _FUNCTION):
            module.functions.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Call):
            module.calls.setdefault(_last(node.func), []).append(node)
        elif isinstance(node, ast.ClassDef):
            module.classes.append(node)
        if isinstance(node, _FUNCTION | ast.ClassDef | ast.Call):
            module.above[node] = above
        inside = node if isinstance(node, _FUNCTION | ast.ClassDef) else above
        nodes += [(child, inside) for child in ast.iter_child_nodes(node) if not isinstance(child, _LEAVES)]
    for statement in module.tree.body:
        target = getattr(statement, "target", None) or next(iter(getattr(statement, "targets", ())), None)
        value = getattr(statement, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.expr):
            module.constants[target.id] = value
    return module


def _function_of(module: _Module, node: ast.AST) -> _FUNCTION | None:
    """The function in which a call stands; a function itself."""
    inside = node if isinstance(node, _FUNCTION) else module.above.get(node)
    return inside if isinstance(inside, _FUNCTION) else None


def _argument(call: ast.Call, which: int | str) -> ast.expr | None:
    if isinstance(which, int):
        return call.args[which] if which < len(call.args) else None
    return next((keyword.value for keyword in call.keywords if keyword.arg == which), None)


def _returned(function: _FUNCTION) -> list[ast.expr]:
    given = (node for node in ast.walk(function) if isinstance(node, ast.Return | ast.Yield))
    return [node.value for node in given if node.value is not None]


def _yielded(function: _FUNCTION) -> list[ast.expr]:
    return [node.value for node in ast.walk(function) if isinstance(node, ast.Yield) and node.value]


def _last(node: ast.AST) -> str:
    """The last name of ``a.b.c``: ``c``."""
    return getattr(node, "id", "") or getattr(node, "attr", "") or getattr(node, "arg", "") or ""


def _name_of(node: ast.expr) -> str:
    """A name for a hole: that of the value that fills it."""
    while not _last(node):
        match node:
            case ast.Call(args=[first, *_rest]) if _last(node.func) in _TRANSPARENT:
                node = first
            case ast.Call():
                node = node.func
            case ast.BoolOp(values=[first, *_rest]):
                node = first
            case ast.Subscript() | ast.Attribute():
                node = node.value
            case _:
                return "text"
    name = _last(node).strip("_").lower()
    return "names" if name == "join" else name


def _is_words(text: str) -> bool:
    literal = _HOLE.sub("", text).strip()
    return bool(re.search(r"[A-Za-z]{2,}", literal)) and (" " in literal or not _SIGNS.search(literal))


def _is_number(spec: ast.expr | None) -> bool:
    """``{least:g}``: whatever stands there is a number."""
    return spec is not None and ast.unparse(spec).strip("f'\"") == "g"


def _plain_holes(text: str, context: str) -> str:
    """Values and words are told apart by what stands around a hole, so data is called alike in all."""
    if context == "error":
        return text
    numbers = count(1)

    def name(hole: re.Match[str]) -> str:
        if hole[1].partition("_")[0] in {"word", "system", "error", "number"}:
            return hole[0]
        number = next(numbers)
        return "{value}" if number == 1 else f"{{value_{number}}}"

    return _HOLE.sub(name, text)
