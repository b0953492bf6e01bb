"""Real proofs of a real province, and every key in the hands of whoever wants to forge one.

A world is made once: packets go from drop to inbox, and each node that can prove them builds a proof. What is
forged is forged thoroughly: documents are changed as values and signed again with genuine keys, so that
nothing but their meaning is wrong.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import product
from pathlib import Path

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from exchanged.keys import load_key
from exchanged.proving import Books, gather
from packet_spec.directory import decode_directory, encode_directory, sign_directory
from packet_spec.directory_trust import RootsInForce, roots_fingerprint
from packet_spec.hop import decode_hop, sign_hop
from packet_spec.identity import PacketKey, sha256_hex
from packet_spec.log_entry import EntryKind, entry_bytes
from packet_spec.log_head import LogHead, decode_log_head, sign_log_head
from packet_spec.merkle import inclusion_path, leaf_hash, root_of
from packet_spec.model import Directory, DirectoryKey, HopNote, KeyUse, Receipt, Seal
from packet_spec.proof_file import Folder, Inclusion, Part, ProofFile, proof_blocks
from packet_spec.receipt import decode_receipt, sign_receipt
from packet_spec.seal_document import decode_seal, encode_seal
from packet_spec.signing import Domain, PrivateKey, encode_signature, split_signed
from tests.support.logs import LogStory
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NODES = (POLICE, PROCURATORATE, COURT, PROVINCE)
_USES = (KeyUse.SEAL, KeyUse.LINK, KeyUse.RECEIPT, KeyUse.LOG)


@dataclass(frozen=True)
class World:
    """Genuine proofs by name, keys by node and use, and the root key."""

    proofs: dict[str, ProofFile]
    keys: dict[tuple[str, KeyUse], PrivateKey]
    root: PrivateKey

    def forge(self, name: str) -> Forgery:
        """A copy of that proof to be changed."""
        return Forgery(self, copy.deepcopy(self.proofs[name]))


_PACKETS = (
    ("first", "case.report", POLICE, PROCURATORATE),
    ("second", "case.report", POLICE, PROCURATORATE),
    ("third", "measure.bail.execute", COURT, POLICE),
)


def make_world(root: Path) -> World:
    """Three packets between three agencies, proved by all who can."""
    with LogStory(root, COURT) as story:
        for seed, (name, business_type, sender, receiver) in enumerate(_PACKETS, start=1):
            now = story.network.clock.now()
            request = DropRequest(business_type, sender, receiver, now, name=name, seed=seed)
            write_drop(make_drop(request), story.network.agency(sender) / "outbox")
            story.network.run(120)
        story.wait(minutes=2)
        proofs = {}
        for name, _, sender, receiver in _PACKETS:
            key = _key(story, name, sender)
            for place, code in (("sender", sender), ("receiver", receiver), ("province", PROVINCE)):
                proofs[f"{name} {place}"] = _gather(story, code, key, with_content=False)
            proofs[f"{name} content"] = _gather(story, sender, key, with_content=True)
        keys = {}
        for node, use in product(NODES, _USES):
            path = story.network.layout.data(node) / "keys" / f"{use}.key"
            if path.exists():
                keys[node, use] = load_key(path)
        return World(proofs, keys, story.root_key)


def _key(story: LogStory, name: str, sender: str) -> PacketKey:
    row = story.read(sender).execute(
        'SELECT packet.sender, packet.packet_id FROM "drop" JOIN packet ON packet.id = "drop".packet'
        ' WHERE CAST("drop".name AS TEXT) LIKE ?',
        (f"{name}%",),
    ).fetchone()
    return PacketKey(row["sender"], row["packet_id"])


def _gather(story: LogStory, code: str, key: PacketKey, *, with_content: bool) -> ProofFile:
    config = story.network.nodes[code].config
    anchor = RootsInForce(config.keys.roots, config.keys.threshold)
    books = Books(story.read(code), config.node.data_dir, anchor)
    proof = gather(books, [key], with_content=with_content)
    for folder in proof.packets:
        # A writer's blocks can be walked once: here they are kept.
        folder.parts = [Part(part.size, part.digest, tuple(part.blocks)) for part in folder.parts]
    return proof


class Forgery:
    """One proof under change."""

    def __init__(self, world: World, proof: ProofFile) -> None:
        self.world = world
        self.proof = proof

    @property
    def folder(self) -> Folder:
        return self.proof.packets[0]

    @property
    def seal(self) -> Seal:
        return decode_seal(self.folder.seal)

    def key(self, node: str, use: KeyUse) -> PrivateKey:
        return self.world.keys[node, use]

    def data(self) -> bytes:
        """The bytes of the file."""
        return b"".join(proof_blocks(self.proof))

    def fingerprint(self) -> str:
        """That of the genuine province."""
        genuine = decode_directory(split_signed(self.world.proofs["first sender"].directories[0])[0])
        return roots_fingerprint(genuine.roots, genuine.threshold)

    # --- directories --------------------------------------------------------------------------------

    def directory(self, number: int = 0) -> Directory:
        return decode_directory(split_signed(self.proof.directories[number])[0])

    def set_directory(self, changed: Directory, *roots: PrivateKey, number: int = 0) -> None:
        signed = sign_directory(encode_directory(changed), roots or [self.world.root])
        if number < len(self.proof.directories):
            self.proof.directories[number] = signed
        else:
            self.proof.directories.append(signed)

    def change_keys(
        self, node: str, use: KeyUse, change: Callable[[DirectoryKey], DirectoryKey | None]
    ) -> None:
        """What the directory says of the keys of ``node`` for ``use``."""
        directory = self.directory()
        nodes = []
        for each in directory.nodes:
            if each.code == node:
                keys = [change(key) if use in key.uses else key for key in each.keys]
                nodes.append(replace(each, keys=tuple(key for key in keys if key is not None)))
            else:
                nodes.append(each)
        self.set_directory(replace(directory, nodes=tuple(nodes)))

    def change_agency(self, code: str, **changes: object) -> None:
        directory = self.directory()
        agencies = tuple(
            replace(each, **changes) if each.code == code else each for each in directory.agencies
        )
        self.set_directory(replace(directory, agencies=agencies))

    # --- statements ---------------------------------------------------------------------------------

    def receipt(self, kind: str) -> Receipt:
        return decode_receipt(split_signed(self.folder.receipts[self.place(kind)])[0])

    def place(self, kind: str) -> int:
        kinds = [decode_receipt(split_signed(data)[0]).kind.value for data in self.folder.receipts]
        return kinds.index(kind)

    def drop_receipt(self, kind: str) -> None:
        """Without that receipt, and without its entry in the log."""
        data = self.folder.receipts.pop(self.place(kind))
        self.drop_log(sha256_hex(data))

    def drop_log(self, digest: str = "") -> None:
        """Without that entry, or without any."""
        self.folder.log = [each for each in self.folder.log if digest and each.digest != digest]
        heads = sorted({each.head for each in self.folder.log})
        self.proof.heads = [self.proof.heads[head - 1] for head in heads]
        self.folder.log = [replace(each, head=heads.index(each.head) + 1) for each in self.folder.log]

    def set_receipt(
        self, kind: str, node: str, use: KeyUse = KeyUse.RECEIPT, /, **changes: object
    ) -> None:
        """Issued anew with other words, and no longer in the log."""
        place, receipt = self.place(kind), replace(self.receipt(kind), **changes)
        self.drop_log(sha256_hex(self.folder.receipts[place]))
        self.folder.receipts[place] = sign_receipt(receipt, self.key(node, use))

    def add_receipt(self, receipt: Receipt, node: str, use: KeyUse = KeyUse.RECEIPT) -> None:
        self.folder.receipts.append(sign_receipt(receipt, self.key(node, use)))

    def hop(self, number: int = 0) -> HopNote:
        return decode_hop(split_signed(self.folder.hops[number])[0])

    def set_hop(self, node: str, use: KeyUse = KeyUse.LINK, /, number: int = 0, **changes: object) -> None:
        note = replace(self.hop(number), **changes)
        self.folder.hops[number] = sign_hop(note, self.key(node, use))

    def reseal(self, node: str, use: KeyUse = KeyUse.SEAL, **changes: object) -> None:
        """Sealed anew: everything else about the packet goes, it spoke of another seal."""
        key = self.key(node, use)
        seal = replace(self.seal, key_id=key.key_id, **changes)
        self.folder.seal = encode_seal(seal)
        self.sign_seal(key)
        self.folder.receipts, self.folder.hops = [], []
        self.drop_log()

    def sign_seal(self, key: PrivateKey) -> None:
        self.folder.signature = encode_signature(key.sign(Domain.SEAL, self.folder.seal))

    # --- the log ------------------------------------------------------------------------------------

    def head(self, number: int = 0) -> LogHead:
        return decode_log_head(split_signed(self.proof.heads[number])[0])

    def set_head(self, node: str, use: KeyUse = KeyUse.LOG, /, number: int = 0, **changes: object) -> None:
        head = replace(self.head(number), **changes)
        self.proof.heads[number] = sign_log_head(head, self.key(node, use))

    def log_anew(self, *, at_hours: float = 1, padding: int = 5) -> None:
        """A log of the province in which seal and receipts stand, with others around them."""
        digests = [(EntryKind.SEAL, sha256_hex(self.folder.seal))]
        digests += [(EntryKind.RECEIPT, sha256_hex(data)) for data in self.folder.receipts]
        others = [(EntryKind.RECEIPT, f"{number:064x}") for number in range(padding)]
        entries = others[: padding // 2] + digests + others[padding // 2 :]
        leaves = [leaf_hash(entry_bytes(*entry)) for entry in entries]
        at = self.seal.sealed_at + at_hours * HOUR
        head = LogHead(PROVINCE, len(leaves), root_of(leaves).hex(), at)
        self.proof.heads = [sign_log_head(head, self.key(PROVINCE, KeyUse.LOG))]
        self.folder.log = [
            Inclusion(1, kind, digest, entries.index((kind, digest)),
                      inclusion_path(leaves, entries.index((kind, digest))))
            for kind, digest in digests
        ]  # fmt: skip
