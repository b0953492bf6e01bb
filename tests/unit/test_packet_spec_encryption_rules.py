"""Where the directory wants encrypted parts, and for whom they have to be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from packet_spec.encryption import SUITE, DecryptionKey
from packet_spec.encryption_rules import (
    demands_encryption,
    encryption_findings,
    opened_findings,
    receiving_keys,
    told_of_opened,
)
from packet_spec.errors import ReceiverKeyMissingError, UnknownKeyError
from packet_spec.model import (
    Attachment,
    Directory,
    DirectoryKey,
    KeyUse,
    Route,
    Seal,
    SealEncryption,
    WrappedKey,
)
from packet_spec.sentences import make_finding
from tests.support.documents import (
    COURT,
    DAY,
    NOW,
    POLICE,
    PROCURATORATE,
    change_node,
    make_directory,
    make_seal,
)

KEYS = {
    code: DecryptionKey(bytes([number]) * 32) for number, code in enumerate((PROCURATORATE, COURT), start=40)
}


def listed(code: str, **changes: object) -> DirectoryKey:
    public = KEYS[code].public_key
    key = DirectoryKey(public.key_id, public.suite, public.public, (KeyUse.ENCRYPT,), NOW - DAY, NOW + DAY)
    return replace(key, **changes)  # type: ignore[arg-type]


def directory(*routes: Route, **changes: object) -> Directory:
    made = replace(make_directory(), routes=routes or (Route(encrypt="parts"),))
    for code in KEYS:
        made = change_node(made, code, keys=(listed(code, **changes),))
    return made


def sealed(*codes: str) -> Seal:
    """Wrapped for these; the boxes are not opened here."""
    wrapped = tuple(WrappedKey(code, KEYS[code].key_id, b"box") for code in codes)
    parts = tuple(replace(part, enc=b"enc") for part in make_seal().parts)
    return make_seal(parts=parts, encryption=SealEncryption(SUITE, wrapped))


def codes(seal: Seal, known: Directory) -> list[tuple[str, str]]:
    return [(finding.code, finding.found) for finding in encryption_findings(known, seal)]


def test_the_first_route_that_fits_decides_for_each_recipient_and_one_for_all() -> None:
    everybody = (PROCURATORATE, COURT)
    to_court = (Route(receiver=COURT, encrypt="parts"), Route())
    assert demands_encryption(directory(*to_court), POLICE, everybody)
    assert not demands_encryption(directory(*to_court), POLICE, (PROCURATORATE,))
    assert not demands_encryption(directory(Route(), Route(encrypt="parts")), POLICE, everybody)
    assert not demands_encryption(replace(directory(), routes=()), POLICE, everybody)


def test_every_key_that_counts_now_is_used() -> None:
    known = directory()
    found = receiving_keys(known, (PROCURATORATE, COURT), NOW)
    assert [(node, key.key_id) for node, key in found] == [(code, key.key_id) for code, key in KEYS.items()]


@pytest.mark.parametrize(
    "changes",
    [
        {"uses": (KeyUse.SEAL,)},
        {"revoked_at": NOW},
        {"not_before": NOW + DAY / 2},
        {"not_after": NOW},
        {"suite": "sm2"},
    ],
)
def test_a_key_that_does_not_count_now_is_none(changes: dict[str, object]) -> None:
    known = directory()
    known = change_node(known, COURT, keys=(listed(COURT, **changes),))
    with pytest.raises(ReceiverKeyMissingError, match=COURT):
        receiving_keys(known, (PROCURATORATE, COURT), NOW)


def test_a_recipient_that_is_not_listed_has_no_key() -> None:
    with pytest.raises(ReceiverKeyMissingError):
        receiving_keys(directory(), ("620199-09-00",), NOW)


def test_what_is_encrypted_for_everybody_is_in_order() -> None:
    assert codes(sealed(PROCURATORATE, COURT), directory()) == []
    assert codes(make_seal(), directory(Route())) == []
    assert codes(make_seal(parts=()), directory()) == []


def test_what_is_not_as_the_route_wants_is_refused() -> None:
    assert codes(make_seal(), directory()) == [("encryption-required", "")]
    assert codes(sealed(PROCURATORATE, COURT), directory(Route())) == [("encryption-not-foreseen", "")]
    # The copy is one of those who must be able to read it.
    assert codes(sealed(PROCURATORATE), directory()) == [("encryption-recipient-missing", COURT)]


def test_a_key_that_counted_when_it_was_sealed_is_enough() -> None:
    seal = sealed(PROCURATORATE, COURT)
    assert codes(seal, directory(revoked_at=seal.sealed_at + DAY / 4)) == []
    assert len(codes(seal, directory(revoked_at=seal.sealed_at))) == 2


def test_a_key_of_another_node_does_not_count() -> None:
    moved = tuple(WrappedKey(code, KEYS[COURT].key_id, b"box") for code in (PROCURATORATE, COURT))
    seal = replace(sealed(COURT), encryption=SealEncryption(SUITE, moved))
    assert codes(seal, directory()) == [("encryption-recipient-missing", PROCURATORATE)]


def test_what_the_directory_does_not_know_is_held() -> None:
    stranger = WrappedKey(PROCURATORATE, "f" * 32, b"box")
    seal = replace(sealed(COURT), encryption=SealEncryption(SUITE, (stranger,)))
    with pytest.raises(UnknownKeyError):
        encryption_findings(directory(), seal)
    with pytest.raises(UnknownKeyError):
        encryption_findings(directory(), replace(sealed(PROCURATORATE, COURT), copy_to=("620199-09-00",)))


def test_an_opened_part_is_what_is_listed_or_refused() -> None:
    attachment = Attachment("a.pdf", "POL-020", 3, "a" * 64)
    assert opened_findings(attachment, 3, "a" * 64) == ()
    for size, digest in ((4, "a" * 64), (3, "b" * 64)):
        (finding,) = opened_findings(attachment, size, digest)
        assert (finding.code, finding.file) == ("opened-part-differs", "a.pdf")
        # It travels in clear: a digest would tell those on the way whether they guess the content right.
        assert digest not in f"{finding.zh}{finding.en}{finding.expected}{finding.found}"


def test_what_was_opened_is_told_by_attachment_and_rule_alone() -> None:
    """A name or a digest out of an inner file would pass the province in clear."""
    attachments = [
        Attachment(name, code, None, None) for name, code in (("卷.zip", "EVD-024"), ("目录.xml", "EVD-025"))
    ]
    inner = "虚构笔录.pdf"
    inside = make_finding("document-unreadable", file=f"卷.zip/{inner}", document="EVD-024", found="a secret")
    between = make_finding("index-entry-differs", file=inner, document="EVD-025", expected="f" * 64)
    told = told_of_opened((inside, inside, between), attachments)
    assert [(each.code, each.file, each.found) for each in told] == [
        ("opened-document-refused", "卷.zip", "document-unreadable"),
        ("opened-document-refused", "目录.xml", "index-entry-differs"),
    ]
    assert not any(word in str(told) for word in (inner, "secret", "ffff"))
