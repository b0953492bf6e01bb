from __future__ import annotations

from dataclasses import replace

import pytest

from packet_spec.directory import (
    add_signature,
    decode_directory,
    encode_directory,
    find_key,
    find_key_owner,
    key_valid_at,
    open_directory,
    sign_directory,
)
from packet_spec.errors import DirectoryError, FormatError, SchemaError, SignatureError, VersionError
from packet_spec.model import KeyUse, NodeRole, PackReference
from packet_spec.signing import PrivateKey, split_signed
from tests.support.documents import (
    BRIDGE,
    COURT,
    DAY,
    DIGEST,
    KEYS,
    NOW,
    POLICE,
    PROVINCE,
    ROOTS,
    change_agency,
    change_node,
    directory_key,
    make_directory,
)

FULL = change_node(
    make_directory(
        packs=(
            PackReference("base", "2026.1", DIGEST, NOW, NOW + DAY),
            PackReference("base", "2026.2", DIGEST, NOW + DAY),
        )
    ),
    COURT,
    disabled=True,
    keys=(directory_key(KEYS[COURT, KeyUse.SEAL], *KeyUse, revoked_at=NOW),),
)
STRANGER = PrivateKey.from_seed(b"7" * 32)


@pytest.mark.parametrize(
    "directory", [make_directory(), FULL, change_agency(FULL, COURT, disabled=True, parent=POLICE)]
)
def test_directories_read_back(directory):
    data = encode_directory(directory)
    assert decode_directory(data) == directory
    assert encode_directory(decode_directory(data)) == data
    assert open_directory(sign_directory(data, ROOTS[:2]), directory.roots, 2) == directory


def test_the_given_roots_and_threshold_decide_alone():
    directory = make_directory(threshold=1)
    document = encode_directory(directory)
    one = sign_directory(document, ROOTS[:1])
    assert open_directory(one, directory.roots, 1) == directory
    for roots, threshold in [(directory.roots, 2), (directory.roots[1:], 1), ((), 1), (directory.roots, 0)]:
        with pytest.raises(SignatureError, match="enough"):
            open_directory(one, roots, threshold)
    assert open_directory(add_signature(one, ROOTS[2]), directory.roots, 2) == directory
    with pytest.raises(SignatureError):
        open_directory(document, directory.roots, 1)


def test_one_root_cannot_sign_twice():
    document = encode_directory(make_directory())
    with pytest.raises(FormatError):
        add_signature(sign_directory(document, ROOTS[:1]), ROOTS[0])


def test_unknown_signatures_are_ignored_and_wrong_ones_refuse():
    directory = make_directory()
    signed = sign_directory(encode_directory(directory), [*ROOTS[:2], STRANGER])
    assert open_directory(signed, directory.roots, 2) == directory
    for position, opens in [(0, False), (2, True)]:
        value = split_signed(signed)[1][position].value.hex().encode()
        spoiled = signed.replace(value, bytes(64).hex().encode())
        if opens:
            assert open_directory(spoiled, directory.roots, 2) == directory
        else:
            with pytest.raises(SignatureError):
                open_directory(spoiled, directory.roots, 1)
    changed = signed.replace(b'version="3"', b'version="4"')
    with pytest.raises(SignatureError):
        open_directory(changed, directory.roots, 1)


def test_the_signatures_come_before_parsing():
    signed = sign_directory(b"<not xml\n", ROOTS[:2])
    with pytest.raises(SignatureError):
        open_directory(signed, make_directory().roots, 3)
    with pytest.raises(FormatError):
        open_directory(signed, make_directory().roots, 2)


def test_another_version_is_held():
    data = encode_directory(make_directory()).replace(b'formatVersion="1"', b'formatVersion="2"')
    with pytest.raises(VersionError):
        decode_directory(data)


BASE = make_directory()
POLICE_KEY = BASE.node(POLICE).keys[0]


