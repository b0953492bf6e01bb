"""How a command acts: it asks the running daemon, and where none runs it holds the node's lock and does it.

Guarantees: the same code decides and acts on both roads (``exchanged.acts``), and one command is done once:
its request bears a random number under which the answer is kept in the ledger, so that asking again, by
either road, repeats the answer and not the act. Whoever stops a command by the keyboard is told so where the
act may be done all the same, and what was done before.

Leaves to others: what the acts are, and how answers read (``cli.acting_text``).
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import click

from cli.act_options import Asked
from cli.acting_text import answer_text, refusal
from cli.exit_codes import ExitCode
from cli.frame import PartlyDoneError, Settings
from cli.locale import _, told
from cli.render import ask, say, say_json
from exchanged.acts.credentials import own_claims, own_operator
from exchanged.acts.opening import no_agency, opened_desk
from exchanged.acts.values import (
    MOST_TARGETS,
    Act,
    Answer,
    Filter,
    Operator,
    Request,
    Target,
    read_answer,
    read_request,
)
from exchanged.clock import SystemClock, SystemRandomness
from exchanged.config import Config
from exchanged.control import socket_address
from exchanged.errors import (
    ActNotWithdrawnError,
    AlreadyRunningError,
    ControlError,
    NotFoundError,
    NotPermittedError,
    RequestError,
)
from exchanged.lock import is_held
from exchanged.places import LOCK_FILE
from exchanged.pool import ProcessWorkPool
from frontend_server.role import frontend_agency
from packet_spec.errors import ExchangeError
from packet_spec.limits import MIB
from packet_spec.model import NodeRole

_ANSWER_BYTES: Final = 32 * 1024 * 1024
_BLOCK: Final = 65_536
_SECONDS: Final = 60.0
_ROADS: Final = 3
# A reload takes at most some fifteen seconds to stop the node.
_BETWEEN_SECONDS: Final = 0.25
_LOOKS: Final = 80

_Asking = Callable[[ActNotWithdrawnError], None]
"""Told just before an act is asked for: what is to be said if the keyboard stops the command from then on."""


def new_request(act: Act, reason: str, what: str = "", **particulars: Any) -> Request:
    """A request with a number of its own. Raises click.UsageError for a reason or text that is not one."""
    number = SystemRandomness().token(16).hex()
    request = Request(act=act, request=number, reason=reason.strip(), what=what, **particulars)
    # Judged as the daemon will judge it, with some subject where a filter will name them.
    try:
        read_request(json.loads(json.dumps(replace(request, what=what or "-").to_json())))
    except RequestError as error:
        raise click.UsageError(told(str(error))) from error
    return request


def _filter_of(asked: Asked) -> Filter | None:
    """The filter of the options, if any is given. Raises click.UsageError for what makes no sense."""
    if asked.only and not asked.what:
        raise click.UsageError(_("--only says which of what is held of one packet: name the packet too"))
    narrowing = (asked.state, asked.recipient, asked.sender, asked.link, asked.reasons, asked.only)
    if asked.everything if asked.what else not (asked.everything or any(narrowing)):
        raise click.UsageError(_("name one packet or drop, or say which of many, if only with --all"))
    if asked.what and not any(narrowing):
        return None
    return Filter(
        asked.state, asked.recipient, asked.sender, asked.link, asked.reasons, asked.limit, asked.only
    )


def carry_out(settings: Settings, request: Request) -> Answer:
    """The answer to ``request``, from the daemon or without it.

    Raises what the desk raises, NotPermittedError, and ControlError when a daemon seems to run but does
    not answer: the act may have been done then, and giving the same request again would tell. Raises
    ActNotWithdrawnError when the keyboard stops it after the act was asked for.
    """
    asked: list[ActNotWithdrawnError] = []
    try:
        return _carry_out(settings.load(), request, asked.append)
    except KeyboardInterrupt:
        if not asked or request.preview:
            raise
        raise asked[-1] from None


def _carry_out(config: Config, request: Request, asking: _Asking) -> Answer:
    unanswered = 0
    for looks_left in reversed(range(_LOOKS)):
        try:
            answer = _ask_daemon(config, request, asking)
            if answer is not None:
                return answer
            # Looked at first, because this process gives up the operator's account to act without a daemon. A
            # daemon that reloads must not be taken for one that does not run.
            held = is_held(config.node.data_dir / LOCK_FILE)
            if held is False or (held is None and not looks_left):
                return _act_without_daemon(config, request, asking)
        except ControlError:
            unanswered += 1
            if unanswered == _ROADS or not looks_left:
                raise
        except AlreadyRunningError:
            # It took the lock since.
            pass
        if looks_left:
            # A daemon starts, stops or reloads at this moment, or serves another socket.
            threading.Event().wait(_BETWEEN_SECONDS)
    raise ControlError(
        "a daemon holds the node's lock, but nothing answers at its socket", where=str(config.control.socket)
    )


def act_once(settings: Settings, request: Request, *, as_json: bool) -> ExitCode:
    """One act about one thing: done, or previewed, and told. Raises ActRefusedError."""
    answer = carry_out(settings, request)
    if not answer.done and answer.not_done:
        raise refusal(answer.not_done, request.act)
    return _tell(answer, as_json=as_json)


def act_on_queue(settings: Settings, act: Act, asked: Asked, **particulars: Any) -> ExitCode:
    """One thing by its name, or whatever the filter fits, after a look at it and the operator's consent."""
    wanted = _filter_of(asked)
    request = new_request(act, asked.reason, asked.what, **particulars)
    if request.what:
        request = replace(request, filter=wanted, preview=asked.preview)
        return act_once(settings, request, as_json=asked.as_json)
    shown = carry_out(settings, replace(request, filter=wanted, preview=True))
    if not (shown.done or shown.not_done):
        raise NotFoundError(
            "nothing waits that this fits", hint="exchangectl queue list shows what waits, and in which state"
        )
    if asked.preview or not shown.done:
        code = _tell(shown, as_json=asked.as_json)
        return ExitCode.REFUSED if not shown.done else code
    if len(shown.done) > 1 and not asked.yes:
        if asked.as_json:
            raise click.UsageError(_("several things fit; with --json, --yes says that all are meant"))
        say(answer_text(shown))
        ask(_("do this to all {count}?").format(count=len(shown.done)))
    targets = [Target(entry.token, entry.state, entry.since) for entry in shown.done]
    answers: list[Answer] = []
    try:
        for start in range(0, len(targets), MOST_TARGETS):
            group = tuple(targets[start : start + MOST_TARGETS])
            answers.append(carry_out(settings, replace(_again(request), targets=group)))
    except (ExchangeError, KeyboardInterrupt) as error:
        # What the groups before it did is done, and told before the error, or in one document with it.
        if answers and asked.as_json and isinstance(error, ExchangeError):
            raise PartlyDoneError(_joined(answers, shown), error) from error
        if answers:
            _tell(_joined(answers, shown), as_json=asked.as_json)
        raise
    return _tell(_joined(answers, shown), as_json=asked.as_json)


