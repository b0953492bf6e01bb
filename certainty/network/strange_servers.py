"""F68 and F69: servers that are somebody else, let nobody in, or do not speak SSH at all."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from certainty.network.alarms import Alarms
from certainty.network.line import Line
from certainty.network.refusing_server import FAILED, hasty_tries, stage_with_alarm
from certainty.network.soon_told import COMMAND
from certainty.network.stage import POLICE, PROCURATORATE, Stage, wait_until
from certainty.network.traffic import settle
from certainty.shard import Outcome, Run, Violation


def _alarms(stage: Stage) -> Alarms:
    return Alarms.since_now(stage.agency(POLICE).root / "notices")


def _says(stage: Stage, since: int, word: str) -> bool:
    return any(word in line for line in stage.log_lines(POLICE)[since:])


def another_host_key(run: Run) -> Outcome:
    """F68: the server comes back with another host key; nothing but the key exchange may cross the line."""
    found: list[Violation] = []
    count = 1 if run.quick else 5
    most = 0
    back: list[float] = []
    with ExitStack() as stack:
        stage = stack.enter_context(stage_with_alarm(run, "f68", COMMAND))
        line = stack.enter_context(Line(("127.0.0.1", stage.port)))
        stage.dial(POLICE, line.port)
        stage.lab.start()
        stage.drop(POLICE, PROCURATORATE)
        settle(stage, 60)
        key = stage.folder / "sshd" / "host_key"
        for number in range(count):
            if run.is_over:
                break
            case, alarms = f"seed {run.seed} change {number}", _alarms(stage)
            kept = key.read_bytes()
            key.unlink()
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
            lines, crossed = len(stage.log_lines(POLICE)), len(line.crossings)
            accepted = len(stage.log_lines("sshd", "Accepted publickey", "port "))
            stage.restart_sshd()
            stage.drop(POLICE, PROCURATORATE, video_bytes=1_300_000)
            seen = wait_until(partial(_says, stage, lines, "host-key-changed"), 30)
            time.sleep(3.0)
            if not seen:
                found.append(Violation("I13", case, "the link does not say that the host key changed"))
            if not alarms.is_raised():
                found.append(Violation("I13", case, "no alarm of its own in the agency's notices"))
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
            if not alarms.are_over():
                found.append(Violation("I13", case, "the alarm does not end with the right key"))
            run.progress(number + 1, count, "F68 changes")
        found += stage.violations(f"seed {run.seed}")
    told = (
        f"{len(back)} changes of the host key: at most {most} bytes, of greeting and key exchange, in a"
        " connection; host-key-changed and a notice of its own were asked for each."
    )
    return Outcome("F68", len(back), tuple(found), tuple(back), told, planned=count)


def strange_servers(run: Run) -> Outcome:
    """F69: a locked account, a refused key, a server that says nothing, and ones that talk rubbish."""
    found: list[Violation] = []
    told: list[str] = []
    with ExitStack() as stack:
        stage = stack.enter_context(stage_with_alarm(run, "f69", COMMAND))
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
        chosen = troubles[:2] if run.quick else troubles
        for number, (name, expected, trouble, seconds) in enumerate(chosen):
            if run.is_over:
                break
            case, alarms = f"seed {run.seed} {name}", _alarms(stage)
            with contextmanager(trouble)():
                before = len(stage.log_lines(POLICE))
                stage.drop(POLICE, PROCURATORATE)
                ends = time.monotonic() + seconds
                wait_until(lambda ends=ends: time.monotonic() > ends, seconds + 5)  # type: ignore[misc]
                tries = [match for match in map(FAILED.match, stage.log_lines(POLICE)[before:]) if match]
                if not alarms.is_raised():
                    found.append(Violation("I13", case, "no alarm of its own in the agency's notices"))
            named = {match[2] for match in tries}
            # The first look after the change may still meet the old connection's end.
            if expected not in named or named - {expected, "transport-failed", "connection-refused"}:
                found.append(Violation("I13", case, f"the link says {sorted(named)}, not {expected}"))
            found += [Violation("I13", case, each) for each in hasty_tries(tries)]
            if not settle(stage, 90):
                found.append(Violation("I1", case, "not everything got through afterwards"))
            if not alarms.are_over():
                found.append(Violation("I13", case, "the alarm does not end with the trouble"))
            told.append(f"{name}: {', '.join(sorted(named))} ({len(tries)} tries in {seconds:.0f} s)")
            run.progress(number + 1, len(chosen), f"F69 {name}")
        found += stage.violations(f"seed {run.seed}")
    tale = "; ".join(told) + ". A notice of its own was asked for each."
    return Outcome("F69", len(told), tuple(found), (), tale, planned=len(chosen))


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
