"""Heads, statements, requests and recoveries of a log: what is written reads back, and nothing else does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from packet_spec.authority import check_log_authority
from packet_spec.errors import (
    AuthorityError,
    DatedAheadError,
    FormatError,
    SchemaError,
    SignatureError,
    UnknownKeyError,
    XmlRefusedError,
)
from packet_spec.log_entry import EntryKind, entry_bytes
from packet_spec.log_head import LogHead, decode_log_head, encode_log_head, open_log_head, sign_log_head
from packet_spec.log_recovery import (
    LogRecovery,
    decode_log_recovery,
    encode_log_recovery,
    open_log_recovery,
    sign_log_recovery,
)
from packet_spec.log_statement import (
    Consistency,
    Inclusion,
    LogRequest,
    LogStatement,
    decode_log_request,
    decode_log_statement,
    encode_log_request,
    encode_log_statement,
)
from packet_spec.model import KeyUse
from packet_spec.signing import Domain, sign_document
from tests.support.documents import (
    BRIDGE,
    DAY,
    DIGEST,
    KEYS,
    NOW,
    POLICE,
    PROVINCE,
    ROOTS,
    change_node,
    directory_key,
    look_up,
    make_directory,
)

LOG_KEY = KEYS[PROVINCE, KeyUse.LOG]
HEAD = LogHead(PROVINCE, 7, "ab" * 32, NOW)
OTHER, THIRD = "1" * 64, "2" * 64
STATEMENT = LogStatement(
    sign_log_head(HEAD, LOG_KEY),
    (Consistency(3, (DIGEST, OTHER)), Consistency(7, ())),
    (
        Inclusion(4, EntryKind.SEAL, THIRD, (OTHER, DIGEST, THIRD)),
        Inclusion(6, EntryKind.RECEIPT, DIGEST, ()),
    ),
)
REQUEST = LogRequest(PROVINCE, (0, 7), (DIGEST, OTHER))
RECOVERY = LogRecovery(PROVINCE, 7, OTHER, 7, 12, NOW, "虚构：数据库损坏 restored from backup", NOW + DAY)
DIRECTORY = make_directory()


def test_an_entry_is_one_line_after_its_prefix():
    assert entry_bytes(EntryKind.SEAL, DIGEST) == f"exchanged-log-entry-1\nseal {DIGEST}\n".encode()
    assert entry_bytes(EntryKind.RECEIPT, OTHER) == f"exchanged-log-entry-1\nreceipt {OTHER}\n".encode()


@pytest.mark.parametrize("head", [HEAD, replace(HEAD, size=0), replace(HEAD, node=BRIDGE)])
def test_heads_read_back(head):
    assert open_log_head(sign_log_head(head, LOG_KEY), look_up) == (head, LOG_KEY.key_id)
    assert decode_log_head(encode_log_head(head)) == head


def test_heads_are_verified_before_they_are_read():
    signed = sign_log_head(HEAD, LOG_KEY)
    with pytest.raises(SignatureError):
        open_log_head(signed.replace(b'size="7"', b'size="8"'), look_up)
    with pytest.raises(UnknownKeyError):
        open_log_head(signed, lambda _: None)
    with pytest.raises(SignatureError):
        open_log_head(sign_document(encode_log_head(HEAD), Domain.RECEIPT, [LOG_KEY]), look_up)


@pytest.mark.parametrize("changes", [{"node": "x"}, {"size": -1}, {"root": "AB" * 32}, {"root": ""}])
def test_heads_that_cannot_be_written(changes):
    with pytest.raises(FormatError):
        encode_log_head(replace(HEAD, **changes))


def test_every_flipped_bit_of_a_head_is_refused():
    signed = sign_log_head(HEAD, LOG_KEY)
    for place in range(len(signed)):
        spoilt = bytearray(signed)
        spoilt[place] ^= 1
        with pytest.raises((SignatureError, FormatError)):
            open_log_head(bytes(spoilt), look_up)


def test_statements_read_back_and_hold_each_hash_once():
    document = encode_log_statement(STATEMENT)
    assert decode_log_statement(document) == STATEMENT
    assert document.count(OTHER.encode()) == 1
    bare = LogStatement(STATEMENT.head)
    assert decode_log_statement(encode_log_statement(bare)) == bare


def test_a_statement_names_only_hashes_that_it_lists():
    document = encode_log_statement(STATEMENT)
    with pytest.raises(SchemaError):
        decode_log_statement(document.replace(b'path="0 1"', b'path="0 3"'))
    with pytest.raises(SchemaError):
        decode_log_statement(document.replace(b'path="0 1"', b'path="0 -1"'))


@pytest.mark.parametrize("broken", ["A", "A===", "====", "a b"])
def test_a_statement_whose_head_is_no_base64(broken):
    document = encode_log_statement(STATEMENT)
    start, end = document.index(b"<head>") + 6, document.index(b"</head>")
    with pytest.raises(SchemaError):
        decode_log_statement(document[:start] + broken.encode() + document[end:])


def test_a_head_with_blanks_is_read_strictly():
    document = encode_log_statement(STATEMENT).replace(b"<head>", b"<head> ")
    with pytest.raises(SchemaError):
        decode_log_statement(document)


def test_requests_read_back():
    assert decode_log_request(encode_log_request(REQUEST)) == REQUEST
    empty = LogRequest(PROVINCE)
    assert decode_log_request(encode_log_request(empty)) == empty
    with pytest.raises(FormatError):
        decode_log_request(encode_log_statement(STATEMENT))


def test_a_statement_has_a_limit():
    with pytest.raises(XmlRefusedError):
        decode_log_statement(b" " * (1024 * 1024 + 1))


def signed_by(*roots):
    document = encode_log_recovery(RECOVERY)
    for root in roots:
        document = sign_log_recovery(document, root)
    return document


def test_recoveries_read_back_when_enough_roots_signed():
    assert decode_log_recovery(encode_log_recovery(RECOVERY)) == RECOVERY
    assert open_log_recovery(signed_by(*ROOTS[:2]), DIRECTORY.roots, 2) == RECOVERY
    assert open_log_recovery(signed_by(LOG_KEY, *ROOTS), DIRECTORY.roots, 2) == RECOVERY


@pytest.mark.parametrize("roots", [(), ROOTS[:1], (LOG_KEY, ROOTS[0])])
def test_recoveries_of_too_few_roots_are_nothing(roots):
    with pytest.raises(SignatureError):
        open_log_recovery(signed_by(*roots), DIRECTORY.roots, 2)


def test_a_threshold_of_none_is_none():
    with pytest.raises(SignatureError):
        open_log_recovery(signed_by(*ROOTS), DIRECTORY.roots, 0)


def test_a_recovery_that_somebody_changed_or_signed_for_else():
    signed = signed_by(*ROOTS[:2])
    with pytest.raises(SignatureError):
        open_log_recovery(signed.replace(b'through="12"', b'through="13"'), DIRECTORY.roots, 2)
    other = sign_document(encode_log_recovery(RECOVERY), Domain.DIRECTORY, ROOTS[:2])
    with pytest.raises(SignatureError):
        open_log_recovery(other, DIRECTORY.roots, 2)


@pytest.mark.parametrize(
    "changes",
    [{"excused_above": 12}, {"excused_above": 8}, {"node": "x"}, {"reason": ""}, {"reason": "a\nb"}],
)
def test_recoveries_that_cannot_be_written(changes):
    with pytest.raises(SchemaError):
        encode_log_recovery(replace(RECOVERY, **changes))


@pytest.mark.parametrize(
    ("changes", "excused"),
    [
        ({"size": 8}, True),
        ({"size": 12}, True),
        ({"size": 7}, False),
        ({"size": 13}, False),
        ({"size": 8, "at": NOW + DAY}, False),
        ({"size": 8, "node": POLICE}, False),
    ],
)
def test_a_recovery_excuses_the_heads_that_it_names(changes, excused):
    assert RECOVERY.excuses(replace(HEAD, **changes)) is excused


def test_a_head_is_signed_by_the_log_key_of_its_own_node():
    check_log_authority(DIRECTORY, HEAD, LOG_KEY.key_id, NOW)
    for node, use in ((PROVINCE, KeyUse.RECEIPT), (PROVINCE, KeyUse.LINK), (POLICE, KeyUse.LOG)):
        with pytest.raises(AuthorityError):
            check_log_authority(DIRECTORY, HEAD, KEYS[node, use].key_id, NOW)
    with pytest.raises(UnknownKeyError):
        check_log_authority(DIRECTORY, HEAD, "0" * 32, NOW)
    with pytest.raises(UnknownKeyError):
        check_log_authority(DIRECTORY, replace(HEAD, node="620000-99-00"), LOG_KEY.key_id, NOW)


def test_a_head_outside_its_keys_time_or_from_the_future():
    for at in (NOW - 11 * DAY, NOW + 365 * DAY):
        with pytest.raises(AuthorityError):
            check_log_authority(DIRECTORY, replace(HEAD, at=at), LOG_KEY.key_id, at)
    with pytest.raises(DatedAheadError):
        check_log_authority(DIRECTORY, replace(HEAD, at=NOW + 2 * DAY), LOG_KEY.key_id, NOW)
    revoked = change_node(
        DIRECTORY, PROVINCE, keys=(directory_key(LOG_KEY, KeyUse.LOG, revoked_at=NOW - DAY),)
    )
    with pytest.raises(AuthorityError):
        check_log_authority(revoked, HEAD, LOG_KEY.key_id, NOW)
