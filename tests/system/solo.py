"""One whole machine with a province and two agencies on it, set up as docs/install.md says.

Everything is the real thing (units, accounts, jails, the sshd of the exchange), only cables are missing: the
agencies dial 127.0.0.1. For tests that ask what one machine does; three machines have files of their own.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.system.machines import TREES, Machine, clean_tree

ROOT: Final = Path(__file__).resolve().parents[2]
PROVINCE, POLICE, PROCURATORATE = "620000-00-00", "620199-01-00", "620199-03-00"
NODES: Final = {"police": POLICE, "procuratorate": PROCURATORATE}
PATIENCE_SECONDS: Final = 60.0
AGENCIES: Final = Path("/srv/exchanged/agencies")

INSTALL: Final = """
tar -xzf exchanged-kit.tar.gz
python3 -m venv /opt/exchanged
/opt/exchanged/bin/pip install --quiet --no-index --find-links kit/wheels exchanged
ln -s /opt/exchanged/bin/exchanged /opt/exchanged/bin/exchangectl /usr/local/bin/
sh kit/systemd/install.sh
systemctl disable --now ssh.service 2>/dev/null
"""
DIRECTORY: Final = """[directory]
version = 1
valid_days = 365
threshold = 1
roots = ["root.key.pub"]

[[agency]]
code = "620199-01-00"
kind = "police"
level = "county"
node = "620199-01-00"
admitting_node = "620000-00-00"
name_zh = "虚构县公安局"
name_en = "Fictional County Public Security Bureau"

[[agency]]
code = "620199-03-00"
kind = "procuratorate"
level = "county"
node = "620199-03-00"
admitting_node = "620000-00-00"
name_zh = "虚构县人民检察院"
name_en = "Fictional County People's Procuratorate"

"""
_PROVINCE: Final = f"""
exchangectl key generate /root/root.key
exchangectl --config /etc/exchanged/province.toml node init --role provincial --code {PROVINCE} \\
    --serve {POLICE} --serve {PROCURATORATE} --root "$(cat /root/root.key.pub)"
systemctl start exchanged-sshd
"""
_AGENCY: Final = f"""
exchangectl --config /etc/exchanged/NAME.toml node init --role frontend --code CODE \\
    --peer {PROVINCE} --root "$(cat /root/root.key.pub)"
host_key=$(cut -d' ' -f1,2 /etc/exchanged/sshd/host_key.pub)
sed -i "s|^host = .*|host = \\"127.0.0.1\\"|; s|^host_key = .*|host_key = \\"$host_key\\"|" \\
    /etc/exchanged/NAME.toml
exchangectl --config /etc/exchanged/province.toml link jail CODE \\
    --key /var/lib/exchanged/NAME/keys/login.pub > NAME-jail.sh
sh NAME-jail.sh
"""
_DIRECTORY: Final = """
useradd --create-home --groups exchanged-case clerk
useradd --create-home --groups exchanged-ops olivia
cat /var/lib/exchanged/*/enrolment.toml >> directory.toml
exchangectl directory build directory.toml --output directory.xml
exchangectl directory sign directory.xml --key root.key
for name in province police procuratorate; do
    exchangectl --config /etc/exchanged/$name.toml directory install directory.xml
done
for name in police procuratorate; do exchangectl --config /etc/exchanged/$name.toml folder init; done
systemctl enable --now exchanged-sshd exchanged@province exchanged@police exchanged@procuratorate
"""


def make_kit(source: Path, target: Path) -> Path:
    """The archive that docs/install.md carries to every machine, of the source as it stands here."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name, follow_symlinks=False)
    # What others wrote is fetched once for a machine, like the tree itself.
    others = TREES / f"wheels-{hashlib.sha256((ROOT / 'setup.cfg').read_bytes()).hexdigest()[:16]}"
    if not others.exists():
        _sh('python3 -m pip wheel --quiet --wheel-dir "$1.new" .', source, others)
        _sh('rm "$1.new"/exchanged-*.whl && mv "$1.new" "$1"', source, others)
    _sh('mkdir kit && cp -r "$1" kit/wheels && cp -r systemd docs kit/', source, others)
    _sh("python3 -m pip wheel --quiet --no-deps --wheel-dir kit/wheels .", source)
    subprocess.run(["tar", "-czf", str(target), "-C", str(source), "kit"], check=True)
    return target


def _sh(command: str, folder: Path, *words: Path) -> None:
    subprocess.run(["sh", "-euc", command, "sh", *map(str, words)], cwd=folder, check=True)


def installed_layer(base: Path) -> str:
    """Layers for ``Machine.boot``: a clean system on which the software was installed, and nothing else."""
    kit = make_kit(base / "source", base / "kit.tar.gz")
    shutil.rmtree(base / "source")
    machine = Machine("installed", base)
    tree = clean_tree()
    try:
        machine.boot(tree)
        shutil.copy(kit, machine.root / "root/exchanged-kit.tar.gz")
        machine.run(INSTALL)
    finally:
        machine.power_off()
    return f"{base / 'upper'}:{tree}"


def set_up(machine: Machine) -> None:
    """From a booted system with the software to three nodes at work."""
    machine.run(_PROVINCE)
    for name, code in NODES.items():
        machine.run(_AGENCY.replace("NAME", name).replace("CODE", code))
    machine.run("cat > directory.toml", stdin=DIRECTORY)
    machine.run(_DIRECTORY)


def ctl(machine: Machine, node: str, words: str) -> dict[str, Any]:
    """What exchangectl answers, as JSON, whatever its exit code."""
    done = machine.try_run(f"exchangectl --config /etc/exchanged/{node}.toml {words} --json")
    assert done.stdout.startswith("{"), (words, done.stdout, done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def drop(machine: Machine, name: str, words: str = "", kind: str = "case.report") -> None:
    """A fictional packet from police to procuratorate, dropped by case software (user ``clerk``)."""
    machine.run(
        f"exchangectl packet new --type {kind} --from {POLICE} --to {PROCURATORATE} --name {name} "
        f"--out /root {words}\n"
        f"chown -R clerk:exchanged-case {name}; chmod -R ug=rwX,o= {name}\n"
        f"mv {name} {AGENCIES}/{POLICE}/outbox/"
    )


def status(machine: Machine, name: str) -> str:
    """The state that the status file of a drop of the police tells; empty before there is one."""
    path = machine.root / f"srv/exchanged/agencies/{POLICE}/status/{name}.status.json"
    try:
        return str(json.loads(path.read_text("utf-8"))["state"])
    except FileNotFoundError:
        return ""


def wait_for(what: Callable[[], Any], why: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """Poll the machine from outside until ``what`` is true."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} seconds in vain for {why}"
        time.sleep(0.2)
    return found


def arrives(machine: Machine, name: str) -> None:
    """Wait until the sender's status says that its packet is in the receiver's inbox."""
    wait_for(lambda: status(machine, name) == "delivered", f"{name} to be delivered")
