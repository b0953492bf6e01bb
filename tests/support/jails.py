"""Real accounts in real jails behind a real sshd, for tests as root (``./run system``).

Everything stands on a memory volume at /srv of the private mount namespace, the accounts in its private
/etc; sshd runs in a process namespace, so that whatever it started ends with it.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import paramiko

from cli.jail.plan import PROCESSES, JailPlan, plan_jail
from cli.jail.script import making_script, removing_script
from exchanged.clock import SystemRandomness
from exchanged.config import Config, LinkConfig, load_config
from exchanged.durable import DurableFiles, Volume
from exchanged.folder_transport import FolderTransport
from exchanged.jail import Jail, jail_of
from exchanged.keys import generate_key, generate_ssh_key
from exchanged.public_keys import public_key_text
from packet_spec.directory import encode_directory, sign_directory
from packet_spec.model import Directory, DirectoryAgency, DirectoryNode, NodeRole, RootKey
from packet_spec.signing import PrivateKey

HOST = "127.0.0.1"
SRV = Path("/srv")
SERVICE = "xt-service"
KEYS_USER = "exchanged-keys"
CODES = {"a": "620199-01-00", "b": "620199-02-00"}
_NODE = """
[node]
code = "620000-00-00"
role = "provincial"
data_dir = "{data}"
door = "{door}"
[keys]
roots = ["{root}"]
"""
_LINK = """
[[link]]
name = "{name}"
peer = "{peer}"
transport = "folder"
side = "serve"
mailbox = "{mailbox}"
account = "{account}"
"""


def mount_memory_at_srv() -> None:
    """A volume that vanishes with the namespace, below folders of root only; again is fine."""
    if not os.path.ismount(SRV):
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(SRV))


def open_the_way_to_python() -> None:
    """Let every user reach this interpreter and checkout, in this mount namespace only.

    Some machines keep their Python in root's closed home. An empty open folder is laid over a closed one,
    with nothing in it but what is needed.
    """
    here = Path(__file__).resolve().parents[2]
    needed = {Path(sys.executable).resolve(), Path(os.__file__).resolve(), Path(sys.prefix), here}
    closed: dict[Path, set[str]] = {}
    for path in needed:
        for parent in reversed(path.parents):
            if not parent.stat().st_mode & stat.S_IXOTH:
                closed.setdefault(parent, set()).add(path.relative_to(parent).parts[0])
                break
    for parent, names in closed.items():
        for name in names:
            keep = SRV / f".way-{name}"
            keep.mkdir()
            run("mount", "--rbind", str(parent / name), str(keep))
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(parent))
        for name in names:
            (parent / name).mkdir()
            run("mount", "--rbind", str(SRV / f".way-{name}"), str(parent / name))


def run(*command: str, **options: object) -> subprocess.CompletedProcess[str]:
    """A command that must succeed; what it said is in the assertion."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done


def run_script(script: str) -> str:
    """A printed script, by the strictest shell at hand."""
    return run("dash" if shutil.which("dash") else "sh", "-c", script, cwd="/").stdout


def as_account(account: str, *command: str) -> subprocess.CompletedProcess[str]:
    """A local program of that account, as if it had broken out of SFTP but not out of its rights."""
    drop = ("setpriv", f"--reuid={account}", f"--regid={account}", "--clear-groups")
    return subprocess.run([*drop, *command], capture_output=True, text=True, check=False, cwd="/")


def processes_of(account: str) -> list[int]:
    """Every process that runs as that account."""
    number = str(pwd.getpwnam(account).pw_uid)
    found = []
    for child in Path("/proc").iterdir():
        if child.name.isdigit():
            try:
                lines = (child / "status").read_text().splitlines()
            except OSError:
                continue
            fields = dict(line.split(":", 1) for line in lines if ":" in line)
            if fields["Uid"].split()[0] == number and not fields["State"].strip().startswith("Z"):
                found.append(int(child.name))
    return found


