"""``exchangectl log``: the Merkle logs of admitting nodes, as this node keeps or was shown them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.exit_codes import ExitCode
from cli.frame import NounGroup, Settings, json_option, read_input
from cli.locale import _, told
from cli.node_view import open_view
from cli.render import fields, local_time, say, say_json, table

if TYPE_CHECKING:
    from cli.node_view import NodeView
    from exchanged.ledger.log_views import Contradiction
    from exchanged.ledger.questions_log import OtherLog, OwnLog
    from packet_spec.log_head import LogHead

_FILE = click.Path(path_type=Path)


@click.group(
    "log",
    cls=NounGroup,
    members={"recovery": "log_recovery", "sign": "log_sign", "install": "log_install"},
)
def log() -> None:
    """Show and compare the logs of what nodes accepted."""


@log.command("show")
@json_option
@click.pass_obj
def show(settings: Settings, *, as_json: bool) -> int:
    """Show this node's own log, and what it knows of the logs of admitting nodes.

    Of each: the newest head, what the log did not show yet, heads that were brought to be compared, and
    contradictions, of the own log with a head that was brought too. Exit code 1 when a log contradicts
    itself.

    \b
    Example:
      exchangectl log show
    """
    from exchanged.clock import SystemClock
    from exchanged.ledger.log_views import contradictions
    from exchanged.ledger.questions_log import other_logs, own_log

    with open_view(settings) as view:
        own, others = own_log(view.connection), other_logs(view.connection, SystemClock().now())
        doubts = contradictions(view.connection, view.config.node.code)
    if as_json:
        say_json({"own": _own_values(own, doubts), "others": [_other_values(other) for other in others]})
    else:
        _show(own, doubts, others)
    return ExitCode.FINDINGS if doubts or any(other.contradictions for other in others) else ExitCode.DONE


def _own_values(own: OwnLog, doubts: tuple[Contradiction, ...]) -> dict[str, object]:
    return {
        "size": own.size,
        "root": own.root,
        "told": own.told,
        "owed": own.owed,
        "contradictions": [_doubt_values(each) for each in doubts],
    }


def _other_values(other: OtherLog) -> dict[str, object]:
    return {
        "node": other.node,
        "head": None if other.newest is None else other.newest.head,
        "awaited": other.awaited,
        "compared": [row.head for row in other.compared],
        "contradictions": [_doubt_values(each) for each in other.contradictions],
    }


def _doubt_values(doubt: Contradiction) -> dict[str, object]:
    held, told_then = _shown(doubt.held), _shown(doubt.told)
    return {"reason": doubt.reason, "at": doubt.at, "held": held, "told": told_then}


def _shown(document: bytes) -> str:
    from exchanged.log_watch import shown_head

    return shown_head(document)


def _show(own: OwnLog, doubts: tuple[Contradiction, ...], others: tuple[OtherLog, ...]) -> None:
    from exchanged.log_watch import shown_head

    has_own = own.size or doubts or not others
    if has_own:
        say(
            fields(
                [
                    (_("own log"), _("{count} entries").format(count=own.size)),
                    (_("root"), own.root),
                    (_("last head signed"), shown_head(own.head) if own.head else _("none")),
                    (_("not told yet"), ", ".join(own.owed)),
                ]
            )
        )
    if own.told:
        say(table((_("front-end"), _("told up to")), sorted(own.told.items())))
    _show_doubts(doubts)
    for number, other in enumerate(others):
        newest, awaited = other.newest, other.awaited
        if number or has_own:
            say()
        say(
            fields(
                [
                    (_("log of"), other.node),
                    (_("log head"), _("none yet") if newest is None else str(newest.head.size)),
                    (_("root"), "" if newest is None else newest.head.root),
                    (_("head signed"), "" if newest is None else local_time(newest.head.at)),
                    (
                        _("not shown yet"),
                        ""
                        if awaited is None
                        else _("{count}, the oldest since {at}").format(
                            count=awaited.count, at=local_time(awaited.oldest_at)
                        ),
                    ),
                    (_("being compared"), ", ".join(str(row.head.size) for row in other.compared)),
                ]
            )
        )
        _show_doubts(other.contradictions)


def _show_doubts(doubts: tuple[Contradiction, ...]) -> None:
    for each in doubts:
        reason, at = told(each.reason), local_time(each.at)
        say(_("CONTRADICTION ({reason}), found {at}").format(reason=reason, at=at))
        say(f"  {_('held before')}: {_shown(each.held)}")
        say(f"  {_('told then')}: {_shown(each.told)}")


@log.command("export")
@click.option("--node", "node", metavar="CODE", help="Whose log; without it, this node's own.")
@click.option("--output", type=_FILE, required=True, help="Where the signed head goes.")
@json_option
@click.pass_obj
def export(settings: Settings, node: str | None, output: Path, *, as_json: bool) -> None:
    """Write the newest signed head of a log into a file, for another agency or an auditor to compare.

    Where the log contradicts itself the head told last goes into the file, and the one held before into
    a second one that ends with .held: together they are the evidence. The file holds no case data.

    \b
    Example:
      exchangectl log export --node 620000-00-00 --output head.xml
    """
    from exchanged.durable import DurableFiles, Volume

    with open_view(settings) as view:
        documents = _documents(view, node or view.config.node.code)
    paths = [output, output.with_name(f"{output.name}.held")][: len(documents)]
    for path, document in zip(paths, documents, strict=True):
        DurableFiles(Volume.OUTPUT).write_file(path, (document,), mode=0o644)
    if as_json:
        say_json({"files": paths, "heads": [_shown(document) for document in documents]})
    else:
        rows = [(path, _shown(document)) for path, document in zip(paths, documents, strict=True)]
        say(table((_("file"), _("log head")), rows))


def _documents(view: NodeView, node: str) -> tuple[bytes, ...]:
    from exchanged.errors import NotFoundError
    from exchanged.ledger import log_views
    from exchanged.ledger.questions_log import own_log

    doubts = log_views.contradictions(view.connection, node)
    if doubts:
        return doubts[-1].told, doubts[-1].held
    if node == view.config.node.code and (head := own_log(view.connection).head) is not None:
        return (head,)
    newest = log_views.newest(view.connection, node)
    if newest is None:
        raise NotFoundError(
            "this node has no head of that log", where=node, hint="exchangectl log show tells what there is"
        )
    return (newest.document,)


@log.command("compare")
@click.argument("file", type=_FILE)
@json_option
@click.pass_obj
def compare(settings: Settings, file: Path, *, as_json: bool) -> int:
    """Compare the head in FILE, from another agency, with the log that this node keeps or was shown.

    A node that shows one log to some and another to others is found by this alone. Heads of one size are
    compared at once: exit code 0 for the same log, 5 for another one, which also raises the alarm here. With
    heads of different sizes the daemon asks the node to prove that both are of one log: exit code 1,
    and exchangectl log show tells the answer after a minute.

    \b
    Example:
      exchangectl log compare head-of-the-court.xml
    """
    from cli.incoming import put_incoming
    from exchanged.places import LOG_FOLDER
    from packet_spec.limits import LOG_HEAD_BYTES

    data = read_input(file, LOG_HEAD_BYTES)
    with open_view(settings) as view:
        head = _open(view, data)
        is_same = _compare(view, head)
        if is_same is not True:
            name = f"head-{head.node}-{head.size}-{head.root[:12]}.xml"
            put_incoming(view.config, LOG_FOLDER, name, data)
    code, text = {
        True: (ExitCode.DONE, _("the same log: {node}, {size} entries")),
        False: (ExitCode.REFUSED, _("ANOTHER LOG of {node} at {size} entries: see exchangectl log show")),
        None: (ExitCode.FINDINGS, _("{node} is asked to prove {size} entries: see exchangectl log show")),
    }[is_same]
    if as_json:
        say_json({"head": head, "same": is_same})
    else:
        say(text.format(node=head.node, size=head.size))
    return code


def _open(view: NodeView, data: bytes) -> LogHead:
    """Verified by the installed directory. Raises NotFoundError without one, and as the standard does."""
    from exchanged.clock import SystemClock
    from exchanged.errors import NotFoundError
    from packet_spec.authority import check_log_authority
    from packet_spec.directory import find_key_owner
    from packet_spec.log_head import open_log_head
    from packet_spec.signing import PublicKey

    directory = view.directory()
    if directory is None:
        raise NotFoundError("no directory is installed", hint="run: exchangectl directory install FILE")

    def look_up(key_id: str) -> PublicKey | None:
        found = find_key_owner(directory, key_id)
        return None if found is None else PublicKey(found[1].suite, found[1].public)

    head, key_id = open_log_head(data, look_up)
    check_log_authority(directory, head, key_id, SystemClock().now())
    return head


def _compare(view: NodeView, head: LogHead) -> bool | None:
    """The same log, another one, or None: of a size that nobody here can tell about."""
    from exchanged.ledger import log_views
    from exchanged.ledger.log_tree import Tree, size_of
    from exchanged.ledger.log_views import HeadState

    connection = view.connection
    if head.node == view.config.node.code:
        return head.size <= size_of(connection) and Tree(connection, head.size).root().hex() == head.root
    proved = {HeadState.HELD, HeadState.AGREED}
    roots = {
        row.head.root for row in log_views.find(connection, head.node, head.size) if row.state in proved
    }
    return head.root in roots if roots else None
