"""A bridge between two networks: three namespaces, and no route from the agencies' to the province's.

    agencies 10.87.1.0/24  ----  bridge  ----  10.87.2.0/24 province

Real daemons, a real sshd on the serving side of each network. The agencies dial the bridge over SFTP, the
bridge dials the province over SFTP (or shares a folder with it). While packets travel, the bridge is
killed again and again.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from cli.lab.build import build_lab
from cli.lab.layout import Layout
from cli.lab.plan import parse_plan
from cli.lab.sshd import find_sshd
from exchanged.clock import SystemClock, SystemRandomness
from exchanged.config import LinkTransport
from packet_spec.identity import sha256_hex

POLICE, PROCURATORATE, PROVINCE, BRIDGE = "620199-01-00", "620199-03-00", "620000-00-00", "bridge-north"
AGENCIES = (POLICE, PROCURATORATE)
NETWORKS = {"agencies": "10.87.1", "province": "10.87.2"}
PACKETS = 200
KILLS = 12
PATIENCE_SECONDS = 180.0


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)


@pytest.fixture
def networks() -> Iterator[None]:
    """Namespaces x-agencies, x-province and, with a foot in both, x-bridge. Nothing is forwarded."""
    names = ("x-agencies", "x-bridge", "x-province")
    with ExitStack() as undo:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
            run("ip", "netns", "add", name)
            undo.callback(run, "ip", "netns", "delete", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        for side, network in NETWORKS.items():
            run("ip", "link", "add", f"v-{side[:5]}-b", "type", "veth", "peer", "name", f"v-{side[:5]}-s")
            for end, name, host in (("b", "x-bridge", 2), ("s", f"x-{side}", 1)):
                device = f"v-{side[:5]}-{end}"
                run("ip", "link", "set", device, "netns", name)
                run("ip", "-n", name, "addr", "add", f"{network}.{host}/24", "dev", device)
                run("ip", "-n", name, "link", "set", device, "up")
        yield


class World:
    """The nodes of one lab, each in its namespace."""

    def __init__(self, root: Path, transport: str) -> None:
        self.layout = Layout(root)
        plan = parse_plan(
            {
                "agency": [{"code": code, "via": BRIDGE} for code in AGENCIES],
                "bridge": [{"name": "north"}],
                "link": [{"between": [BRIDGE, "province"], "transport": transport}],
            }
        )
        build_lab(self.layout, plan, LinkTransport.SFTP, SystemClock(), SystemRandomness())
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.where = {PROVINCE: "x-province", BRIDGE: "x-bridge"} | dict.fromkeys(AGENCIES, "x-agencies")
        self._address(AGENCIES, f"{NETWORKS['agencies']}.2")
        if transport == "sftp":
            self._address((BRIDGE,), f"{NETWORKS['province']}.1")

    def _address(self, codes: tuple[str, ...], host: str) -> None:
        """Where these dial to, instead of the lab's one loopback address."""
        for code in codes:
            path = self.layout.config(code)
            text = path.read_text("utf-8")
            path.write_text(text.replace('host = "127.0.0.1"', f'host = "{host}"'), encoding="utf-8")

    def start_sshd(self, name: str, host: str) -> None:
        text = (self.layout.sshd / "sshd_config").read_text("utf-8")
        config = self.layout.sshd / f"sshd_config-{name}"
        config.write_text(text.replace("127.0.0.1:", f"{host}:"), encoding="utf-8")
        Path("/run/sshd").mkdir(exist_ok=True)
        self._start(f"sshd-{name}", name, [find_sshd(), "-D", "-e", "-f", str(config)])

    def start(self, code: str) -> None:
        daemon = [sys.executable, "-m", "cli.daemon", "--config", str(self.layout.config(code))]
        self._start(code, self.where[code], daemon)

    def _start(self, what: str, namespace: str, command: list[str]) -> None:
        log = self.layout.root / f"{what}.log"
        with log.open("ab") as output:
            words = ["ip", "netns", "exec", namespace, *command]
            self.processes[what] = subprocess.Popen(
                words, stdout=output, stderr=output, start_new_session=True
            )

    def kill(self, what: str) -> None:
        process = self.processes.pop(what)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for what in list(self.processes):
            self.kill(what)

    def inbox(self, code: str) -> list[Path]:
        inbox = self.layout.agency(code) / "inbox"
        return [folder for kind in inbox.iterdir() if kind.is_dir() for folder in kind.iterdir()]

    def states(self, code: str) -> list[str]:
        files = (self.layout.agency(code) / "status").glob("*.status.json")
        return [json.loads(file.read_text("utf-8"))["state"] for file in files]


