"""Every vector of tests/vectors has exactly the verdict that was written for it by hand.

The same verdict is asked of ``check_packet`` and of the public face, ``exchangectl packet check --json``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from packet_spec.catalogue import load_catalogue
from packet_spec.check import check_packet
from packet_spec.envelope import missing_digest_findings
from packet_spec.findings import Finding, Outcome
from packet_spec.pack import shipped_pack
from packet_spec.sentences import all_codes
from packet_spec.sequence import check_sequence
from packet_spec.sequence_policy import SequencePolicy
from tests.support.asking import Operator, operator

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
GROUPS = sorted(path.parent.name for path in VECTORS.glob("*/verdicts.toml"))
DROPS = "drops"
HISTORIES = "histories"
CASES = [group for group in GROUPS if group != HISTORIES]
KEYS = {"outcome", "findings", "why", "encoding", "reads", "missing"}


@cache
def verdicts(group: str) -> dict[str, dict[str, Any]]:
    return tomllib.loads((VECTORS / group / "verdicts.toml").read_text(encoding="utf-8"))


PACKETS = [
    pytest.param(group, name, id=f"{group}/{name}")
    for group in CASES
    if group != DROPS
    for name in verdicts(group)
]


def told(finding: Finding | Mapping[str, Any]) -> str:
    """A finding as the verdicts write it: severity, code, and the place where it has one."""
    said = finding if isinstance(finding, Mapping) else {key: getattr(finding, key) for key in _PARTS}
    place = said["element"] or said["document"] or said["file"]
    return f"{said['severity']} {said['code']}" + (f" @ {place}" if place else "")


_PARTS = ("severity", "code", "element", "document", "file")


@pytest.fixture
def vendor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Operator:
    """A desk without any node."""
    monkeypatch.setattr("cli.packet_check.DEFAULT_CONFIG", Path("/etc/exchanged/exchanged.toml"))
    return operator(None, capsys)


# --- the vectors themselves ------------------------------------------------------------------------------


def test_every_file_has_a_verdict_and_every_verdict_a_file() -> None:
    for group in CASES:
        there = {path.name for path in (VECTORS / group).iterdir()} - {"verdicts.toml"}
        assert (group, there) == (group, set(verdicts(group)))


def test_every_verdict_says_why_and_names_findings_that_exist() -> None:
    for group in CASES:
        for name, verdict in verdicts(group).items():
            assert set(verdict) <= KEYS, name
            assert verdict["why"], name
            assert verdict["outcome"] in set(Outcome), name
            codes = {text.split(" ")[1] for text in verdict["findings"]}
            assert codes <= set(all_codes()), name
            refused = any(text.startswith("refuse ") for text in verdict["findings"])
            assert (verdict["outcome"] == "refused") is refused, name


def test_no_two_vectors_are_the_same() -> None:
    files = [path.read_bytes() for group in CASES for path in (VECTORS / group).glob("*.xml")]
    assert len(files) > 300
    assert len(set(files)) > 300


# --- judged ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("group", "name"), PACKETS)
def test_packet_xml_is_judged_as_written(group: str, name: str) -> None:
    verdict = verdicts(group)[name]
    data = (VECTORS / group / name).read_bytes()
    result = check_packet(data, directory=None, pack=shipped_pack())
    findings = [*result.verdict.findings]
    if result.packet is not None:
        findings += missing_digest_findings(result.packet)
    assert sorted(map(told, findings)) == sorted(verdict["findings"]), verdict["why"]
    # What only the front-end's profile decides (a missing digest) is no part of the check of packet.xml.
    later = {"attachment-size-missing", "attachment-digest-missing"}
    refused_later = any(finding.code in later for finding in findings)
    assert result.verdict.outcome == ("valid" if refused_later else verdict["outcome"])
    if "encoding" in verdict:
        assert result.encoding == verdict["encoding"]
    if "reads" in verdict:
        assert result.packet is not None
        assert result.packet.persons[0]["person_name"] == verdict["reads"]


@pytest.mark.parametrize("group", CASES)
def test_the_command_judges_as_written(vendor: Operator, group: str) -> None:
    written = verdicts(group)
    code = worst(expected_outcome(group, name) for name in written)
    said = vendor.json("packet", "check", *(VECTORS / group / name for name in written), code=code)
    checked = {Path(each["path"]).name: each for each in said["checked"]}
    assert set(checked) == set(written)
    for name, verdict in written.items():
        compare(group, name, verdict, checked[name])


def test_a_real_process_judges_as_written() -> None:
    chosen = [("drops", "zip-gbk-names-and-back-slashes.zip"), ("encodings", "gbk-really-utf-8.xml")]
    chosen += [("identity", "check-digit.xml"), ("drops", "folder")]
    paths = [str(VECTORS / group / name) for group, name in chosen]
    answer = subprocess.run(
        [sys.executable, "-m", "cli", "packet", "check", "--json", *paths],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1, answer.stderr
    for (group, name), said in zip(chosen, json.loads(answer.stdout)["checked"], strict=True):
        compare(group, name, verdicts(group)[name], said)


def expected_outcome(group: str, name: str) -> str:
    """A good packet.xml whose files do not lie beside it waits for them, as in an outbox."""
    verdict = verdicts(group)[name]
    return "held" if verdict["outcome"] == "valid" and listed(group, name) else str(verdict["outcome"])


def listed(group: str, name: str) -> list[str]:
    """Files that a lone packet.xml lists, and that cannot lie beside it."""
    if group == DROPS:
        return list(verdicts(group)[name].get("missing", []))
    result = check_packet((VECTORS / group / name).read_bytes(), directory=None, pack=shipped_pack())
    return [] if result.packet is None else [each.file for each in result.packet.attachments]


def compare(group: str, name: str, verdict: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    assert (name, sorted(map(told, said["findings"]))) == (name, sorted(verdict["findings"])), verdict["why"]
    assert (name, said["outcome"]) == (name, expected_outcome(group, name))
    assert (name, list(said["missing"])) == (name, listed(group, name))
    if said["outcome"] == "held":
        assert said["held_because"] == "incomplete"


def worst(outcomes: Iterable[str]) -> int:
    codes = {"valid": 0, "held": 3, "refused": 1}
    found = set(outcomes)
    return next(codes[each] for each in ("refused", "held", "valid") if each in found)


# --- the order of packets in a case ------------------------------------------------------------------------


@pytest.mark.parametrize("name", verdicts(HISTORIES))
def test_a_type_comes_after_a_history_as_written(name: str) -> None:
    verdict = verdicts(HISTORIES)[name]
    assert set(verdict) <= {"history", "next", "policy", "findings", "names", "why"}
    assert verdict["why"]
    policy = SequencePolicy(verdict["policy"])
    findings = check_sequence(verdict["next"], verdict["history"], load_catalogue(), policy)
    assert sorted(map(told, findings)) == sorted(verdict["findings"]), verdict["why"]
    for code in verdict.get("names", ()):
        assert f"（{code}）" in findings[0].expected


def test_the_policies_agree_on_what_they_look_at() -> None:
    """``warn`` says what ``enforce`` says, less severely or alike; ``off`` says nothing."""
    for verdict in verdicts(HISTORIES).values():
        said = {
            policy: check_sequence(verdict["next"], verdict["history"], load_catalogue(), policy)
            for policy in SequencePolicy
        }
        codes = {policy: [finding.code for finding in found] for policy, found in said.items()}
        assert codes[SequencePolicy.WARN] == codes[SequencePolicy.ENFORCE]
        assert codes[SequencePolicy.OFF] == []
