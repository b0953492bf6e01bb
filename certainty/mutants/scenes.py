"""What is done to a province while the checker looks: each scene gives what was found, for a tree and a seed.

A node that does not start, or ends by itself, is no finding here but a NotReadyError.

``traffic``          undisturbed, with same contents, same names and documents
``no-events``        the police's folders lie on a share: what is dropped there is found by looking alone
``kills``            any node killed every quarter of a second to a second
``steps-ROLE``       one node ends at its n-th step on the disk after a drop, n drawn anew each time
``before-inbox``     the receiver ends right before a packet is renamed into its inbox
``steps-replaced``   the same at a sender whose case software writes other drops over those that lie there
``power``            all nodes end and un-synced data is lost, at a random moment
``power-steps``      the same before one of the first flushes after a packet was renamed into an inbox
``racer``            a file in the outbox changes all the time between a good and a bad form
``forger``           a bridge gives its agency a receipt that nobody issued
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from certainty.mutants.forging import forge_delivered
from certainty.mutants.stage import BRIDGE, CRT, POL, PRO, Stage, pause
from certainty.shard import Violation
from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import DropFormat, write_drop

Scene = Callable[[Path, Path, int], tuple[Violation, ...]]
_MOST_STEPS: Final = 26
_TURNS: Final = 14
# What a start does by itself is over then.
_SETTLED_SECONDS: Final = 1.5
_SLOW_SECONDS: Final = 9.0


def traffic(tree: Path, folder: Path, seed: int) -> tuple[Violation, ...]:
    """Everything that the driver can send, from everybody."""
    with Stage.open(tree, folder, seed) as stage:
        for _ in range(24):
            stage.driver.drop_any()
            pause(0.05)
        # Names that are free again are used again.
        for agency in (POL, PRO, CRT):
            for each in stage.driver.dropped:
                if each.agency == agency:
                    stage.await_taken(each)
                    break
            for each in stage.driver.reusable(agency)[:2]:
                name = each.name.removesuffix(".xml").removesuffix(".zip")
                request = _small(stage, agency, CRT if agency != CRT else PRO, name)
                stage.driver.drop(request, drop_format=DropFormat(each.form))
        return stage.judge()


def no_events(tree: Path, folder: Path, seed: int) -> tuple[Violation, ...]:
    """Drops that no event tells of."""
    with Stage.open(tree, folder, seed, share=True) as stage:
        for _ in range(6):
            stage.driver.drop(_small(stage, POL, PRO))
            pause(0.3)
        return stage.judge()


def kills(tree: Path, folder: Path, seed: int) -> tuple[Violation, ...]:
    """Short lives."""
    with Stage.open(tree, folder, seed) as stage:
        until = time.monotonic() + 12.0
        while time.monotonic() < until:
            stage.driver.drop_any()
            pause(stage.random.uniform(0.05, 0.5))
            code = stage.random.choice(stage.lab.nodes)
            stage.nodes.end(code)
            stage.nodes.start(code)
            pause(stage.random.uniform(0.2, 0.5))
        return stage.judge()


def steps(
    tree: Path,
    folder: Path,
    seed: int,
    victim: str,
    sender: str,
    *,
    replaced: bool = False,
    before_inbox: bool = False,
) -> tuple[Violation, ...]:
    """A drop, the victim's end at a step, and its next life; many times."""
    with Stage.open(tree, folder, seed) as stage:
        inbox = str(stage.world.agencies[victim] / "inbox") if before_inbox else ""
        for _ in range(_TURNS // 3 if before_inbox else _TURNS):
            begin_life(stage, victim, -1 if before_inbox else 0, inbox)
            request = _small(stage, sender, PRO)
            expects = "any" if replaced else "delivered"
            stage.nodes.arm(victim)
            stage.driver.drop(request, drop_format=DropFormat.XML, expects=expects)
            lies_there = stage.world.agencies[sender] / "outbox" / f"{request.name}.xml"
            if not stage.nodes.await_end(victim, 3.0) and lies_there.exists():
                # A busy machine did not even come to it.
                stage.nodes.await_end(victim, _SLOW_SECONDS)
            # So long that whatever appeared was taken out of the inbox before the next life begins.
            pause(0.6)
            if replaced and lies_there.exists():
                other = _small(stage, sender, PRO, request.name or "")
                stage.driver.drop(other, drop_format=DropFormat.XML)
        if victim in stage.nodes.running:
            # Its end is still drawn; the last life is a whole one.
            stage.nodes.end(victim)
        return stage.judge()


def begin_life(stage: Stage, victim: str, cut: int = 0, under: str = "") -> None:
    """The victim runs, will end at a step that is drawn, and has done what a start does by itself."""
    if victim in stage.nodes.running:
        stage.nodes.end(victim)
    stage.nodes.start(victim, cut=cut or stage.random.randint(1, _MOST_STEPS), under=under)
    stage.nodes.await_ready(victim)
    pause(_SETTLED_SECONDS)


def power(tree: Path, folder: Path, seed: int) -> tuple[Violation, ...]:
    """Three times in the middle of work."""
    with Stage.open(tree, folder, seed, volumes=True) as stage:
        for _ in range(3):
            for _ in range(8):
                stage.driver.drop_any()
                pause(stage.random.uniform(0.0, 0.3))
            # On a busy machine a moment may be too early for anything to be at stake.
            stage.await_taken(stage.driver.dropped[-3])
            pause(stage.random.uniform(0.0, 1.0))
            stage.cut_power()
        return stage.judge(power_cuts=True)


def power_steps(tree: Path, folder: Path, seed: int, victim: str = PRO) -> tuple[Violation, ...]:
    """The power goes when the receiver is at a step, with what it did not flush."""
    with Stage.open(tree, folder, seed, volumes=True) as stage:
        for _ in range(_TURNS // 2):
            # Before one of the first flushes after the rename into the inbox: what was promised by then?
            inbox = str(stage.world.agencies[victim] / "inbox")
            begin_life(stage, victim, stage.random.randint(1, 3), inbox)
            stage.nodes.arm(victim)
            stage.driver.drop(_small(stage, POL, victim))
            stage.nodes.await_end(victim, 3.0)
            stage.cut_power()
        return stage.judge(power_cuts=True)


def racer(tree: Path, folder: Path, seed: int) -> tuple[Violation, ...]:
    """Good and bad bytes take turns under one name; only the good ones may ever be sealed."""
    with Stage.open(tree, folder, seed) as stage:
        stop = threading.Event()
        for _ in range(8):
            prepared = stage.driver.prepared(POL)
            written = write_drop(make_drop(_small(stage, POL, PRO)), prepared, drop_format=DropFormat.XML)
            good = written.read_bytes()
            bad = good.replace(b"<receiver>" + PRO.encode(), b"<receiver>" + b"620199-09-99")
            written.write_bytes(bad)
            stage.driver.write_down(written, POL, expects="refused")
            written.write_bytes(good)
            stage.driver.hand_in(written, POL, expects="any")
            lies_there = stage.world.agencies[POL] / "outbox" / written.name

            def race(path: Path = lies_there, forms: tuple[bytes, bytes] = (bad, good)) -> None:
                while not stop.is_set() and path.exists():
                    for form in forms:
                        try:
                            descriptor = os.open(path, os.O_WRONLY)
                        except FileNotFoundError:
                            return
                        os.pwrite(descriptor, form, 0)
                        os.close(descriptor)
                        time.sleep(0.004)

            threads = [threading.Thread(target=race)]
            threads[0].start()
            threads[0].join(2.0)
            stop.set()
            threads[0].join()
            stop.clear()
        pause(3.0)
        return stage.judge(drained=False)


def forger(tree: Path, folder: Path, seed: int) -> tuple[Violation, ...]:
    """While the receiver is away, its receipt comes all the same."""
    with Stage.open(tree, folder, seed, bridge=True) as stage:
        stage.nodes.kill(PRO)
        dropped = stage.driver.drop(_small(stage, POL, PRO))
        status = stage.await_accepted(dropped)
        stage.nodes.stop(BRIDGE)
        forge_delivered(stage.lab, BRIDGE, status, dropped, PRO)
        stage.nodes.start(BRIDGE)
        stage.nodes.await_ready(BRIDGE)
        pause(6.0)
        return stage.judge_now(BRIDGE)


def _small(stage: Stage, sender: str, receiver: str, name: str = "") -> DropRequest:
    """A packet of a kilobyte, of which hundreds pass in no time."""
    request = stage.driver.request(
        sender, receiver=receiver, business_type="interrogation.cancel", extra_documents=()
    )
    return replace(request, name=name or request.name)


SCENES: Final[Mapping[str, Scene]] = {
    "traffic": traffic,
    "no-events": no_events,
    "kills": kills,
    "steps-sender": partial(steps, victim=POL, sender=POL),
    "steps-receiver": partial(steps, victim=PRO, sender=POL),
    "before-inbox": partial(steps, victim=PRO, sender=POL, before_inbox=True),
    "steps-province": partial(steps, victim="620000-00-00", sender=POL),
    "steps-replaced": partial(steps, victim=POL, sender=POL, replaced=True),
    "power": power,
    "power-steps": power_steps,
    "racer": racer,
    "forger": forger,
}
