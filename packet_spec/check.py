"""The one full check of a packet.xml, the same at the vendor's desk, at the front-end and at the province.

Guarantees: encoding, form, body schema and rules in that order, all findings at once, refusals first and at
most ``limits.FINDINGS``; each thing is said once. A validator that fails by itself holds the packet and
blames nobody.

Leaves to others: whether the listed files are there and what their digests are, whether attachments must
state a sha256 (``envelope.missing_digest_findings``: a matter of the folder's profile), the seal, and the
order of packets in the case (``sequence``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import wraps
from typing import Final, ParamSpec

from packet_spec.encoding import EncodingDecision, decide_encoding
from packet_spec.envelope import parse_packet_root, read_packet
from packet_spec.errors import ValidatorError
from packet_spec.findings import Finding, Outcome, Severity, Verdict, verdict_of
from packet_spec.limits import FINDINGS
from packet_spec.model import Directory, Packet
from packet_spec.pack import Pack
from packet_spec.rules import Parties, check_rules
from packet_spec.schema import validate_body
from packet_spec.sentences import make_finding, reworded
from packet_spec.xml import Element, local_name, text
from packet_spec.xml_findings import PACKET_XML

HELD_BY_VALIDATOR: Final = ValidatorError.reference


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The verdict, the packet if it could be read, its encoding and the UTF-8 reading that was checked.

    ``encoding`` and ``utf8`` are empty where no encoding could be decided.
    """

    verdict: Verdict
    packet: Packet | None
    encoding: str
    utf8: bytes


_P = ParamSpec("_P")


def _held_if_it_fails(check: Callable[_P, CheckResult]) -> Callable[_P, CheckResult]:
    """Where the check itself fails, nothing is said about the packet."""

    @wraps(check)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> CheckResult:
        try:
            return check(*args, **kwargs)
        except (ValidatorError, MemoryError):
            return CheckResult(Verdict(Outcome.HELD, (), held_because=HELD_BY_VALIDATOR), None, "", b"")

    return checked


@_held_if_it_fails
def check_packet(
    packet_xml: bytes,
    *,
    directory: Directory | None,
    pack: Pack,
    encoding: str | None = None,
    moment: datetime | None = None,
) -> CheckResult:
    """Check the bytes of a packet.xml by the rules and schemas of ``pack``.

    The encoding is decided here; a seal that names another ``encoding`` is refused. Without a
    ``directory`` agency kinds are read from the codes, and neither existence nor levels nor allow-lists are
    checked. ``moment`` is when the packet is, or was, sealed, which decides whether an agency has retired;
    without one an agency with such a date is taken as retired. Raises nothing for whatever the bytes are.
    """
    decided = _decide(packet_xml, encoding)
    if isinstance(decided, Finding):
        return CheckResult(_verdict((decided,)), None, "", b"")
    root, findings = parse_packet_root(decided.utf8)
    packet = None
    if root is not None:
        packet, findings = read_packet(root)
        try:
            findings += _body_findings(root, pack)
        except ValidatorError as error:
            held = Verdict(Outcome.HELD, decided.findings, held_because=error.reference)
            return CheckResult(held, packet, decided.encoding, decided.utf8)
    if packet is not None:
        parties = (
            Parties.from_codes(pack.catalogue, packet.envelope)
            if directory is None
            else Parties.from_directory(directory, packet.envelope, moment)
        )
        findings += check_rules(packet, pack.catalogue, parties)
    verdict = _verdict(reworded((*decided.findings, *findings), pack.catalogue))
    return CheckResult(verdict, packet, decided.encoding, decided.utf8)


def _decide(packet_xml: bytes, encoding: str | None) -> EncodingDecision | Finding:
    own = decide_encoding(packet_xml)
    decided = own.encoding if isinstance(own, EncodingDecision) else "-"
    if encoding in (None, decided):
        return own
    # UTF-8 reads as GB18030 too, silently wrong, and every later node reads what the seal names.
    return make_finding("seal-differs", element="encoding", expected=decided, found=encoding)


def _body_findings(root: Element, pack: Pack) -> tuple[Finding, ...]:
    """The body's own schema; an unknown type or a body of another type is found elsewhere."""
    body = root[1][0]
    stated = text(root[0], "businessType")
    code = local_name(body)
    known = code == stated.strip() and code in pack.catalogue.business_types
    return validate_body(body, code, pack) if known else ()


def _verdict(findings: tuple[Finding, ...]) -> Verdict:
    """Each thing once, refusals first: what is cut off beyond the limit can then never have refused alone."""
    if not findings:
        return verdict_of(())
    once: dict[tuple[str, str, str, str], Finding] = {}
    for finding in findings:
        placed = finding if finding.file or finding.document else replace(finding, file=PACKET_XML)
        once.setdefault((placed.code, placed.element, placed.document, placed.file), placed)
    ordered = sorted(once.values(), key=lambda finding: finding.severity is not Severity.REFUSE)
    return verdict_of(tuple(ordered[:FINDINGS]))
