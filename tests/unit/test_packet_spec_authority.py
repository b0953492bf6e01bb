from __future__ import annotations

from dataclasses import replace

import pytest

from packet_spec.authority import (
    Speaker,
    check_hop_authority,
    check_link_authority,
    check_new_hop,
    check_new_receipt,
    check_note_authority,
    check_receipt_authority,
    check_seal_authority,
    may_issue,
)
from packet_spec.errors import (
    AuthorityError,
    DatedAheadError,
    IssuerDisabledError,
    RevokedSinceError,
    UnknownKeyError,
)
from packet_spec.model import HopNote, KeyUse, NodeRole, ReceiptKind
from packet_spec.note import Note
from tests.support.documents import (
    BRIDGE,
    COURT,
    DAY,
    DIGEST,
    KEY,
    KEYS,
    NOW,
    POLICE,
    PROCURATORATE,
    PROVINCE,
    change_agency,
    change_node,
    directory_key,
    make_directory,
    make_receipt,
    make_seal,
)

DIRECTORY = make_directory()
KINDS = list(ReceiptKind)
ALL_NODES = (POLICE, PROCURATORATE, COURT, PROVINCE, BRIDGE)
# Custody C21 written out once more: about a packet of the police to the procuratorate.
ALLOWED = {
    ReceiptKind.ACCEPTED: {PROVINCE},
    ReceiptKind.REFUSED: {PROVINCE, PROCURATORATE},
    ReceiptKind.UNDELIVERABLE: {PROVINCE, PROCURATORATE},
    ReceiptKind.EXPIRED: {PROVINCE, PROCURATORATE, POLICE},
    ReceiptKind.DELIVERED: {PROCURATORATE},
    ReceiptKind.COLLECTED: {PROCURATORATE},
    ReceiptKind.SIGNED: {PROCURATORATE},
}


def key_id(node: str, use: KeyUse) -> str:
    return KEYS[node, use].key_id


def revoke(code: str, use: KeyUse, **changes):
    """The directory with the key of that node and use changed."""
    keys = tuple(directory_key(KEYS[code, each], each, **(changes if each is use else {})) for each in KeyUse)
    return change_node(DIRECTORY, code, keys=keys)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("issuer", ALL_NODES)
def test_the_table_of_who_may_issue_what(kind, issuer):
    receipt = make_receipt(kind, recipient=PROCURATORATE, issued_by=issuer)
    signer = key_id(issuer, KeyUse.RECEIPT)
    if issuer in ALLOWED[kind]:
        check_receipt_authority(DIRECTORY, receipt, signer, NOW)
    else:
        with pytest.raises(AuthorityError):
            check_receipt_authority(DIRECTORY, receipt, signer, NOW)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if PROCURATORATE in ALLOWED[kind]])
def test_a_recipient_speaks_only_for_itself(kind):
    receipt = make_receipt(kind, recipient=COURT, issued_by=PROCURATORATE)
    with pytest.raises(AuthorityError):
        check_receipt_authority(DIRECTORY, receipt, key_id(PROCURATORATE, KeyUse.RECEIPT), NOW)


@pytest.mark.parametrize("kind", [ReceiptKind.REFUSED, ReceiptKind.DELIVERED])
def test_without_a_recipient_nobody_speaks_as_one(kind):
    receipt = make_receipt(kind, recipient="", issued_by=PROCURATORATE)
    with pytest.raises(AuthorityError):
        check_receipt_authority(DIRECTORY, receipt, key_id(PROCURATORATE, KeyUse.RECEIPT), NOW)


def test_the_admitting_node_refuses_the_whole_packet_too():
    receipt = make_receipt(ReceiptKind.REFUSED)
    check_receipt_authority(DIRECTORY, receipt, key_id(PROVINCE, KeyUse.RECEIPT), NOW)


def test_point_to_point_the_receiving_front_end_admits():
    directory = change_agency(DIRECTORY, POLICE, admitting_node=PROCURATORATE)
    receipt = make_receipt(issued_by=PROCURATORATE)
    check_receipt_authority(directory, receipt, key_id(PROCURATORATE, KeyUse.RECEIPT), NOW)
    with pytest.raises(AuthorityError):
        check_receipt_authority(directory, make_receipt(), key_id(PROVINCE, KeyUse.RECEIPT), NOW)


def test_an_agency_speaks_through_the_node_that_serves_it():
    directory = change_agency(DIRECTORY, PROCURATORATE, node=PROVINCE)
    receipt = make_receipt(ReceiptKind.SIGNED, recipient=PROCURATORATE, issued_by=PROCURATORATE)
    check_receipt_authority(directory, receipt, key_id(PROVINCE, KeyUse.RECEIPT), NOW)
    with pytest.raises(AuthorityError, match="another node"):
        check_receipt_authority(directory, receipt, key_id(PROCURATORATE, KeyUse.RECEIPT), NOW)


