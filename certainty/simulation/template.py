"""Worlds are copied, not built: each plan is built and opened once per process, and copied for each seed."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

from certainty.simulation.drops import EPOCH
from cli.lab.build import build_lab
from cli.lab.layout import Layout
from cli.lab.plan import LabPlan, Standard, parse_plan
from exchanged.config import Config, LinkTransport, load_config
from exchanged.parts import Ports, open_parts
from exchanged.pool import InlinePool
from packet_spec.model import Route
from tests.support.clock import FakeClock, FakeRandomness
from tests.support.network import COURT, POLICE, PROCURATORATE

_TWO: Final = (POLICE, PROCURATORATE)
_THREE: Final = (POLICE, PROCURATORATE, COURT)
_BRIDGE: Final = [{"name": "north", "between": ["province"]}]


def _plan(codes: tuple[str, ...], bridged: tuple[str, ...] = ()) -> LabPlan:
    agencies = [{"code": code, **({"via": "bridge-north"} if code in bridged else {})} for code in codes]
    return parse_plan({"agency": agencies, **({"bridge": _BRIDGE} if bridged else {})})


def _pair() -> LabPlan:
    """Two agencies without a province: each admits for the other."""
    agencies = [{"code": code} for code in _TWO]
    link = [{"between": [*_TWO]}]
    return parse_plan({"province": {"present": False}, "agency": agencies, "link": link})


PLANS: Final[dict[str, LabPlan]] = {
    "two": _plan(_TWO),
    "three": _plan(_THREE),
    "bridged": _plan(_TWO, bridged=(POLICE,)),
    "both-bridged": _plan(_TWO, bridged=_TWO),
    "encrypted": replace(_plan(_TWO), standard=Standard(routes=(Route(encrypt="parts"),))),
    "pair": _pair(),
}


class Templates:
    """The built plans below ``folder``; a world stands at ``folder/world``: its path is in its files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.world = folder / "world"
        self._configs: dict[str, dict[str, Config]] = {}

    def copy(self, plan: str) -> dict[str, Config]:
        """A fresh world of that plan; its configurations by node."""
        if plan not in self._configs:
            self._configs[plan] = self._build(plan)
        self._clear()
        _copy(self._folder / plan, self.world)
        return self._configs[plan]

    def _clear(self) -> None:
        if self.world.exists():
            shutil.rmtree(self.world)

    def _build(self, plan: str) -> dict[str, Config]:
        self._clear()
        layout, made = Layout(self.world), PLANS[plan]
        build_lab(layout, made, LinkTransport.FOLDER, FakeClock(EPOCH), FakeRandomness("build"))
        configs = {code: load_config(layout.config(code)) for code in made.nodes}
        # Opened once: the tables of a ledger take longer to make than to copy.
        _open_once(configs)
        self.world.rename(self._folder / plan)
        return configs


def _open_once(configs: dict[str, Config]) -> None:
    for code, config in configs.items():
        ports = Ports(FakeClock(EPOCH), FakeRandomness(f"first-{code}"), InlinePool(), threaded=False)
        parts = open_parts(config, ports, lambda _names: None)
        parts.close(clean=True)


def _copy(source: Path, target: Path) -> None:
    """A tree without sockets and FIFOs, with its modes and times."""
    target.mkdir()
    for entry in sorted(os.scandir(source), key=lambda each: each.name):
        path = target / entry.name
        if entry.is_dir(follow_symlinks=False):
            _copy(Path(entry.path), path)
        elif entry.is_file(follow_symlinks=False):
            shutil.copy2(entry.path, path, follow_symlinks=False)
    shutil.copystat(source, target)
