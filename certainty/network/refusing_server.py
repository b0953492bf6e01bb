"""F66, F68 and F69: servers that refuse, are full, are somebody else, or do not speak SSH at all."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

from certainty.network.killed_server import SFTP_SERVER
from certainty.network.line import Line
from certainty.network.stage import POLICE, PROCURATORATE, Stage, wait_until
from certainty.network.traffic import settle
from certainty.shard import Outcome, Run, Violation

_DENIED = "symlink,hardlink,mkdir,rmdir,setstat,fsetstat,lsetstat,copy-data"
_FIRST, _MOST = 0.5, 4.0
_FAILED = re.compile(
    r"^(\S+) .*event=station-failed station=link:\S+ error=(\S+) .*again_in_seconds=([0-9.]+)"
)
# An alarm after this long: the shipped quarter of an hour, made short.
_ALARM = "\n[notices]\nlink_down_minutes = 0.1\n"


def refuse(run: Run) -> Outcome:
    """F66: one trouble of the server after the other while drops go on; each heals."""
    found: list[Violation] = []
    told: list[str] = []
    with ExitStack() as stack:
        stage = stack.enter_context(_stage(run, "f66"))
        stage.lab.start()
        stage.drop(POLICE, PROCURATORATE)
        settle(stage, 60)
        up = stage.mailbox(POLICE) / "up"

        def with_sftp(command: str) -> Callable[[], Iterator[None]]:
            def trouble() -> Iterator[None]:
                stage.set_sftp(command)
                stage.restart_sshd()
                yield
                stage.set_sftp(f"internal-sftp -u 0007 -P {_DENIED}")
                stage.restart_sshd()

            return trouble

        rename = (
            "strace -f -q -o /dev/null -e trace=rename -e inject=rename:error=EACCES"
            f" {SFTP_SERVER} -u 0007 -P {_DENIED}"
        )
        troubles: list[tuple[str, str, Callable[[], Iterator[None]]]] = [
            ("volume full", "mailbox-full", lambda: _mounted(up, "size=64k")),
            ("no inodes", "mailbox-full", lambda: _mounted(up, "nr_inodes=2")),
            ("read-only volume", "remote-refused", lambda: _read_only(up)),
            ("writing denied", "remote-refused", with_sftp(f"internal-sftp -P {_DENIED},write")),
            ("rename refused", "remote-refused", with_sftp(rename)),
            ("no atomic rename", "transport-failed", with_sftp(f"internal-sftp -P {_DENIED},posix-rename")),
            ("no fsync", "", with_sftp(f"internal-sftp -P {_DENIED},fsync")),
        ]
        for number, (name, expected, trouble) in enumerate(troubles[:1] if run.quick else troubles):
            told.append(_one(run, stage, name, expected, trouble, found))
            run.progress(number + 1, len(troubles), f"F66 {name}")
        found += stage.violations(f"seed {run.seed}")
    return Outcome("F66", len(told), tuple(found), (), "; ".join(told) + ". All was delivered after each.")


def _stage(run: Run, name: str) -> Stage:
    limits = {
        "retry_first_seconds": str(_FIRST),
        "retry_max_seconds": str(_MOST),
        "link_scan_seconds": "1.0",
    }
    stage = Stage(run.folder / name, (POLICE, PROCURATORATE), seed=run.seed, limits=limits)
    path = stage.lab.node_config(POLICE)
    path.write_text(path.read_text(encoding="utf-8") + _ALARM, encoding="utf-8")
    return stage


def _one(
    run: Run,
    stage: Stage,
    name: str,
    expected: str,
    trouble: Callable[[], Iterator[None]],
    found: list[Violation],
) -> str:
    """One trouble: the state that the link then names, and that it waits longer and longer."""
    case = f"seed {run.seed} {name}"
    seconds = 4.0 if run.quick else 20.0
    with contextmanager(trouble)():
        before = len(stage.log_lines(POLICE))
        # Packets keep coming: none of them may make the link try more often.
        ends = time.monotonic() + seconds
        number = 0
        while time.monotonic() < ends:
            if number < 10:
                stage.drop(POLICE, PROCURATORATE)
                number += 1
            time.sleep(seconds / 12)
        lines = stage.log_lines(POLICE)[before:]
    tries = [match for match in map(_FAILED.match, lines) if match]
    named = {match[2] for match in tries}
    hurried = _hurried(tries)
    if expected and expected not in named:
        found.append(Violation("I13", case, f"the link says {sorted(named)}, not {expected}"))
    if not expected and tries:
        found.append(Violation("I13", case, f"the link does not work: {sorted(named)}"))
    if hurried:
        found.append(
            Violation("I13", case, f"{hurried} of {len(tries)} tries came before their pause was over")
        )
    if not settle(stage, 90):
        found.append(Violation("I1", case, "not everything got through afterwards"))
    return f"{name}: {', '.join(sorted(named)) or 'works'}, {len(tries)} tries in {seconds:.0f} s"


def _hurried(tries: list[re.Match[str]]) -> int:
    """How many tries came earlier than the one before had said."""
    count = 0
    for one, other in pairwise(tries):
        gap = (datetime.fromisoformat(other[1]) - datetime.fromisoformat(one[1])).total_seconds()
        count += gap < float(one[3]) * 0.9 - 0.05
    return count


def _mounted(up: Path, options: str) -> Iterator[None]:
    """A volume without room over the folder."""
    mode = up.stat()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"{options},mode=2770", "tmpfs", str(up)], check=True)
    os.chown(up, mode.st_uid, mode.st_gid)
    if "size" in options:
        with suppress(OSError), (up / ".ballast").open("wb") as file:
            file.write(bytes(64 * 1024))
    elif "inodes" in options:
        with suppress(OSError):
            (up / ".ballast").touch()
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(up)], check=True)


def _read_only(up: Path) -> Iterator[None]:
    subprocess.run(["mount", "--bind", str(up), str(up)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(up)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(up)], check=True)


def _says(stage: Stage, since: int, word: str) -> bool:
    return any(word in line for line in stage.log_lines(POLICE)[since:])


def another_host_key(run: Run) -> Outcome:
    """F68: the server comes back with another host key; nothing but the key exchange may cross the line."""
    found: list[Violation] = []
    count = 1 if run.quick else 5
    most = 0
    back: list[float] = []
    with ExitStack() as stack:
        stage = stack.enter_context(_stage(run, "f68"))
        line = stack.enter_context(Line(("127.0.0.1", stage.port)))
        stage.dial(POLICE, line.port)
        stage.lab.start()
        stage.drop(POLICE, PROCURATORATE)
        settle(stage, 60)
        key = stage.folder / "sshd" / "host_key"
        for number in range(count):
            case = f"seed {run.seed} change {number}"
            kept = key.read_bytes()
            key.unlink()
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
            lines, crossed = len(stage.log_lines(POLICE)), len(line.crossings)
            accepted = len(stage.log_lines("sshd", "Accepted publickey", f"port {''}"))
            stage.restart_sshd()
            stage.drop(POLICE, PROCURATORATE, video_bytes=1_300_000)
            seen = wait_until(partial(_says, stage, lines, "host-key-changed"), 30)
            time.sleep(3.0)
            if not seen:
                found.append(Violation("I13", case, "the link does not say that the host key changed"))
            alarmed = wait_until(lambda: any((stage.agency(POLICE).root / "notices").iterdir()), 40)
            if not alarmed:
                found.append(Violation("I13", case, "no alarm in the agency's notices"))
            sent = [crossing.up for crossing in line.crossings[crossed:]]
            most = max(most, *sent, 0)
            # A login would take some 3 KB more than the greeting and the key exchange.
            if most > 3000:
                found.append(Violation("I5", case, f"{most} bytes went to a server with an unknown key"))
            if len(stage.log_lines("sshd", "Accepted publickey", "port ")) > accepted:
                found.append(Violation("I5", case, "somebody logged in at a server with an unknown key"))
            key.write_bytes(kept)
            began = time.monotonic()
            stage.restart_sshd()
            settle(stage, 90)
            back.append(time.monotonic() - began)
            run.progress(number + 1, count, "F68 changes")
        found += stage.violations(f"seed {run.seed}")
    told = (
        f"{count} changes of the host key: 0 bytes of a packet, no login (at most {most} bytes of greeting"
        f" and key"
        " exchange in a connection), host-key-changed and a notice; with the right key everything went on."
    )
    return Outcome("F68", count, tuple(found), tuple(back), told)


def strange_servers(run: Run) -> Outcome:
    """F69: a locked account, a refused key, a server that says nothing, and ones that talk rubbish."""
    found: list[Violation] = []
    told: list[str] = []
    with ExitStack() as stack:
        stage = stack.enter_context(_stage(run, "f69"))
        line = stack.enter_context(Line(("127.0.0.1", stage.port)))
        stage.dial(POLICE, line.port)
        stage.lab.start()
        stage.drop(POLICE, PROCURATORATE)
        settle(stage, 60)

        def change_server(old: str, new: str) -> Callable[[], Iterator[None]]:
            def trouble() -> Iterator[None]:
                kept = (stage.folder / "sshd" / "sshd_config").read_text(encoding="utf-8")
                stage.change_sshd(lambda text: re.sub(old, new, text, flags=re.MULTILINE))
                stage.restart_sshd()
                yield
                stage.change_sshd(lambda _: kept)
                stage.restart_sshd()

            return trouble

        def instead(talk: Callable[[socket.socket], None]) -> Callable[[], Iterator[None]]:
            def trouble() -> Iterator[None]:
                with _fake(talk) as port:
                    kept, line.target = line.target, ("127.0.0.1", port)
                    line.cut()
                    yield
                    line.target = kept
                    line.cut()

            return trouble

        troubles: list[tuple[str, str, Callable[[], Iterator[None]], float]] = [
            (
                "account locked",
                "login-refused",
                change_server(r"^AllowUsers .*$", "AllowUsers nobody-here"),
                10,
            ),
            (
                "key refused",
                "login-refused",
                change_server(r"^AuthorizedKeysFile .*$", "AuthorizedKeysFile none"),
                10,
            ),
            ("rubbish for a greeting", "transport-failed", instead(_rubbish), 10),
            ("a greeting without end", "transport-failed", instead(_endless), 25),
            ("a server that says nothing", "transport-failed", instead(_mute), 50),
        ]
        for number, (name, expected, trouble, seconds) in enumerate(troubles[:2] if run.quick else troubles):
            case = f"seed {run.seed} {name}"
            with contextmanager(trouble)():
                before = len(stage.log_lines(POLICE))
                stage.drop(POLICE, PROCURATORATE)
                ends = time.monotonic() + seconds
                wait_until(lambda ends=ends: time.monotonic() > ends, seconds + 5)  # type: ignore[misc]
                tries = [match for match in map(_FAILED.match, stage.log_lines(POLICE)[before:]) if match]
                if not wait_until(lambda: any((stage.agency(POLICE).root / "notices").iterdir()), 40):
                    found.append(Violation("I13", case, "no alarm in the agency's notices"))
            named = {match[2] for match in tries}
            # The first look after the change may still meet the old connection's end.
            if expected not in named or named - {expected, "transport-failed", "connection-refused"}:
                found.append(Violation("I13", case, f"the link says {sorted(named)}, not {expected}"))
            if hurried := _hurried(tries):
                found.append(Violation("I13", case, f"{hurried} tries came before their pause was over"))
            if not settle(stage, 90):
                found.append(Violation("I1", case, "not everything got through afterwards"))
            told.append(f"{name}: {', '.join(sorted(named))} ({len(tries)} tries in {seconds:.0f} s)")
            run.progress(number + 1, len(troubles), f"F69 {name}")
        found += stage.violations(f"seed {run.seed}")
    return Outcome("F69", len(told), tuple(found), (), "; ".join(told) + ". Each told in a notice.")


@contextmanager
def _fake(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A listener that is no SSH server."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def accept() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_quietly, args=(talk, near), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _quietly(talk: Callable[[socket.socket], None], near: socket.socket) -> None:
    with near, suppress(OSError):
        talk(near)


def _rubbish(near: socket.socket) -> None:
    near.sendall(os.urandom(4096) + b"\r\n")
    near.recv(1024)


def _endless(near: socket.socket) -> None:
    while True:
        near.sendall(b"welcome, and do read all of this\r\n" * 20)
        time.sleep(0.05)


def _mute(near: socket.socket) -> None:
    while near.recv(4096):
        pass
