"""``exchangectl packet new``: write a complete, fictional drop of any business type into a folder.

What case software would do, for demo, tests and a vendor's rehearsal: the folder may be a live outbox.
Everything is invented, and the same options give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from cli.documents.document import Progress
from cli.fiction.case_file import CaseFile, read_case_file, write_case_file
from cli.fiction.choose import choose_parties
from cli.fiction.drop import make_drop
from cli.fiction.packet_xml import DropEncoding
from cli.fiction.request import DEFAULT_VIDEO_BYTES, Drop, DropRequest
from cli.fiction.values import SHANGHAI, describe_agency
from cli.fiction.writer import DropFormat, write_drop
from cli.frame import json_option, read_input
from cli.locale import _
from cli.render import fields, progress, say, say_json
from exchanged.clock import SystemClock
from packet_spec.identity import PacketKey, is_agency_code, is_packet_id
from packet_spec.limits import MIB, PACK_BYTES
from packet_spec.pack import read_pack, shipped_pack

# Below this a drop is written before a bar could be read.
_BAR_BYTES: Final = 16 * MIB


def _settings(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for value in values:
        code, equals, text = value.partition("=")
        if not (code and equals):
            raise click.BadParameter(_("expected FIELD=VALUE, found {value!r}").format(value=value))
        try:
            text.encode()
        except UnicodeEncodeError as error:
            wrong = _("the value of {code} is not in the terminal's encoding")
            raise click.BadParameter(wrong.format(code=code)) from error
        settings[code] = text
    return settings


def _identity(_context: click.Context, _option: click.Parameter, value: str | None) -> PacketKey | None:
    if value is None:
        return None
    sender, _slash, packet_id = value.partition("/")
    if not (is_agency_code(sender) and is_packet_id(packet_id)):
        raise click.BadParameter(_("expected an agency code, a slash and a packet id (UUID in lower case)"))
    return PacketKey(sender, packet_id)


def _packet_id(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_packet_id(value):
        raise click.BadParameter(_("expected a packet id (UUID in lower case)"))
    return value


def _moment(_context: click.Context, _option: click.Parameter, value: str | None) -> datetime | None:
    """A time without an offset is Shanghai time."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI)
        # The first and the last day of the calendar have no time in every zone.
        moment.astimezone(UTC)
    except (OverflowError, ValueError) as error:
        raise click.BadParameter(_("expected a time like 2026-07-15T09:30:00+08:00")) from error
    return moment


