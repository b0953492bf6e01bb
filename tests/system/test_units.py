"""The files of systemd/: what systemd and OpenSSH themselves say of them, and a burst of connections.

A whole machine that boots with them is another test's business; here are the parts, cheap and one by one.
"""

from __future__ import annotations

import os
import pwd
import re
import selectors
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from cli.jail.plan import PROCESSES
from cli.lab.sshd import free_port

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "systemd"
NODE, SSHD, HOST_KEY = "exchanged@.service", "exchanged-sshd.service", "exchanged-sshd-hostkey.service"
CONFIG = "/etc/exchanged/sshd/sshd_config"
ACCOUNT = "ex-620199-01-00"
NEIGHBOURS = 500
PATIENCE_SECONDS = 60.0


def run(*command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=check,
        stdin=subprocess.DEVNULL, env={**os.environ, "PATH": path}, timeout=PATIENCE_SECONDS,
    )  # fmt: skip


def setting(unit: str, name: str) -> list[str]:
    """Every value of a setting, in order."""
    return re.findall(rf"^{name}=(.*)$", (UNITS / unit).read_text("utf-8"), re.MULTILINE)


def records(path: Path) -> list[list[str]]:
    return [line.split(":") for line in path.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root in which the units are installed and their programs stand, empty."""
    root = tmp_path_factory.mktemp("image")
    run("sh", UNITS / "install.sh", root)
    # The targets that units are ordered after are the machine's own.
    shutil.copytree("/lib/systemd/system", root / "lib/systemd/system", symlinks=True)
    for unit in (NODE, SSHD, HOST_KEY):
        names = ("ExecStart", "ExecStartPre", "ExecReload")
        for line in (line for name in names for line in setting(unit, name)):
            program = root / line.split()[0].lstrip("/")
            program.parent.mkdir(parents=True, exist_ok=True)
            program.touch(mode=0o755)
    run("systemd-sysusers", f"--root={root}", "exchanged.conf")
    run("systemd-tmpfiles", f"--root={root}", "--create", "exchanged.conf")
    return root


@pytest.mark.parametrize("unit", ["exchanged@north.service", SSHD, HOST_KEY])
def test_systemd_has_nothing_to_say_against_a_unit(image: Path, unit: str) -> None:
    verified = run("systemd-analyze", "verify", f"--root={image}", unit, check=False)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


def test_verifying_finds_a_slip(image: Path) -> None:
    slip = image / "etc/systemd/system/slip.service"
    slip.write_text((UNITS / HOST_KEY).read_text("utf-8").replace("ProtectHome=", "ProtectHomes="), "utf-8")
    verified = run("systemd-analyze", "verify", f"--root={image}", slip.name, check=False)
    slip.unlink()
    assert "ProtectHomes" in verified.stderr


# The threshold is in tenths; an sshd that becomes other users behind a chroot cannot be better than that.
@pytest.mark.parametrize(("unit", "at_most"), [(NODE, 20), (HOST_KEY, 20), (SSHD, 28)])
def test_the_exposure_of_a_unit(unit: str, at_most: int) -> None:
    judged = run(
        "systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={at_most}", UNITS / unit,
        check=False,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout


def test_what_a_node_is_not_restarted_for_and_how_it_is_reloaded_and_watched() -> None:
    codes = {int(word) for word in setting(NODE, "RestartPreventExitStatus")[0].split()}
    assert codes == {ExitCode.USAGE, ExitCode.DAMAGED}
    assert setting(NODE, "Restart") == ["on-failure"]
    assert setting(NODE, "ExecReload") == ["/bin/kill -HUP $MAINPID"]
    assert setting(NODE, "Type") == ["notify"]
    assert setting(NODE, "WatchdogSec") == ["2min"]
    assert setting(NODE, "LimitCORE") == ["0"]


def test_the_limit_of_processes_is_the_one_that_jails_count_on() -> None:
    """C7: what the printed script asks for, what docs/jail.md says and what the unit sets."""
    assert setting(SSHD, "LimitNPROC") == [str(PROCESSES)]
    assert f"`LimitNPROC={PROCESSES}`" in (ROOT / "docs" / "jail.md").read_text("utf-8")


def test_the_accounts(image: Path) -> None:
    users = {user[0]: tuple(user[5:]) for user in records(image / "etc/passwd")}
    assert users.keys() == {"exchanged", "exchanged-keys"}
    assert users["exchanged"] == ("/var/lib/exchanged", "/usr/sbin/nologin")
    assert users["exchanged-keys"][1] == "/usr/sbin/nologin"
    members = {name: last for name, *_, last in records(image / "etc/group")}
    assert members == {
        "exchanged": "", "exchanged-keys": "", "exchanged-case": "exchanged", "exchanged-ops": "exchanged"
    }  # fmt: skip


def test_the_folders(image: Path) -> None:
    daemon = int(records(image / "etc/passwd")[0][2])
    expected = {
        "etc/exchanged": (0, 0o755),
        "etc/exchanged/sshd": (0, 0o755),
        "etc/exchanged/sshd/keys": (0, 0o755),
        "etc/exchanged/sshd/accounts.d": (0, 0o755),
        "etc/exchanged/sshd/nowhere": (0, 0o555),
        "var/lib/exchanged": (0, 0o755),
        "srv/exchanged": (0, 0o755),
        "srv/exchanged/jails": (0, 0o755),
        "srv/exchanged/agencies": (daemon, 0o755),
    }
    found = {path: (image / path).stat() for path in expected}
    assert {path: (each.st_uid, stat.S_IMODE(each.st_mode)) for path, each in found.items()} == expected


def test_installing_again_keeps_a_changed_sshd_config(tmp_path: Path) -> None:
    run("sh", UNITS / "install.sh", tmp_path)
    assert run("sh", UNITS / "install.sh", tmp_path).stdout == ""
    config = tmp_path / CONFIG.lstrip("/")
    config.write_text("# ours\n", "utf-8")
    assert "stays" in run("sh", UNITS / "install.sh", tmp_path).stdout
    assert config.read_text("utf-8") == "# ours\n"
    assert config.with_name("sshd_config.new").read_bytes() == (UNITS / "sshd_config").read_bytes()


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """The shipped sshd, with the limits of its unit, one account and its jail; the port it listens on."""
    run("sh", UNITS / "install.sh", "/etc/exchanged-image")
    rules = "/etc/exchanged-image/etc/tmpfiles.d/exchanged.conf"
    run("systemd-tmpfiles", "--create", "--prefix=/etc/exchanged", rules)
    etc = Path("/etc/exchanged/sshd")
    shutil.copy(UNITS / "sshd_config", etc)
    for command in setting(HOST_KEY, "ExecStart"):
        run("sh", "-ec", command)
    run("groupadd", ACCOUNT)
    run("useradd", "--no-create-home", "--gid", ACCOUNT, "--password", "*", "--home-dir", "/", ACCOUNT)
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/srv")
    jail = Path("/srv/exchanged/jails/620199-01-00")
    (jail / "up").mkdir(parents=True)
    os.chown(jail / "up", pwd.getpwnam(ACCOUNT).pw_uid, -1)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/etc/exchanged/login")
    shutil.copy("/etc/exchanged/login.pub", etc / "keys" / ACCOUNT)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    limits = [f"--{name}={setting(SSHD, f'Limit{name.upper()}')[0]}" for name in ("nofile", "nproc", "core")]
    # The port is the last word of the command line, so that the shipped file stays as it is.
    command = [*setting(SSHD, "ExecStart")[0].split(), "-p", str(port)]
    process = subprocess.Popen(["prlimit", *limits, *command], stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        yield port
    finally:
        process.terminate()
        process.wait()
        run("umount", "-l", "/srv")
        # Other files of the same run begin without it.
        run("userdel", ACCOUNT)
        for left in ("/etc/exchanged", "/etc/exchanged-image"):
            shutil.rmtree(left)


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("sshd does not listen")


def sftp(port: int, commands: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sftp", "-q", "-b", "-", "-i", "/etc/exchanged/login", "-P", str(port),
         "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", f"{ACCOUNT}@127.0.0.1"],
        input=commands, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
    )  # fmt: skip


def test_the_shipped_configuration_is_understood(server: int) -> None:
    run("sshd", "-t", "-f", CONFIG)
    told = run("sshd", "-T", "-f", CONFIG, "-C", f"user={ACCOUNT},host=x,addr=127.0.0.1").stdout
    for line in ("usepam no", "disableforwarding yes", "maxstartups 1000:30:1500", "permitrootlogin no"):
        assert line in told


def test_an_account_without_a_fragment_sees_and_writes_nothing(server: int) -> None:
    """C2: a fragment that was forgotten opens nothing."""
    assert sftp(server, "ls -1 /").stdout.split("\n")[1:] in ([""], [])
    assert sftp(server, "put /etc/hostname /x").returncode != 0


def test_a_fragment_gives_an_account_its_jail(server: int) -> None:
    fragment = Path(f"/etc/exchanged/sshd/accounts.d/{ACCOUNT}.conf")
    jail = "/srv/exchanged/jails/620199-01-00"
    fragment.write_text(f"Match User {ACCOUNT}\n    ChrootDirectory {jail}\n", "utf-8")
    told = run("sshd", "-T", "-f", CONFIG, "-C", f"user={ACCOUNT},host=x,addr=127.0.0.1").stdout
    assert f"chrootdirectory {jail}" in told
    assert "forcecommand internal-sftp -u 0007 -P symlink,hardlink" in told
    other = run("sshd", "-T", "-f", CONFIG, "-C", "user=ex-620199-02-00,host=x,addr=127.0.0.1").stdout
    assert "chrootdirectory /etc/exchanged/sshd/nowhere" in other
    fragment.unlink()


def test_500_neighbours_at_once_are_all_let_in_and_one_is_answered_meanwhile(server: int) -> None:
    waiting: list[socket.socket] = []
    greeted = refused = 0
    with selectors.DefaultSelector() as selector:
        for _ in range(NEIGHBOURS):
            neighbour = socket.create_connection(("127.0.0.1", server), PATIENCE_SECONDS)
            waiting.append(neighbour)
            selector.register(neighbour, selectors.EVENT_READ, neighbour)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while greeted + refused < NEIGHBOURS and time.monotonic() < deadline:
            for key, _ in selector.select(1.0):
                # Beyond MaxStartups a connection is closed, or told so, before its greeting.
                if key.data.recv(64).startswith(b"SSH-2.0-"):
                    greeted += 1
                else:
                    refused += 1
                selector.unregister(key.fileobj)
        # Without a fragment it has no key: it gets as far as that is asked.
        asked = subprocess.run(
            ["ssh", "-i", "/etc/exchanged/login", "-p", str(server), "-o", "BatchMode=yes",
             "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", f"{ACCOUNT}@127.0.0.1"],
            capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
        )  # fmt: skip
        answered = "Permission denied (publickey)" in asked.stderr
    for neighbour in waiting:
        neighbour.close()
    assert (greeted, refused, answered) == (NEIGHBOURS, 0, True)
