"""The seeded bugs, named in advance: what is changed, which promise that breaks, and where it is to show.

Each is a small change of text in one or two files of a copy of the program. A test holds that every one
still applies. ``scenes`` (``certainty.mutants.scenes``) are tried in turn until the checker finds something.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Edit:
    """In ``file``, ``old`` (which stands there once) becomes ``new``."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """One seeded bug. ``promise``: the invariants (faults.md, part 3) and custody rule that it breaks.

    Nothing else that the checker finds kills it. I8 stands beside I1 where the ledger itself shows the break:
    it does not verify, or names bytes that are not there; I12, where something half done is left for ever.
    """

    name: str
    promise: str
    edits: tuple[Edit, ...]
    scenes: tuple[str, ...]
    in_quick: bool = False


MUTANTS: Final = (
    Mutant(
        "spool-not-flushed",
        "I1 I8 C5: bytes are durable before the ledger names them",
        (
            Edit(
                "exchanged/durable_writer.py",
                "            self._access.kernel.fsync(self._descriptor)\n",
                "            pass\n",
            ),
        ),
        ("power",),
    ),
    Mutant(
        "ledger-not-flushed",
        "I1 I8: a commit is durable before anybody hears of it",
        (Edit("exchanged/ledger/writer.py", "PRAGMA synchronous = FULL", "PRAGMA synchronous = OFF"),),
        ("power",),
    ),
    Mutant(
        "folders-not-synced",
        "I1 I2 I12 C19: what the ledger calls done, a delivery above all, is durable in its folder",
        (
            Edit(
                "exchanged/durable_group.py",
                "    def _flush_folder(self, path: Path, owners: set[str]) -> None:\n        try:\n",
                "    def _flush_folder(self, path: Path, owners: set[str]) -> None:\n"
                "        return\n        try:\n",
            ),
        ),
        ("power-steps",),
    ),
    Mutant(
        "acknowledged-before-commit",
        "I1 C5: an acknowledgement names only what is committed with all its items",
        (
            Edit(
                "exchanged/landing.py",
                "    _published: PublishedLanding = field(init=False)\n",
                "    _published: PublishedLanding = field(init=False)\n"
                "    _late: list[tuple[int, int, _Landed]] = field(default_factory=list)\n",
            ),
            Edit(
                "exchanged/landing.py",
                "        files = {file.name: file.size for file in listing.files}\n",
                "        self.link.ledger.write(self._land_late)\n"
                "        files = {file.name: file.size for file in listing.files}\n",
            ),
            Edit(
                "exchanged/landing.py",
                "        needing = [\n            self._land_item(\n"
                "                transaction, batch, SpoolRange(file, found.path.name, entry.start,"
                " entry.item.size), entry\n            )\n"
                "            for entry in found.batch.items\n        ]\n"
                "        if any(needing):\n            batches.mark_needing(transaction, batch)\n"
                '        transaction.wake("judge")\n',
                "        self._late.append((batch, file, found))\n"
                '        transaction.wake(f"link:{self.link.name}")\n'
                "\n"
                "    def _land_late(self, transaction: Transaction) -> None:\n"
                "        late, self._late = self._late, []\n"
                "        for batch, file, found in late:\n"
                "            for entry in found.batch.items:\n"
                "                where = SpoolRange(file, found.path.name, entry.start, entry.item.size)\n"
                "                if self._land_item(transaction, batch, where, entry):\n"
                "                    batches.mark_needing(transaction, batch)\n"
                '            transaction.wake("judge")\n',
            ),
        ),
        ("kills", "steps-province", "kills"),
    ),
    Mutant(
        "known-by-name",
        "I1 C13: a drop is known again by its content, never by its name",
        (
            Edit(
                "frontend_server/scan.py",
                "    seen = {\n        name: _without(used, observation)\n",
                "    known = {bytes(row[0]) for row in ledger.read().execute('SELECT name FROM \"drop\"')}\n"
                "    seen = {\n        name: _without(used, observation)\n",
            ),
            Edit(
                "frontend_server/scan.py",
                "        if name not in passed_over\n",
                "        if name not in passed_over and (name in rows or name not in known)\n",
            ),
        ),
        ("traffic",),
        in_quick=True,
    ),
    Mutant(
        "source-read-again",
        "I4 C3: what is sealed are the bytes that were judged, read once",
        (
            Edit(
                "frontend_server/checking.py",
                "            content = self._copier.copy(source, work.read.packet_xml,"
                " packet.attachments, parts)\n",
                "            root = self._copier_root()\n"
                "            again = (root / work.drop.row.name.decode()).read_bytes()\n"
                "            content = self._copier.copy(source, again, packet.attachments, parts)\n"
                "        except OSError as error:\n"
                "            from frontend_server.drops import DropChangedError\n"
                "            raise DropChangedError('it went away') from error\n",
            ),
            Edit(
                "frontend_server/checking.py",
                "    def _content(self,",
                "    def _copier_root(self):\n"
                "        import os\n"
                "        from pathlib import Path\n"
                "        return Path(os.readlink(f'/proc/self/fd/{self._outbox}'))\n"
                "\n"
                "    def _content(self,",
            ),
            Edit(
                "frontend_server/checking.py",
                "        with ExitStack() as stack:\n            opened = [",
                "        self._outbox = outbox\n        with ExitStack() as stack:\n            opened = [",
            ),
            Edit(
                "frontend_server/checking.py",
                "    return now is not None and now.look == observation.look",
                "    return True",
            ),
        ),
        ("racer",),
    ),
    Mutant(
        "never-looks-again",
        "I1 F24: a ring or an event is a hint; looking is the truth",
        (
            Edit(
                "exchanged/node.py",
                'self._alarm.every(scan, "slow-scan", self._runner.wake_all)',
                'self._alarm.every(scan * 100_000, "slow-scan", self._runner.wake_all)',
            ),
            Edit(
                "exchanged/station.py",
                "            elif delay is not None:\n",
                "            elif delay is not None and delay > 1_000_000:\n",
            ),
        ),
        ("no-events",),
    ),
    Mutant(
        "number-used-again",
        "I8 C15: a sequence number never stands for two contents",
        (
            Edit(
                "frontend_server/acceptance.py",
                "    return incarnation, first\n",
                "    return incarnation, 1\n",
            ),
        ),
        ("traffic",),
        in_quick=True,
    ),
    Mutant(
        "delivered-before-commit",
        "I2 C19: the ledger says delivering before the rename",
        (
            Edit(
                "frontend_server/delivery.py",
                "        return _Outcome(name, staged)\n",
                "        self._files.make_dir(self._type_folder(packet), mode=self._folder_mode)\n"
                "        self._files.rename_new(folder, self._type_folder(packet) / name)\n"
                "        return _Outcome(name, staged)\n",
            ),
        ),
        ("steps-receiver", "steps-receiver"),
    ),
    Mutant(
        "receipt-before-rename",
        "I7 C19: delivered is said after the folder lies in the inbox",
        (
            Edit(
                "frontend_server/delivery.py",
                "            self._files.rename_new(source, target)\n",
                "            self._later(source, target)\n",
            ),
            Edit(
                "frontend_server/delivery.py",
                "        for done in committed:\n",
                "        for source, target in self.__dict__.pop('_waiting', ()):\n"
                "            self._files.rename_new(source, target)\n"
                "        for done in committed:\n",
            ),
            Edit(
                "frontend_server/delivery.py",
                "    def _already_placed(",
                "    def _later(self, source, target):\n"
                "        self.__dict__.setdefault('_waiting', []).append((source, target))\n"
                "\n"
                "    def _already_placed(",
            ),
        ),
        ("before-inbox",),
    ),
    Mutant(
        "receipt-not-verified",
        "I7 C21: a receipt counts when its signature and its signer's right were verified",
        (
            Edit(
                "exchanged/applying.py",
                "        receipt, key_id = open_receipt(document, self.trust.key)\n",
                "        from packet_spec.receipt import decode_receipt\n"
                "        from packet_spec.signing import split_signed\n"
                "        receipt, key_id = decode_receipt(split_signed(document)[0]), ''\n",
            ),
            Edit(
                "exchanged/applying.py",
                "            check_receipt_authority("
                "self.trust.directory, receipt, key_id, transaction.now)\n",
                "            pass\n",
            ),
            Edit(
                "exchanged/applying.py",
                "            self._check_new(transaction, row, receipt, key_id, is_ours=is_ours)\n",
                "            pass\n",
            ),
        ),
        ("forger",),
    ),
    Mutant(
        "identity-forgotten",
        "I1 C13: an original is moved only while it is the drop that was taken",
        (
            Edit(
                "frontend_server/originals.py",
                "            if not observation.is_same(drop.device, drop.fingerprint):\n"
                "                return Original.REPLACED\n",
                "",
            ),
            Edit(
                "frontend_server/originals.py",
                "        return observation is not None"
                " and observation.is_same(drop.device, drop.fingerprint)\n",
                "        return observation is not None\n",
            ),
        ),
        ("steps-replaced", "steps-replaced"),
    ),
    Mutant(
        "sent-before-commit",
        "I1 C13: an original is touched after its acceptance is committed",
        (
            Edit(
                "frontend_server/checking.py",
                "                outcomes.commit()\n                return self._accept(sound, outcomes)\n",
                "                outcomes.commit()\n"
                "                import os\n"
                "                root = os.path.dirname(os.readlink(f'/proc/self/fd/{outbox}'))\n"
                "                for each in sound:\n"
                "                    name = os.fsdecode(each.row.name)\n"
                "                    os.rename(f'{root}/outbox/{name}', f'{root}/sent/{name}')\n"
                "                return self._accept(sound, outcomes)\n",
            ),
            Edit(
                "frontend_server/checking.py",
                "    return now is not None and now.look == observation.look",
                "    return True",
            ),
        ),
        ("steps-sender", "steps-sender"),
    ),
    Mutant(
        "rename-replaces",
        "I1 C19: nothing is renamed in place of something else",
        (
            Edit(
                "exchanged/volume.py",
                "        if function(*names, _RENAME_NOREPLACE) != 0:\n",
                "        if function(*names, 0) != 0:\n",
            ),
        ),
        ("traffic",),
        in_quick=True,
    ),
    Mutant(
        "effect-forgotten",
        "I1 I12: what was intended is repeated until it is done",
        (
            Edit(
                "frontend_server/effects.py",
                "        with self._pins:\n",
                "        self._ledger.write(lambda tx: intended.done(tx, [effect.id for effect in due]))\n"
                "        with self._pins:\n",
            ),
        ),
        ("steps-sender", "steps-sender"),
    ),
    Mutant(
        "delivered-piece-by-piece",
        "I3 C19: a packet appears whole, by one rename",
        (
            Edit(
                "frontend_server/delivery.py",
                "            self._files.rename_new(source, target)\n",
                "            import shutil\n"
                "            shutil.copytree(source, target)\n"
                "            shutil.rmtree(source)\n",
            ),
        ),
        ("traffic",),
        in_quick=True,
    ),
)