@click.command("new")
@click.option("--type", "business_type", required=True, metavar="CODE", help="The business type.")
@click.option(
    "--pack",
    "pack_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A pack file; without it the standard of this program.",
)
@click.option("--from", "sender", metavar="AGENCY", help="Sender: code, or alias of the default lab (POL).")
@click.option("--to", "receiver", metavar="AGENCY", help="Receiver: code or alias.")
@click.option("--copy-to", multiple=True, metavar="AGENCY", help="Copy: code or alias; may be repeated.")
@click.option(
    "--case",
    "case_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keeps numbers and persons of a case between packets; made if missing.",
)
@click.option(
    "--in-reply-to", callback=_identity, metavar="SENDER/ID", help="The packet that this one answers."
)
@click.option(
    "--supersedes", callback=_packet_id, metavar="ID", help="The own packet that this one replaces."
)
@click.option(
    "--packet-id", callback=_packet_id, metavar="ID", help="Give this id; else the front-end assigns one."
)
@click.option(
    "--set",
    "settings",
    callback=_settings,
    multiple=True,
    metavar="FIELD=VALUE",
    help="Set a field; an empty value leaves it out.",
)
@click.option("--with", "extra", multiple=True, metavar="DOC", help="Add a document, by its type's code.")
@click.option("--omit", multiple=True, metavar="DOC", help="Leave a document out, though it is required.")
@click.option("--seed", type=int, default=1, show_default=True, help="Other persons and numbers per seed.")
@click.option("--created-at", callback=_moment, metavar="TIME", help="The packet's own time; default now.")
@click.option(
    "--video-mib",
    type=click.FloatRange(min=0),
    default=DEFAULT_VIDEO_BYTES / MIB,
    show_default=True,
    help="Least size of a video, in MiB.",
)
@click.option(
    "--format",
    "drop_format",
    type=click.Choice([*map(str, DropFormat)]),
    default=str(DropFormat.FOLDER),
    show_default=True,
    help="Form of the drop; xml only for packets without documents.",
)
@click.option(
    "--encoding",
    type=click.Choice([*map(str, DropEncoding)]),
    default=str(DropEncoding.UTF_8),
    show_default=True,
    help="Of packet.xml and of the names in a zip.",
)
@click.option("--name", metavar="NAME", help="Name of the drop, without extension.")
@click.option(
    "--out",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder to write into, such as an outbox.",
)
@json_option
def packet_new(
    *,
    business_type: str,
    pack_file: Path | None,
    sender: str | None,
    receiver: str | None,
    copy_to: tuple[str, ...],
    case_path: Path | None,
    in_reply_to: PacketKey | None,
    supersedes: str | None,
    packet_id: str | None,
    settings: dict[str, str],
    extra: tuple[str, ...],
    omit: tuple[str, ...],
    seed: int,
    created_at: datetime | None,
    video_mib: float,
    drop_format: str,
    encoding: str,
    name: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Write a complete fictional packet of any type as a drop.

    All required fields and documents are invented and real: PDF, OFD, JPEG, video, dossier. What the
    values trigger comes with them. Wrong packets are made with --set and --omit.

    \b
    Example:
      exchangectl packet new --type case.report --case case.json --out lab/agencies/620199-01-00/outbox
    """
    pack = shipped_pack() if pack_file is None else read_pack(read_input(pack_file, PACK_BYTES))
    catalogue = pack.catalogue
    parties = choose_parties(
        catalogue,
        catalogue.business_type(business_type),
        describe_agency(sender, catalogue) if sender else None,
        describe_agency(receiver, catalogue) if receiver else None,
    )
    request = DropRequest(
        business_type=business_type,
        sender=parties[0].code,
        receiver=parties[1].code,
        created_at=created_at or SystemClock().now(),
        copy_to=copy_to,
        case=_known_case(case_path),
        in_reply_to=in_reply_to,
        supersedes=supersedes,
        set_fields=settings,
        extra_documents=extra,
        omit_documents=frozenset(omit),
        video_bytes=int(video_mib * MIB),
        seed=seed,
        packet_id=packet_id,
        name=name,
    )
    drop = make_drop(request, catalogue)
    with _bar(drop) as moved:
        path = write_drop(
            drop, out, drop_format=DropFormat(drop_format), encoding=DropEncoding(encoding), progress=moved
        )
    if case_path is not None:
        write_case_file(case_path, drop.case)
    _tell(drop, path, as_json=as_json)


def _known_case(path: Path | None) -> CaseFile | None:
    return read_case_file(path) if path is not None and path.exists() else None


@contextmanager
def _bar(drop: Drop) -> Iterator[Progress | None]:
    total = sum(document.size_bytes for document in drop.documents)
    if total < _BAR_BYTES:
        yield None
        return
    with progress(_("writing"), total) as bar:
        yield bar.update


def _tell(drop: Drop, path: Path, *, as_json: bool) -> None:
    envelope = drop.envelope
    said: dict[str, object] = {
        "path": path,
        "business_type": envelope.business_type,
        "sender": envelope.sender,
        "receiver": envelope.receiver,
        "copy_to": list(envelope.copy_to),
        "sender_ref": envelope.sender_ref,
        "packet_id": envelope.packet_id,
        "documents": [document.document_type for document in drop.documents],
    }
    if as_json:
        say_json(said)
    else:
        shown = {key: " ".join(value) if isinstance(value, list) else value for key, value in said.items()}
        names = {
            "path": _("path"),
            "business_type": _("business type"),
            "sender": _("sender"),
            "receiver": _("receiver"),
            "copy_to": _("copy to"),
            "sender_ref": _("sender ref"),
            "packet_id": _("packet id"),
            "documents": _("documents"),
        }
        say(fields((names[key], value) for key, value in shown.items()))
