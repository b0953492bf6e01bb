"""``exchangectl demo``: a whole case through a province on this machine, in about a minute."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.exit_codes import ExitCode
from cli.frame import json_option
from cli.locale import _
from cli.render import printable, say, say_json

if TYPE_CHECKING:
    from cli.demo.outcome import Outcome
    from cli.demo.show import Show
    from cli.demo.waits import Waits
    from cli.lab.lab import Lab


@click.command("demo")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Use the new or empty folder DIR and keep it; without it, a temporary folder that is removed.",
)
@click.option(
    "--kill-seed",
    type=click.IntRange(min=0),
    metavar="N",
    help="Kill daemons 20 times while packets are in flight, as the seed N says, and compare the end.",
)
@click.option(
    "--link",
    type=click.Choice(["sftp", "folder"]),
    default="sftp",
    show_default=True,
    help="How agencies are linked to the province.",
)
@click.option(
    "--video-mib",
    type=click.IntRange(1, 4096),
    default=200,
    show_default=True,
    metavar="M",
    help="The least size of the body-camera video, in MiB.",
)
@json_option
def demo(keep: Path | None, kill_seed: int | None, link: str, video_mib: int, *, as_json: bool) -> int:
    """Send a case through a province on this machine, and show what every agency sees.

    A fictional case of dangerous driving: 27 packets between police, procuratorate, court and others,
    with their documents, then three faulty drops. At the end all folders and receipts are checked.
    Exit code 1 when anything differs from what it should be.

    \b
    Example:
      exchangectl demo
      exchangectl demo --keep /tmp/province
      exchangectl demo --kill-seed 7
    """
    from cli.demo.show import Show, Telling
    from cli.demo.waits import Interrupted, listening
    from exchanged.clock import SystemClock

    show = Show(Telling.SILENT if as_json else Telling.LINES, SystemClock())
    with listening() as waits:
        try:
            outcome = _run(keep, kill_seed, link, video_mib, show, waits)
        except Interrupted as order:
            show.clear()
            print(_("stopped; no process is left"), file=sys.stderr)
            return 128 + order.number
    if as_json:
        folder = None if keep is None else keep.absolute()
        say_json({"outcome": outcome, "folder": folder, "link": link, "kill_seed": kill_seed})
    elif keep is None:
        say("临时文件夹已删除 the temporary folder was removed")
    else:
        say(f"文件夹已保留 the folders were kept: {printable(str(keep.absolute()))}")
        say("  agencies/*/{outbox,status,sent,refused,inbox,receipts}")
        say(f"  exchangectl lab start {printable(str(keep))}")
    return ExitCode.FINDINGS if outcome.differences else ExitCode.DONE


def _run(
    keep: Path | None, kill_seed: int | None, link: str, video_mib: int, show: Show, waits: Waits
) -> Outcome:
    """Everything between an empty folder and a stopped lab."""
    from cli.demo.stage import demo_lab, start_lab
    from cli.demo.timeline import legend_lines, summary_lines
    from packet_spec.errors import ExchangeError
    from packet_spec.limits import MIB

    with demo_lab(keep, link, video_mib * MIB, waits) as lab:
        try:
            names = [state.name for state in lab.status()]
            show.lines((f"{len(names)} 个进程启动 processes start: {printable(str(lab.layout.root))}",))
            started: list[str] = []

            def ready(name: str) -> None:
                started.append(name)
                show.bar("启动 starting", len(started) / len(names))

            start_lab(lab, waits, ready)
            show.lines((*legend_lines(lab.nodes), ""))
            outcome = _play(lab, kill_seed, video_mib * MIB, show, waits)
            show.lines(("", *summary_lines(outcome, kill_seed)))
        except ExchangeError:
            show.clear()
            _show_logs(lab)
            raise
        show.note("停止 stopping")
    show.clear()
    return outcome


def _play(lab: Lab, kill_seed: int | None, video_bytes: int, show: Show, waits: Waits) -> Outcome:
    from cli.demo.case_data import demo_rows
    from cli.demo.killing import Killer, plan_kills
    from cli.demo.play import Pace, Play
    from exchanged.clock import SystemClock

    clock = SystemClock()
    if kill_seed is None:
        return Play(lab, show, clock, waits, pace=Pace(), video_bytes=video_bytes).run()
    killer = Killer(plan_kills(kill_seed, len(demo_rows())), lab, clock, clock.monotonic())
    # A packet is in flight for less than half a second: look often enough to meet it there.
    pace = Pace(step_seconds=0.01)
    return Play(lab, show, clock, waits, pace=pace, video_bytes=video_bytes, killer=killer).run()


def _show_logs(lab: Lab) -> None:
    from cli.demo.stage import log_tails

    for line in log_tails(lab):
        print(printable(line), file=sys.stderr)
