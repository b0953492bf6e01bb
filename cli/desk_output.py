"""What every command of the directory's desk does at its end: write the next version, say what changed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cli.directory_changes import changes
from cli.directory_desk import Base
from cli.locale import _
from cli.render import say, say_json, table
from exchanged.durable import DurableFiles, Volume
from packet_spec.directory import encode_directory
from packet_spec.directory_trust import RootsInForce, is_root_change, roots_fingerprint
from packet_spec.model import Directory

_MODE: Final = 0o644


def write_next(base: Base, directory: Directory, output: Path, *, as_json: bool, script: str = "") -> None:
    """Write ``directory``, unsigned, into ``output``, and print in what it differs from ``base``.

    ``script`` is printed too, in such a way that all of it together is a script. Raises DirectoryError when
    the directory contradicts itself, and what the disk says.
    """
    DurableFiles(Volume.OUTPUT).write_file(output, (encode_directory(directory),), mode=_MODE)
    found = changes(base.directory, directory)
    by_both: bool | None = is_root_change(RootsInForce.of(base.directory), directory)
    if base.is_draft and not by_both:
        # What changed in the draft before cannot be seen from here.
        by_both = None
    if as_json:
        say_json(
            {
                "file": output,
                "epoch": directory.epoch,
                "version": directory.version,
                "root_fingerprint": roots_fingerprint(directory.roots, directory.threshold),
                "changes": found,
                "old_roots_must_sign_too": by_both,
            }
            | ({"script": script} if script else {})
        )
        return
    rows = [(change.what, change.before, change.after) for change in found]
    lines = [
        table((_("what"), _("was"), _("becomes")), rows),
        "",
        _("Written, unsigned: {file}").format(file=output),
        _("Next: {count} of its roots sign it:").format(count=directory.threshold),
        f"  exchangectl directory sign {output} --key ROOT.key",
    ]
    if by_both is None:
        lines.append(
            _("If roots, threshold or epoch changed in this draft before, the roots before must sign too.")
        )
    elif by_both:
        text = _("Roots, threshold or epoch change: {count} of the roots before must sign too.")
        lines.append(text.format(count=base.directory.threshold))
    said = "\n".join(lines)
    if script:
        first, _line_end, rest = script.partition("\n")
        comment = "".join(f"# {line}".rstrip() + "\n" for line in said.splitlines())
        said = f"{first}\n{comment}{rest}".rstrip("\n")
    say(said)
