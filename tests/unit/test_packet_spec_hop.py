from __future__ import annotations

from dataclasses import replace

import pytest

from packet_spec.errors import FormatError, SignatureError, UnknownKeyError
from packet_spec.hop import decode_hop, encode_hop, open_hop, sign_hop
from packet_spec.model import HopNote, KeyUse
from tests.support.documents import BRIDGE, DAY, DIGEST, KEY, KEYS, NOW, PROVINCE, look_up

LINK_KEY = KEYS[BRIDGE, KeyUse.LINK]
NOTE = HopNote(BRIDGE, KEY, DIGEST, NOW, NOW + DAY, PROVINCE)


@pytest.mark.parametrize("note", [NOTE, replace(NOTE, next_node="")])
def test_notes_read_back(note):
    assert open_hop(sign_hop(note, LINK_KEY), look_up) == (note, LINK_KEY.key_id)
    assert decode_hop(encode_hop(note)) == note


def test_notes_are_verified():
    signed = sign_hop(NOTE, LINK_KEY)
    with pytest.raises(SignatureError):
        open_hop(signed.replace(BRIDGE.encode(), b"bridge-west"), look_up)
    with pytest.raises(UnknownKeyError):
        open_hop(signed, lambda _: None)


@pytest.mark.parametrize("changes", [{"node": "x"}, {"next_node": "x"}, {"seal_digest": ""}])
def test_values_that_cannot_be_written(changes):
    with pytest.raises(FormatError):
        encode_hop(replace(NOTE, **changes))
