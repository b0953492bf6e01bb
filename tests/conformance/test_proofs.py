"""Two verifiers, one written from the format alone, agree on 500 proofs, and come to the right answer.

Bad ones are bad by what they say: their signatures are genuine. A few more have one bit changed.
"""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest

from packet_spec.identity import sha256_hex
from packet_spec.model import KeyUse, ReceiptKind
from packet_spec.proof import verify_proof
from packet_spec.proof_values import CODES, Answer, Proven, State
from packet_spec.receipt import encode_receipt
from packet_spec.signing import Domain, sign_document
from tests.support.forgeries import BAD, GOOD
from tests.support.network import POLICE
from tests.support.proofs import HOUR, World, make_world

_PROGRAM = Path(__file__).parents[2] / "examples" / "proof" / "verify_proof.py"
_PACKETS = ("first", "second", "third")
_NAMES = [f"{name} {place}" for name in _PACKETS for place in ("sender", "receiver", "province")]
_CONTENT = [f"{name} content" for name in _PACKETS]
_GOOD, _SEMANTIC, _FLIPPED = 100, 300, 100
_SAMPLE = 40


@dataclass(frozen=True)
class Case:
    """One proof to be judged. ``code`` is what is wrong with it; a prefix where the first step may differ."""

    name: str
    base: str
    n: int
    code: str


def _cases(table: dict[str, str], total: int) -> list[Case]:
    """The rows of ``table`` again and again, with another proof and another number each time."""
    found: list[Case] = []
    for n in count(1):
        for place, (name, code) in enumerate(table.items()):
            bases = _CONTENT if name.startswith("content") else _NAMES
            found.append(Case(name, bases[(n * 5 + place) % len(bases)], n, code))
        if len(found) >= total:
            return found[:total]
    raise AssertionError


SEMANTIC = _cases({name: code for name, (_, code) in BAD.items()}, _SEMANTIC)
RIGHT = _cases(dict.fromkeys(GOOD, ""), _GOOD)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("proofs"))