@pytest.mark.parametrize("use", [KeyUse.SEAL, KeyUse.LINK, KeyUse.LOG])
def test_only_receipt_keys_sign_receipts(use):
    with pytest.raises(AuthorityError, match="used"):
        check_receipt_authority(DIRECTORY, make_receipt(), key_id(PROVINCE, use), NOW)


def test_what_the_directory_does_not_know_is_held():
    known = key_id(PROVINCE, KeyUse.RECEIPT)
    for receipt, signer in [
        (make_receipt(), DIGEST[:32]),
        (make_receipt(key=replace(KEY, sender="620199-09-00")), known),
        (make_receipt(recipient="620199-09-00"), known),
    ]:
        with pytest.raises(UnknownKeyError):
            check_receipt_authority(DIRECTORY, receipt, signer, NOW)


def test_a_receipt_counts_if_its_key_was_valid_when_it_was_issued():
    signer = key_id(PROVINCE, KeyUse.RECEIPT)
    later = NOW + 1000 * DAY
    check_receipt_authority(
        revoke(PROVINCE, KeyUse.RECEIPT, revoked_at=NOW + DAY), make_receipt(), signer, later
    )
    for changes in ({"revoked_at": NOW}, {"not_after": NOW}, {"not_before": NOW + DAY}):
        with pytest.raises(AuthorityError, match="not valid"):
            check_receipt_authority(
                revoke(PROVINCE, KeyUse.RECEIPT, **changes), make_receipt(), signer, later
            )


def test_a_receipt_first_seen_after_its_key_was_revoked_is_held():
    directory = revoke(PROVINCE, KeyUse.RECEIPT, revoked_at=NOW + DAY)
    signer = key_id(PROVINCE, KeyUse.RECEIPT)
    check_new_receipt(directory, make_receipt(), signer, NOW)
    with pytest.raises(RevokedSinceError) as caught:
        check_new_receipt(directory, make_receipt(), signer, NOW + DAY)
    assert caught.value.temporary
    # What was seen in time stays good for ever.
    check_receipt_authority(directory, make_receipt(), signer, NOW + 1000 * DAY)


@pytest.mark.parametrize(
    "directory",
    [
        change_agency(DIRECTORY, PROCURATORATE, disabled=True),
        change_node(DIRECTORY, PROCURATORATE, disabled=True),
    ],
)
def test_a_new_receipt_of_a_disabled_issuer_is_held(directory):
    signer = key_id(PROCURATORATE, KeyUse.RECEIPT)
    receipt = make_receipt(ReceiptKind.DELIVERED, recipient=PROCURATORATE, issued_by=PROCURATORATE)
    check_new_receipt(DIRECTORY, receipt, signer, NOW)
    with pytest.raises(IssuerDisabledError) as caught:
        check_new_receipt(directory, receipt, signer, NOW)
    assert caught.value.temporary
    check_receipt_authority(directory, receipt, signer, NOW)
    # What others say of a packet for it counts.
    check_new_receipt(directory, make_receipt(recipient=PROCURATORATE), key_id(PROVINCE, KeyUse.RECEIPT), NOW)


def test_what_is_dated_ahead_is_held():
    signer = key_id(PROVINCE, KeyUse.RECEIPT)
    check_receipt_authority(DIRECTORY, make_receipt(), signer, NOW - DAY)
    with pytest.raises(DatedAheadError) as caught:
        check_receipt_authority(DIRECTORY, make_receipt(), signer, NOW - 1.01 * DAY)
    assert caught.value.temporary
    assert caught.value.counts_in_seconds == pytest.approx(0.01 * DAY.total_seconds())
    with pytest.raises(DatedAheadError):
        check_seal_authority(DIRECTORY, make_seal(), key_id(POLICE, KeyUse.SEAL), NOW - 2 * DAY)


def test_what_is_dated_after_the_end_of_its_key_is_no_matter_of_time():
    signer, far = key_id(PROVINCE, KeyUse.RECEIPT), NOW + 400 * DAY
    check_receipt_authority(DIRECTORY, make_receipt(issued_at=far - 100 * DAY), signer, far)
    with pytest.raises(AuthorityError, match="not valid"):
        check_receipt_authority(DIRECTORY, make_receipt(issued_at=far), signer, NOW)
    with pytest.raises(AuthorityError, match="not valid"):
        check_seal_authority(DIRECTORY, make_seal(sealed_at=far), key_id(POLICE, KeyUse.SEAL), NOW)
    note = Note("log", KEY.packet_id, BRIDGE, PROVINCE, far, b"")
    with pytest.raises(AuthorityError, match="not valid"):
        check_note_authority(DIRECTORY, note, key_id(BRIDGE, KeyUse.LINK), NOW)


