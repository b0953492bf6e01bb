"""A stand-in for a file server's share: a FUSE file system over a folder, with switchable faults.

``Share`` mounts it from a test; ``tests.support.share_server`` is the process that serves it. What another
machine does is done in the backing folder: no event comes of it on the mount. The
other traits are switched while it runs, by an empty file of the trait's name in the folder SWITCHES.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NO_FOLDER_SYNC = "no-folder-sync"
NO_RENAME_NEW = "no-rename-new"
NO_LINKS = "no-links"
NO_CASE = "no-case"
COARSE_TIMES = "coarse-times"
HANGS = "hangs"
TRAITS = (NO_FOLDER_SYNC, NO_RENAME_NEW, NO_LINKS, NO_CASE, COARSE_TIMES)


class Share:
    """One mounted stand-in. The tests' side: nothing here imports the library."""

    def __init__(self, backing: Path, mount: Path, switches: Path) -> None:
        self.backing = backing
        self.mount = mount
        self._switches = switches
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Mount it; returns when it answers."""
        for path in (self.backing, self.mount, self._switches):
            path.mkdir(parents=True, exist_ok=True)
        places = (str(self.backing), str(self.mount), str(self._switches))
        command = [sys.executable, "-m", "tests.support.share_server", *places]
        # With libfuse 2 beside it the library would take that, which knows no flags of renameat2.
        environment = {**os.environ, "FUSE_LIBRARY_NAME": "fuse3"}
        self._process = subprocess.Popen(command, cwd=ROOT, env=environment)
        deadline = time.monotonic() + 15
        while not os.path.ismount(self.mount):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the share was not mounted")
            time.sleep(0.02)

    def vanish(self) -> None:
        """The mount goes from under whoever uses it; the mount point is an empty folder."""
        subprocess.run(["umount", "--lazy", str(self.mount)], check=True)
        if self._process is not None:
            # What is still open on it would keep the server alive, and the test waiting.
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def stop(self) -> None:
        """Let go of everything, also of a share that hangs."""
        self.switch(HANGS, on=False)
        if self._process is not None:
            self.vanish()

    def switch(self, trait: str, *, on: bool = True) -> None:
        """Turn a trait on or off; it counts at once."""
        if on:
            (self._switches / trait).touch()
        else:
            (self._switches / trait).unlink(missing_ok=True)
