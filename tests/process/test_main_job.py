"""The main job with real daemons, over a real sshd and over folders: what a user would see."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.lab.lab import Lab, create_lab
from cli.lab.plan import default_plan
from cli.main import exchangectl, main
from exchanged.config import load_config

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]
POLICE, PROCURATORATE, PROVINCE = "620199-01-00", "620199-03-00", "620000-00-00"
PATIENCE_SECONDS = 60.0


def ctl(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run exchangectl as a user would."""
    command = [sys.executable, "-m", "cli", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=cwd)


def wait_for(what: Callable[[], Any], why: str) -> Any:
    """Poll the world outside until ``what`` is true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    pytest.fail(f"waited {PATIENCE_SECONDS} seconds in vain for {why}")


def status(lab: Lab, name: str, agency: str = POLICE) -> dict[str, Any]:
    """The status of a drop, empty before there is one."""
    path = lab.agency_root(agency) / "status" / f"{name}.status.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return found


def reaches(lab: Lab, name: str, state: str, agency: str = POLICE) -> dict[str, Any]:
    """The status once it says ``state``."""
    wait_for(lambda: status(lab, name, agency).get("state") == state, f"{name} to be {state}")
    return status(lab, name, agency)


def living(mark: Path) -> list[str]:
    """Processes on this machine whose command line names ``mark``."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(mark).encode() in line:
            found.append(line.decode("utf-8", "replace"))
    return found


@pytest.fixture(scope="module", params=["sftp", pytest.param("folder", marks=pytest.mark.slow)])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three agencies and the province, running."""
    folder = tmp_path_factory.mktemp("job") / "lab"
    made = create_lab(folder, default_plan(3), request.param)
    try:
        made.start()
        yield made
    finally:
        made.stop()
    assert living(folder) == []


@pytest.mark.parametrize(("drop_format", "encoding"), [("folder", "utf-8"), ("zip", "gbk")])
def test_a_packet_of_packet_new_lies_whole_in_the_inbox(lab: Lab, drop_format: str, encoding: str) -> None:
    name = f"移送-{drop_format}"
    made = ctl(
        "packet", "new", "--type", "prosecution.transfer", "--name", name, "--format", drop_format,
        "--encoding", encoding, "--seed", str(len(name)), "--out", lab.agency_root(POLICE) / "outbox",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    told = reaches(lab, f"{name}.zip" if drop_format == "zip" else name, "delivered")
    folder = lab.agency_root(PROCURATORATE) / "inbox" / "prosecution.transfer"
    folder /= f"{POLICE}_{told['packetId']}"
    names = {path.name for path in folder.iterdir()}
    assert {"packet.xml", "delivery.xml", "seal.xml", "seal.sig", "accepted.xml"} <= names
    assert ("packet.utf8.xml" in names) is (encoding == "gbk")
    receipts = sorted((lab.agency_root(POLICE) / "receipts" / str(told["packetId"])).iterdir())
    assert [path.name.split("-")[0] for path in receipts] == ["accepted", "delivered"]
    proved = ctl("--config", lab.node_config(POLICE), "receipt", "verify", "--packet", folder, *receipts)
    assert proved.returncode == 0, proved.stdout + proved.stderr
    forged = folder.parent.parent.parent / "notices" / "forged.xml"
    forged.write_bytes(receipts[1].read_bytes().replace(b"delivered", b"collected", 1))
    refused = ctl("--config", lab.node_config(POLICE), "receipt", "verify", forged)
    assert refused.returncode == 5, refused.stdout


def test_a_lone_xml_answers_a_packet(lab: Lab) -> None:
    ctl("packet", "new", "--type", "prosecution.transfer", "--name", "先", "--seed", "41",
        "--out", lab.agency_root(POLICE) / "outbox")  # fmt: skip
    told = reaches(lab, "先", "delivered")
    answer = ctl(
        "packet", "new", "--type", "common.accept", "--name", "受理", "--format", "xml", "--omit", "PRO-001",
        "--seed", "41", "--from", PROCURATORATE, "--to", POLICE,
        "--in-reply-to", f"{POLICE}/{told['packetId']}", "--out", lab.agency_root(PROCURATORATE) / "outbox",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    reaches(lab, "受理.xml", "delivered", PROCURATORATE)


def test_a_refused_drop_harms_no_other(lab: Lab) -> None:
    outbox = lab.agency_root(POLICE) / "outbox"
    ctl("packet", "new", "--type", "case.report", "--name", "缺件", "--omit", "POL-002", "--seed", "51",
        "--out", outbox)  # fmt: skip
    (outbox / "坏.xml").write_bytes(b"<packet>" + "不完整".encode("gbk"))
    os.mkfifo(outbox / "pipe.xml")
    (outbox / "链接").symlink_to("/etc")
    ctl("packet", "new", "--type", "case.report", "--name", "好件", "--seed", "52", "--out", outbox)
    told = reaches(lab, "缺件", "refused")
    assert [finding["code"] for finding in told["finding"]] == ["document-missing"]
    assert told["finding"][0]["zh"]
    reaches(lab, "好件", "delivered")
    reaches(lab, "坏.xml", "refused")
    (outbox / "pipe.xml").unlink()
    (outbox / "链接").unlink()


@pytest.mark.slow
def test_trace_answers_from_the_askers_own_ledger_alone(lab: Lab) -> None:
    """With every other node's folder out of reach."""
    ctl("packet", "new", "--type", "prosecution.transfer", "--name", "追踪", "--seed", "61",
        "--out", lab.agency_root(POLICE) / "outbox")  # fmt: skip
    told = reaches(lab, "追踪", "delivered")
    others = [code for code in lab.nodes if code != POLICE]
    for code in others:
        lab.stop_node(code)
    hidden = [
        (lab.node_config(code).parent, lab.node_config(code).parent.with_suffix(".away")) for code in others
    ]
    for place, away in hidden:
        place.rename(away)
    try:
        answer = ctl("--config", lab.node_config(POLICE), "packet", "trace", str(told["packetId"]))
        assert answer.returncode == 0, answer.stderr
        for word in ("sealed", f"handed over to {PROVINCE}", "accepted", f"handed over to {PROCURATORATE}",
                     "delivered", f"in the inbox of {PROCURATORATE}"):  # fmt: skip
            assert word in answer.stdout
    finally:
        for place, away in hidden:
            away.rename(place)
        lab.start()


