"""A province whose log is shown, rewritten, cut and forked: a network of two agencies on a clock of its own.

What the administrator of the province does here he does thoroughly: with the node's real keys, event chain,
Merkle log and remembered heads rebuilt, so that `ledger verify` finds nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Self

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from exchanged.keys import load_key
from exchanged.ledger import Connection, log_tree, log_views, packets, statements
from exchanged.ledger.log_entries import LOGGED_SQL, log_receipt
from exchanged.ledger.log_tree import Tree, size_of
from exchanged.ledger.log_verify import OWN_HEAD
from exchanged.ledger.log_views import HeadRow
from exchanged.ledger.times import stamp
from exchanged.ledger.transaction import GENESIS, event_link
from exchanged.ledger.verify import Verified, examine_ledger
from packet_spec.identity import PacketKey, sha256_hex
from packet_spec.log_entry import EntryKind, entry_bytes
from packet_spec.log_head import LogHead, decode_log_head, sign_log_head
from packet_spec.log_recovery import LogRecovery, encode_log_recovery, sign_log_recovery
from packet_spec.merkle import leaf_hash, verify_inclusion
from packet_spec.receipt import decode_receipt, sign_receipt
from packet_spec.signing import PrivateKey, split_signed
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, small_plan

Change = Callable[[sqlite3.Connection], None]


class LogStory:
    """Police, procuratorate and province, all real."""

    police, procuratorate, province = POLICE, PROCURATORATE, PROVINCE

    def __init__(self, root: Path, *others: str) -> None:
        self.network = Network(root / "lab", small_plan(POLICE, PROCURATORATE, *others))
        self._count = 0

    def __enter__(self) -> Self:
        self.network.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.network.__exit__()

    def exchange(self, name: str, sender: str = POLICE, receiver: str = PROCURATORATE) -> None:
        """One packet from drop to inbox, with all that follows."""
        self.drop(name, sender, receiver)
        self.network.run(120)

    def drop(self, name: str, sender: str = POLICE, receiver: str = PROCURATORATE) -> None:
        """One packet into the outbox."""
        # Each a case of its own, so that no order in a case matters.
        self._count += 1
        business_type = "case.report" if sender == POLICE else "info.share"
        request = DropRequest(
            business_type, sender, receiver, self.network.clock.now(), name=name, seed=self._count
        )
        write_drop(make_drop(request), self.network.agency(sender) / "outbox")

    def wait(self, minutes: float) -> None:
        """Time passes, and everything that is due then is done."""
        self.network.clock.advance(minutes * 60)
        self.network.run(120)

    # --- what is known ----------------------------------------------------------------------------

    def read(self, code: str) -> Connection:
        return self.network.nodes[code].opened.ledger.read()

    def newest(self, code: str) -> HeadRow | None:
        return log_views.newest(self.read(code), PROVINCE)

    def head(self, code: str) -> LogHead:
        found = self.newest(code)
        assert found is not None
        return found.head

    def root(self, size: int) -> str:
        return Tree(self.read(PROVINCE), size).root().hex()

    def key(self, name: str) -> PacketKey:
        folder = self.network.agency(POLICE) / "status"
        found = json.loads((folder / f"{name}.status.json").read_text("utf-8"))
        return PacketKey(POLICE, found["packetId"])

    def accepted(self, name: str) -> tuple[str, str]:
        """Digests of the seal and of the ``accepted`` receipt, as the police hold them."""
        connection = self.read(POLICE)
        packet = packets.find(connection, self.key(name))
        assert packet is not None
        receipt = next(
            each for each in statements.receipts_of(connection, packet.key) if each.kind == "accepted"
        )
        return packet.seal_digest, sha256_hex(receipt.document)

    def is_proved(self, code: str, kind: EntryKind, digest: str) -> bool:
        """The kept proof leads to the root of the kept head."""
        connection = self.read(code)
        proof = log_views.proof_of(connection, PROVINCE, kind, digest)
        if proof is None:
            return False
        head = log_views.head_of(connection, proof.head).head
        leaf = leaf_hash(entry_bytes(kind, digest))
        return verify_inclusion(leaf, proof.position, head.size, proof.path, bytes.fromhex(head.root))

    def awaited(self, code: str) -> int:
        later = self.network.clock.now() + timedelta(days=1)
        found = log_views.awaited(self.read(code), PROVINCE, later, 10)
        return 0 if found is None else found.count

    def doubts(self, code: str) -> list[str]:
        return [each.reason for each in log_views.contradictions(self.read(code))]

    def events(self, code: str, kind: str) -> list[dict[str, object]]:
        rows = self.read(code).execute("SELECT detail FROM event WHERE kind = ? ORDER BY id", (kind,))
        return [json.loads(row["detail"]) for row in rows]

    def notices(self, code: str) -> list[str]:
        rows = self.read(code).execute("SELECT reference FROM notice WHERE over_at IS NULL ORDER BY id")
        return [row["reference"] for row in rows]

    def notice_text(self, code: str, reference: str) -> str:
        row = self.read(code).execute("SELECT plain FROM notice WHERE reference = ?", (reference,)).fetchone()
        return bytes(row["plain"]).decode("utf-8-sig")

    # --- what people bring --------------------------------------------------------------------------

    def incoming(self, code: str) -> Path:
        return self.network.layout.data(code) / "log" / "incoming"

    def bring(self, code: str, name: str, data: bytes) -> None:
        self.incoming(code).mkdir(parents=True, exist_ok=True)
        (self.incoming(code) / name).write_bytes(data)

    def recovery(self, size: int, through: int) -> LogRecovery:
        """The log goes on from its first ``size`` entries, as it stands at the province."""
        now = self.network.clock.now()
        return LogRecovery(PROVINCE, size, self.root(size), size, through, now, "虚构：自备份恢复", now)

    def signed(self, recovery: LogRecovery, key: PrivateKey) -> bytes:
        return sign_log_recovery(encode_log_recovery(recovery), key)

    @property
    def root_key(self) -> PrivateKey:
        return load_key(self.network.layout.root_key)

    def forked_head(self, change: Change, size: int) -> bytes:
        """The head of the log as another agency might be told it: of a copy of the ledger with ``change``."""
        copy = self.ledger.with_name("fork.sqlite3")
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            self.read(PROVINCE).backup(connection)
        rewrite(copy, self.keys, change)
        with closing(sqlite3.connect(copy)) as connection:
            root = Tree(connection, size).root().hex()
        copy.unlink()
        return sign_log_head(
            LogHead(PROVINCE, size, root, self.network.clock.now()), load_key(self.keys / "log.key")
        )

    # --- what the administrator of the province does ----------------------------------------------

    def tamper(self, *changes: Change) -> Verified:
        """On the stopped province: these changes, and everything rebuilt so that nothing shows."""
        self.stop()
        path = self.ledger
        rewrite(path, self.keys, *changes)
        with sqlite3.connect(path) as connection:
            connection.row_factory = sqlite3.Row
            found = examine_ledger(connection)
        connection.close()
        self.start()
        return found

    @property
    def ledger(self) -> Path:
        return self.network.layout.data(PROVINCE) / "ledger.sqlite3"

    @property
    def keys(self) -> Path:
        return self.network.layout.data(PROVINCE) / "keys"

    def stop(self) -> None:
        self.network.nodes[PROVINCE].close()

    def start(self) -> None:
        self.network.nodes[PROVINCE].open()


def rewrite(path: Path, keys: Path, *changes: Change) -> None:
    """Make ``changes`` to a ledger, then rebuild remembered head and event chain with the real keys."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("BEGIN IMMEDIATE")
    (count,) = connection.execute("SELECT MAX(id) FROM event").fetchone()
    for change in changes:
        change(connection)
    _pad_chain(connection, count)
    _rebuild_heads(connection, keys)
    _rebuild_chain(connection)
    connection.execute("COMMIT")
    connection.close()


