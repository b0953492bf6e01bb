"""A bridge set up as the last section of docs/install.md says, between networks that do not reach each other.

    police  ----  bridge  ----  province  ----  procuratorate

Four machines, three cables, nothing forwarded. What the page says of installing itself is another test's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.machines import Machine, remove_networks
from tests.system.solo import (
    AGENCIES,
    DIRECTORY,
    POLICE,
    PROCURATORATE,
    PROVINCE,
    arrives,
    drop,
    status,
    wait_for,
)

BRIDGE = "bridge-north"
CODES = {"province": PROVINCE, "bridge": BRIDGE, "police": POLICE, "procuratorate": PROCURATORATE}
# Who dials whom, and where the other end answers.
CABLES = (
    ("police", "bridge", "10.89.1"),
    ("bridge", "province", "10.89.2"),
    ("procuratorate", "province", "10.89.3"),
)


def network(name: str) -> str:
    """Of this run: another run beside it has its own."""
    return f"xb-{os.getpid()}-{name}"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def world(installed: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Machine]]:
    base = tmp_path_factory.mktemp("bridge")
    made = {name: Machine(name, base / name, network(name)) for name in CODES}
    try:
        for name in CODES:
            ip("netns", "add", network(name))
        for number, (end, center, net) in enumerate(CABLES):
            devices = f"xb{number}e", f"xb{number}c"
            ip("link", "add", devices[0], "netns", network(end), "type", "veth",
               "peer", "name", devices[1], "netns", network(center))  # fmt: skip
            for device, where, host in ((devices[0], end, 2), (devices[1], center, 1)):
                ip("-n", network(where), "addr", "add", f"{net}.{host}/24", "dev", device)
                ip("-n", network(where), "link", "set", device, "up")
        for machine in made.values():
            machine.layer.mkdir()
            machine.boot(installed)
        set_up(made)
        yield made
    finally:
        for machine in made.values():
            machine.power_off()
        remove_networks(network(name) for name in CODES)


def carry(world: dict[str, Machine], what: str, to: str) -> None:
    """``NODE:PATH`` to ``NODE:PATH``, by a person."""
    (giver, source), (taker, target) = what.split(":"), to.split(":")
    shutil.copy(world[giver].root / source, world[taker].root / target)


def set_up(world: dict[str, Machine]) -> None:
    """The page, with the two lines changed that its last section names."""
    roles = {"province": "provincial", "bridge": "bridge", "police": "frontend", "procuratorate": "frontend"}
    world["province"].run("exchangectl key generate /root/root.key")
    for name, machine in world.items():
        if name != "province":
            carry(world, "province:root/root.key.pub", f"{name}:root/root.key.pub")
        words = [f"--peer {CODES[center]}" for end, center, _ in CABLES if end == name]
        words += [f"--serve {CODES[end]}" for end, center, _ in CABLES if center == name]
        machine.run(
            f"exchangectl --config /etc/exchanged/{name}.toml node init --role {roles[name]} "
            f'--code {CODES[name]} {" ".join(words)} --root "$(cat /root/root.key.pub)"'
        )
    for name in ("province", "bridge"):
        world[name].run("systemctl enable --now exchanged-sshd")
    for end, center, net in CABLES:
        carry(world, f"{center}:etc/exchanged/sshd/host_key.pub", f"{end}:root/host_key.pub")
        world[end].run(
            "host_key=$(cut -d' ' -f1,2 /root/host_key.pub)\n"
            f'sed -i "s|^host = .*|host = \\"{net}.1\\"|; s|^host_key = .*|host_key = \\"$host_key\\"|" '
            f"/etc/exchanged/{end}.toml"
        )
        carry(world, f"{end}:var/lib/exchanged/{end}/keys/login.pub", f"{center}:root/{end}.pub")
        world[center].run(
            f"exchangectl --config /etc/exchanged/{center}.toml link jail {CODES[end]} --key /root/{end}.pub"
            f" > {end}-jail.sh; sh {end}-jail.sh"
        )
        if end != "province":
            carry(world, f"{end}:var/lib/exchanged/{end}/enrolment.toml", f"province:root/{end}.toml")
    province = world["province"]
    province.run("cat > directory.toml", stdin=DIRECTORY)
    province.run(
        "cp /var/lib/exchanged/province/enrolment.toml province.toml\n"
        "cat province.toml bridge.toml police.toml procuratorate.toml >> directory.toml\n"
        "exchangectl directory build directory.toml --output directory.xml\n"
        "exchangectl directory sign directory.xml --key root.key"
    )
    for name, machine in world.items():
        if name != "province":
            carry(world, "province:root/directory.xml", f"{name}:root/directory.xml")
        machine.run(f"exchangectl --config /etc/exchanged/{name}.toml directory install directory.xml")
        if name.startswith("p") and name != "province":
            machine.run(
                f"exchangectl --config /etc/exchanged/{name}.toml folder init\n"
                "useradd --create-home --groups exchanged-case clerk"
            )
        machine.run(f"exchangectl --config /etc/exchanged/{name}.toml config check || [ $? -eq 1 ]")
        machine.run(f"systemctl enable --now exchanged@{name}")


def test_a_packet_goes_over_the_bridge_and_its_receipts_come_back(world: dict[str, Machine]) -> None:
    police, procuratorate = world["police"], world["procuratorate"]
    assert police.try_run("ip route get 10.89.2.1").returncode != 0, "the networks do not reach each other"
    drop(police, "first")
    arrives(police, "first")
    assert procuratorate.run(f"ls {AGENCIES}/{PROCURATORATE}/inbox/case.report/*/packet.xml")
    assert len(police.run(f"ls {AGENCIES}/{POLICE}/receipts/*/*").split()) == 2
    for name, machine in world.items():
        machine.try_run(f"exchangectl --config /etc/exchanged/{name}.toml node status")
        assert machine.run(f"systemctl show -p NRestarts --value exchanged@{name}").strip() == "0"
    bridge = world["bridge"]
    keys = bridge.run("ls /var/lib/exchanged/bridge/keys").split()
    assert "seal.key" not in keys, "a bridge can sign for no agency"
    assert "receipt.key" not in keys


def test_c6_c14_a_bridge_that_loses_power_loses_and_doubles_nothing(
    world: dict[str, Machine], installed: str
) -> None:
    police, procuratorate, bridge = world["police"], world["procuratorate"], world["bridge"]
    for number in range(6):
        drop(police, f"cut-{number}", f"--seed {number + 10}")
        if number == 2:
            bridge.power_off()
    wait_for(lambda: status(police, "cut-5") != "", "the last drop to be taken")
    bridge.boot(installed)
    bridge.run("systemctl is-active exchanged@bridge exchanged-sshd")
    for number in range(6):
        arrives(police, f"cut-{number}")
    inbox = procuratorate.root / f"srv/exchanged/agencies/{PROCURATORATE}/inbox"
    assert len(list(Path(inbox).glob("*/*/packet.xml"))) == 7
    assert procuratorate.run("exchangectl --config /etc/exchanged/procuratorate.toml ledger verify")
    assert bridge.run("exchangectl --config /etc/exchanged/bridge.toml ledger verify")