def snapshot(*roots: Path, without: Path | None = None) -> dict[str, tuple[object, ...]]:
    """Owner, mode, size and content of everything below: to show that nothing changed."""
    found: dict[str, tuple[object, ...]] = {}
    for root in roots:
        for path in (root, *sorted(root.rglob("*"))):
            if without is not None and without in path.parents:
                continue
            seen = path.lstat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(seen.st_mode) else ""
            found[str(path)] = (seen.st_uid, seen.st_gid, seen.st_mode, seen.st_ino, content)
    return found


class Ground:
    """A served node with two agencies ``a`` and ``b``, each with an account, a jail and a key."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sshd = root / "sshd"
        self.data = root / "data"
        self.jails = root / "jails"
        self.port = 0
        self._server: subprocess.Popen[bytes] | None = None

    def account(self, name: str) -> str:
        return f"xt-{CODES[name]}"

    def jail(self, name: str) -> Path:
        return self.jails / CODES[name]

    def key(self, name: str) -> Path:
        return self.root / "keys" / name

    @property
    def config_path(self) -> Path:
        return self.root / "node.toml"

    @property
    def config(self) -> Config:
        return load_config(self.config_path)

    def link(self, name: str) -> LinkConfig:
        return next(link for link in self.config.links if link.name == CODES[name])

    def plan(self, name: str) -> JailPlan:
        keys = (self.key(name).with_suffix(".pub"),)
        return plan_jail(
            self.config,
            CODES[name],
            config_path=self.config_path,
            keys=keys,
            sshd=self.sshd,
            quota_gib=1,
            keys_user=KEYS_USER,
        )

    def checker(self, name: str) -> Jail:
        found = jail_of(self.link(name), self.data)
        assert found is not None
        return found

    def transport(self, name: str) -> FolderTransport:
        """What the serving node reads this mailbox with."""
        durable = DurableFiles(Volume.OWN)
        return FolderTransport(self.jail(name), outgoing="down", durable=durable, jail=self.checker(name))

    def build(self) -> None:
        """Service user, configuration, keys and sshd's own files; jails come from the printed script."""
        shutil.rmtree(self.root, ignore_errors=True)
        for folder in (self.root, self.jails, self.sshd, self.root / "keys"):
            folder.mkdir(mode=0o755)
        run("useradd", "--system", "--user-group", "--no-create-home", SERVICE)
        if not _exists(KEYS_USER):
            run("useradd", "--system", "--user-group", "--no-create-home", KEYS_USER)
        self.data.mkdir(mode=0o750)
        (self.data / "ledger").write_text("a secret of the node")
        run("chown", "-R", f"{SERVICE}:", str(self.data))
        root = generate_key(self.root / "keys" / "root.key", SystemRandomness())
        door = self.root / "doors" / "province"
        door.mkdir(parents=True, mode=0o755)
        (door / "directory-1.xml").write_bytes(_directory(root))
        text = _NODE.format(door=door, data=self.data, root=public_key_text(root.public_key))
        for name, code in CODES.items():
            text += _LINK.format(name=code, peer=code, mailbox=self.jail(name), account=self.account(name))
            generate_ssh_key(self.key(name), SystemRandomness(), code)
        self.config_path.write_text(text)
        host = generate_ssh_key(self.sshd / "host_key", SystemRandomness(), "ground")
        self.sshd.chmod(0o755)
        self.port = _free_port()
        (self.root / "known_hosts").write_text(f"[{HOST}]:{self.port} {host}\n")
        (self.sshd / "sshd_config").write_text(
            f"ListenAddress 0.0.0.0:{self.port}\nHostKey {self.sshd}/host_key\nAuthorizedKeysFile none\n"
            "PidFile none\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "MaxStartups 1000\nSubsystem sftp internal-sftp\n"
            f"Include {self.sshd}/accounts.d/*.conf\n"
        )

    def make(self, name: str) -> str:
        """Run the printed script; what it said."""
        return run_script(making_script(self.plan(name)))

    def remove(self, name: str) -> str:
        return run_script(removing_script(self.plan(name)))

    def start(self, processes: int = PROCESSES) -> None:
        """Start sshd as exchanged-sshd.service does: with a limit of processes for each account."""
        Path("/run/sshd").mkdir(exist_ok=True)
        limit = f"--nproc={processes}:{processes}"
        command = ["unshare", "--pid", "--fork", "--kill-child", "prlimit", limit]
        with (self.root / "sshd.log").open("ab") as log:
            self._server = subprocess.Popen(
                [*command, "/usr/sbin/sshd", "-D", "-e", "-f", str(self.sshd / "sshd_config")],
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex((HOST, self.port)) == 0:
                    return
            if self._server.poll() is not None:
                break
            _pause(0.05)
        raise AssertionError((self.root / "sshd.log").read_text())

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.send_signal(signal.SIGKILL)
            server.wait(20)

    def clear(self) -> None:
        """No process, no account, no file is left; also after a test that failed in between."""
        self.stop()
        for name in CODES:
            if _exists(self.account(name)):
                self.remove(name)
        if _exists(SERVICE):
            run("userdel", SERVICE)
        shutil.rmtree(self.root, ignore_errors=True)

    # clients

    def options(self, name: str) -> list[str]:
        known = self.root / "known_hosts"
        return [
            "-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
            "-o", "StrictHostKeyChecking=yes",
            "-o", f"UserKnownHostsFile={known}", "-o", "LogLevel=ERROR", "-i", str(self.key(name)),
        ]  # fmt: skip

    def sftp(self, name: str, batch: str) -> subprocess.CompletedProcess[str]:
        """OpenSSH's client; a batch stops at the first command that fails."""
        command = ["sftp", "-b", "-", *self.options(name), "-P", str(self.port)]
        return subprocess.run(
            [*command, f"{self.account(name)}@{HOST}"],
            input=batch, capture_output=True, text=True, check=False, timeout=30, cwd=self.root,
        )  # fmt: skip

    def ssh(self, name: str, *words: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        command = ["ssh", *self.options(name), "-p", str(self.port), *before]
        return subprocess.run(
            [*command, f"{self.account(name)}@{HOST}", *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip

    def transport_to(self, name: str) -> paramiko.Transport:
        """A logged-in connection for raw requests."""
        transport = paramiko.Transport((HOST, self.port))
        transport.start_client(timeout=20)
        transport.auth_publickey(self.account(name), paramiko.Ed25519Key(filename=str(self.key(name))))
        return transport

    def client_of(self, transport: paramiko.Transport) -> paramiko.SFTPClient:
        """An SFTP session whose answers do not keep us waiting for ever."""
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        channel = client.get_channel()
        assert channel is not None
        channel.settimeout(10)
        return client


@contextmanager
def ground() -> Iterator[Ground]:
    """Both jails made, sshd running, everything gone afterwards."""
    mount_memory_at_srv()
    open_the_way_to_python()
    made = Ground(SRV / "xt")
    made.clear()
    try:
        made.build()
        for name in CODES:
            made.make(name)
        made.start()
        yield made
    finally:
        made.clear()


def _directory(root: PrivateKey) -> bytes:
    """Both agencies directly below the node, without login keys: the keys files count."""
    province, now = "620000-00-00", datetime.now(UTC)
    agencies = tuple(
        DirectoryAgency(
            code=code, kind="police", level="county", parent="", node=code, admitting_node=province,
            name_zh="虚构", name_en="fictional",
        )
        for code in CODES.values()
    )  # fmt: skip
    nodes = (
        DirectoryNode(province, NodeRole.PROVINCIAL, "", ()),
        *(DirectoryNode(code, NodeRole.FRONTEND, province, ()) for code in CODES.values()),
    )
    public = root.public_key
    roots = (RootKey(public.key_id, public.suite, public.public),)
    began = now - timedelta(hours=1)
    listed = Directory(1, began, now + timedelta(days=30), 1, roots, nodes, agencies)
    return sign_directory(encode_directory(listed), [root])


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _pause(seconds: float) -> None:
    import time  # noqa: PLC0415 - only tests as root wait for the machine

    time.sleep(seconds)
