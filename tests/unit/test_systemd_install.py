"""``systemd/install.sh`` below a folder of its own, as whoever builds an image calls it."""

from __future__ import annotations

import shutil
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


def test_an_sshd_config_that_nobody_changed_is_replaced_by_that_of_a_newer_version(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    shutil.copytree(SCRIPT.parent, source)
    config = target / "etc" / "exchanged" / "sshd" / "sshd_config"

    def install(version: str) -> str:
        (source / "sshd_config").write_text(f"# {version}\n", encoding="utf-8")
        done = subprocess.run(
            ["sh", source / SCRIPT.name, target], check=True, capture_output=True, text=True
        )
        return done.stdout

    install("first")
    assert "changed here" not in install("second")
    assert config.read_text("utf-8") == "# second\n"
    # Changed here: it stays, also in the version after the next.
    config.write_text("# ours\n", encoding="utf-8")
    for version in ("third", "fourth"):
        assert "changed here and stays" in install(version)
        assert config.read_text("utf-8") == "# ours\n"
        assert config.with_name("sshd_config.new").read_text("utf-8") == f"# {version}\n"
    # Once it is what a version brought, the next one replaces it.
    config.write_text("# fourth\n", encoding="utf-8")
    assert install("fourth") == ""
    assert "changed here" not in install("fifth")
    assert config.read_text("utf-8") == "# fifth\n"
    # Of an installation from before nothing is remembered: it stays.
    config.with_name("sshd_config.installed").unlink()
    assert "changed here and stays" in install("sixth")
    assert config.read_text("utf-8") == "# fifth\n"
