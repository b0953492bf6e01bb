"""``exchangectl folder``: the folders that the case software sees."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import click

from cli.exit_codes import ExitCode
from cli.frame import Settings, json_option
from cli.locale import _
from cli.render import say, say_json, table

if TYPE_CHECKING:
    from exchanged.config import Config
    from exchanged.ledger import Ledger
    from frontend_server.folders import AgencyFolders, MarkerState


@click.group("folder")
def folder() -> None:
    """The folders that the case software sees."""


@folder.command("init")
@click.option(
    "--accept", is_flag=True, help="Take what lies there now, though the ledger remembers another marker."
)
@json_option
@click.pass_obj
def init(settings: Settings, *, accept: bool, as_json: bool) -> int:
    """Make the agency's folders, and the markers by which the daemon knows outbox and inbox again.

    Look first that the right share is mounted, stop the daemon, and run it as the daemon's user. A
    marker that is there stays. Where the ledger remembers another one, nothing is changed without
    --accept (exit code 1).

    \b
    Example:
      exchangectl --config /etc/exchanged/exchanged.toml folder init
    """
    from frontend_server.folders import MarkerState

    states = _initialise(settings.load(), accept=accept)
    if as_json:
        say_json({"folders": states})
    else:
        say(table((_("folder"), _("marker")), [(name, _(state.value)) for name, state in states.items()]))
    good = all(state is MarkerState.GOOD for state in states.values())
    return ExitCode.DONE if good else ExitCode.FINDINGS


def _initialise(config: Config, *, accept: bool) -> dict[str, MarkerState]:
    """Under the node's lock, so that no daemon looks on. Name of the folder -> state of its marker."""
    from exchanged.clock import SystemClock, SystemRandomness
    from exchanged.durable import DurableFiles, Volume
    from exchanged.errors import ConfigurationError
    from exchanged.ledger import Ledger
    from exchanged.lock import NodeLock, Purpose
    from exchanged.places import LEDGER_FILE
    from frontend_server.folders import INBOX, OUTBOX, AgencyFolders

    if config.folders is None:
        raise ConfigurationError(("[folders]: only a front-end has folders for case software",))
    if not config.node.data_dir.is_dir():
        raise ConfigurationError((f"[node] data_dir: {config.node.data_dir} is no folder",))
    folders = AgencyFolders(
        config.folders.root,
        DurableFiles(Volume.FOREIGN),
        node=config.node.code,
        mode=config.folders.mode,
        group=config.folders.group,
    )
    token = SystemRandomness().token(16).hex()
    with ExitStack() as undo:
        lock = NodeLock(config.node.data_dir / "lock", Purpose.ACT)
        undo.callback(lock.release)
        folders.ensure()
        path = config.node.data_dir / LEDGER_FILE
        ledger = Ledger(path, SystemClock(), on_wake=lambda _names: None, threaded=False)
        undo.callback(ledger.close)
        return {name: _mark(folders, ledger, name, token, accept=accept) for name in (OUTBOX, INBOX)}


def _mark(folders: AgencyFolders, ledger: Ledger, name: str, token: str, *, accept: bool) -> MarkerState:
    from exchanged.errors import NameTakenError
    from frontend_server.folders import MarkerState, write_marker

    known = ledger.write(lambda transaction: transaction.recall(f"marker:{name}"))
    if known is None or accept:
        with suppress(NameTakenError):
            write_marker(folders.root / name, folders.node, token, folders.files)
    state = folders.check_marker(ledger, name)
    return folders.accept_marker(ledger, name) if accept and state is not MarkerState.GOOD else state
