"""Which state of the source something was found on: what was kept for another one counts no more."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

UNKNOWN: Final = "unknown"
"""The state of what is no git repository."""


def source_of(root: Path, parts: Sequence[str] = ()) -> str:
    """The state of the source: its commit, and when files differ from it, a digest of the differences.

    ``parts``: of these folders and files alone, and with a digest of them in the place of the commit.
    """

    def git(*arguments: str) -> bytes:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, check=True).stdout

    try:
        commit = git("rev-parse", "HEAD").decode().strip()
        if parts:
            commit = hashlib.sha256(git("ls-tree", "HEAD", "--", *parts)).hexdigest()[:40]
        changed = git("diff", "HEAD", "--binary", "--", *(parts or (".", ":!docs/certainty")))
        new = git("ls-files", "--others", "--exclude-standard", "--", *parts)
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN
    if not changed and not new:
        return commit
    digest = hashlib.sha256(changed)
    for name in new.decode().splitlines():
        path = root / name
        # A link (to an environment, say) is its target's name.
        content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
        digest.update(name.encode() + content)
    return f"{commit}-changed-{digest.hexdigest()[:12]}"
