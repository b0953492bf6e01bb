"""May this type come now, after what the case has already had? The order rules of the catalogue.

Guarantees: pure; looks at type codes alone, in the order in which the admitting node accepted them. Of a type
that came several times its last place alone decides, so that a history may name each type once.

Leaves to others: which packets belong to the case, who is a party to it (C17), how long a packet may wait
for its predecessor (C15). Known limit: what happened on paper is not in the history, which is why a route
begins with the policy ``warn``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from packet_spec.catalogue import ANY, ANY_NEEDS_ACCEPTANCE, BusinessType, Catalogue
from packet_spec.findings import Finding, Severity
from packet_spec.sentences import make_finding
from packet_spec.sequence_policy import SequencePolicy

# A missing predecessor may have gone on paper, so ``warn`` lets it pass; a packet after which this type
# is forbidden was seen here, so it refuses under both. What is merely usual never refuses.
_SEVERITIES: Final = {
    SequencePolicy.ENFORCE: {
        "predecessor-missing": Severity.REFUSE,
        "predecessor-expected": Severity.WARN,
        "forbidden-after": Severity.REFUSE,
    },
    SequencePolicy.WARN: {
        "predecessor-missing": Severity.WARN,
        "predecessor-expected": Severity.WARN,
        "forbidden-after": Severity.REFUSE,
    },
    SequencePolicy.OFF: {},
}


def check_sequence(
    business_type: str, history: Sequence[str], catalogue: Catalogue, policy: SequencePolicy
) -> tuple[Finding, ...]:
    """What speaks against ``business_type`` after ``history`` (type codes of the case, oldest first).

    An entry point with an empty history has no finding. Raises CatalogueError for an unknown type.
    """
    row = catalogue.business_type(business_type)
    severities = _SEVERITIES[policy]
    return tuple(
        make_finding(
            code,
            severity=severities[code],
            element="envelope/businessType",
            expected=_names(catalogue, types),
            found=_names(catalogue, (business_type,)),
        )
        for code, types in _violations(row, history, catalogue)
        if code in severities
    )


def predecessors_of(business_type: str, catalogue: Catalogue) -> tuple[str, ...]:
    """Codes of which one must have come before this type (``ANY``: whatever came); empty when none must.

    Raises CatalogueError for an unknown type.
    """
    codes = catalogue.business_type(business_type).predecessors.require_any
    deciding = (row.code for row in catalogue.business_types.values() if row.needs_acceptance)
    named = (code for code in codes if code != ANY_NEEDS_ACCEPTANCE)
    return tuple(dict.fromkeys((*named, *(deciding if ANY_NEEDS_ACCEPTANCE in codes else ()))))


def _violations(
    row: BusinessType, history: Sequence[str], catalogue: Catalogue
) -> Iterable[tuple[str, tuple[str, ...]]]:
    blocking = _still_forbidden(row, history)
    if blocking:
        yield "forbidden-after", blocking
    if row.entry_point and not history:
        return
    before = row.predecessors
    if before.require_any and not _seen(before.require_any, history, catalogue):
        yield "predecessor-missing", before.require_any
    elif before.expect_any and not _seen(before.expect_any, history, catalogue):
        yield "predecessor-expected", before.expect_any


def _still_forbidden(row: BusinessType, history: Sequence[str]) -> tuple[str, ...]:
    """The forbidding types that no reopening type followed; only the last of either matters."""
    for code in reversed(history):
        if code in row.forbidden_unless:
            return ()
        if code in row.forbidden_after:
            return (code,)
    return ()


def _seen(codes: Iterable[str], history: Sequence[str], catalogue: Catalogue) -> bool:
    types = catalogue.business_types
    seen = set(history)
    if history:
        seen.add(ANY)
    if any(code in types and types[code].needs_acceptance for code in history):
        seen.add(ANY_NEEDS_ACCEPTANCE)
    return not seen.isdisjoint(codes)


def _names(catalogue: Catalogue, codes: Iterable[str]) -> str:
    types = catalogue.business_types
    return "、".join(f"{types[code].zh}（{code}）" if code in types else code for code in codes)
