"""What would spoil a proof, and is therefore left out of it (docs/proof-format.md, building one).

Guarantees: no receipt and no hop note is left in whose claim is ``bad``: its signer, who may be anybody whom
the packet concerns, would have every honest proof of the packet refused. Each is named. Nothing is judged
here: it is the verifier who says what is bad, and stays as strict as it is. A statement is not blamed for
another bad one: those on which others depend go first, and what is left is judged anew.

Leaves to others: what is ``held``; that is doubt, which a reader has to see. A proof never showed all that
was said, and its reader is told to ask the others for theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from packet_spec.identity import sha256_hex
from packet_spec.log_entry import EntryKind
from packet_spec.proof_chain import Chain
from packet_spec.proof_file import Folder, ProofFile
from packet_spec.proof_packet import PacketProof
from packet_spec.proof_values import Claim, Fault, State


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A receipt or hop note that is not in the proof. ``code`` says why, as a verifier would."""

    sender: str
    packet_id: str
    claim: str
    by: str
    at: datetime | None
    code: str


def leave_out_bad(proof: ProofFile) -> tuple[LeftOut, ...]:
    """Take out of ``proof`` what would have it refused, and say what that was."""
    try:
        chain = Chain(proof.directories, "")
    except Fault:
        # Nothing of such a file counts, whatever is in it.
        return ()
    return tuple(each for folder in proof.packets for each in _leave_out(chain, proof.heads, folder))


def keep_log_of_members(proof: ProofFile) -> None:
    """Entries of the log stand beside what they are about, and heads beside entries."""
    for folder in proof.packets:
        there = {sha256_hex(data) for data in folder.receipts}
        folder.log = [each for each in folder.log if each.kind is EntryKind.SEAL or each.digest in there]
    used = sorted({each.head for folder in proof.packets for each in folder.log})
    number = {old: new for new, old in enumerate(used, start=1)}
    proof.heads = [proof.heads[old - 1] for old in used]
    for folder in proof.packets:
        folder.log = [replace(each, head=number[each.head]) for each in folder.log]


def _leave_out(chain: Chain, heads: Sequence[bytes], folder: Folder) -> Iterator[LeftOut]:
    while True:
        judged = PacketProof(chain, heads, folder)
        if judged.seal is None:
            return
        key = judged.seal.key
        receipts = judged.claims[1 : 1 + len(folder.receipts)]
        hops = [claim for claim in judged.claims if claim.claim == "hop"]
        bad = [claim for claim in (*receipts, *hops) if claim.state is State.BAD]
        if not bad:
            return
        first = min(_rank(claim) for claim in bad)
        out = [claim for claim in bad if _rank(claim) == first]
        folder.receipts = _without(folder.receipts, receipts, out)
        folder.hops = _without(folder.hops, hops, out)
        for claim in out:
            yield LeftOut(key.sender, key.packet_id, claim.claim, claim.by, claim.at, claim.code)


def _rank(claim: Claim) -> int:
    """The times of all are held against ``accepted``, and those of what follows against ``delivered``."""
    return {"accepted": 0, "delivered": 1}.get(claim.claim, 2)


def _without(documents: list[bytes], claims: Iterable[Claim], out: Sequence[Claim]) -> list[bytes]:
    numbers = {id(claim) for claim in out}
    return [data for data, claim in zip(documents, claims, strict=True) if id(claim) not in numbers]
