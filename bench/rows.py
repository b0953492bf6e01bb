"""The rows of the bench, in the order in which they are measured."""

from __future__ import annotations

from typing import Final

from bench import agencies, asking, burst, growth, large, latency, volume
from bench.peers import postfix, sftp_loop
from bench.result import Row

_GIB: Final = 1 << 30
_SSH: Final = ("sshd", "ssh")

ROWS: Final = (
    # First: it takes the most room, long, and in one go.
    Row(
        "huge",
        "10 GiB in one attachment",
        "every process under 300 MB",
        large.huge,
        _SSH,
        room=large.room(large.HUGE, 1),
        full_only=True,
    ),
    Row(
        "burst-cases",
        "2,000 packets of 20 KB of as many cases at once, receipts back",
        ">= 1.5 x lsyncd+rsync through a hub, >= 4 x Postfix through a relay; aim 500/s",
        burst.many_cases,
        burst.NEEDS,
    ),
    Row(
        "burst-one-case",
        "the same of one case, which keeps its order",
        ">= 1.5 x lsyncd+rsync through a hub",
        burst.one_case,
        burst.NEEDS_LSYNCD,
    ),
    Row(
        "burst-folders",
        "2,000 folders of three files at once, receipts back",
        ">= 1.2 x lsyncd+rsync on the same folders",
        burst.folders,
        burst.NEEDS_LSYNCD,
    ),
    Row(
        "latency",
        "one drop after the other on an idle system",
        "inbox p50 <= 60 ms, p95 <= 150 ms; delivered receipt p50 <= 150 ms",
        latency.latency,
        (*_SSH, *postfix.NEEDS),
    ),
    Row(
        "large",
        "1 GiB over two SFTP hops",
        ">= 0.2 of the rate of one plain sftp put of the same file; aim 0.3",
        large.rate,
        (*_SSH, *sftp_loop.NEEDS_PUT),
        room=large.room(large.SIZE, 2),
        full_room=large.room(large.SIZE, 3),
    ),
    Row(
        "forward",
        "a dossier forwarded to one who lacks it, then to one who holds it",
        "<= 1% on the forwarder's up link, <= 55% of the first journey in all; <= 2% to a holder",
        large.forward,
        _SSH,
        room=large.room(large.SIZE, 2),
    ),
    Row(
        "cut",
        "the line is cut when nine tenths of 1 GiB have passed",
        "at most 64 MiB cross it twice",
        large.cut,
        _SSH,
        room=large.room(large.SIZE, 1),
    ),
    Row(
        "growth",
        "packets and questions on full ledgers of all nodes",
        "CPU per packet within 1.3 x of each other; queue summary and packet trace <= 300 ms",
        growth.growth,
        _SSH,
        room=6 * _GIB,
        full_room=45 * _GIB,
        resumes=True,
    ),
    Row("start", "exchangectl from call to answer", "<= 300 ms", asking.start, _SSH),
    Row(
        "agencies-100",
        "100 agencies on one machine",
        "p95 <= 60 s at 2,000 a minute, all back 120 s after a restart, none waits 3 x the median",
        agencies.hundred,
        _SSH,
        room=6 * _GIB,
    ),
    Row(
        "agencies-500",
        "500 agencies on one machine",
        "the same; front-ends together in 8 GiB",
        agencies.five_hundred,
        ("root", *_SSH),
        room=20 * _GIB,
        full_only=True,
    ),
    Row(
        "volume",
        "two years of Guizhou in its published mix, through 100 agencies",
        "every packet in its inbox once, every delivered receipt back",
        volume.volume,
        _SSH,
        room=40 * _GIB,
        full_only=True,
        resumes=True,
    ),
    Row(
        "checking",
        "checking packets of 5 KB in groups",
        ">= 0.5 of the rate of lxml alone",
        asking.checking,
    ),
)
