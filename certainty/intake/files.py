"""The shard ``intake-files``: what lies in an outbox, and what is done to it while it is taken."""

from __future__ import annotations

from collections.abc import Iterator

from certainty.intake import contents, hostile, slow, specials
from certainty.intake.papers import POLICE, Papers
from certainty.intake.world import World
from certainty.shard import Outcome, Run


def work(run: Run) -> Iterator[Outcome]:
    """F20, F22, F28, F29, F30, F35 and F36."""
    settings = {code: {"[folders] profile": f'"{rule}"'} for code, rule in slow.RULES.items()}
    with World(run.folder, agencies=4, settings=settings) as world:
        yield from contents.rows(run, world, slow.papers_of())
        papers = Papers(POLICE)
        run.progress(5, 7, "special files")
        yield specials.special(run, world, papers)
        run.progress(6, 7, "hostile names")
        yield hostile.names(run, world, papers)
