"""Sign a directory as the keepers of a lab's root key would."""

from __future__ import annotations

from typing import Protocol

from cli.lab.layout import Layout
from exchanged.keys import load_key
from packet_spec.directory import encode_directory, sign_directory
from packet_spec.model import Directory


class _HasLayout(Protocol):
    @property
    def layout(self) -> Layout: ...


def signed(lab: _HasLayout, directory: Directory) -> bytes:
    """The signed file. ``lab`` is a simulated network or a lab."""
    return sign_directory(encode_directory(directory), [load_key(lab.layout.root_key)])
