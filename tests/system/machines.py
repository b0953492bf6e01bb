"""Whole machines for tests: a clean Debian tree, booted with its own systemd in namespaces of its own.

The tree is unpacked once by debootstrap and kept below /var/tmp; a machine is a layer above it with its own
processes, mounts, network and host name, so that nothing that happens in it reaches this machine or another.
``run`` executes a shell command as root inside, as an administrator at its console would.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SUITE: Final = "bookworm"
PACKAGES: Final = (
    "systemd", "systemd-sysv", "dbus", "python3", "python3-venv", "openssh-server", "iproute2", "procps",
)  # fmt: skip
TREES: Final = Path("/var/tmp/exchanged-tests")  # noqa: S108 - kept between runs on purpose
# In the names of namespaces and cables: two runs at once must not take each other's.
TAG: Final = f"x{os.getpid()}"
_BOOT_SECONDS: Final = 60.0
_LOGIN_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# The first process of the new namespaces: it makes what systemd expects to find, then becomes systemd.
_BOOT: Final = r"""
set -e
cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do touch dev/$node; mount --bind /dev/$node dev/$node; done
mkdir -p dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    umount sys/fs/cgroup; mount -t cgroup2 cgroup2 sys/fs/cgroup
else
    mkdir sys/fs/cgroup/unified sys/fs/cgroup/systemd
    mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
    mount -t cgroup -o none,name=systemd,xattr cgroup sys/fs/cgroup/systemd
fi
hostname "$2"
mkdir -p .before
pivot_root . .before
umount -l /.before
# As systemd itself does outside of containers: what is mounted later reaches the services that run already.
mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=console
"""


def clean_tree() -> Path:
    """The unpacked Debian tree, made when it is not there yet: some minutes, once for a machine."""
    tree = TREES / f"{SUITE}-{len(PACKAGES)}"
    if not (tree / ".whole").exists():
        shutil.rmtree(tree, ignore_errors=True)
        tree.parent.mkdir(parents=True, exist_ok=True)
        words = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(tree)]
        done = subprocess.run(words, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        (tree / ".whole").touch()
    return tree


@dataclass
class Machine:
    """One machine. ``layer`` is where its own files lie; it goes with the test."""

    name: str
    layer: Path
    namespace: str = ""
    process: subprocess.Popen[bytes] | None = None
    leader: int = 0
    console: Path = field(init=False)

    def __post_init__(self) -> None:
        self.console = self.layer / "console.log"

    @property
    def root(self) -> Path:
        """Its file system, seen from outside."""
        return self.layer / "root"

    def boot(self, base: Path | str) -> None:
        """Boot and wait until systemd says that it runs. ``base``: a tree, or layers above one, A:B."""
        for name in ("upper", "work", "root"):
            (self.layer / name).mkdir(parents=True, exist_ok=True)
        (self.layer / "upper" / "etc").mkdir(exist_ok=True)
        (self.layer / "upper" / "etc" / "hostname").write_text(f"{self.name}\n", encoding="ascii")
        layers = f"lowerdir={base},upperdir={self.layer / 'upper'},workdir={self.layer / 'work'}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(self.root)], check=True)
        words = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child"]
        if self.namespace:
            words = ["ip", "netns", "exec", self.namespace, *words]
        else:
            words.append("--net")
        with self.console.open("wb") as log:
            self.process = subprocess.Popen(
                [*words, "sh", "-c", _BOOT, "sh", str(self.root), self.name],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + _BOOT_SECONDS
        self.leader, state = 0, ""
        while time.monotonic() < deadline:
            self.leader = self.leader or _first_below(self.process.pid)
            if self.leader:
                state = self.try_run("systemctl is-system-running").stdout.strip()
                if state in {"running", "degraded"}:
                    return
            time.sleep(0.3)
        said = self.console.read_text("utf-8", "replace")
        raise AssertionError(f"{self.name} did not boot: {state}\n{said}")

    def try_run(self, command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a shell command as root inside; its result, whatever it is."""
        environment = {"PATH": _LOGIN_PATH, "LC_ALL": "C.UTF-8", "HOME": "/root"}
        inside = ["nsenter", f"--target={self.leader}", "--all", "--"]
        words = [*inside, "sh", "-eu", "-c", f"cd /root\n{command}"]
        return subprocess.run(
            words, input=stdin, check=False, capture_output=True, text=True, env=environment, timeout=600
        )

    def run(self, command: str, stdin: str = "") -> str:
        """Run a shell command as root inside; what it printed. Fails with everything it said."""
        done = self.try_run(command, stdin)
        said = f"{self.name}$ {command}\n{done.stdout}{done.stderr}"
        assert done.returncode == 0, f"{said}\nexit code {done.returncode}"
        return done.stdout

    def power_off(self) -> None:
        """Gone at once, with everything in it."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        subprocess.run(["umount", "--lazy", str(self.root)], check=False, capture_output=True)


def _first_below(pid: int) -> int:
    """The first process inside: the child of unshare, which ``ip netns exec`` has become."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except FileNotFoundError:
        return 0
    return int(children[0]) if children else 0


def join_networks(center: str, ends: Iterable[str]) -> None:
    """Namespaces for machines: each of ``ends`` has a cable to ``center`` and to nobody else.

    The cable number N carries 10.88.N.0/24; the centre is .1, the end is .2.
    """
    names = [center, *ends]
    for name in names:
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
        _ip("netns", "add", name)
        _ip("-n", name, "link", "set", "lo", "up")
    for number, name in enumerate(names[1:], start=1):
        near, far = f"{TAG}c{number}", f"{TAG}e{number}"
        _ip("link", "add", near, "type", "veth", "peer", "name", far)
        for device, where, host in ((near, center, 1), (far, name, 2)):
            _ip("link", "set", device, "netns", where)
            _ip("-n", where, "addr", "add", f"10.88.{number}.{host}/24", "dev", device)
            _ip("-n", where, "link", "set", device, "up")


def remove_networks(names: Iterable[str]) -> None:
    """Take the namespaces away again."""
    for name in names:
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
