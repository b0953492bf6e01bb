"""Which directory and roots are in force at a node, read from its disk while its daemon may run."""

from __future__ import annotations

from cli import check_words
from cli.check_values import Check, CheckState
from cli.locale import _
from exchanged.config import Config
from exchanged.directory_folder import DirectoryFolder, read_folder
from exchanged.places import DIRECTORY_FOLDER
from packet_spec.directory import open_directory
from packet_spec.directory_trust import RootsInForce
from packet_spec.model import Directory


def anchor_of(config: Config) -> RootsInForce:
    """Where the chain of directories begins: the roots of the configuration."""
    return RootsInForce(config.keys.roots, config.keys.threshold)


def find_directory(config: Config) -> tuple[Directory | None, Check]:
    """The directory in force in data_dir, and how the search for it ended."""
    folder = config.node.data_dir / DIRECTORY_FOLDER
    try:
        found = read_folder(folder, anchor_of(config))
    except OSError as error:
        # Whoever may not look must not be sent to install another one.
        return None, check_words.unusable("directory", folder, error.strerror or "")
    refused = "; ".join(f"{name}: {error}" for name, error in found.passed_over[:1])
    if found.current is not None:
        state = CheckState.WARNING if refused else CheckState.GOOD
        return found.current.directory, Check("directory", state, refused or found.current.path.name)
    if refused:
        return None, Check("directory", CheckState.PROBLEM, refused)
    waiting = _waiting(config)
    if waiting:
        text = _("{file} lies ready; the daemon takes it when it starts").format(file=waiting)
        return None, Check("directory", CheckState.NOTE, text)
    missing = _("none is installed; run: exchangectl directory install FILE")
    return None, Check("directory", CheckState.WARNING, missing)


def _waiting(config: Config) -> str:
    """The directory that a person put in, and that the daemon has not looked at yet."""
    try:
        found = read_folder(config.node.data_dir / DIRECTORY_FOLDER / "incoming", anchor_of(config))
    except OSError:
        return ""
    return "" if found.current is None else found.current.path.name


def roots_in_force(config: Config) -> RootsInForce:
    """The roots that count at this node: those of its directory, else those of its configuration."""
    return _folder(config).roots


def open_trusted(data: bytes, config: Config) -> Directory:
    """A directory, proved by the roots in force at this node. Raises as ``open_directory``."""
    roots = roots_in_force(config)
    return open_directory(data, roots.roots, roots.threshold)


def _folder(config: Config) -> DirectoryFolder:
    try:
        return read_folder(config.node.data_dir / DIRECTORY_FOLDER, anchor_of(config))
    except OSError:
        return DirectoryFolder(anchor_of(config))