@pytest.mark.parametrize(
    ("directory", "message"),
    [
        (make_directory(threshold=0), "threshold"),
        (make_directory(threshold=4), "threshold"),
        (make_directory(expires_at=BASE.issued_at), "ends before"),
        (make_directory(roots=(*BASE.roots, BASE.roots[0])), "listed twice"),
        (make_directory(nodes=(*BASE.nodes, BASE.nodes[0])), "listed twice"),
        (make_directory(agencies=(*BASE.agencies, BASE.agencies[0])), "listed twice"),
        (make_directory(packs=(PackReference("a", "1", DIGEST, NOW),) * 2), "listed twice"),
        (make_directory(packs=(PackReference("a", "1", DIGEST, NOW, NOW),)), "ends before"),
        (make_directory(roots=(replace(BASE.roots[0], key_id=DIGEST[:32]), *BASE.roots[1:])), "not that of"),
        (change_node(BASE, COURT, keys=(POLICE_KEY,)), "listed twice"),
        (change_node(BASE, COURT, keys=(directory_key(ROOTS[0], KeyUse.SEAL),)), "listed twice"),
        (change_node(BASE, POLICE, keys=(replace(POLICE_KEY, key_id=DIGEST[:32]),)), "not that of"),
        (
            change_node(BASE, POLICE, keys=(replace(POLICE_KEY, not_after=POLICE_KEY.not_before),)),
            "ends before",
        ),
        (change_node(BASE, POLICE, keys=(replace(POLICE_KEY, uses=()),)), "no use"),
        (change_node(BASE, POLICE, keys=(replace(POLICE_KEY, uses=(KeyUse.SEAL,) * 2),)), "no use"),
        (change_node(BASE, POLICE, parent="620199-09-00"), "not listed"),
        (change_node(BASE, PROVINCE, parent=POLICE), "ancestor"),
        (change_node(BASE, PROVINCE, parent=PROVINCE), "ancestor"),
        (change_agency(BASE, POLICE, parent="620199-09-00"), "not listed"),
        (change_agency(BASE, POLICE, parent=POLICE), "ancestor"),
        (change_agency(BASE, POLICE, node=BRIDGE), "does not serve"),
        (change_agency(BASE, POLICE, admitting_node=BRIDGE), "does not serve"),
        (change_agency(BASE, POLICE, node="620199-09-00"), "does not serve"),
        (change_agency(BASE, POLICE, business_types=("a", "a")), "listed twice"),
        (change_agency(BASE, POLICE, case_kinds=("a", "a")), "listed twice"),
        (change_agency(BASE, POLICE, aliases=(("a", "b"),) * 2), "listed twice"),
    ],
)
def test_contradictions_are_found(directory, message):
    with pytest.raises(DirectoryError, match=message):
        encode_directory(directory)


def test_contradictions_are_found_on_reading_too():
    data = encode_directory(BASE).replace(b'threshold="2"', b'threshold="9"')
    with pytest.raises(DirectoryError):
        decode_directory(data)


def test_point_to_point_front_ends_may_admit_for_each_other():
    nodes = tuple(replace(BASE.node(code), parent="", role=NodeRole.FRONTEND) for code in (POLICE, COURT))
    agencies = (
        replace(BASE.agency(POLICE), admitting_node=COURT),
        replace(BASE.agency(COURT), admitting_node=POLICE),
    )
    directory = make_directory(nodes=nodes, agencies=agencies)
    assert decode_directory(encode_directory(directory)) == directory


def test_a_value_that_the_schema_refuses():
    with pytest.raises(SchemaError):
        encode_directory(change_agency(BASE, POLICE, name_zh=""))


def test_keys_are_valid_for_their_uses_and_times():
    key = directory_key(STRANGER, KeyUse.SEAL, KeyUse.RECEIPT, not_before=NOW, not_after=NOW + 2 * DAY)
    assert key_valid_at(key, KeyUse.SEAL, NOW)
    assert key_valid_at(key, KeyUse.RECEIPT, NOW + DAY)
    assert not key_valid_at(key, KeyUse.LINK, NOW)
    assert not key_valid_at(key, KeyUse.SEAL, NOW - DAY)
    assert not key_valid_at(key, KeyUse.SEAL, NOW + 2 * DAY)
    revoked = replace(key, revoked_at=NOW + DAY)
    assert key_valid_at(revoked, KeyUse.SEAL, NOW)
    assert not key_valid_at(revoked, KeyUse.SEAL, NOW + DAY)


def test_keys_are_found_under_their_node():
    assert find_key(BASE, POLICE, POLICE_KEY.key_id) == POLICE_KEY
    assert find_key(BASE, COURT, POLICE_KEY.key_id) is None
    assert find_key(BASE, "620199-09-00", POLICE_KEY.key_id) is None
    assert find_key_owner(BASE, POLICE_KEY.key_id) == (BASE.node(POLICE), POLICE_KEY)
    assert find_key_owner(BASE, STRANGER.key_id) is None
