from __future__ import annotations

from dataclasses import replace

import pytest

from packet_spec.errors import FormatError, SignatureError, UnknownKeyError
from packet_spec.identity import is_packet_id
from packet_spec.limits import NOTE_PAYLOAD_BYTES
from packet_spec.model import KeyUse
from packet_spec.note import Note, decode_note, encode_note, note_id_of, open_note, sign_note
from tests.support.documents import BRIDGE, KEYS, NOW, PROVINCE, look_up

LINK_KEY = KEYS[BRIDGE, KeyUse.LINK]
ID = note_id_of("keys", BRIDGE, PROVINCE, NOW, 1, b"\x00<payload/>\xff")
NOTE = Note("keys", ID, BRIDGE, PROVINCE, NOW, b"\x00<payload/>\xff")


@pytest.mark.parametrize("note", [NOTE, replace(NOTE, payload=b""), replace(NOTE, kind="a-b")])
def test_notes_read_back(note):
    assert open_note(sign_note(note, LINK_KEY), look_up) == (note, LINK_KEY.key_id)
    assert decode_note(encode_note(note)) == note


def test_notes_are_verified():
    signed = sign_note(NOTE, LINK_KEY)
    with pytest.raises(SignatureError):
        open_note(signed.replace(b'kind="keys"', b'kind="logs"'), look_up)
    with pytest.raises(UnknownKeyError):
        open_note(signed, lambda _: None)


@pytest.mark.parametrize(
    "changes",
    [{"kind": "K"}, {"note_id": "1"}, {"to_node": "x"}, {"payload": bytes(NOTE_PAYLOAD_BYTES + 1)}],
)
def test_values_that_cannot_be_written(changes):
    with pytest.raises(FormatError):
        encode_note(replace(NOTE, **changes))


def test_the_largest_note_can_be_written():
    assert decode_note(encode_note(replace(NOTE, payload=bytes(NOTE_PAYLOAD_BYTES))))


def test_the_same_words_twice_are_two_notes():
    again = note_id_of("keys", BRIDGE, PROVINCE, NOW, 2, NOTE.payload)
    assert is_packet_id(ID)
    assert is_packet_id(again)
    assert again != ID
