"""The world that every case begins with: four nodes in a row over folder links, put back in milliseconds.

police - bridge - province - procuratorate, built once as the lab builds it, with drops that lie in the outbox
already. Two beginnings: ``journey`` (everything still to be done) and ``retention`` (all of it done and
collected, ninety-two days later, one more small drop: what was kept may go). The world stands at one path,
on an ext4 volume whose image is copied back for each case. In the *layout* of a role its folders lie on
volumes of their own, one for the node and one for each folder that it serves or owns, so that a flush of one
flushes nothing of another, and each can lose its power alone.
"""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from certainty.sweep.papers import Dropped
from certainty.sweep.reader import Reader, digests
from certainty.sweep.volume import PLAIN, UNKIND, Volume, VolumeToolError, copy_image, private_mounts
from cli.demo.watch import read_original
from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from cli.lab.build import build_lab
from cli.lab.layout import Layout
from cli.lab.plan import LabPlan, parse_plan
from exchanged.config import LinkTransport
from tests.support.clock import FakeClock, FakeRandomness

SENDER, RECEIVER, PROVINCE, BRIDGE = "620199-01-00", "620199-03-00", "620000-00-00", "bridge-x"
ROLES: Final = {"sender": SENDER, "bridge": BRIDGE, "province": PROVINCE, "receiver": RECEIVER}
JOURNEY: Final = "journey"
RETENTION: Final = "retention"
LARGE, BROKEN, LATE, LAST = "large", "broken", "late", "last"
BLOB_BYTES: Final = 1_200_000
# Above the floor of a lab and its margin, 320 MiB together.
_VOLUME_MEBIBYTES: Final = 448


def plan() -> LabPlan:
    """Police behind a bridge, procuratorate directly below the province."""
    return parse_plan(
        {
            "agency": [{"code": SENDER, "via": BRIDGE}, {"code": RECEIVER}],
            "bridge": [{"name": "x", "between": ["province"]}],
        }
    )


@dataclass(frozen=True, slots=True)
class Beginning:
    """One template: what it is called and how many seconds after the start of the clock it begins.

    ``reader``: who has looked at the inbox before.
    """

    name: str
    elapsed: float = 0.0
    reader: Reader | None = None


