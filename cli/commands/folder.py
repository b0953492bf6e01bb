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
    from frontend_server.folders import AgencyFolders, FolderRights, MarkerState


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

    Look first that the right share is mounted, and stop the daemon. As root it acts as the owner of
    data_dir, as the daemon does. Folders of that user get the configured group and mode; staging is for
    the daemon alone. A marker that is there stays. Where the ledger remembers another one, nothing is
    changed without --accept (exit code 1).

    \b
    Example:
      exchangectl --config /etc/exchanged/exchanged.toml folder init
    """
    from cli.service_user import call_as_owner, group_name, user_name
    from frontend_server.folders import STAGING, MarkerState

    config = settings.load()
    words = ["folder", "init", *(["--accept"] if accept else []), *(["--json"] if as_json else [])]
    done = call_as_owner(config.node.data_dir, settings.config_path, words)
    if done is not None:
        return done
    states, rights = _initialise(config, accept=accept)
    if as_json:
        say_json({"folders": states, "rights": [_rights_as_json(each) for each in rights]})
    else:
        rows = []
        for found in rights:
            owner = f"{user_name(found.uid)}:{group_name(found.gid)}"
            state = _("mended") if found.mended else _("good") if found.is_good else _("differs")
            marker = _(states[found.name].value) if found.name in states else ""
            rows.append((found.name, owner, f"{found.mode:04o}", state, marker))
        say(table((_("folder"), _("owner"), _("mode"), _("state"), _("marker")), rows))
        for found in rights:
            if not found.is_good:
                wanted = _("{name}: expected mode {mode} and the configured group; mend owner or mount")
                say(wanted.format(name=found.name, mode=f"{found.wanted_mode:04o}"))
    good = all(state is MarkerState.GOOD for state in states.values())
    # Staging is private only where folders may have modes of their own; config check says so.
    good &= all(found.is_good for found in rights if found.name != STAGING)
    return ExitCode.DONE if good else ExitCode.FINDINGS


def _initialise(
    config: Config, *, accept: bool
) -> tuple[dict[str, MarkerState], tuple[FolderRights, ...]]:
    """Under the node's lock, so that no daemon looks on. State of each marker by folder, and all rights."""
    from exchanged.clock import SystemClock, SystemRandomness
    from exchanged.damage_mark import marking, require_sound
    from exchanged.durable import DurableFiles, Volume
    from exchanged.errors import ConfigurationError
    from exchanged.ledger import Ledger, clock_memory
    from exchanged.lock import NodeLock, Purpose
    from exchanged.own_ledger import require_own_ledger, require_same_node
    from exchanged.places import LEDGER_FILE
    from exchanged.soundness import SoundClock
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
        require_sound(config.node.data_dir)
        undo.enter_context(marking(config.node.data_dir))
        require_own_ledger(config.node.data_dir)
        path = config.node.data_dir / LEDGER_FILE
        clock = SoundClock(SystemClock())
        ledger = Ledger(path, clock, on_wake=lambda _names: None, threaded=False)
        undo.callback(ledger.close)
        require_same_node(ledger.read(), config.node)
        clock_memory.go_by_books(clock, ledger, config.limits.clock_skew_seconds)
        folders.ensure()
        rights = folders.mend()
        return {name: _mark(folders, ledger, name, token, accept=accept) for name in (OUTBOX, INBOX)}, rights


def _rights_as_json(found: FolderRights) -> dict[str, object]:
    from cli.service_user import group_name, user_name

    return {
        "name": found.name,
        "owner": user_name(found.uid),
        "group": group_name(found.gid),
        "mode": f"{found.mode:04o}",
        "expected_mode": f"{found.wanted_mode:04o}",
        "good": found.is_good,
        "mended": found.mended,
    }


def _mark(folders: AgencyFolders, ledger: Ledger, name: str, token: str, *, accept: bool) -> MarkerState:
    from exchanged.errors import NameTakenError
    from frontend_server.folders import MarkerState, write_marker

    known = ledger.write(lambda transaction: transaction.recall(f"marker:{name}"))
    if known is None or accept:
        with suppress(NameTakenError):
            write_marker(folders.root / name, folders.node, token, folders.files)
    state = folders.check_marker(ledger, name)
    return folders.accept_marker(ledger, name) if accept and state is not MarkerState.GOOD else state