@pytest.mark.slow
def test_packets_in_flight_survive_reloads_of_every_node(lab: Lab, tmp_path: Path) -> None:
    """SIGHUP, also two at once, to each node in turn while packets pass: none is lost, none comes twice."""
    nodes = (PROVINCE, POLICE, PROCURATORATE)
    pids = {code: lab.pid(code) for code in nodes}
    reloads = {code: lab.log(code).read_text("utf-8").count("event=reloaded") for code in nodes}
    names = [f"重载{number}" for number in range(3)]
    for number, name in enumerate(names):
        made = CliRunner().invoke(exchangectl, [
            "packet", "new", "--type", "prosecution.transfer", "--name", name, "--seed", str(80 + number),
            "--video-mib", "0", "--out", str(tmp_path),
        ])  # fmt: skip
        assert made.exit_code == 0, made.output
    for number, name in enumerate(names):
        (tmp_path / name).rename(lab.agency_root(POLICE) / "outbox" / name)
        code = nodes[number % len(nodes)]
        for _ in range(number % 2 + 1):
            os.kill(pids[code] or 0, signal.SIGHUP)
        reloads[code] += 1
        log = lab.log(code)
        wait_for(
            lambda: log.read_text("utf-8").count("event=reloaded") >= reloads[code],  # noqa: B023
            f"a reload of {code}",
        )
    ids = [reaches(lab, name, "delivered")["packetId"] for name in names]
    inbox = lab.agency_root(PROCURATORATE) / "inbox" / "prosecution.transfer"
    # Nothing more came than what the police know to have sent.
    known = {status(lab, path.name.removesuffix(".status.json")).get("packetId")
             for path in (lab.agency_root(POLICE) / "status").glob("*.status.json")}  # fmt: skip
    assert {path.name.partition("_")[2] for path in inbox.glob(f"{POLICE}_*")} <= known
    for packet_id in ids:
        assert (inbox / f"{POLICE}_{packet_id}" / "delivery.xml").exists()
        receipts = sorted(path.name for path in (lab.agency_root(POLICE) / "receipts" / packet_id).iterdir())
        assert [name.split("-")[0] for name in receipts] == ["accepted", "delivered"]
    assert len(set(ids)) == len(names)
    assert {code: lab.pid(code) for code in nodes} == pids


