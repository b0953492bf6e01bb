"""One descriptor (C3) against an account that turns its files; then packets between two jailed agencies."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.jail.plan import plan_jail
from cli.jail.script import making_script
from cli.lab.accounts import read_accounts
from cli.lab.lab import Lab, create_lab, remove_lab
from cli.lab.plan import default_plan
from exchanged.config import load_config
from exchanged.errors import TransportFileError
from exchanged.mailbox import open_foreign
from tests.support.jails import (
    SRV,
    Ground,
    as_account,
    ground,
    mount_memory_at_srv,
    open_the_way_to_python,
    processes_of,
    run,
    run_script,
)

ROOT = Path(__file__).resolve().parents[2]
BATCH = "00000001-0123456789abcdef.batch"
POLICE, OTHER, PROCURATORATE = "620199-01-00", "620199-02-00", "620199-03-00"
PATIENCE_SECONDS = 60
# A ring comes at least every 60 s (C7); killed and ending processes take their time as well.
FREED_SECONDS = 75
HONEST, FALSE = b"honest " * 50_000, b"false! " * 50_000


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def place() -> Iterator[Ground]:
    with ground() as made:
        (made.root / "honest").write_bytes(HONEST)
        (made.root / "false").write_bytes(FALSE)
        yield made


@pytest.fixture
def up(place: Ground) -> Iterator[Path]:
    folder = place.jail("a") / "up"
    done = place.sftp("a", f"put honest up/.{BATCH}.part\nrename up/.{BATCH}.part up/{BATCH}\n")
    assert done.returncode == 0
    yield folder
    for left in folder.iterdir():
        left.unlink() if not left.is_dir() else left.rmdir()


@pytest.mark.parametrize(
    "turn",
    [
        f"put false up/{BATCH}",
        f"put false up/other\nrename up/other up/{BATCH}",
        f"rm up/{BATCH}\nput false up/{BATCH}",
        f"rm up/{BATCH}",
    ],
)
def test_what_was_landed_stays_whatever_the_account_does_then(
    place: Ground, up: Path, tmp_path: Path, turn: str
) -> None:
    landed = tmp_path / "landed"
    fetched = place.transport("a").fetch(BATCH, landed, limit_bytes=1 << 20)
    assert place.sftp("a", turn + "\n").returncode == 0
    assert (fetched.size, fetched.digest) == (len(HONEST), sha256(HONEST))
    assert landed.read_bytes() == HONEST
    mine = landed.lstat()
    assert (mine.st_uid, mine.st_nlink, mine.st_mode & stat.S_IRWXO) == (os.geteuid(), 1, 0)


def test_a_file_turned_while_it_is_read_gives_a_digest_of_what_was_copied(
    place: Ground, up: Path, tmp_path: Path
) -> None:
    """Whatever mixture was read, size and digest are of the very bytes in the copy, and of nothing else."""
    reader = open_foreign(up, BATCH)
    try:
        # Replaced by another file under the same name: this descriptor still reads the first.
        assert place.sftp("a", f"put false up/other\nrename up/other up/{BATCH}\n").returncode == 0
        assert os.pread(reader, 7, 0) == b"honest "
    finally:
        os.close(reader)
    # Rewritten in place, and cut short, all the while that it is copied.
    session = place.transport_to("a")
    writer = place.client_of(session).open(f"up/{BATCH}", "r+")
    stop = threading.Event()

    def rewrite() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            writer.seek(0)
            writer.write(bytes([number % 256]) * 200_000)
            if number % 5 == 0:
                as_account(place.account("a"), "truncate", "--size", "10", str(up / BATCH))

    thread = threading.Thread(target=rewrite)
    thread.start()
    try:
        for number in range(20):
            copy = tmp_path / f"copy-{number}"
            fetched = place.transport("a").fetch(BATCH, copy, limit_bytes=1 << 20)
            assert (fetched.size, fetched.digest) == (copy.stat().st_size, sha256(copy.read_bytes()))
    finally:
        stop.set()
        thread.join()
        session.close()


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("ln {up}/{name} {up}/second", "2 hard links"),
        ("rm {up}/{name}; ln -s /etc/passwd {up}/{name}", "a symbolic link"),
        ("rm {up}/{name}; ln -s {data}/ledger {up}/{name}", "a symbolic link"),
        ("rm {up}/{name}; mkfifo {up}/{name}", "a FIFO"),
        ("rm {up}/{name}; mkdir {up}/{name}", "a folder"),
    ],
)
def test_what_is_no_plain_file_of_the_account_is_not_taken(
    place: Ground, up: Path, tmp_path: Path, command: str, found: str
) -> None:
    """Made by a local program of the account, since SFTP itself refuses all of them."""
    words = command.format(up=up, name=BATCH, data=place.data)
    assert as_account(place.account("a"), "sh", "-c", words).returncode == 0
    transport = place.transport("a")
    begin = time.monotonic()
    listing = transport.list_names()
    assert listing.files == ()
    with pytest.raises(TransportFileError) as caught:
        transport.fetch(BATCH, tmp_path / "landed", limit_bytes=1 << 20)
    assert caught.value.found == found
    assert time.monotonic() - begin < 2, "a FIFO does not block"
    assert not (tmp_path / "landed").exists()


def test_a_hard_link_to_what_is_not_the_account_s_cannot_even_be_made(place: Ground) -> None:
    target = place.jail("a") / "down" / "ack.batch"
    target.write_text("mail")
    for source in (target, place.data / "ledger", Path("/etc/shadow")):
        done = as_account(place.account("a"), "ln", str(source), str(place.jail("a") / "up" / "stolen"))
        # Where the kernel allows links to readable files, the copy has two names and another owner.
        if done.returncode == 0:
            assert place.transport("a").list_names().files == ()
            (place.jail("a") / "up" / "stolen").unlink()
    target.unlink()


# whole packets


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    mount_memory_at_srv()
    open_the_way_to_python()
    folder = SRV / "xt-lab"
    made = create_lab(folder, default_plan(3), jail=True)
    try:
        made.start()
        yield made
    finally:
        names = read_accounts(made.layout)
        remove_lab(folder)
        assert names is not None
        assert not folder.exists()
        assert names.service not in Path("/etc/passwd").read_text()


def wait_for(what: Callable[[], bool], why: str, seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            pytest.fail(f"waited in vain for {why}")
        time.sleep(0.1)


def drop(lab: Lab, name: str, sender: str = POLICE, receiver: str = PROCURATORATE) -> None:
    command = [sys.executable, "-m", "cli", "packet", "new", "--type", "prosecution.transfer", "--name", name]
    words = ["--from", sender, "--to", receiver, "--out", str(lab.agency_root(sender) / "outbox")]
    run(*command, *words, "--seed", str(sum(name.encode())), cwd=ROOT)


def delivered(lab: Lab, count: int, receiver: str = PROCURATORATE) -> bool:
    return len(list((lab.agency_root(receiver) / "inbox").glob("*/*/packet.xml"))) == count


def received(lab: Lab, name: str) -> bool:
    status = lab.agency_root(POLICE) / "status" / f"{name}.status.xml"
    return status.exists() and 'state="delivered"' in status.read_text(encoding="utf-8")


def attack(lab: Lab, code: str, batch: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The account of agency ``code`` at the lab's own sshd, with OpenSSH's client."""
    accounts = read_accounts(lab.layout)
    assert accounts is not None
    config = load_config(lab.node_config(code)).links[0]
    known = cwd / "known"
    known.write_text(f"[{config.host}]:{config.port} {config.host_key}\n")
    options = ["-F", "none", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={known}"]
    options += ["-P", str(config.port), "-i", str(lab.layout.login_key(code))]
    return subprocess.run(
        ["sftp", "-b", "-", *options, f"{config.user}@{config.host}"],
        input=batch, capture_output=True, text=True, check=False, timeout=60, cwd=cwd,
    )  # fmt: skip


def test_a_packet_goes_from_one_jailed_agency_to_another(lab: Lab) -> None:
    drop(lab, "first")
    wait_for(lambda: delivered(lab, 1), "the packet in the inbox")
    wait_for(lambda: received(lab, "first"), "the receipt")
    pid = lab.pid(lab.province)
    accounts = read_accounts(lab.layout)
    assert accounts is not None
    owner = run("stat", "-c", "%U", f"/proc/{pid}").stdout.strip()
    assert owner == accounts.service, "the province works without root"


def test_an_account_that_turns_a_landed_batch_changes_nothing(lab: Lab, tmp_path: Path) -> None:
    lab.stop_node(lab.province)
    drop(lab, "second")
    up = lab.layout.mailbox(POLICE) / "up"
    wait_for(lambda: any(path.name.startswith("0") for path in up.glob("*.batch")), "the upload")
    lab.kill_node(POLICE)
    (batch,) = up.glob("0*.batch")
    original = batch.read_bytes()
    lab.start_node(lab.province)
    wait_for(lambda: delivered(lab, 2), "the packet in the inbox")
    (tmp_path / "junk").write_bytes(b"junk" * 1000)
    assert attack(lab, POLICE, f"put junk up/{batch.name}\n", tmp_path).returncode == 0
    assert batch.read_bytes() != original
    config = str(lab.node_config(lab.province))
    words = ["--config", config, "packet", "list", "--json"]
    before = json.loads(run(sys.executable, "-m", "cli", *words, cwd=ROOT).stdout)
    lab.start_node(POLICE)
    wait_for(lambda: received(lab, "second"), "the receipt")
    wait_for(lambda: not batch.exists(), "the sender to remove its own file")
    after = json.loads(run(sys.executable, "-m", "cli", *words, cwd=ROOT).stdout)
    assert len(after["packets"] if isinstance(after, dict) else after) == len(
        before["packets"] if isinstance(before, dict) else before
    )
    assert delivered(lab, 2), "nothing twice"
    verified = run(sys.executable, "-m", "cli", "--config", config, "ledger", "verify", cwd=ROOT)
    assert verified.returncode == 0


def test_a_killed_front_end_leaves_no_process_at_the_province(lab: Lab) -> None:
    """The province rings at least once a minute, also when there is nothing to tell (C7)."""
    accounts = read_accounts(lab.layout)
    assert accounts is not None
    account = accounts.agencies[POLICE]
    wait_for(lambda: len(processes_of(account)) == 3, "login, files and bell")
    lab.kill_node(POLICE)
    try:
        wait_for(lambda: not processes_of(account), "the waiter at the bell to end", FREED_SECONDS)
    finally:
        lab.start_node(POLICE)


def test_an_account_that_fills_its_up_stops_nobody_else(lab: Lab, tmp_path: Path) -> None:
    """up/ on a small volume of its own, as where quotas are missing; ledger, spool and others go on."""
    image, up = SRV / "small.img", lab.layout.mailbox(OTHER) / "up"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    run("mkfs.ext4", "-q", str(image))
    run("mount", "-o", "loop,nosuid,nodev,noexec", str(image), str(up))
    try:
        (up / "lost+found").rmdir()
        log = lab.log(lab.province)
        wait_for(lambda: "jail-unsound" in log.read_text(), "the jail's fault in the log")
        assert str(up) in log.read_text()
        accounts = read_accounts(lab.layout)
        assert accounts is not None
        config_path = lab.node_config(lab.province)
        plan = plan_jail(
            load_config(config_path), OTHER,
            config_path=config_path, sshd=lab.layout.sshd, service=accounts.service,
            keys_user=accounts.service,
        )  # fmt: skip
        assert "WARNING" not in run_script(making_script(plan)), "another volume than the ledger's"
        (tmp_path / "flood").write_bytes(b"x" * (16 << 20))
        filled = attack(lab, OTHER, "put flood up/flood\n", tmp_path)
        assert filled.returncode != 0
        assert os.statvfs(up).f_bavail == 0
        drop(lab, "third")
        wait_for(lambda: delivered(lab, 3), "a packet past the full mailbox")
        wait_for(lambda: received(lab, "third"), "the receipt")
        # Room again: the account's own link goes on as well.
        assert attack(lab, OTHER, "rm up/flood\n", tmp_path).returncode == 0
        wait_for(lambda: "event=link-up" in log.read_text(), "the link to be up again")
    finally:
        lab.stop_node(OTHER)
        run("umount", "--lazy", str(up))


def test_every_jail_of_the_lab_keeps_its_account_inside(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    for code in (POLICE, PROCURATORATE):
        acts = ("put mine down/mine", "put mine bell", "get /etc/passwd", f"ls {lab.layout.data(POLICE)}")
        for act in acts:
            assert attack(lab, code, act + "\n", tmp_path).returncode != 0, (code, act)
