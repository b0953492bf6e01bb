"""The shipped body schemas as documents, joined in memory so that no validator opens a file by itself."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from packet_spec.body_xsd import COMMON
from packet_spec.limits import MIB
from packet_spec.xml import Element, parse_document

_XS: Final = "{http://www.w3.org/2001/XMLSchema}"


def schema_document(category: str, only: str = "") -> Element:
    """The category's schema with the common one put in the place of its include.

    ``only`` leaves one business type. Raises OSError when a shipped file is missing.
    """
    folder = files("packet_spec").joinpath("schemas", "body")
    root, common = (
        parse_document(folder.joinpath(f"{name}.xsd").read_bytes(), limit_bytes=MIB)
        for name in (category, COMMON)
    )
    for child in list(root):
        other = child.tag == f"{_XS}element" and child.get("name") != only
        if child.tag == f"{_XS}include" or (only and other):
            root.remove(child)
    for position, child in enumerate(list(common)):
        root.insert(position, child)
    return root