@pytest.fixture
def world(networks: None, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(tmp_path / "lab", request.param)
    try:
        made.start_sshd("x-bridge", f"{NETWORKS['agencies']}.2")
        if request.param == "sftp":
            made.start_sshd("x-province", f"{NETWORKS['province']}.1")
        for code in (PROVINCE, BRIDGE, *AGENCIES):
            made.start(code)
        yield made
    finally:
        made.stop()


def drop(world: World, number: int, sender: str, receiver: str) -> None:
    """Every fiftieth packet has a large part, which travels as a blob."""
    has_video = number % 50 == 1
    request = DropRequest(
        "prosecution.transfer" if has_video else "case.report",
        sender,
        receiver,
        SystemClock().now(),
        seed=number,
        name=f"案件-{number:03d}",
        extra_documents=("EVD-024",) if has_video else (),
        video_bytes=1_500_000,
    )
    write_drop(make_drop(request), world.layout.agency(sender) / "outbox")


def wait_for(world: World, codes: tuple[str, ...], count: int, seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if all(world.states(code).count("delivered") == count for code in codes):
            return
        time.sleep(0.2)
    found = {code: Counter(world.states(code)) for code in codes}
    logs = "\n".join(file.read_text("utf-8", "replace")[-1500:] for file in world.layout.root.glob("*.log"))
    raise AssertionError(f"not all were delivered: {found}\n{logs}")


def reaches(namespace: str, address: str) -> bool:
    words = ["ip", "netns", "exec", namespace, "ip", "route", "get", address]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("world", ["sftp"], indirect=True)
def test_c14_a_bridge_killed_at_random_loses_and_doubles_nothing(world: World) -> None:
    assert reaches("x-agencies", f"{NETWORKS['agencies']}.2")
    assert not reaches("x-agencies", f"{NETWORKS['province']}.1")
    assert not reaches("x-province", f"{NETWORKS['agencies']}.1")
    chance = random.Random(20261128)  # noqa: S311 - the same kills at every run
    kills_at = sorted(chance.sample(range(10, PACKETS), KILLS))
    for number in range(PACKETS):
        drop(world, number, POLICE, PROCURATORATE)
        if number in kills_at:
            time.sleep(chance.uniform(0.05, 0.6))
            world.kill(BRIDGE)
            time.sleep(chance.uniform(0.0, 0.3))
            world.start(BRIDGE)
    wait_for(world, (POLICE,), PACKETS)
    world.stop()
    folders = world.inbox(PROCURATORATE)
    assert len(folders) == PACKETS
    dropped = {
        sha256_hex((original / "packet.xml").read_bytes())
        for original in (world.layout.agency(POLICE) / "sent").iterdir()
    }
    arrived = [sha256_hex((folder / "packet.xml").read_bytes()) for folder in folders]
    assert len(dropped) == PACKETS
    assert sorted(arrived) == sorted(dropped)
    for kind in ("accepted", "delivered"):
        receipts = (world.layout.agency(POLICE) / "receipts").glob(f"*/{kind}-*.xml")
        assert len(list(receipts)) == PACKETS


@pytest.mark.parametrize("world", ["folder"], indirect=True)
def test_a_bridge_dials_one_side_and_shares_a_folder_with_the_other(world: World) -> None:
    for number in range(3):
        drop(world, number, POLICE, PROCURATORATE)
    wait_for(world, (POLICE,), 3, 60.0)
    assert len(world.inbox(PROCURATORATE)) == 3
