"""The guide's generated pages: business types by category, codes and findings, in Chinese and in English.

Guarantees: everything comes from the catalogue and the sentences of findings, so no page can say otherwise
than the check; the same catalogue gives the same bytes. Leaves to others: the pages about drops, status and
receipts, which are written by hand (``text/``). Known limit: fields have no English names in the catalogue;
English pages show the Chinese ones beside the codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from cli.docs_text import table as markdown
from cli.kit.words import Language, word
from packet_spec.catalogue import BusinessType, MetadataField, Requirement
from packet_spec.envelope_fields import ENVELOPE_FIELDS
from packet_spec.pack import Pack
from packet_spec.sentences import all_codes

LANGUAGES: Final[tuple[Language, ...]] = ("zh", "en")


def guide_pages(pack: Pack) -> Iterator[tuple[str, str]]:
    """Path below ``guide/`` -> text of every generated page."""
    for language in LANGUAGES:
        writer = _Writer(pack, language)
        yield f"{language}/types.md", writer.index()
        yield f"{language}/codes.md", writer.codes()
        yield f"{language}/findings.md", writer.findings()
        for category in pack.catalogue.categories:
            yield f"{language}/types-{category}.md", writer.category(category)


class _Writer:
    """Writes pages of one language."""

    def __init__(self, pack: Pack, language: Language) -> None:
        self._catalogue = pack.catalogue
        self._language = language
        self._made_from = self._say("made-from", digest=pack.digest, version=f"{pack.name} {pack.version}")

    def index(self) -> str:
        """All types, category by category."""
        parts = [self._made_from]
        for category, named in self._catalogue.categories.items():
            rows = [(f"`{row.code}`", self._name(row)) for row in self._of(category)]
            parts += [f"## [{self._name(named)}](types-{category}.md)", self._table(("code", "name"), rows)]
        return _page(self._say("types"), *parts)

    def category(self, category: str) -> str:
        """Every type of a category, with all that a packet of it must hold."""
        parts = [self._made_from]
        for row in self._of(category):
            parts += self._type(row)
        return _page(self._name(self._catalogue.categories[category]), *parts)

    def codes(self) -> str:
        """Kinds of agency and case, documents, code lists and shapes of numbers."""
        catalogue = self._catalogue
        kinds = [(f"`{row.code}`", row.number, self._name(row)) for row in catalogue.agency_kinds.values()]
        cases = [(f"`{row.code}`", self._name(row)) for row in catalogue.case_kinds.values()]
        documents = [
            (row.code, self._name(row), ", ".join(row.formats)) for row in catalogue.document_types.values()
        ]
        patterns = [(f"`{code}`", f"`{row.example}`") for code, row in catalogue.patterns.items()]
        parts = [
            self._made_from,
            f"## {self._say('agency-kinds')}",
            self._table(("code", "number", "name"), kinds),
            f"## {self._say('case-kinds')}",
            self._table(("code", "name"), cases),
            f"## {self._say('patterns')}",
            self._table(("code", "example"), patterns),
        ]
        for name, codes in catalogue.code_lists.items():
            rows = [(f"`{code}`", zh) for code, zh in codes.items()]
            parts += [f"## `{name}`", self._table(("code", "name"), rows)]
        parts += [f"## {self._say('documents-all')}", self._table(("code", "name", "formats"), documents)]
        return _page(self._say("codes"), *parts)

    def findings(self) -> str:
        """Every finding in the words that a clerk reads."""
        position = 1 if self._language == "zh" else 2
        rows = [
            (f"`{code}`", self._say(str(said[0])), str(said[position]))
            for code, said in sorted(all_codes().items())
        ]
        return _page(self._say("findings"), self._table(("code", "severity", "says"), rows))

    # --- one type -------------------------------------------------------------------------------

    def _type(self, row: BusinessType) -> Iterator[str]:
        yield f"## {row.code}\n\n**{self._name(row)}**"
        if not row.enabled_by_default:
            yield self._say("reserved")
        yield "\n".join(f"* {self._say(key)}: {text}" for key, text in self._facts(row) if text)
        yield f"### {self._say('documents')}"
        documents = [*self._documents(row)]
        headers = ("document", "needed", "formats")
        yield self._table(headers, documents) if documents else self._say("no-documents")
        yield f"### {self._say('fields')}"
        fields = [*self._fields(row)]
        yield self._table(("field", "needed", "place", "value"), fields)

    def _facts(self, row: BusinessType) -> Iterator[tuple[str, str]]:
        answers = [self._codes(row.replies), self._say("acceptance") if row.needs_acceptance else ""]
        yield "kind", self._say(row.message_kind)
        yield "unit", self._say(row.unit)
        yield "senders", self._kinds(row.senders)
        yield "receivers", self._kinds(row.receivers)
        yield "copies", self._kinds(row.copies_to)
        yield "level", self._say(row.level)
        yield "answers", "; ".join(said for said in answers if said)
        known = self._catalogue.business_types
        yield "answers-to", self._codes(code for code in row.replies_to if code in known)
        yield "before", self._codes(row.predecessors.require_any)
        yield "usually-before", self._codes(row.predecessors.expect_any)
        yield "approval", self._say("approved") if row.approval.customary else ""
        yield "law", ", ".join(row.legal_basis)
        yield "example", f"`examples/{row.code}/`"

    def _documents(self, row: BusinessType) -> Iterator[tuple[str, str, str]]:
        needed: dict[str, list[str]] = {code: [self._say("required")] for code in row.required_documents}
        for number, group in enumerate(row.required_one_of, start=1):
            for code in group:
                needed.setdefault(code, []).append(self._say("one-of", number=str(number)))
        self._add_conditions(needed, row.conditional_documents)
        for code in row.optional_documents:
            needed.setdefault(code, [self._say("optional")])
        for code, said in needed.items():
            document = self._catalogue.document_types[code]
            yield f"`{code}` {self._name(document)}", "; ".join(said), ", ".join(document.formats)

    def _fields(self, row: BusinessType) -> Iterator[tuple[str, str, str, str]]:
        catalogue = self._catalogue
        persons = catalogue.person_block.required if "persons" in row.allowed_fields else ()
        required = {*row.required_fields, *persons}
        needed: dict[str, list[str]] = {code: [self._say("required")] for code in required}
        self._add_conditions(needed, row.conditional_fields)
        for scope in ("packet", "person"):
            for field in catalogue.fields_of(row, scope):
                said = "; ".join(needed.get(field.code, [self._say("optional")]))
                yield f"`{field.code}` {field.zh}", said, self._place(field), self._value(row, field)

    def _add_conditions(self, needed: dict[str, list[str]], rules: Iterable[Requirement]) -> None:
        for rule in rules:
            when = ", ".join(f"{each.field} = {' | '.join(each.values)}" for each in rule.when)
            for code in rule.require:
                needed.setdefault(code, []).append(self._say("if", when=when))

    def _place(self, field: MetadataField) -> str:
        if field.code in ENVELOPE_FIELDS:
            return f"`{ENVELOPE_FIELDS[field.code].path}`"
        return self._say("each-person") if field.scope == "person" else self._say("body")

    def _value(self, row: BusinessType, field: MetadataField) -> str:
        if field.code == "persons":
            return self._say("persons")
        if field.code == "case_kind":
            return self._say("of-case-kinds")
        if field.code == "decision_code" and row.outcome_codes:
            return self._codes(row.outcome_codes)
        if field.type == "code":
            listed: Mapping[str, str] = self._catalogue.code_lists.get(field.code_list, {})
            return ", ".join(f"`{code}` {zh}" for code, zh in listed.items()) or self._say("free-code")
        if field.type == "list":
            return self._say("document-items" if field.items == "document" else "list")
        if field.type == "integer" and field.minimum is not None and field.maximum is not None:
            return self._say("range", least=str(field.minimum), most=str(field.maximum))
        return self._say(field.type, length=str(field.max_length))

    # --- words ----------------------------------------------------------------------------------

    def _of(self, category: str) -> list[BusinessType]:
        return [row for row in self._catalogue.business_types.values() if row.category == category]

    def _say(self, key: str, **holes: str) -> str:
        return word(key, self._language).format(**holes)

    def _name(self, named: object) -> str:
        return str(getattr(named, self._language))

    def _kinds(self, codes: Iterable[str]) -> str:
        return ", ".join(f"{self._name(self._catalogue.agency_kinds[code])} (`{code}`)" for code in codes)

    def _codes(self, codes: Iterable[str]) -> str:
        return ", ".join(f"`{code}`" for code in codes)

    def _table(self, headers: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
        return markdown([self._say(header) for header in headers], [*rows])


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", *parts]) + "\n"
