"""Real scanner programs for tests: shell scripts that refuse, fail or hang by what the document says."""

from __future__ import annotations

from pathlib import Path

from exchanged.config import ScannerConfig

# A document that holds this is taken for infected; one with the second makes the scanner fail.
INFECTED, BREAKS = "FICTIONAL-VIRUS", "FICTIONAL-CRASH"

_LOOK = f"""
text=$(cat | tr -d '\\000')
printf '%s\\n' "$EXCHANGED_FILE_NAME" >> "$0.names"
case "$text" in
*{INFECTED}*) exit 1 ;;
*{BREAKS}*) exit 2 ;;
esac
exit 0
"""


def scanner(folder: Path, script: str = _LOOK, *, timeout_seconds: float = 30.0) -> ScannerConfig:
    """A scanner that runs ``script``."""
    program = folder / "scanner"
    program.write_text(f"#!/bin/sh\n{script}", encoding="utf-8")
    program.chmod(0o700)
    return ScannerConfig((str(program),), timeout_seconds)


def names_seen(folder: Path) -> list[str]:
    """The listed names that the scanner was given, in order."""
    seen = folder / "scanner.names"
    return seen.read_text(encoding="utf-8").splitlines() if seen.exists() else []
