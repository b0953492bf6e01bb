"""``exchangectl proof``: one file that proves to anybody what was sent, by whom, and when it arrived."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.exit_codes import ExitCode
from cli.frame import InputFileError, NounGroup, Settings, json_option
from cli.locale import _
from cli.node_view import identify, open_view
from cli.render import say, say_json

if TYPE_CHECKING:
    from cli.node_view import NodeView
    from exchanged.proving import Books
    from packet_spec.proof_leaving_out import LeftOut
    from packet_spec.proof_values import Answer

_FILE = click.Path(path_type=Path)


@click.group("proof", cls=NounGroup)
def proof() -> None:
    """Build and verify proofs that stand alone."""


@proof.command("build")
@click.argument("packet", required=False, metavar="[PACKET]")
@click.option("--case", "case", metavar="NUMBER", help="All packets here that bear this case number.")
@click.option("--content", "with_content", is_flag=True, help="With packet.xml and all parts, as carried.")
@click.option("-o", "--output", type=_FILE, required=True, help="Where the proof goes.")
@json_option
@click.pass_obj
def build(
    settings: Settings, *, packet: str | None, case: str | None, with_content: bool, output: Path,
    as_json: bool,
) -> int:  # fmt: skip
    """Build a proof of PACKET, or of the packets of one case, into one file.

    PACKET is a packet id, its beginning, or SENDER/ID. The file holds seals, receipts, hop notes,
    directories, and what the log of the admitting node shows of them; it is verified at once. With --content
    it holds case data. Only content binds a packet to a case: without it the file names no case. Receipts and
    hop notes for which a verifier would refuse the file are left out and named.

    \b
    Example:
      exchangectl proof build 019f6365-21c0 -o case.proof
    """
    from cli.proof_text import told_left_out
    from exchanged.durable import DurableFiles, Volume
    from exchanged.errors import NotFoundError
    from exchanged.ledger.questions_proof import packets_of_case
    from exchanged.proving import gather
    from packet_spec.proof_file import proof_blocks

    if (packet is None) == (case is None):
        raise click.UsageError(_("give either a packet or --case"))
    with open_view(settings) as view:
        books = _books(view)
        if packet is not None:
            keys = [identify(view.connection, packet)]
        else:
            keys = [*packets_of_case(view.connection, case or "")]
        if not keys:
            raise NotFoundError("this node knows no packet of that case", where=case or "")
        left_out: list[LeftOut] = []
        gathered = gather(
            books, keys, case=case or "", with_content=with_content, on_left_out=left_out.append
        )
        mode = 0o600 if with_content else 0o644
        DurableFiles(Volume.OUTPUT).write_file(output, proof_blocks(gathered), mode=mode)
    answer = _verify(output, "", trusting_its_roots=True)
    if as_json:
        say_json({"file": output, "packets": len(keys), "answer": answer, "left_out": left_out})
    else:
        text = _("packets in {file}: {count}; verified as: {verdict}")
        say(text.format(count=len(keys), file=output, verdict=answer.code or _(answer.verdict.value)))
        if left_out:
            say(told_left_out(left_out))
        say(_("Whoever verifies it needs the fingerprint of the roots by another road:"))
        say(f"  {answer.fingerprint}")
    return ExitCode.FINDINGS if answer.code else ExitCode.DONE


@proof.command("verify")
@click.argument("file", type=_FILE)
@click.option(
    "--roots-fingerprint", "fingerprint", metavar="HEX", default="",
    help="What the province published about its roots: 64 digits.",
)
@json_option
def verify(file: Path, fingerprint: str, *, as_json: bool) -> int:
    """Verify the proof in FILE: no node, no configuration and no network are needed.

    The fingerprint of the roots is the one thing that must come by another road, such as the province's
    gazette: anybody can make a file that only fits itself. Exit code 0 when everything is proven, 1 when all
    fits but no fingerprint was given, 3 when something cannot be told, 5 when something is wrong.

    \b
    Example:
      exchangectl proof verify case.proof --roots-fingerprint 9f86d081884c7d65...
    """
    from cli.proof_text import shown
    from packet_spec.proof_values import Proven

    wanted = "".join(fingerprint.split()).replace(":", "").lower()
    try:
        answer = _verify(file, wanted)
    except ValueError:
        text = _("expected 64 hexadecimal digits")
        raise click.BadParameter(text, param_hint="--roots-fingerprint") from None
    if as_json:
        say_json(answer)
    else:
        say(shown(answer))
    if answer.code == "proof-roots-not-compared":
        return ExitCode.FINDINGS
    return {
        Proven.PROVEN: ExitCode.DONE, Proven.HELD: ExitCode.TEMPORARY, Proven.REFUSED: ExitCode.REFUSED,
    }[answer.verdict]  # fmt: skip


def _books(view: NodeView) -> Books:
    from cli.directory_trusted import anchor_of
    from exchanged.proving import Books

    return Books(view.connection, view.config.node.data_dir, anchor_of(view.config))


def _verify(file: Path, fingerprint: str, *, trusting_its_roots: bool = False) -> Answer:
    """Raises InputFileError, and ValueError for another form of fingerprint."""
    from packet_spec.proof import verify_proof

    def once(wanted: str) -> Answer:
        with file.open("rb") as source:
            return verify_proof(source.read, wanted)

    try:
        answer = once(fingerprint)
        return once(answer.fingerprint) if trusting_its_roots and answer.fingerprint else answer
    except OSError as error:
        why = error.strerror or ""
        raise InputFileError("the file cannot be read", where=str(file), found=why) from error
