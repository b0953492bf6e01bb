"""The programs of examples/vendor against real front-ends: they send, wait, and print what a clerk must read.

The Python one runs with the suite; those in Java and C# need tools that ./run long installs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from cli.documents.document import DocumentFormat, write_document
from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import default_plan

pytestmark = pytest.mark.process

ROOT: Final = Path(__file__).resolve().parents[2]
VENDOR: Final = ROOT / "examples" / "vendor"
POLICE, PROCURATORATE, NOBODY = "620199-01-00", "620199-03-00", "620199-77-00"
PATIENCE_SECONDS: Final = 90
ENCODINGS: Final = ("utf-8", "gbk", "gb18030")
# U+20164 is not in GBK. C# refuses to write it there, and says so.
RARE, PLAIN = "虚构通知𠅤", "虚构通知"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three agencies and the province, running."""
    made = create_lab(tmp_path_factory.mktemp("vendor") / "lab", default_plan(3), "folder")
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def attachment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real, fictional PDF with a Chinese name."""
    moment = datetime(2026, 7, 15, 1, 30, tzinfo=UTC)
    (document,) = make_drop(DropRequest("notice.publish", POLICE, PROCURATORATE, moment)).documents
    path = tmp_path_factory.mktemp("attachment") / "通知公告.pdf"
    write_document(path, document.context, DocumentFormat.PDF)
    return path


@pytest.fixture(scope="module")
def java(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Compiled for Java 8, without a single warning."""
    folder = tmp_path_factory.mktemp("java")
    compiled(["javac", "-Xlint:all", "-Xlint:-options", "-Werror", "--release", "8", "-encoding", "UTF-8",
              "-d", str(folder), str(VENDOR / "Send.java")])  # fmt: skip
    return ["java", "-cp", str(folder), "Send"]


@pytest.fixture(scope="module")
def csharp(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Compiled as C# 5, without a single warning."""
    program = tmp_path_factory.mktemp("csharp") / "Send.exe"
    compiled(["mcs", "-langversion:5", "-warnaserror", f"-out:{program}", str(VENDOR / "Send.cs")])
    return ["mono", str(program)]


def compiled(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def send(
    lab: Lab, program: list[str], attachment: Path, receiver: str, name: str, title: str, encoding: str
) -> subprocess.CompletedProcess[str]:
    """One call, as a vendor's program is started."""
    police = lab.agency_root(POLICE)
    words = [police / "outbox", police / "status", attachment, POLICE, receiver, name, title, encoding]
    return subprocess.run(
        [*program, *map(str, words)], capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip


def check_program(
    lab: Lab, program: list[str], attachment: Path, name: str, encoding: str, title: str = RARE
) -> None:
    """A good notice arrives, byte for byte; one to nobody is refused with its finding."""
    sent = send(lab, program, attachment, PROCURATORATE, name, title, encoding)
    assert (sent.returncode, sent.stderr) == (0, ""), sent.stdout + sent.stderr
    assert re.search("^state: delivered 已送达", sent.stdout, re.MULTILINE)
    inbox = lab.agency_root(PROCURATORATE) / "inbox" / "notice.publish"
    (arrived,) = [folder for folder in inbox.iterdir() if f">{name}<".encode() in reading(folder)]
    assert (arrived / attachment.name).read_bytes() == attachment.read_bytes()
    assert title in reading(arrived).decode().replace("&#131428;", "𠅤").replace("&#x20164;", "𠅤")
    # packet.xml itself is in the encoding that was asked for.
    assert (arrived / "packet.xml").read_bytes().decode(encoding)
    assert (arrived / "packet.utf8.xml").exists() is (encoding != "utf-8")

    refused = send(lab, program, attachment, NOBODY, f"{name}-bad", title, encoding)
    assert (refused.returncode, refused.stderr) == (1, "")
    assert re.search("^state: refused .*更正", refused.stdout, re.MULTILINE)
    assert re.search("^finding: receiver-unknown .*目录", refused.stdout, re.MULTILINE)
    assert "not in the directory" in refused.stdout


def reading(folder: Path) -> bytes:
    """packet.xml of a delivery in UTF-8."""
    path = folder / "packet.utf8.xml"
    return (path if path.exists() else folder / "packet.xml").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["gbk", "utf-8", "gb18030"])
def test_the_python_program(lab: Lab, attachment: Path, encoding: str) -> None:
    program = [sys.executable, "-I", str(VENDOR / "send.py")]
    check_program(lab, program, attachment, f"python-{encoding}", encoding)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_java_program(lab: Lab, java: list[str], attachment: Path, encoding: str) -> None:
    check_program(lab, java, attachment, f"java-{encoding}", encoding)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_csharp_program(lab: Lab, csharp: list[str], attachment: Path, encoding: str) -> None:
    title = PLAIN if encoding == "gbk" else RARE
    check_program(lab, csharp, attachment, f"csharp-{encoding}", encoding, title)


@pytest.mark.slow
def test_the_csharp_program_never_writes_question_marks(
    lab: Lab, csharp: list[str], attachment: Path
) -> None:
    """What GBK lacks raises, and nothing is dropped."""
    sent = send(lab, csharp, attachment, PROCURATORATE, "csharp-rare", RARE, "gbk")
    assert sent.returncode != 0
    assert "EncoderFallbackException" in sent.stderr
    assert not (lab.agency_root(POLICE) / "outbox" / "csharp-rare").exists()


def test_all_three_say_the_same_and_are_short() -> None:
    """The same elements in the same order, and nothing that a stranger could not read in one sitting."""
    words = re.compile(r'"(urn:exchanged:[pb]\w+:1|[a-z]\w+|notice\.publish|COM-017|\.status.xml)"')
    # What only one language's library wants to be told.
    own = {"xmlns", "seconds", "rb", "xb", "zh", "en", "message"}
    said = {}
    for name in ("send.py", "Send.java", "Send.cs"):
        text = (VENDOR / name).read_text("utf-8")
        assert len(text.splitlines()) <= 100, name
        said[name] = set(words.findall(text)) - own
    assert {"senderRef", "secrecy", "notice_title", "sha256", "urn:exchanged:body:1"} <= said["send.py"]
    assert said["send.py"] == said["Send.java"] == said["Send.cs"]
