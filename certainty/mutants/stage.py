"""A small real province whose daemons run from a given copy of the program, for the scenes of the mutants."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from certainty.books import Driver, Reader, World, await_quiet, check
from certainty.books.driver import Dropped
from certainty.kills.nodes import Nodes, NotReadyError
from certainty.shard import Violation
from certainty.sweep.volume import Volume
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import parse_plan
from packet_spec.status import decode_status_xml
from packet_spec.told import Status
from tests.support.share import Share

POL: Final = "620199-01-00"
PRO: Final = "620199-03-00"
CRT: Final = "620199-04-00"
BRIDGE: Final = "bridge-x"
QUIET_SECONDS: Final = 25.0
# A busy machine takes long; one packet that is not accepted by then will not be.
_ACCEPTED_SECONDS: Final = 75.0


class UnreadyError(NotReadyError):
    """The same in a scene. ``found``: what the checker found in the books at that moment."""

    def __init__(self, what: str, found: tuple[Violation, ...]) -> None:
        super().__init__(what)
        self.found = found


class Stage:
    """One lab over folder links. ``tree``: whose program the nodes run. Everything else is this program's."""

    def __init__(
        self, lab: Lab, world: World, nodes: Nodes, reader: Reader, seed: int, *, synced: bool
    ) -> None:
        self.lab = lab
        self.world = world
        self.nodes = nodes
        self.reader = reader
        self.random = random.Random(seed)
        self.driver = Driver(world, seed, synced=synced)
        self.volumes: tuple[Volume, ...] = ()
        self.seed = seed

    @classmethod
    @contextmanager
    def open(
        cls,
        tree: Path,
        folder: Path,
        seed: int,
        *,
        bridge: bool = False,
        volumes: bool = False,
        share: bool = False,
        take_seconds: tuple[float, float] = (0.05, 0.4),
    ) -> Iterator[Stage]:
        """A running stage. ``volumes``: data and agencies on two volumes whose power can be cut (root).

        ``share``: the police's folders lie on a share of which no event comes. Raises NotReadyError when a
        node does not run; UnreadyError, when that is so later on.
        """
        folder.mkdir(parents=True)
        with ExitStack() as stack:
            made = []
            if volumes:
                made.append(stack.enter_context(Volume.create(folder / "data.img", folder / "lab", 192)))
            lab = create_lab(folder / "lab", parse_plan(_plan(bridge=bridge)), "folder")
            if volumes:
                made.append(_move(stack, folder, folder / "lab" / "agencies"))
            world = World.of_lab(lab, folder / "books")
            if share:
                world = replace(world, agencies={**world.agencies, POL: _share(stack, folder, lab)})
            nodes = stack.enter_context(Nodes(lab, home=tree, temporary=world.temporary))
            # What a reader takes out and does not flush would come back with the power.
            taken = None if volumes else take_seconds
            reader = Reader(world, take_seconds=taken, take_share=0.8, seed=seed)
            stage = cls(lab, world, nodes, reader, seed, synced=volumes)
            stage.volumes = tuple(made)
            stage.nodes.start_all()
            reader.start()
            stack.callback(reader.kill)
            try:
                yield stage
            except NotReadyError as error:
                # That it does not run is not what is looked for; what it did before may be.
                raise UnreadyError(str(error), stage.judge_books()) from error

    def judge_books(self) -> tuple[Violation, ...]:
        """Ask the checker about everything but what has not ended: not all nodes run."""
        self.reader.stop()
        cuts = bool(self.volumes)
        return check(self.world, case=f"seed {self.seed}", drained=False, power_cuts=cuts)

    def judge_now(self, *hostile: str) -> tuple[Violation, ...]:
        """Ask the checker at once; what ``hostile`` nodes have in their ledgers is their own business.

        Raises NotReadyError when a node has ended by itself.
        """
        self.require_alive()
        self.reader.stop()
        honest = {code: config for code, config in self.world.configs.items() if code not in hostile}
        return check(replace(self.world, configs=honest), case=f"seed {self.seed}", drained=False)

    def judge(self, *, drained: bool = True, power_cuts: bool = False) -> tuple[Violation, ...]:
        """Let everything come to its end, and ask the checker beside the running nodes.

        Raises NotReadyError when a node does not start, or has ended by itself.
        """
        for code in self.lab.nodes:
            if code not in self.nodes.running:
                self.nodes.start(code)
            self.nodes.await_ready(code)
        if drained:
            await_quiet(self.world, seconds=QUIET_SECONDS)
        self.require_alive()
        self.reader.stop()
        return check(self.world, case=f"seed {self.seed}", drained=drained, power_cuts=power_cuts)

    def require_alive(self) -> None:
        """Raises NotReadyError when a node has ended by itself."""
        for code, word in self.nodes.fallen().items():
            raise NotReadyError(f"{code} ended by itself: {word}")

    def await_taken(self, dropped: Dropped) -> bool:
        """That drop has left the outbox."""
        deadline = time.monotonic() + QUIET_SECONDS
        path = self.world.agencies[dropped.agency] / "outbox" / dropped.name
        while path.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        return not path.exists()

    def await_accepted(self, dropped: Dropped) -> Status:
        """The status of that drop, once its packet was accepted. Raises NotReadyError: nobody does it."""
        deadline = time.monotonic() + _ACCEPTED_SECONDS
        folder = self.world.agencies[dropped.agency] / "status"
        while time.monotonic() < deadline:
            for path in folder.glob("*.status.xml"):
                status = decode_status_xml(path.read_bytes())
                if status.drop == dropped.name and status.state == "accepted":
                    return status
            time.sleep(0.1)
        raise NotReadyError(f"{dropped.name} was not accepted in time")

    def cut_power(self) -> None:
        """Every node dies, and what was not flushed on the volumes is gone; then all is started again."""
        # At once: what another node flushes meanwhile would save what this one did not flush. The reader goes
        # first, since a dead volume is no inbox.
        self.reader.kill()
        for volume in reversed(self.volumes):
            volume.cut()
        for code in tuple(self.nodes.running):
            self.nodes.kill(code)
        for code in self.lab.nodes:
            self.world.note_power_cut(code)
        for volume in reversed(self.volumes):
            volume.unmount()
        for volume in self.volumes:
            volume.mount()
        self.reader.start()
        self.nodes.start_all()


def _share(stack: ExitStack, folder: Path, lab: Lab) -> Path:
    """Put the police's folders onto a share. Where its own machine reads and writes them."""
    share = Share(folder / "server", lab.agency_root(POL), folder / "switches")
    lab.agency_root(POL).rename(share.backing)
    share.start()
    stack.callback(share.stop)
    return share.backing


def _plan(*, bridge: bool) -> dict[str, object]:
    agencies = [{"code": POL, "via": BRIDGE} if bridge else {"code": POL}, {"code": PRO}, {"code": CRT}]
    if not bridge:
        return {"agency": agencies}
    return {"agency": agencies, "bridge": [{"name": BRIDGE, "between": ["province"]}]}


def _move(stack: ExitStack, folder: Path, place: Path) -> Volume:
    """What lies at ``place`` onto a volume of its own, mounted there."""
    volume = stack.enter_context(Volume.create(folder / f"{place.name}.img", folder / "moving", 96))
    subprocess.run(["cp", "-a", f"{place}/.", str(volume.at)], check=True)
    volume.unmount()
    volume.at = place
    volume.mount()
    # What was made until now was there long before the power went.
    subprocess.run(["sync", "-f", str(place), str(place.parent)], check=True)
    return volume


def pause(seconds: float) -> None:
    """Let the world go on."""
    time.sleep(seconds)