def test_the_senders_node_seals():
    check_seal_authority(DIRECTORY, make_seal(), key_id(POLICE, KeyUse.SEAL), NOW)
    for node, use in [(COURT, KeyUse.SEAL), (PROVINCE, KeyUse.SEAL), (POLICE, KeyUse.RECEIPT)]:
        with pytest.raises(AuthorityError):
            check_seal_authority(DIRECTORY, make_seal(), key_id(node, use), NOW)
    with pytest.raises(UnknownKeyError):
        check_seal_authority(DIRECTORY, make_seal(), DIGEST[:32], NOW)


@pytest.mark.parametrize(
    "directory",
    [change_agency(DIRECTORY, POLICE, disabled=True), change_node(DIRECTORY, POLICE, disabled=True)],
)
def test_a_disabled_sender_seals_nothing(directory):
    with pytest.raises(AuthorityError, match="disabled"):
        check_seal_authority(directory, make_seal(), key_id(POLICE, KeyUse.SEAL), NOW)


def test_a_seal_first_seen_after_the_revocation_of_its_key_is_held():
    directory = revoke(POLICE, KeyUse.SEAL, revoked_at=NOW + DAY)
    signer = key_id(POLICE, KeyUse.SEAL)
    check_seal_authority(directory, make_seal(), signer, NOW)
    with pytest.raises(RevokedSinceError) as caught:
        check_seal_authority(directory, make_seal(), signer, NOW + DAY)
    assert caught.value.temporary
    with pytest.raises(AuthorityError):
        check_seal_authority(directory, make_seal(sealed_at=NOW + DAY), signer, NOW + DAY)


def test_links_are_signed_with_the_nodes_own_link_key():
    check_link_authority(DIRECTORY, BRIDGE, key_id(BRIDGE, KeyUse.LINK), NOW)
    for node, use in [(POLICE, KeyUse.LINK), (BRIDGE, KeyUse.SEAL)]:
        with pytest.raises(AuthorityError):
            check_link_authority(DIRECTORY, BRIDGE, key_id(node, use), NOW)
    with pytest.raises(AuthorityError, match="not valid"):
        check_link_authority(DIRECTORY, BRIDGE, key_id(BRIDGE, KeyUse.LINK), NOW + 400 * DAY)
    with pytest.raises(AuthorityError, match="disabled"):
        check_link_authority(
            change_node(DIRECTORY, BRIDGE, disabled=True), BRIDGE, key_id(BRIDGE, KeyUse.LINK), NOW
        )
    with pytest.raises(UnknownKeyError):
        check_link_authority(DIRECTORY, "bridge-west", key_id(BRIDGE, KeyUse.LINK), NOW)


def test_hop_notes_are_signed_by_the_node_that_they_name():
    note, signer = HopNote(BRIDGE, KEY, DIGEST, NOW, NOW, PROVINCE), key_id(BRIDGE, KeyUse.LINK)
    check_hop_authority(DIRECTORY, note, signer, NOW)
    with pytest.raises(AuthorityError):
        check_hop_authority(DIRECTORY, note, key_id(PROVINCE, KeyUse.LINK), NOW)
    with pytest.raises(AuthorityError):
        check_hop_authority(DIRECTORY, replace(note, left_at=NOW + 400 * DAY), signer, NOW)
    with pytest.raises(DatedAheadError):
        check_hop_authority(DIRECTORY, replace(note, left_at=NOW + 2 * DAY), signer, NOW)


def test_a_new_hop_note_of_a_disabled_node_or_by_a_revoked_key_is_held():
    note, signer = HopNote(BRIDGE, KEY, DIGEST, NOW, NOW, PROVINCE), key_id(BRIDGE, KeyUse.LINK)
    directory = revoke(BRIDGE, KeyUse.LINK, revoked_at=NOW + DAY)
    check_new_hop(directory, note, signer, NOW)
    with pytest.raises(RevokedSinceError):
        check_new_hop(directory, note, signer, NOW + DAY)
    with pytest.raises(IssuerDisabledError):
        check_new_hop(change_node(DIRECTORY, BRIDGE, disabled=True), note, signer, NOW)
    # What was seen in time stays good.
    check_hop_authority(directory, note, signer, NOW + DAY)


def test_every_kind_has_somebody_and_bridges_have_nothing():
    for kind in ReceiptKind:
        assert any(may_issue(kind, speaker) for speaker in Speaker)
    assert not may_issue(ReceiptKind.ACCEPTED, Speaker.RECIPIENT)
    assert DIRECTORY.node(BRIDGE).role is NodeRole.BRIDGE
