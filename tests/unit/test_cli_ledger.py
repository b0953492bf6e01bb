"""``exchangectl ledger verify``: sound or not, and what exactly is wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from cli.node_view import LEDGER_FILE
from exchanged.parts import LEDGER_FILE as DAEMONS_LEDGER_FILE
from exchanged.states import Event
from packet_spec.model import ReceiptKind
from packet_spec.receipt import decode_receipt
from packet_spec.signing import split_signed
from tests.support.asking import Operator, make_node, operator
from tests.support.books import Books
from tests.support.documents import POLICE


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Operator:
    config = make_node(tmp_path)
    with Books(tmp_path / "data") as books:
        books.move(books.packet(1), Event.OFFER, Event.ACKNOWLEDGE)
        books.blob(b"fictional film")
    return operator(config, capsys)


def test_a_sound_ledger_is_told_with_its_head(desk: Operator) -> None:
    text = desk.table("ledger", "verify")
    assert text.startswith("the ledger is sound\n")
    said = desk.json("ledger", "verify")
    assert said["sound"] is True
    assert said["verified"]["head"] in text
    assert (said["verified"]["events"], said["verified"]["rows"]["packet"]) == (2, 1)
    assert (said["verified"]["spool_files"], said["verified"]["blob_files"]) == (1, 1)


def test_a_changed_event_ends_with_code_6_and_its_number(desk: Operator, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "data" / LEDGER_FILE, isolation_level=None)
    connection.execute("UPDATE event SET detail = '{}' WHERE id = 2")
    connection.close()
    text = desk.table("ledger", "verify", code=6)
    assert text.startswith("the ledger is damaged")
    assert "event 2" in text
    said = desk.json("ledger", "verify", code=6)
    assert (said["sound"], said["verified"]["problems"][0]["where"]) == (False, "event 2")


def test_a_lost_spool_file_ends_with_code_6_and_its_name(desk: Operator, tmp_path: Path) -> None:
    (file,) = (tmp_path / "data" / "spool").iterdir()
    file.unlink()
    (problem,) = desk.json("ledger", "verify", code=6)["verified"]["problems"]
    assert (problem["what"], problem["where"]) == ("spool-file-missing", f"spool/{file.name}")


def test_a_file_that_is_no_ledger_ends_with_code_6(desk: Operator, tmp_path: Path) -> None:
    for path in (tmp_path / "data").glob(f"{LEDGER_FILE}*"):
        path.unlink()
    (tmp_path / "data" / LEDGER_FILE).write_bytes(b"no database at all " * 100)
    assert desk.json("ledger", "verify", code=6)["error"]["reference"] == "ledger-damaged"


def test_the_ledger_is_the_daemons() -> None:
    assert LEDGER_FILE == DAEMONS_LEDGER_FILE


def test_an_export_has_all_of_one_moment_from_the_first_line_to_the_last(
    desk: Operator, tmp_path: Path
) -> None:
    with Books(tmp_path / "data") as books:
        books._sequence = 9  # other spool files than those of the fixture
        books.receipt(books.packet(2), ReceiptKind.ACCEPTED)
        books.drop("投件 1")
    file = tmp_path / "books.jsonl"
    said = desk.json("ledger", "export", file, "--events")
    text = file.read_bytes()
    assert said == {"file": str(file), "sha256": hashlib.sha256(text).hexdigest(), "size": len(text)}
    assert said["sha256"] in desk.text("ledger", "export", file, "--events")
    assert file.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in text.splitlines()]
    first, last = lines[0], lines[-1]
    verified = desk.json("ledger", "verify")["verified"]
    assert (first["line"], first["node"], first["head"]) == ("ledger", POLICE, verified["head"])
    assert last == {"line": "end", "lines": len(lines)}
    kinds = Counter(each["line"] for each in lines)
    assert (kinds["packet"], kinds["destination"], kinds["receipt"], kinds["drop"]) == (2, 2, 1, 1)
    assert (kinds["event"], lines[-2]["chain"]) == (first["events"], first["head"])
    (receipt,) = (each for each in lines if each["line"] == "receipt")
    document = base64.b64decode(receipt["document"])
    assert hashlib.sha256(document).hexdigest() == receipt["digest"]
    assert decode_receipt(split_signed(document)[0]).kind is ReceiptKind.ACCEPTED


def test_an_export_to_the_screen_is_the_same_without_events(desk: Operator) -> None:
    lines = [json.loads(line) for line in desk.text("ledger", "export").splitlines()]
    assert [each["line"] for each in lines] == ["ledger", "packet", "destination", "end"]
    assert lines[2]["state"] == "handed-over"
