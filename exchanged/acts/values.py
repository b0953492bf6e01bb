"""Values of acts: the request of an operator, its subjects, and the answer. They travel as JSON.

Guarantees: what comes from a socket is bounded and of the right types, or a RequestError names what is
not. Texts are codes here; sentences for people are the command line's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from exchanged.errors import RequestError

FORMAT: Final = 1
MOST_TARGETS: Final = 500
"""Subjects of one request: one transaction, which other work waits for."""

MOST_MATCHES: Final = 10_000
"""Subjects that a filter may name in one preview."""

_TEXT: Final = 1000
_NAME: Final = 200
_TOKEN: Final = re.compile(r"[0-9a-f]{32}")
_INCARNATION: Final = re.compile(r"[0-9A-Za-z.\-]{1,64}")
_UNFIT: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Act(StrEnum):
    """What an operator can do."""

    CANCEL = "packet-cancel"
    HOLD = "queue-hold"
    RELEASE = "queue-release"
    REQUEUE = "queue-requeue"
    DISCARD = "queue-discard"
    PAUSE = "link-pause"
    RESUME = "link-resume"
    ACCEPT = "link-accept"
    SKIP = "link-skip"
    SIGN = "receipt-sign"
    RESEND = "receipt-resend"


QUEUE_ACTS: Final = frozenset({Act.HOLD, Act.RELEASE, Act.REQUEUE, Act.DISCARD})
"""Those that take one thing or, by a filter, many."""


LINK_ACTS: Final = frozenset({Act.PAUSE, Act.RESUME, Act.ACCEPT, Act.SKIP})
"""Those that are about a link."""


class SubjectKind(StrEnum):
    """What an act is about: a packet on one link (or before delivery), a whole packet, and so on."""

    LEG = "packet-on-link"
    PACKET = "packet"
    ARRIVAL = "arrival"
    DROP = "drop"
    LINK = "link"


class Outcome(StrEnum):
    """What came, or would come, of an act."""

    CANCELLED = "cancelled"
    ON_HOLD = "on-hold"
    HELD = "held"
    TO_LINK = "to-link"
    TO_INBOX = "to-inbox"
    TO_JUDGE = "to-judge"
    TO_COUNT = "to-count"
    TO_INTAKE = "to-intake"
    REQUEUED = "requeued"
    DISCARDED = "discarded"
    DISCARDED_TOLD = "discarded-told"
    DISCARDED_KNOWN = "discarded-known"
    DISCARDED_UNTOLD = "discarded-untold"
    DISCARDED_STATEMENT = "discarded-statement"
    PAUSED = "paused"
    RESUMED = "resumed"
    ACCEPTED = "accepted"
    ACCEPTED_UNHEARD = "accepted-unheard"
    SKIPPED = "skipped"
    SIGNED = "signed"
    REFUSED = "refused"
    RESENT = "resent"


class Obstacle(StrEnum):
    """Why an act is not allowed now."""

    NOT_OWN = "not-own"
    HAS_LEFT = "has-left"
    MAY_HAVE_LEFT = "may-have-left"
    ENDED = "ended"
    NOT_SEALED = "not-sealed"
    HELD_DROP = "held-drop"
    DROP_ENDED = "drop-ended"
    IN_BATCH = "in-batch"
    BEING_DELIVERED = "being-delivered"
    LACKS_BLOBS = "lacks-blobs"
    ALREADY_HELD = "already-held"
    NOT_HELD = "not-held"
    AMONG_OTHERS = "among-others"
    IN_QUARANTINE = "in-quarantine"
    NOT_IN_QUARANTINE = "not-in-quarantine"
    STATEMENT = "statement"
    CHANGED = "changed"
    NO_RECEIPT = "no-receipt"
    PAUSED_ALREADY = "paused-already"
    NOT_PAUSED = "not-paused"
    NOT_FORKED = "not-forked"
    SET_BACK = "set-back"
    NOT_RESTORING = "not-restoring"
    ANSWERED_ALREADY = "answered-already"
    NOT_ASKED_YET = "not-asked-yet"
    NO_RECIPIENT = "no-recipient"
    NOT_DELIVERED = "not-delivered"
    DELIVERY_UNFINISHED = "delivery-unfinished"
    ANSWERED = "answered"
    EXPIRED = "expired"
    NONE_ISSUED = "none-issued"
    NODE_RESTORING = "node-restoring"
    CLOCK_DOUBTED = "clock-doubted"


@dataclass(frozen=True, slots=True)
class Operator:
    """Who acts. ``account`` is the one that the act came from, with its user id; the kernel says so.

    ``login`` is the person who logged in to get there (``sudo``), empty where that is not known;
    ``login_from`` is ``kernel`` when the kernel told us, ``client`` when only the command said so.
    """

    account: str
    uid: int
    login: str = ""
    login_uid: int | None = None
    login_from: str = ""

    @property
    def name(self) -> str:
        """The person, as far as known; else the account."""
        return self.login or self.account

    def detail(self) -> dict[str, str | int]:
        """What the ledger keeps of who acted."""
        kept: dict[str, str | int] = {"operator": self.name, "account": self.account, "uid": self.uid}
        if self.login_uid is not None:
            kept |= {"login_uid": self.login_uid, "login_from": self.login_from}
        return kept


@dataclass(frozen=True, slots=True)
class Filter:
    """Many subjects at once; empty means all that the act can apply to. ``limit``: at most so many.

    With a packet or drop that is named it says which of what is known of that: ``only`` is its token.
    """

    state: str = ""
    recipient: str = ""
    sender: str = ""
    link: str = ""
    reasons: tuple[str, ...] = ()
    limit: int = 1000
    only: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """One subject as it was seen: a token of this ledger, its state, and since when."""

    token: str
    state: str
    since: str


@dataclass(frozen=True, slots=True)
class Request:
    """One act. Its subjects are named by ``what`` (packet, drop or link), by targets, or by a filter.

    ``request`` is 32 random hexadecimal digits: the same request is done once, however often it is sent. A
    filter alone is for a preview only: it is done about the targets that the preview showed. Of a packet or
    drop that is named it takes what it fits. ``by``, ``refuses``
    and ``findings`` belong to a signature, ``without_receipt`` and ``without_parts`` to a discard,
    ``incarnation`` to ``link-accept``.
    """

    act: Act
    request: str
    reason: str
    what: str = ""
    targets: tuple[Target, ...] = ()
    filter: Filter | None = None
    preview: bool = False
    by: str = ""
    refuses: bool = False
    findings: tuple[str, ...] = ()
    without_receipt: bool = False
    without_parts: bool = False
    incarnation: str = ""

    def to_json(self) -> dict[str, Any]:
        """As it travels."""
        return {"format": FORMAT, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One subject in an answer. ``outcome`` or ``obstacle`` is set; ``fields`` are for their sentences."""

    token: str
    kind: SubjectKind
    name: str
    state: str
    since: str
    outcome: Outcome | None = None
    obstacle: Obstacle | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was done (or would be, in a preview), and what was not. ``more``: the filter fits more."""

    act: Act
    request: str
    preview: bool
    operator: str
    done: tuple[Entry, ...]
    not_done: tuple[Entry, ...]
    more: bool = False

    def to_json(self) -> dict[str, Any]:
        """As it travels, and as the ledger keeps it."""
        return {"format": FORMAT, **asdict(self)}


def read_request(data: object) -> Request:
    """The request in parsed JSON from outside. Raises RequestError."""
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise RequestError(
            "a request of another version", expected=f"format {FORMAT}", hint="use the daemon's own version"
        )
    act = _choice(Act, data.get("act"))
    request = _text(data, "request")
    if _TOKEN.fullmatch(request) is None:
        raise RequestError("a request without its number", expected="32 hexadecimal digits")
    found = Request(
        act=act,
        request=request,
        reason=_text(data, "reason"),
        what=_text(data, "what", plain=False),
        targets=tuple(_target(each) for each in _list(data, "targets", MOST_TARGETS)),
        filter=None if data.get("filter") is None else _filter(data["filter"]),
        preview=data.get("preview") is True,
        by=_text(data, "by"),
        refuses=data.get("refuses") is True,
        findings=tuple(_plain(each) for each in _list(data, "findings", 200)),
        without_receipt=data.get("without_receipt") is True,
        without_parts=data.get("without_parts") is True,
        incarnation=_text(data, "incarnation"),
    )
    _require_sense(found)
    return found


def read_answer(data: object) -> Answer:
    """An answer out of parsed JSON. Raises RequestError."""
    try:
        assert isinstance(data, dict)  # noqa: S101 - caught below with everything else that is wrong
        return Answer(
            act=Act(data["act"]),
            request=str(data["request"]),
            preview=bool(data["preview"]),
            operator=str(data["operator"]),
            done=tuple(_entry(each) for each in data["done"]),
            not_done=tuple(_entry(each) for each in data["not_done"]),
            more=bool(data["more"]),
        )
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise RequestError("an answer that cannot be read", found=type(error).__name__) from error


def _require_sense(request: Request) -> None:
    if not request.reason and not request.preview:
        raise RequestError("every act has a reason", expected="--reason TEXT")
    is_by_filter = request.filter is not None and not (request.what and request.act in QUEUE_ACTS)
    if sum((bool(request.what), bool(request.targets), is_by_filter)) != 1:
        raise RequestError("an act names its subjects in one way", expected="one thing, or a filter")
    if is_by_filter and not request.preview:
        raise RequestError("a filter is for a preview; the act names what the preview showed")
    if request.act not in QUEUE_ACTS and not request.what:
        raise RequestError(f"{request.act} is about one thing")
    if request.act is Act.ACCEPT and _INCARNATION.fullmatch(request.incarnation) is None:
        raise RequestError("an incarnation is named whole", expected="--incarnation X")
    if request.act is Act.SIGN and not 0 < len(request.by) <= _NAME:
        raise RequestError("a signature has a person", expected=f"--by NAME, at most {_NAME} characters")
    if request.act is Act.SIGN and request.refuses and not request.findings:
        raise RequestError("a refusal needs a reason that the sender reads", expected="--finding TEXT")


def _entry(data: Mapping[str, Any]) -> Entry:
    outcome, obstacle = data["outcome"], data["obstacle"]
    return Entry(
        token=str(data["token"]),
        kind=SubjectKind(data["kind"]),
        name=str(data["name"]),
        state=str(data["state"]),
        since=str(data["since"]),
        outcome=None if outcome is None else Outcome(outcome),
        obstacle=None if obstacle is None else Obstacle(obstacle),
        fields={str(name): str(value) for name, value in data["fields"].items()},
    )


def _filter(data: object) -> Filter:
    if not isinstance(data, dict):
        raise RequestError("a filter that cannot be read")
    limit = data.get("limit", 1000)
    if not isinstance(limit, int) or not 1 <= limit <= MOST_MATCHES:
        raise RequestError("a limit out of bounds", expected=f"1 to {MOST_MATCHES}", found=str(limit)[:20])
    return Filter(
        state=_text(data, "state"),
        recipient=_text(data, "recipient"),
        sender=_text(data, "sender"),
        link=_text(data, "link"),
        reasons=tuple(_plain(each) for each in _list(data, "reasons", 50)),
        limit=limit,
        only=_text(data, "only"),
    )


def _target(data: object) -> Target:
    if not isinstance(data, dict):
        raise RequestError("a target that cannot be read")
    return Target(_text(data, "token"), _text(data, "state"), _text(data, "since"))


def _choice(kind: type[Act], found: object) -> Act:
    try:
        return kind(str(found))
    except ValueError:
        raise RequestError("an act that this version does not know", found=str(found)[:50]) from None


def _list(data: Mapping[str, Any], name: str, most: int) -> list[object]:
    found = data.get(name) or []
    if not isinstance(found, list) or len(found) > most:
        raise RequestError(f"too many {name}, or no list", expected=f"at most {most}")
    return found


def _text(data: Mapping[str, Any], name: str, *, plain: bool = True) -> str:
    found = data.get(name, "")
    return _plain(found, name) if plain else _bounded(found, name)


def _plain(found: object, name: str = "a text") -> str:
    """One line: it goes into events and signed documents."""
    text = _bounded(found, name)
    if _UNFIT.search(text):
        raise RequestError(f"{name} holds a line break or a control character", expected="one line of text")
    return text.strip()


def _bounded(found: object, name: str) -> str:
    if not isinstance(found, str) or len(found) > _TEXT:
        raise RequestError(f"{name} is no text, or too long", expected=f"at most {_TEXT} characters")
    return found
