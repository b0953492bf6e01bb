"""Root keys and the directories that they sign, for attacks on both (custody C24)."""

from __future__ import annotations

from dataclasses import replace

from exchanged.keys import load_key
from exchanged.trust import Trust
from packet_spec.directory import encode_directory, sign_directory
from packet_spec.model import Directory, RootKey
from packet_spec.signing import PrivateKey
from tests.support.network import POLICE
from tests.support.province import Province, link_to, node

# Three keepers, and three who come after them.
FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH = (PrivateKey.from_seed(bytes([90 + n]) * 32) for n in range(6))
THIEF = PrivateKey.from_seed(b"t" * 32)


def roots_of(*keys: PrivateKey) -> tuple[RootKey, ...]:
    return tuple(RootKey(key.key_id, key.suite, key.public_key.public) for key in keys)


def signed(directory: Directory, *keys: PrivateKey) -> bytes:
    return sign_directory(encode_directory(directory), keys)


class Ceremony:
    """The directories of one province, and the keys that may sign them: at first two of three keepers."""

    def __init__(self, province: Province) -> None:
        self.province = province
        lab = load_key(province.network.layout.root_key)
        self.lab = lab
        self.now = replace(
            node(province).opened.trust.directory,
            version=2,
            threshold=2,
            roots=roots_of(FIRST, SECOND, THIRD),
        )
        assert self.trust.offer(signed(self.now, lab, FIRST, SECOND))

    @property
    def trust(self) -> Trust:
        return node(self.province).opened.trust

    def later(self, version: int, **changes: object) -> Directory:
        return replace(self.now, version=version, **changes)  # type: ignore[arg-type]

    def put(self, data: bytes, name: str) -> None:
        """Into the mailbox of an agency, whose account is the attacker's; then the province looks."""
        (self.province.police.mailbox / "up" / name).write_bytes(data)
        link_to(self.province, POLICE).step()

    def restart(self) -> None:
        node(self.province).die()
        node(self.province).open()

    def refused(self) -> list[object]:
        events = self.province.events("mailbox-file-refused")
        return [str(event["detail"]) for event in events]