def test_an_operator_acts_through_the_running_daemon(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """The node goes on meanwhile, and its socket is gone with it."""
    config = load_config(lab.node_config(PROCURATORATE))
    node = ["--config", str(lab.node_config(PROCURATORATE))]
    for verb in ("pause", "resume"):
        code = main([*node, "link", verb, config.links[0].name, "--reason", "a fictional reason"])
        assert code == 0, capsys.readouterr().err
    assert stat.S_ISSOCK(config.control.socket.lstat().st_mode)
    lab.stop_node(PROCURATORATE)
    assert not config.control.socket.exists()
    lab.start_node(PROCURATORATE)


def test_a_second_daemon_on_the_same_folder_ends_with_7(lab: Lab) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "cli.daemon", "--config", str(lab.node_config(POLICE))],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=30,
    )  # fmt: skip
    assert second.returncode == 7
    assert "another daemon" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.slow
def test_sigterm_stops_cleanly_within_ten_seconds_and_sigkill_loses_nothing(lab: Lab) -> None:
    outbox = lab.agency_root(POLICE) / "outbox"
    for number in range(5):
        ctl("packet", "new", "--type", "prosecution.transfer", "--name", f"停{number}",
            "--seed", str(70 + number), "--out", outbox)  # fmt: skip
    lab.kill_node(PROVINCE)
    pid = lab.pid(POLICE)
    assert pid is not None
    started = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: lab.pid(POLICE) is None, "the daemon to stop")
    assert time.monotonic() - started < 10
    log = lab.log(POLICE).read_text("utf-8")
    assert "event=stopped clean=true" in log
    lab.start()
    for number in range(5):
        reaches(lab, f"停{number}", "delivered")
    inbox = lab.agency_root(PROCURATORATE) / "inbox" / "prosecution.transfer"
    ids = [status(lab, f"停{number}")["packetId"] for number in range(5)]
    assert all((inbox / f"{POLICE}_{packet_id}" / "delivery.xml").exists() for packet_id in ids)
    verified = ctl("--config", lab.node_config(PROVINCE), "ledger", "verify")
    assert verified.returncode == 0, verified.stdout


@pytest.mark.slow
@pytest.mark.parametrize("link", ["sftp", "folder"])
def test_twenty_agencies(tmp_path: Path, link: str) -> None:
    """A lab of twenty front-ends works, and stopping it leaves no process."""
    folder = tmp_path / "lab"
    lab = create_lab(folder, default_plan(20), link)
    try:
        lab.start()
        assert {state.state for state in lab.status()} == {"running"}
        made = ctl("packet", "new", "--type", "case.report", "--from", "620125-01-00", "--to", "620125-03-00",
                   "--name", "报备", "--out", lab.agency_root("620125-01-00") / "outbox")  # fmt: skip
        assert made.returncode == 0, made.stderr
        reaches(lab, "报备", "delivered", "620125-01-00")
    finally:
        lab.stop()
    assert living(folder) == []


def readme_commands() -> list[str]:
    """The lines of the tour in README.md."""
    text = (ROOT / "README.md").read_text("utf-8")
    (block,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line for line in block.splitlines() if line.strip()]


@pytest.mark.slow
def test_the_tour_of_the_readme_works_as_written(tmp_path: Path) -> None:
    for line in readme_commands():
        words = shlex.split(line)
        assert words[0] == "exchangectl"
        if words[1:3] == ["lab", "stop"]:
            lab = Lab.open(tmp_path / "my-lab")
            reaches(lab, "first", "delivered")
            inbox = lab.agency_root(PROCURATORATE) / "inbox" / "prosecution.transfer"
            assert len(list(inbox.iterdir())) == 1
            assert (lab.agency_root(POLICE) / "sent" / "first").is_dir()
        done = ctl(*words[1:], cwd=tmp_path)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert living(tmp_path) == []
    shutil.rmtree(tmp_path / "my-lab")


def test_both_readmes_show_the_same_commands() -> None:
    chinese = (ROOT / "README.zh-CN.md").read_text("utf-8")
    assert all(line in chinese for line in readme_commands())
    assert chinese.count("\n## ") == (ROOT / "README.md").read_text("utf-8").count("\n## ")
