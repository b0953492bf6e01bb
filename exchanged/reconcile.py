"""At start: the ledger against the bytes. The same code after a crash and after a clean stop.

Bytes go before the ledger on the way in and after it on the way out, so after any crash there are
at most spare files, which are removed here. A file that the ledger names and that is not there, or
has another size, means damage: the node refuses to start and names it.
"""

from __future__ import annotations

from dataclasses import dataclass

from exchanged.blobs import BlobStore
from exchanged.errors import LedgerDamagedError
from exchanged.ledger import Ledger, Transaction, blobs, spool, unverified
from exchanged.spool import Spool


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What start-up found: spare files removed, and whether the last stop was clean."""

    spare_files: int
    spare_blobs: int
    clean_stop: bool


def reconcile(ledger: Ledger, files: Spool, store: BlobStore) -> Reconciled:
    """Bring disk and ledger together. Raises LedgerDamagedError naming the first missing file."""
    connection = ledger.read()
    on_books = spool.names(connection)
    spare = _spares(files, on_books)
    known_blobs = blobs.all_files(connection)
    found_blobs = store.files_on_disk()
    for (digest, generation), size in known_blobs.items():
        if found_blobs.get((digest, generation)) != size:
            raise LedgerDamagedError(
                "a blob that the ledger names is missing or has another size",
                where=f"{digest}.{generation}",
                expected=f"{size} bytes",
                found=f"{found_blobs.get((digest, generation), 'no file')}",
                hint="restore the file from a backup, or run: exchangectl ledger verify",
            )
    spare_blobs = [key for key in found_blobs if key not in known_blobs]
    for digest, generation in spare_blobs:
        store.remove(digest, generation)
    partials = store.partials()
    lacking = {link: blobs.lacking(connection, link) for link in {link for _, link in partials}}
    for (digest, link), partial in partials.items():
        if digest not in lacking[link]:
            store.remove_partial(partial)
    clean = ledger.write(_begin)
    return Reconciled(spare, len(spare_blobs), clean)


def _spares(files: Spool, on_books: dict[str, int]) -> int:
    spare = 0
    for name in files.names():
        if name not in on_books:
            files.remove(name)
            spare += 1
    for name, size in on_books.items():
        found = files.size(name)
        if found is None or found < size:
            raise LedgerDamagedError(
                "a spool file that the ledger names is missing or too short",
                where=name,
                expected=f"{size} bytes",
                found=f"{'no file' if found is None else found}",
                hint="restore the file from a backup, or run: exchangectl ledger verify",
            )
    return spare


def _begin(transaction: Transaction) -> bool:
    clean = transaction.recall("running") != "yes"
    transaction.remember("running", "yes")
    unverified.read_held_again(transaction)
    transaction.event("started", detail={"after-clean-stop": clean})
    return clean


def note_clean_stop(transaction: Transaction) -> None:
    """The last transaction of a clean stop."""
    transaction.remember("running", "no")
    transaction.event("stopped")