def replace_receipt(keys: Path, key: PacketKey) -> Change:
    """The province accepted that packet two hours earlier than it did, it says now."""

    def change(connection: sqlite3.Connection) -> None:
        row = connection.execute(
            "SELECT * FROM receipt WHERE sender = ? AND packet_id = ? AND kind = 'accepted'",
            (key.sender, key.packet_id),
        ).fetchone()
        receipt = decode_receipt(split_signed(bytes(row["document"]))[0])
        earlier = replace(receipt, issued_at=receipt.issued_at - timedelta(hours=2))
        document = sign_receipt(earlier, load_key(keys / "receipt.key"))
        digest = sha256_hex(document)
        connection.execute(
            "UPDATE receipt SET document = ?, digest = ?, issued_at = ? WHERE id = ?",
            (document, digest, stamp(earlier.issued_at), row["id"]),
        )
        connection.execute("UPDATE event SET detail = replace(detail, ?, ?)", (row["digest"], digest))
        rebuild_log(connection)

    return change


def remove_packet(key: PacketKey) -> Change:
    """That packet never was: neither its receipts nor anything about it."""

    def change(connection: sqlite3.Connection) -> None:
        for table in ("receipt", "case_history", "event"):
            connection.execute(
                f"DELETE FROM {table} WHERE sender = ? AND packet_id = ?",  # noqa: S608 - our own names
                (key.sender, key.packet_id),
            )
        rebuild_log(connection)

    return change


