"""F61 to F63: neighbours behind interfaces that fall silent, are slow, or lose and delay."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial

from certainty.network.judging import Sent
from certainty.network.line import Line, Trouble
from certainty.network.spaces import Space, daemon_in
from certainty.network.stage import COURT, POLICE, PROCURATORATE, Stage, wait_until
from certainty.network.traffic import MIB, settle
from certainty.shard import Outcome, Run, Violation

JUSTICE = "620199-05-00"
_DETECTED_SECONDS = 90.0
_SMALL_SECONDS = 60.0
_KILOBITS = 256
_LOSSY_SECONDS = 240.0


def _stage(
    stack: ExitStack, run: Run, name: str, codes: tuple[str, ...], spaces: dict[str, Space], scan: str
) -> Stage:
    """A lab whose named agencies live in namespaces and dial the host over their interfaces."""
    folder = run.folder / name
    homes = {str(folder / "nodes" / code / "exchanged.toml"): space.name for code, space in spaces.items()}
    daemon = daemon_in(run.folder / f"{name}-spaces", homes)
    stage = stack.enter_context(
        Stage(folder, codes, seed=run.seed, daemon=daemon, limits={"link_scan_seconds": scan})
    )
    stage.change_sshd(lambda text: text.replace("ListenAddress 127.0.0.1:", "ListenAddress 0.0.0.0:"))
    for code, space in spaces.items():
        stage.dial(code, stage.port, space.host)
    return stage


def fall_silent(run: Run) -> Outcome:
    """F61: one neighbour in the middle of a large upload, one idle; both wires go dead without a word."""
    found: list[Violation] = []
    noticed: list[float] = []
    back: list[float] = []
    slowest = 0.0
    with ExitStack() as stack:
        silent = {
            code: stack.enter_context(Space(number)) for number, code in enumerate((POLICE, PROCURATORATE))
        }
        codes = (POLICE, PROCURATORATE, COURT, JUSTICE)
        # The shipped pause between two looks: the lab's short one would find silence sooner.
        stage = _stage(stack, run, "f61", codes, silent, "30.0")
        stage.lab.start()
        stage.drop(POLICE, COURT)
        settle(stage, 60)
        # Slow enough that it is still on its way when the silence begins.
        silent[POLICE].slow(8000)
        stage.drop(POLICE, PROCURATORATE, video_bytes=48 * MIB)
        is_moving = wait_until(lambda: any((stage.mailbox(POLICE) / "up").glob(".*.part")), 60)
        began = datetime.now(UTC)
        for space in silent.values():
            space.silence()
        open_ = dict.fromkeys(silent, 0.0)
        others: list[Sent] = []
        deadline = time.monotonic() + _DETECTED_SECONDS + 30
        while any(not seconds for seconds in open_.values()) and time.monotonic() < deadline:
            if len(others) < 10 and (not others or stage.is_done(others[-1])):
                others.append(stage.drop(COURT, JUSTICE))
            for code in open_:
                downs = [at for at, _ in stage.events(code, "link-down") if at >= began]
                if downs and not open_[code]:
                    open_[code] = (downs[0] - began).total_seconds()
            run.progress(sum(map(bool, open_.values())), len(open_), "F61 silence noticed")
            time.sleep(1.0)
        if not stage.wait(60, others):
            found.append(Violation("I9", f"seed {run.seed}", "a neighbour's silence held up two others"))
        for code, seconds in open_.items():
            noticed.append(seconds)
            if not 0 < seconds <= _DETECTED_SECONDS:
                what = f"noticed after {seconds:.0f} s" if seconds else "not noticed"
                found.append(Violation("I9", f"seed {run.seed} {code}", f"the peer's silence was {what}"))
        healed = time.monotonic()
        silent[POLICE].fast()
        for space in silent.values():
            space.speak()
        settle(stage, 180)
        back.append(time.monotonic() - healed)
        found += stage.violations(f"seed {run.seed}")
        slowest = max(noticed, default=0.0)
    told = (
        f"Silence noticed after {' and '.join(f'{seconds:.0f} s' for seconds in noticed)} (in mid-upload,"
        f" and idle),"
        f" at most {slowest:.0f} s; meanwhile {len(others)} packets of two others passed."
    )
    # An upload that had not begun, or was over, is not one that falls silent in the middle.
    cases = len(noticed) - (not is_moving)
    return Outcome("F61", cases, tuple(found), tuple(back), told, planned=len(silent))


def crawl(run: Run) -> Outcome:
    """F62: small packets beside a large one on 256 kbit/s, on the way up and on the way down."""
    count, size = 5, 40 * MIB
    found: list[Violation] = []
    took: list[float] = []
    ways: list[str] = []
    with ExitStack() as stack:
        spaces = {
            code: stack.enter_context(Space(number)) for number, code in enumerate((POLICE, PROCURATORATE))
        }
        stage = _stage(stack, run, "f62", (POLICE, PROCURATORATE, COURT), spaces, "5.0")
        stage.lab.start()
        stage.drop(POLICE, COURT)
        stage.drop(COURT, PROCURATORATE)
        settle(stage, 60)
        spaces[POLICE].slow(_KILOBITS)
        large = stage.drop(POLICE, PROCURATORATE, video_bytes=size)
        moves = wait_until(lambda: any((stage.mailbox(POLICE) / "up").glob(".*.part")), 60)
        small = _small(run, stage, POLICE, COURT, count, found, "up")
        # Beside a large one that had arrived before the last of them, nothing was tried.
        if moves and not stage.is_done(large):
            took += small
            ways.append("up")
        spaces[PROCURATORATE].slow(_KILOBITS)
        spaces[POLICE].fast()
        incoming = stage.lab.layout.data(PROCURATORATE)
        moves = wait_until(lambda: any(incoming.glob("blobs/incoming/*")), 120)
        small = _small(run, stage, COURT, PROCURATORATE, count, found, "down")
        if moves and not stage.is_done(large):
            took += small
            ways.append("down")
        spaces[PROCURATORATE].fast()
        settle(stage, 180)
        found += stage.violations(f"seed {run.seed}")
    told = (
        f"At 256 kbit/s {len(took)} small packets were in the receiver's inbox after at most"
        f" {max(took, default=0):.0f} s while a packet of {size // MIB} MiB moved on the same link,"
        f" {' and then '.join(ways) or 'neither up nor down'}; 1 GB would take nine hours there."
    )
    return Outcome("F62", len(took), tuple(found), (), told, planned=2 * count)


def _has_more(stage: Stage, receiver: str, before: int) -> bool:
    return len(stage.agency(receiver).folders()) > before


def _small(
    run: Run,
    stage: Stage,
    sender: str,
    receiver: str,
    count: int,
    found: list[Violation],
    way: str,
) -> list[float]:
    """Seconds that each small packet took."""
    took: list[float] = []
    for number in range(count):
        if run.is_over:
            break
        before = len(stage.agency(receiver).folders())
        sent = stage.drop(sender, receiver)
        arrived = wait_until(partial(_has_more, stage, receiver, before), 3 * _SMALL_SECONDS)
        seconds = time.monotonic() - sent.at
        took.append(seconds)
        if not arrived or seconds > _SMALL_SECONDS:
            case = f"seed {run.seed} {way} {number}"
            found.append(Violation("I9", case, f"a small packet took {seconds:.0f} s beside a large one"))
        run.progress(number + 1, count, f"F62 {way}")
    return took


def lose_and_delay(run: Run) -> Outcome:
    """F63: every fifth packet of the network lost both ways, and half a second there and back."""
    count = 4 if run.quick else 200
    found: list[Violation] = []
    with ExitStack() as stack:
        space = stack.enter_context(Space(0))
        stage = _stage(stack, run, "f63", (POLICE, COURT), {POLICE: space}, "5.0")
        far = Trouble(delay=0.25, jitter=0.1)
        line = stack.enter_context(
            Line(("127.0.0.1", stage.port), lambda _: far, host=space.host, seed=run.seed)
        )
        stage.dial(POLICE, line.port, space.host)
        space.lose(0.2)
        stage.lab.start()
        began = time.monotonic()
        for number in range(count):
            stage.drop(*((POLICE, COURT) if number % 2 else (COURT, POLICE)))
        stage.wait(_LOSSY_SECONDS)
        took = time.monotonic() - began
        # What had not arrived until then did so on a line that loses nothing: that is no case.
        done = sum(stage.is_done(sent) for sent in stage.sent)
        lost = space.vanished()
        space.speak()
        settle(stage, 120)
        found += stage.violations(f"seed {run.seed}")
        connections = len(line.crossings)
    told = (
        f"{done} of {count} packets both ways within {took:.0f} s with 20 % of all segments lost ({lost}"
        f" were) and 500 to 700 ms there and back, in {connections} connections."
        " No reordering below TCP: this kernel has no netem."
    )
    return Outcome("F63", done if lost else 0, tuple(found), (), told, planned=count)
