"""Offers of keys: who offers a key has it, and offers it for himself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from packet_spec.errors import FormatError, SignatureError
from packet_spec.key_offer import KeyOffer, OfferedKey, decode_key_offer, encode_key_offer, prove
from packet_spec.model import KeyUse
from packet_spec.signing import SUITE, PrivateKey
from packet_spec.ssh_keys import SSH_SUITE
from tests.unit.packet_values import COURT, POLICE

KEY, OTHER = PrivateKey.from_seed(bytes(32)), PrivateKey.from_seed(bytes([1] * 32))
SEAL = prove(POLICE, KeyUse.SEAL, SUITE, KEY)
LOGIN = prove(POLICE, KeyUse.LOGIN, SSH_SUITE, OTHER)
ENCRYPT = OfferedKey(KeyUse.ENCRYPT, "x25519", bytes([2] * 32))
OFFER = KeyOffer(POLICE, (SEAL, LOGIN, ENCRYPT))


def test_what_is_offered_is_read_again():
    assert decode_key_offer(encode_key_offer(OFFER)) == OFFER
    assert decode_key_offer(encode_key_offer(KeyOffer(POLICE, ()))) == KeyOffer(POLICE, ())


@pytest.mark.parametrize(
    "changed",
    [
        replace(OFFER, node=COURT),
        replace(OFFER, keys=(replace(SEAL, use=KeyUse.LINK),)),
        replace(OFFER, keys=(replace(SEAL, public=OTHER.public_key.public),)),
        replace(OFFER, keys=(replace(SEAL, proof=LOGIN.proof),)),
        replace(OFFER, keys=(replace(SEAL, proof=""),)),
    ],
    ids=["another node", "another use", "another key", "another proof", "no proof"],
)
def test_a_key_is_believed_to_whoever_has_it(changed: KeyOffer):
    with pytest.raises(SignatureError):
        decode_key_offer(encode_key_offer(changed))


@pytest.mark.parametrize(
    "key",
    [
        replace(SEAL, suite=SSH_SUITE),
        replace(LOGIN, suite=SUITE),
        replace(ENCRYPT, suite=SUITE),
        replace(ENCRYPT, proof=SEAL.proof),
        replace(ENCRYPT, public=bytes(16)),
        replace(ENCRYPT, public=bytes(64)),
    ],
)
def test_suites_fit_uses(key: OfferedKey):
    with pytest.raises(FormatError):
        decode_key_offer(encode_key_offer(KeyOffer(POLICE, (key,))))


@pytest.mark.parametrize(
    "keys",
    [(SEAL, prove(POLICE, KeyUse.RECEIPT, SUITE, KEY)), (SEAL, prove(POLICE, KeyUse.SEAL, SUITE, OTHER))],
    ids=["one key for two uses", "two keys for one use"],
)
def test_one_key_for_each_use(keys: tuple[OfferedKey, ...]):
    with pytest.raises(FormatError):
        decode_key_offer(encode_key_offer(KeyOffer(POLICE, keys)))
