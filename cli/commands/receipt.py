"""``exchangectl receipt``: look at receipts, and prove them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.exit_codes import ExitCode, exit_code_of
from cli.frame import NounGroup, Settings, json_option, read_input, read_roots
from cli.locale import _, language, told
from cli.node_view import identify, open_view
from cli.render import fields, local_time, printable, say, say_json, table, word

if TYPE_CHECKING:
    from cli.receipt_check import Proof, Trusted
    from packet_spec.model import Receipt


@click.group("receipt", cls=NounGroup, members={"sign": "receipt_sign", "resend": "receipt_resend"})
def receipt() -> None:
    """Verify and show receipts."""


@receipt.command("show")
@click.argument("what", metavar="FILE|PACKET")
@json_option
@click.pass_obj
def show(settings: Settings, what: str, *, as_json: bool) -> None:
    """Show a receipt file, or all receipts of a packet that this node knows.

    A file is shown as it reads; nothing is verified. PACKET is a packet id, its beginning, or SENDER/ID.

    \b
    Example:
      exchangectl receipt show receipts/0190a5b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b/accepted-620000-00-00-1.xml
    """
    path = Path(what)
    found = (_read(path),) if _is_file(path) else _of_packet(settings, what)
    if as_json:
        say_json({"receipts": found})
    else:
        say("\n\n".join(fields(_said(each)) + _findings(each) for each in found))


@receipt.command("verify")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--directory",
    "directory_file",
    type=click.Path(path_type=Path),
    help="The directory to verify against; else the installed one.",
)
@click.option("--root", "roots", multiple=True, metavar="KEY", help="A trusted root key; may be repeated.")
@click.option("--threshold", type=click.IntRange(1), default=1, help="How many roots must have signed.")
@click.option(
    "--packet",
    "packet",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Also compare: inbox folder, .packet, seal.xml or the original drop.",
)
@json_option
@click.pass_obj
def verify(
    settings: Settings,
    *,
    files: tuple[Path, ...],
    directory_file: Path | None,
    roots: tuple[str, ...],
    threshold: int,
    packet: Path | None,
    as_json: bool,
) -> int:
    """Prove receipts: who signed, whether they may say so, and of which packet.

    With --directory and --root nothing else is needed: no node, no configuration, no network. Tells
    exactly what was proved and what was not checked. Exit code 5 when anything failed, 1 when the key of a
    receipt was revoked since or its issuer is disabled: a thief may have dated it back. What was logged in
    time is shown by a proof (proof build).

    \b
    Example:
      exchangectl receipt verify accepted.xml --packet inbox/case.report/620199-01-00_0190a5b0...
    """
    from cli.receipt_check import prove

    trusted = _trusted(settings, directory_file, roots, threshold)
    proofs = [prove(file, trusted, packet) for file in files]
    if as_json:
        said = {"directory_version": trusted.directory.version, "receipts": [*map(_plain, proofs)]}
        say_json(said)
    else:
        say("\n\n".join(_proof_text(proof) for proof in proofs))
    return max(map(_code_of, proofs))


def _code_of(proof: Proof) -> ExitCode:
    if proof.error is not None:
        return exit_code_of(proof.error)
    return ExitCode.FINDINGS if proof.is_in_doubt else ExitCode.DONE


def _is_file(path: Path) -> bool:
    """A text that is too long for a name, or holds a NUL, is no file."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _read(path: Path) -> Receipt:
    from cli.receipt_check import RECEIPT_FILE_BYTES
    from packet_spec.receipt import decode_receipt
    from packet_spec.signing import split_signed

    return decode_receipt(split_signed(read_input(path, RECEIPT_FILE_BYTES))[0])


def _of_packet(settings: Settings, what: str) -> tuple[Receipt, ...]:
    from exchanged.errors import NotFoundError
    from exchanged.ledger.statements import receipts_of
    from packet_spec.receipt import decode_receipt
    from packet_spec.signing import split_signed

    with open_view(settings) as view:
        key = identify(view.connection, what)
        rows = receipts_of(view.connection, key)
    if not rows:
        raise NotFoundError("this node has no receipt about the packet", where=str(key))
    return tuple(decode_receipt(split_signed(row.document)[0]) for row in rows)


def _trusted(
    settings: Settings, directory_file: Path | None, roots: tuple[str, ...], threshold: int
) -> Trusted:
    """The directory, proved by the given roots or by those of the configuration."""
    from cli.directory_trusted import find_directory, open_trusted
    from cli.receipt_check import Trusted
    from exchanged.clock import SystemClock
    from packet_spec.directory import open_directory
    from packet_spec.limits import DIRECTORY_BYTES

    now = SystemClock().now()
    if roots:
        if directory_file is None:
            raise click.UsageError(_("--root needs --directory: the file that these keys prove"))
        trusted = read_roots(roots)
        return Trusted(open_directory(read_input(directory_file, DIRECTORY_BYTES), trusted, threshold), now)
    config = settings.load()
    if directory_file is not None:
        data = read_input(directory_file, DIRECTORY_BYTES)
        return Trusted(open_trusted(data, config), now)
    from exchanged.trust import NoDirectoryError

    directory = find_directory(config)[0]
    if directory is None:
        raise NoDirectoryError("no directory is installed", where=str(config.node.data_dir))
    return Trusted(directory, now)


def _said(receipt: Receipt) -> Iterator[tuple[str, object]]:
    yield _("receipt"), f"{word(receipt.kind)} ({_('number')} {receipt.number})"
    yield _("issued by"), receipt.issued_by
    yield _("issued"), local_time(receipt.issued_at)
    yield _("packet"), receipt.key.packet_id
    yield _("sender"), receipt.key.sender
    yield _("attempt"), receipt.attempt
    yield _("type"), receipt.business_type
    yield _("for"), receipt.recipient or _("the whole packet")
    if receipt.scope is not None:
        yield _("checked"), _("seal and packet.xml; the parts are encrypted to the recipients")
    yield _("by"), receipt.by
    yield _("how"), receipt.how
    if not receipt.folder_synced:
        yield _("folder"), _("the share refused to sync the inbox folder")
    yield _("content digest"), receipt.content_digest
    yield _("seal digest"), receipt.seal_digest


def _findings(receipt: Receipt) -> str:
    lines = [
        f"  {number}. {_(finding.severity.value)}: {finding.zh if language() == 'zh_CN' else finding.en}"
        for number, finding in enumerate(receipt.findings, start=1)
    ]
    return "".join("\n" + printable(line) for line in lines)


def _proof_text(proof: Proof) -> str:
    headline = _("everything that was checked is proved") if proof.is_proved else _("NOT PROVED")
    if proof.is_in_doubt:
        headline = _("NOT PROVED: a thief may have made it since")
    lines = [printable(f"{proof.file}: {headline}")]
    if proof.receipt is not None:
        lines.append(fields(_said(proof.receipt)))
    rows = [(_(claim.what), _(claim.state.value), told(claim.detail)) for claim in proof.claims]
    lines.append(table((_("claim"), _("state"), _("what was compared")), rows))
    return "\n".join(lines)


def _plain(proof: Proof) -> dict[str, object]:
    said = {"file": proof.file, "receipt": proof.receipt, "claims": proof.claims}
    return {
        "proved": proof.is_proved,
        "error": None if proof.error is None else proof.error.to_json(),
        **said,
    }