def reorder(connection: sqlite3.Connection) -> None:
    """The first two entries of the log change places, with the rows that they stand for."""
    rows = connection.execute("SELECT * FROM log_entry ORDER BY position").fetchall()
    order = [1, 0, *range(2, len(rows))]
    _append_anew(connection, [rows[number] for number in order])


def cut_to(size: int) -> Change:
    """The log ends after ``size`` entries, and so do the receipts that stood behind."""

    def change(connection: sqlite3.Connection) -> None:
        rows = connection.execute("SELECT * FROM log_entry ORDER BY position").fetchall()
        for row in rows[size:]:
            connection.execute("DELETE FROM receipt WHERE digest = ?", (row["digest"],))
        _append_anew(connection, rows[:size])

    return change


def forget_told(connection: sqlite3.Connection) -> None:
    """The province does not remember what it told anybody."""
    connection.execute("DELETE FROM log_told")


def rebuild_log(connection: sqlite3.Connection) -> None:
    """The log as it would be if the receipts that stand there now had always stood there."""
    owed = connection.execute("SELECT * FROM log_due").fetchall()
    connection.execute("DELETE FROM log_node")
    connection.execute("DELETE FROM log_entry")
    connection.execute("DELETE FROM log_due")
    logged = f"SELECT id FROM receipt WHERE {LOGGED_SQL} ORDER BY id"  # noqa: S608 - a constant
    for row in connection.execute(logged).fetchall():
        log_receipt(connection, row["id"])
    connection.execute("DELETE FROM log_due")
    connection.executemany("INSERT INTO log_due VALUES (?, ?)", [tuple(row) for row in owed])


def _append_anew(connection: sqlite3.Connection, rows: list[sqlite3.Row]) -> None:
    connection.execute("DELETE FROM log_node")
    connection.execute("DELETE FROM log_entry")
    for row in rows:
        log_tree.append(
            connection, EntryKind(row["kind"]), row["digest"], row["sender"], row["packet_id"]
        )


def _rebuild_heads(connection: sqlite3.Connection, keys: Path) -> None:
    """Every head that it signed is of the new log; those of a longer one were never signed."""
    size = size_of(connection)
    for row in connection.execute("SELECT id, detail FROM event WHERE kind = 'log-head-signed'").fetchall():
        detail = json.loads(row["detail"])
        if detail["size"] > size:
            connection.execute("DELETE FROM event WHERE id = ?", (row["id"],))
            continue
        detail["root"] = Tree(connection, detail["size"]).root().hex()
        text = json.dumps(detail, ensure_ascii=True, sort_keys=True)
        connection.execute("UPDATE event SET detail = ? WHERE id = ?", (text, row["id"]))
    known = connection.execute("SELECT value FROM node WHERE name = ?", (OWN_HEAD,)).fetchone()
    if known is not None:
        old = decode_log_head(split_signed(bytes.fromhex(known["value"]))[0])
        new = replace(old, size=min(old.size, size))
        new = replace(new, root=Tree(connection, new.size).root().hex())
        signed = sign_log_head(new, load_key(keys / "log.key"))
        connection.execute("UPDATE node SET value = ? WHERE name = ?", (signed.hex(), OWN_HEAD))
    connection.execute("UPDATE log_told SET size = min(size, ?)", (size,))
    connection.execute("DELETE FROM log_due WHERE position >= ?", (size,))


def _pad_chain(connection: sqlite3.Connection, count: int) -> None:
    """More events than neighbours heard of, so that the ledger does not seem to be an older copy."""
    connection.executemany(
        "INSERT INTO event (at, kind, sender, packet_id, recipient, detail, chain)"
        " SELECT MAX(at), 'started', '', '', '', '{}', '' FROM event WHERE ?",
        [(1,)] * (count + 5 - connection.execute("SELECT COUNT(*) FROM event").fetchone()[0]),
    )


def _rebuild_chain(connection: sqlite3.Connection) -> None:
    head = GENESIS
    rows = connection.execute("SELECT * FROM event ORDER BY id").fetchall()
    for number, row in enumerate(rows, 1):
        head = event_link(
            head, number, row["at"], row["kind"], row["sender"], row["packet_id"], row["recipient"],
            row["detail"],
        )  # fmt: skip
        connection.execute("UPDATE event SET id = ?, chain = ? WHERE id = ?", (number, head, row["id"]))
