"""A copy of the program with one seeded bug in it."""

from __future__ import annotations

import compileall
import shutil
from pathlib import Path
from typing import Final

from certainty.mutants.table import Edit, Mutant

ROOT: Final = Path(__file__).resolve().parents[2]
_PACKAGES: Final = ("packet_spec", "exchanged", "frontend_server", "cli", "certainty")


class PatchError(Exception):
    """An edit does not apply any more: the program changed, and the table must follow."""


def copy_tree(to: Path) -> Path:
    """The program as it is, compiled: workers are fresh interpreters and would all do it again."""
    to.mkdir(parents=True)
    for name in _PACKAGES:
        shutil.copytree(ROOT / name, to / name, symlinks=True)
        compileall.compile_dir(to / name, quiet=2)
    return to


def patched(text: str, edit: Edit) -> str:
    """The text with the edit. Raises PatchError unless what it replaces stands there exactly once."""
    times = text.count(edit.old)
    if times != 1:
        raise PatchError(f"{edit.file}: what is to be replaced stands there {times} times: {edit.old[:80]!r}")
    return text.replace(edit.old, edit.new)


def apply(mutant: Mutant, tree: Path) -> None:
    """Change the tree. Raises PatchError when an edit does not apply, or leaves no program."""
    for edit in mutant.edits:
        path = tree / edit.file
        path.write_text(patched(path.read_text(encoding="utf-8"), edit), encoding="utf-8")
    for file in {edit.file for edit in mutant.edits}:
        if not compileall.compile_file(tree / file, quiet=2):
            raise PatchError(f"{mutant.name}: {file} is no program any more")
