"""What workers are given in tests: top-level functions, so that a worker can import them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from packet_spec.errors import FormatError, XmlRefusedError

# libxml2 gives one value some ten million steps, a second: so there are many that stop just short of it.
PATTERN_BOMB = b"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="r">
<xs:complexType>
<xs:sequence><xs:element name="v" maxOccurs="unbounded"><xs:simpleType><xs:restriction base="xs:string">
<xs:pattern value="(a|aa)+b"/></xs:restriction></xs:simpleType></xs:element></xs:sequence>
</xs:complexType></xs:element></xs:schema>"""
# The key tables of all `s` are joined for `r`, each with all before it.
KEY_BOMB = b"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="r"><xs:complexType>
<xs:sequence><xs:element name="s" maxOccurs="unbounded"><xs:complexType><xs:sequence><xs:element name="i">
<xs:complexType><xs:attribute name="k"/></xs:complexType></xs:element></xs:sequence>
<xs:attribute name="t"/></xs:complexType>
<xs:key name="key"><xs:selector xpath="i"/><xs:field xpath="@k"/></xs:key></xs:element></xs:sequence>
</xs:complexType>
<xs:keyref name="ref" refer="key"><xs:selector xpath="s"/><xs:field xpath="@t"/></xs:keyref>
</xs:element></xs:schema>"""


@dataclass(frozen=True, slots=True)
class Task:
    """``kind`` is a name of ``KINDS``; ``gate`` a file that a waiting piece waits for."""

    kind: str
    number: int = 0
    origin: str = ""
    gate: str = ""
    allowance_seconds: float = 0.0


def work(task: Task) -> object:
    """Twice the number, unless the kind says otherwise."""
    return KINDS[task.kind](task)


def _double(task: Task) -> int:
    return 2 * task.number


def _for_ever(_: Task) -> int:
    while True:
        pass


def _gated(task: Task) -> int:
    """A named pipe: opened for reading it waits until somebody writes."""
    with Path(task.gate).open("rb") as gate:
        return 2 * task.number + len(gate.read())


def _memory(_: Task) -> int:
    held = []
    while True:
        held.append(bytearray(8 << 20))


def _killed(_: Task) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def _replaced(task: Task) -> int:
    """As what meets another version of the program, which was installed meanwhile."""
    Path(task.gate).unlink(missing_ok=True)
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def _refused(_: Task) -> int:
    raise FormatError("a number below nought")


def _refused_xml(task: Task) -> int:
    raise XmlRefusedError("not well-formed", code="xml-not-wellformed", line=task.number)


class _NeverReadError(Exception):
    def __init__(self, one: str, *, two: str) -> None:
        super().__init__(one + two)


def _unreadable(_: Task) -> object:
    return _NeverReadError("one", two="two")


def _unwritable(_: Task) -> object:
    return lambda: 0


def _failing(_: Task) -> int:
    raise _NeverReadError("one", two="two")


def _pattern(_: Task) -> int:
    return _validate(PATTERN_BOMB, b"<v>aaaaaaaaaaaaaaaaaaaaaaaaaaaa</v>" * 1_000)


def _keys(_: Task) -> int:
    return _validate(KEY_BOMB, b"".join(b'<s t="%d"><i k="%d"/></s>' % (n, n) for n in range(60_000)))


def _validate(schema: bytes, content: bytes) -> int:
    return int(etree.XMLSchema(etree.fromstring(schema)).validate(etree.fromstring(b"<r>%b</r>" % content)))


KINDS: dict[str, Callable[[Task], object]] = {
    "double": _double,
    "for-ever": _for_ever,
    "gated": _gated,
    "memory": _memory,
    "killed": _killed,
    "replaced": _replaced,
    "refused": _refused,
    "refused-xml": _refused_xml,
    "unreadable": _unreadable,
    "unwritable": _unwritable,
    "failing": _failing,
    "pattern": _pattern,
    "keys": _keys,
}
