"""``systemd/install.sh`` below a folder of its own, as whoever builds an image calls it."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "systemd" / "install.sh"


@pytest.mark.parametrize("umask", [0o027, 0o077])
def test_what_it_makes_is_readable_whatever_the_umask_of_root_is(tmp_path: Path, umask: int) -> None:
    subprocess.run(["sh", SCRIPT, tmp_path], check=True, capture_output=True, umask=umask)
    made = {path: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert len(made) > 10
    assert {mode for path, mode in made.items() if path.is_dir()} == {0o755}
    assert {mode for path, mode in made.items() if path.is_file()} == {0o644}
