"""``packet check``, ``packet new`` and ``kit build`` as on a Windows desk (tests.support.elsewhere)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documents import make_packet

ROOT = Path(__file__).resolve().parents[2]


def python(*words: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=cwd, capture_output=True, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


def done(*words: object, cwd: Path, code: int = 0, **environment: str) -> bytes:
    """What exchangectl prints on such a system; it must end with ``code``."""
    answer = python("-m", "tests.support.elsewhere", *words, cwd=cwd, **environment)
    assert answer.returncode == code, (answer.stdout + answer.stderr).decode("utf-8", "backslashreplace")
    assert b"Traceback" not in answer.stderr
    return answer.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder, a zip in GBK and a sealed packet, made on such a system."""
    tree = tmp_path_factory.mktemp("投件")
    new = ("packet", "new", "--type", "notice.publish", "--out", tree)
    done(*new, "--name", "文件夹", cwd=tree)
    done(*new, "--name", "压缩", "--format", "zip", "--encoding", "gbk", cwd=tree)
    (tree / "sealed.packet").write_bytes(make_packet())
    return tree


@pytest.mark.parametrize(
    "line",
    ["import fcntl", "from os import geteuid", "import os; os.O_NOFOLLOW", "import signal; signal.SIGHUP"],
)
def test_what_is_taken_away_is_away(tmp_path: Path, line: str) -> None:
    """Or the other tests here would prove nothing."""
    here = "__name__ = 'cli.somewhere'; "
    assert python("-c", here + line, cwd=tmp_path).returncode == 0
    taken = "from tests.support.elsewhere import take_away; take_away(); "
    answer = python("-c", taken + here + line, cwd=tmp_path)
    assert b"Error" in answer.stderr


def test_a_tree_with_a_folder_a_gbk_zip_and_a_sealed_packet_is_checked(tree: Path) -> None:
    said = json.loads(done("packet", "check", "--json", tree, cwd=tree, code=3))
    assert {Path(each["path"]).name: (each["outcome"], each["encoding"]) for each in said["checked"]} == {
        "文件夹": ("valid", "utf-8"), "压缩.zip": ("valid", "gb18030"), "sealed.packet": ("held", ""),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("encoding", "language"),
    [
        ("cp936", "zh_CN"),
        ("ascii", "zh_CN"),
        ("cp437", "en"),
        *(
            pytest.param(encoding, language, marks=pytest.mark.slow)
            for encoding, language in (
                ("cp437", "zh_CN"), ("utf-8", "zh_CN"), ("cp936", "en"), ("ascii", "en"), ("utf-8", "en"),
            )
        ),
    ],
)
def test_no_console_encoding_makes_it_stop(tree: Path, encoding: str, language: str) -> None:
    """Also where a path, a finding or a name holds what the console cannot show."""
    settings = {"PYTHONIOENCODING": encoding, "EXCHANGED_LOCALE": language, "LC_ALL": "C.UTF-8"}
    text = done("packet", "check", tree, cwd=tree, code=3, **settings).decode(encoding)
    assert ("合格" in text) is (language == "zh_CN" and encoding not in {"cp437", "ascii"})
    assert "sealed.packet" in text


@pytest.mark.slow
def test_a_kit_is_built_and_checked_and_is_the_same_as_elsewhere(tmp_path: Path) -> None:
    """The same bytes as on this system, so that a vendor can compare digests."""
    words = ("kit", "build", "--types", "trial.indict", "--types", "common.accept")
    done(*words, tmp_path / "there", cwd=tmp_path)
    done("packet", "check", tmp_path / "there", cwd=tmp_path, code=1, PYTHONIOENCODING="cp936")
    assert python("-m", "cli", *words, tmp_path / "here", cwd=tmp_path).returncode == 0
    there, here = ((tmp_path / name / "MANIFEST").read_bytes() for name in ("there", "here"))
    assert there == here