def _again(request: Request) -> Request:
    """The same act under a number of its own: each group is a request."""
    return replace(request, request=SystemRandomness().token(16).hex())


def _joined(answers: Sequence[Answer], shown: Answer) -> Answer:
    """What was done in all groups; what the look had ruled out already stays so."""
    return replace(
        answers[-1],
        done=tuple(entry for answer in answers for entry in answer.done),
        not_done=(*(entry for answer in answers for entry in answer.not_done), *shown.not_done),
        more=shown.more,
    )


def _tell(answer: Answer, *, as_json: bool) -> ExitCode:
    if as_json:
        say_json({"answer": answer})
    else:
        say(answer_text(answer))
    if answer.not_done and not answer.preview:
        return ExitCode.FINDINGS if answer.done else ExitCode.REFUSED
    return ExitCode.DONE


# --- the two roads -----------------------------------------------------------------------------


def _ask_daemon(config: Config, request: Request, asking: _Asking) -> Answer | None:
    """The daemon's answer; None when no daemon runs. Raises what it answers, ControlError."""
    path = config.control.socket
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
        connection.settimeout(_SECONDS + config.limits.check_timeout_seconds)
        try:
            with socket_address(path) as address:
                connection.connect(address)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except PermissionError as error:
            raise NotPermittedError("you may not ask the daemon to act", where=str(path)) from error
        except OSError as error:
            raise ControlError("the daemon's socket cannot be reached", where=str(path)) from error
        said = request.to_json() | {"claims": _claims()}
        asking(
            ActNotWithdrawnError(
                "stopped by the keyboard, but the act was not withdrawn: the daemon has it and may do it yet",
                where=request.what,
            )
        )
        try:
            connection.sendall(json.dumps(said).encode("ascii") + b"\n")
            line = _read_line(connection)
        except OSError as error:
            raise ControlError(
                "the daemon did not answer; whether the act was done is not known", where=str(path)
            ) from error
    return _read(path, line)


def _read_line(connection: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        block = connection.recv(_BLOCK)
        if not block or len(received) > _ANSWER_BYTES:
            raise ConnectionResetError("hung up")
        received += block
    return bytes(received)


def _read(path: Path, line: bytes) -> Answer:
    try:
        said = json.loads(line)
    except ValueError as error:
        raise RequestError("the daemon's answer is no JSON", where=str(path)) from error
    if isinstance(said, dict) and isinstance(said.get("error"), dict):
        raise _error_of(said["error"])
    return read_answer(said.get("answer") if isinstance(said, dict) else None)


def _error_of(said: dict[str, Any]) -> ExchangeError:
    """The daemon's error as one of ours: of its own kind where this program knows it."""
    kinds = {kind.reference: kind for kind in _all_kinds(ExchangeError)}
    kind = kinds.get(str(said.get("reference")), ControlError)
    if kind.__init__ is not ExchangeError.__init__:
        # One with particulars of its own, which did not travel.
        kind = ControlError
    error = kind.__new__(kind)
    texts = {name: str(said.get(name) or "") for name in ("where", "expected", "found", "hint")}
    ExchangeError.__init__(error, str(said.get("summary") or _("the daemon failed inside")), **texts)
    return error


def _all_kinds(kind: type[ExchangeError]) -> list[type[ExchangeError]]:
    return [kind, *(each for below in kind.__subclasses__() for each in _all_kinds(below))]


@cache
def _operator() -> Operator:
    """Who gave the command: asked once, before the process becomes the owner of the data."""
    return own_operator()


@cache
def _claims() -> dict[str, int]:
    """What the daemon is told of the login, likewise."""
    return own_claims()


def _act_without_daemon(config: Config, request: Request, asking: _Asking) -> Answer:
    operator = _operator()
    limits = config.limits
    pool = ProcessWorkPool(1, limits.check_timeout_seconds, limits.check_memory_mib * MIB)
    agency = frontend_agency(config) if config.node.role is NodeRole.FRONTEND else no_agency
    try:
        with opened_desk(config, SystemClock(), SystemRandomness(), pool, agency) as desk:
            asking(
                ActNotWithdrawnError(
                    "stopped by the keyboard, and the act may be done already", where=request.what
                )
            )
            return desk.handle(request, operator)
    finally:
        pool.close()