class World:
    """The place of all workers, below ``place``, an empty folder of its own. A context manager.

    The first volume holds everything that no volume of its own was made for. ``loses_power``: a case may cut
    it, so that the volumes need what a production volume has for that; it makes each flush dearer.
    """

    def __init__(self, place: Path, inodes: int = 0, *, loses_power: bool = True) -> None:
        self._place = place
        self._inodes = inodes
        self._loses_power = loses_power
        self.layout = Layout(place / "memory" / "lab")
        self.dropped = Dropped()
        self._volumes: list[Volume] = []

    @property
    def codes(self) -> tuple[str, ...]:
        """All nodes, in the order in which they are stepped."""
        return tuple(sorted(ROLES.values()))

    def __enter__(self) -> Self:
        for name in ("memory", "kept"):
            (self._place / name).mkdir(parents=True)
            self._mount(name)
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
        for name in ("memory", "kept"):
            subprocess.run(["umount", "-l", str(self._place / name)], capture_output=True, check=False)

    def stand_alone(self) -> None:
        """In a forked process: the same path, nothing of what others do there shows; templates are shared."""
        private_mounts()
        self._volumes.clear()
        self._mount("memory")

    def _mount(self, name: str) -> None:
        _run("mount", "-t", "tmpfs", "-o", "size=2g", "none", str(self._place / name))

    def build(self, layout: str = "") -> None:
        """A new world with its first drops; the folders of the node ``layout`` on volumes of their own."""
        self.clear()
        self._add(0, self.layout.root)
        build_lab(self.layout, plan(), LinkTransport.FOLDER, FakeClock(), FakeRandomness("build"))
        self.drop(LARGE, "prosecution.transfer", video=BLOB_BYTES)
        broken = self.drop(BROKEN)
        document = broken / "packet.xml"
        document.write_bytes(document.read_bytes().replace(b'sha256="', b'sha256="0', 1))
        self.dropped.files[BROKEN] = digests(broken)
        for index, folder in enumerate(self.folders(layout) if layout else (), start=1):
            aside = folder.with_name(f"{folder.name}.aside")
            folder.rename(aside)
            self._add(index, folder)
            _run("cp", "-a", f"{aside}/.", str(folder))
            shutil.rmtree(aside)

    def drop(self, name: str, business_type: str = "case.report", *, video: int = 0) -> Path:
        """The case software of the sender puts a drop into its outbox, in one rename."""
        extra = ("EVD-024",) if video else ()
        request = DropRequest(
            business_type, SENDER, RECEIVER, FakeClock().now(), extra_documents=extra,
            video_bytes=video or 1024, name=name, seed=sum(name.encode()),
        )  # fmt: skip
        path = write_drop(make_drop(request), self.layout.agency(SENDER) / "outbox")
        original = read_original(path)
        self.dropped.files[name] = digests(path)
        self.dropped.originals[original.packet_digest] = original
        return path

    def keep(self, beginning: Beginning, layout: str = "") -> None:
        """What stands now, closed, is from now on the template of that name; nothing stands afterwards.

        Volumes are kept as images, so that files keep their identity (an original is known by its inode).
        """
        self._let_go()
        for index, volume in reversed(list(enumerate(self._volumes))):
            volume.unmount()
            copy_image(volume.image, self._kept(beginning, layout, index))
        self.clear()

    def restore(self, beginning: Beginning, layout: str = "") -> None:
        """Put the template of that layout back."""
        self.clear()
        places = (self.layout.root, *(self.folders(layout) if layout else ()))
        for index, place in enumerate(places):
            kept = self._kept(beginning, layout, index)
            self._volumes.append(Volume.restored(kept, self._image(index), place, self._options))

    def folders(self, code: str) -> tuple[Path, ...]:
        """What lies on the machine of a node: the node itself, its agency's folders, mailboxes it serves.

        Of two nodes, joined by a plus sign, what lies on both machines.
        """
        if "+" in code:
            return tuple(folder for each in code.split("+") for folder in self.folders(each))
        served = {BRIDGE: (SENDER,), PROVINCE: (BRIDGE, RECEIVER)}.get(code, ())
        agency = () if code in {BRIDGE, PROVINCE} else (self.layout.agency(code),)
        return (self.layout.node(code), *agency, *(self.layout.mailbox(lower) for lower in served))

    def cut(self, code: str) -> None:
        """The power of that node's machine is gone."""
        for volume in self._of(code):
            volume.cut()

    def revive(self, code: str) -> None:
        """And it is back. Everything that had files open there must have ended."""
        for volume in self._of(code):
            volume.unmount()
        for volume in self._of(code):
            volume.mount()

    def volumes(self, code: str) -> list[Volume]:
        """The volumes of that node, the node's own first."""
        return self._of(code)

    def clear(self) -> None:
        """Nothing stands any more."""
        self._let_go()
        for volume in reversed(self._volumes):
            volume.remove()
        self._volumes.clear()

    def _let_go(self) -> None:
        """Nodes that were stepped here and are gone held folders open, as a daemon does to its end."""
        gc.collect()
        for entry in list(Path("/proc/self/fd").iterdir()):
            with suppress(OSError):
                if entry.readlink().is_relative_to(self.layout.root):
                    os.close(int(entry.name))

    def _of(self, code: str) -> list[Volume]:
        places = self.folders(code)
        return [volume for volume in self._volumes if volume.at in places]

    def _add(self, index: int, place: Path) -> None:
        made = Volume.create(
            self._image(index), place, _VOLUME_MEBIBYTES,
            inodes=self._inodes, options=self._options, has_journal=self._loses_power,
        )  # fmt: skip
        self._volumes.append(made)

    @property
    def _options(self) -> str:
        return UNKIND if self._loses_power else PLAIN

    def _image(self, index: int) -> Path:
        return self._place / "memory" / f"{index}.image"

    def _kept(self, beginning: Beginning, layout: str, index: int) -> Path:
        return self._place / "kept" / f"{beginning.name}-{layout or 'whole'}-{index}.image"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise VolumeToolError(f"{' '.join(command)}: {done.stderr.strip()}")
