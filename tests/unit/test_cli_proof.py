"""exchangectl proof: built at a node, verified anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.main import main
from cli.render import display_width
from tests.support.logs import LogStory
from tests.support.network import POLICE, PROCURATORATE, PROVINCE


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory):
    with LogStory(tmp_path_factory.mktemp("story")) as story:
        story.exchange("first")
        story.wait(minutes=2)
        yield story


def build(story: LogStory, code: str, output: Path, *arguments: str) -> int:
    config = story.network.layout.config(code)
    return main(["--config", str(config), "proof", "build", *arguments, "-o", str(output)])


def fingerprint_of(capsys: pytest.CaptureFixture[str], file: Path) -> str:
    capsys.readouterr()
    main(["proof", "verify", str(file), "--json"])
    return str(json.loads(capsys.readouterr().out)["fingerprint"])


@pytest.mark.parametrize("code", [POLICE, PROCURATORATE, PROVINCE])
def test_every_node_of_a_packet_can_prove_it(
    story: LogStory, code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.proof"
    assert build(story, code, file, story.key("first").packet_id) == 0
    assert main(["proof", "verify", str(file)]) == 1
    fingerprint = fingerprint_of(capsys, file)
    assert main(["proof", "verify", str(file), "--roots-fingerprint", fingerprint]) == 0
    text = capsys.readouterr().out
    assert text.startswith("PROVEN")
    assert "A proof does not show:" in text
    assert max(map(display_width, text.splitlines())) <= 80


def test_a_case_is_bound_by_its_content(
    story: LogStory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = story.read(POLICE).execute("SELECT word FROM search WHERE field = 'case-number'").fetchone()
    file = tmp_path / "case.proof"
    assert build(story, POLICE, file, "--case", row["word"], "--content") == 0
    assert file.stat().st_mode & 0o777 == 0o600
    fingerprint = fingerprint_of(capsys, file)
    assert main(["proof", "verify", str(file), "--roots-fingerprint", fingerprint, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    claims = {claim["claim"]: claim["state"] for claim in answer["packets"][0]["claims"]}
    assert (claims["content"], claims["case"]) == ("proven", "proven")


def test_what_is_wrong_is_told_with_its_exit_code(
    story: LogStory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.proof"
    build(story, POLICE, file, story.key("first").packet_id)
    assert main(["proof", "verify", str(file), "--roots-fingerprint", "0" * 64]) == 5
    assert "proof-roots-not-trusted" in capsys.readouterr().out
    assert main(["proof", "verify", str(file), "--roots-fingerprint", "xyz"]) == 2
    file.write_bytes(file.read_bytes()[:-1])
    assert main(["proof", "verify", str(file)]) == 5
    assert main(["proof", "verify", str(tmp_path / "none")]) == 2
    assert build(story, POLICE, file) == 2
    assert build(story, POLICE, file, "--case", "虚构无此案") == 4
    # Content is where the sealed bytes are.
    assert build(story, PROCURATORATE, file, story.key("first").packet_id, "--content") == 5
    assert "sealed-bytes-gone" in capsys.readouterr().err