@pytest.fixture(scope="module")
def second() -> ModuleType:
    spec = importlib.util.spec_from_file_location("second_verifier", _PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def data_of(world: World, case: Case) -> bytes:
    forgery = world.forge(case.base)
    (BAD[case.name][0] if case.name in BAD else GOOD[case.name])(forgery, case.n)
    return forgery.data()


def fingerprint_of(world: World) -> str:
    return world.forge("first sender").fingerprint()


def first_fault(second: ModuleType, data: bytes, fingerprint: str) -> str:
    """What the second verifier names, empty for GOOD."""
    try:
        second.check(BytesIO(data), fingerprint)
    except second.Fault as fault:
        return f"proof-{fault.args[0]}"
    return ""


def codes_of(answer: Answer) -> set[str]:
    """Everything that keeps the proof from being proven."""
    claims = {claim.code for packet in answer.packets for claim in packet.claims}
    return {code for code in {answer.code, *claims} - {""} if CODES[code] is not State.ABSENT}


def judge(world: World, second: ModuleType, case: Case) -> str:
    """What is wrong with how the two judged ``case``; empty when both are right."""
    data, fingerprint = data_of(world, case), fingerprint_of(world)
    answer = verify_proof(BytesIO(data).read, fingerprint)
    named = first_fault(second, data, fingerprint)
    if not case.code:
        return "" if (answer.verdict, named) == (Proven.PROVEN, "") else f"{case}: {answer.code} / {named}"
    is_right = (
        answer.code.startswith(case.code)
        and named in codes_of(answer)
        and answer.verdict is (Proven.HELD if CODES[answer.code] is State.HELD else Proven.REFUSED)
    )
    return "" if is_right else f"{case}: {answer.verdict} {answer.code} {codes_of(answer)} / {named}"


def wrong(world: World, second: ModuleType, cases: list[Case]) -> list[str]:
    return [text for case in cases if (text := judge(world, second, case))]


def test_both_verifiers_agree_on_a_sample_of_each_kind_of_proof(world: World, second: ModuleType) -> None:
    # One of each: the rest differs by packet and by number.
    assert wrong(world, second, RIGHT[: len(GOOD)]) == []
    assert wrong(world, second, SEMANTIC[: len(BAD)]) == []


@pytest.mark.slow
def test_both_verifiers_agree_on_500_proofs(world: World, second: ModuleType) -> None:
    assert len(SEMANTIC) >= 250
    assert wrong(world, second, RIGHT) == []
    assert wrong(world, second, SEMANTIC) == []
    assert unnoticed(world, second, _FLIPPED) == []
    assert len(SEMANTIC) + len(RIGHT) + _FLIPPED >= 500


def unnoticed(world: World, second: ModuleType, number: int) -> list[int]:
    """Places of a changed bit that the two verifiers do not both refuse."""
    data, fingerprint = world.forge("first sender").data(), fingerprint_of(world)
    chance = random.Random("bits of proofs")  # noqa: S311 - a seed, no secret
    found = []
    for _ in range(number):
        place = chance.randrange(len(data))
        changed = bytearray(data)
        changed[place] ^= 1 << chance.randrange(8)
        answer = verify_proof(BytesIO(changed).read, fingerprint)
        if answer.verdict is Proven.PROVEN or not first_fault(second, bytes(changed), fingerprint):
            found.append(place)
    return found


def test_a_changed_bit_is_noticed_by_both(world: World, second: ModuleType) -> None:
    assert unnoticed(world, second, _SAMPLE) == []


def test_nothing_is_proven_without_the_fingerprint(world: World, second: ModuleType) -> None:
    data = world.forge("first sender").data()
    answer = verify_proof(BytesIO(data).read)
    assert (answer.verdict, answer.code) == (Proven.HELD, "proof-roots-not-compared")
    assert answer.fingerprint == fingerprint_of(world) == second.check(BytesIO(data))[0]


def test_the_second_verifier_is_a_program_of_its_own(world: World, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.proof", tmp_path / "bad.proof"
    good.write_bytes(world.forge("first sender").data())
    bad.write_bytes(data_of(world, next(case for case in SEMANTIC if case.name == "accepted missing")))
    fingerprint = fingerprint_of(world)

    def run(*arguments: object) -> tuple[int, str]:
        # Isolated: nothing of ours can be imported by it.
        done = subprocess.run(
            [sys.executable, "-I", str(_PROGRAM), *map(str, arguments)],
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        return done.returncode, (done.stdout + done.stderr).strip().splitlines()[-1]

    assert run(good, fingerprint) == (0, "GOOD")
    assert run(bad, fingerprint) == (1, "NOT PROVEN: proof-accepted-missing")
    assert run(good) == (1, "NOT PROVEN: proof-roots-not-compared")
    assert run(good, "0" * 64) == (1, "NOT PROVEN: proof-roots-not-trusted")


def test_a_sender_cannot_write_words_of_others_into_the_answer(world: World, second: ModuleType) -> None:
    """With its own keys alone: a packet that went nowhere, under an id that reads as another's receipts."""
    forgery = world.forge("first sender")
    expires = forgery.seal.sealed_at + HOUR
    expired = replace(
        forgery.receipt("accepted"), kind=ReceiptKind.EXPIRED, issued_by=POLICE, issued_at=expires
    )
    forgery.reseal(POLICE, expires_at=expires)
    forgery.proof.heads = []
    genuine, words = forgery.seal.key.packet_id, "1, signed for by all of them&#10;GOOD&#10;"

    def data(packet_id: str) -> bytes:
        seal, key = forgery.folder.seal, forgery.key(POLICE, KeyUse.SEAL)
        forgery.folder.seal = seal.replace(genuine.encode(), packet_id.encode())
        forgery.sign_seal(key)
        said = replace(expired, seal_digest=sha256_hex(forgery.folder.seal))
        document = encode_receipt(said).replace(genuine.encode(), packet_id.encode())
        receipt_key = forgery.key(POLICE, KeyUse.RECEIPT)
        forgery.folder.receipts = [sign_document(document, Domain.RECEIPT, [receipt_key])]
        return forgery.data()

    found, lines = second.check(BytesIO(data(genuine)), fingerprint_of(world))
    assert (found, lines[0].count(", expired - ")) == (fingerprint_of(world), 1)
    assert first_fault(second, data(words), fingerprint_of(world)) == "proof-document-malformed"
    answer = verify_proof(BytesIO(forgery.data()).read, fingerprint_of(world))
    assert (answer.verdict, answer.code) == (Proven.REFUSED, "proof-document-malformed")


def test_the_second_verifier_reads_utf_8_alone(second: ModuleType) -> None:
    """In UTF-16 a DOCTYPE, and entities that say anything, would not be seen for what they are."""
    text = '<!DOCTYPE s [<!ENTITY e "2">]><s xmlns="urn:exchanged:seal:1" formatVersion="1">&e;</s>'
    for data in (text.encode("utf-16"), text.encode(), text.partition("]>")[2].encode("utf-16")):
        with pytest.raises((second.Fault, *second.BROKEN)):
            second.parse(data, "seal", "s")


def test_the_second_verifier_says_to_whom_when_and_with_what(world: World, second: ModuleType) -> None:
    """Who signed for a packet, and whether its content was there, are not left to be guessed."""
    forgery = world.forge("first content")
    _, (line,) = second.check(BytesIO(forgery.data()), fingerprint_of(world))
    said = forgery.receipt("delivered")
    at = said.issued_at.replace(tzinfo=None)
    assert f", delivered {said.recipient} {at}Z" in line
    assert line.endswith(", content")
    _, (line,) = second.check(BytesIO(world.forge("first sender").data()), fingerprint_of(world))
    assert "content" not in line


def test_the_second_verifier_keeps_its_promises() -> None:
    lines = _PROGRAM.read_text("utf-8").splitlines()
    assert len(lines) <= 300
    imported = [line.split()[1] for line in lines if line.startswith(("import ", "from "))]
    ours = {"packet_spec", "exchanged", "frontend_server", "cli"}
    assert not ours & {name.partition(".")[0].strip(",") for name in imported}


@pytest.mark.parametrize(("words", "said"), [((), "verify_proof.py FILE"), (("no-such",), "NOT PROVEN: ")])
def test_the_second_verifier_answers_a_wrong_call_in_words(words: tuple[str, ...], said: str) -> None:
    command = [sys.executable, str(_PROGRAM), *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_every_code_is_seen_or_named_here(world: World) -> None:
    expected = {code for _, code in BAD.values()}
    elsewhere = {
        "proof-version", "proof-suite-unknown", "proof-roots-not-compared", "proof-document-malformed",
        "proof-signature-wrong", "proof-sender-disabled-later", "proof-not-in-log",
        "proof-content-left-out",
    }  # fmt: skip
    assert set(CODES) <= expected | elsewhere, set(CODES) - expected - elsewhere
