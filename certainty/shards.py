"""The shards of the programme, in the order in which they run."""

from __future__ import annotations

from typing import Final

from certainty.matrix import load_matrix
from certainty.shard import Shard
from certainty.sweep.table import SHARDS as _SWEEP

_PARTS: Final = {
    "disk": "Crash, power, disk",
    "intake": "Intake folder (outbox)",
    "content": "Content",
    "network": "Network and transfer",
    "identity": "Identity, keys, time, receipts",
    "operation": "Restore, upgrade, operation",
}


def _of_suite(name: str, part: str) -> Shard:
    rows = tuple(row.id for row in load_matrix() if row.tests and row.part == part)
    title = f"tests of the suite: {part.lower()}"
    tests = (test for row in load_matrix() if row.part == part for test in row.tests)
    as_root = any(test.startswith("tests/system/") for test in tests)
    return Shard(
        f"suite-{name}", title, rows, f"certainty.suite:{name}",
        needs=("root", "unshare", "fusermount3") if as_root else (), in_quick=False, fills_machine=True,
        full_seconds=1200,
    )  # fmt: skip


# The tests of the suite run in `./run test` and `./run long`: the quick set does not run them again.
_SUITE: Final = tuple(_of_suite(name, part) for name, part in _PARTS.items())
_NETWORK: Final = (
    Shard(
        "network-line",
        "lines that are cut, silent, slow, lossy, corrupt",
        ("F60", "F61", "F62", "F63", "F64"),
        "certainty.network.line_shard",
        ("root", "sshd", "ip", "tc", "iptables"),
        full_only=("F61", "F62", "F63"),
        quick_seconds=28,
        full_seconds=1_000,
    ),
    Shard(
        "network-server",
        "servers that are killed, full, refuse, forget, are not themselves",
        ("F65", "F66", "F67", "F68", "F69"),
        "certainty.network.server_shard",
        ("root", "sshd", "strace", "mkfs.ext4", "ssh-keygen", "/usr/lib/openssh/sftp-server"),
        full_only=("F67", "F68", "F69"),
        quick_seconds=25,
        full_seconds=950,
    ),
    Shard(
        "network-batches",
        "mailboxes and inboxes whose files are copied, mixed, changed, taken",
        ("F70", "F73", "F74", "F76", "F90"),
        "certainty.network.batch_shard",
        full_only=("F73", "F74", "F90"),
        quick_seconds=28,
        full_seconds=1_100,
    ),
    Shard(
        "network-crowd",
        "a hundred that come back at once, one that floods, one that never reads",
        ("F75", "F77", "F78"),
        "certainty.network.crowd_shard",
        ("root", "sshd"),
        full_only=("F75", "F78"),
        quick_seconds=25,
        full_seconds=650,
    ),
)
_KILLS: Final = tuple(
    Shard(
        f"kills-{number}",
        f"Random SIGKILL under load, part {number} of 4",
        ("F02",),
        f"certainty.kills.parts:{name}",
        ("sshd",),
        in_quick=number == 1,
        quick_seconds=35,
        full_seconds=900,
    )
    for number, name in enumerate(("first", "second", "third", "fourth"), start=1)
)
_MUTANTS: Final = (
    Shard(
        "mutants",
        "Seeded bugs, found by the checker alone",
        ("SB",),
        "certainty.mutants.shard",
        ("root", "mkfs.ext4"),
        in_quick=False,
        fills_machine=True,
        quick_seconds=90,
        full_seconds=1200,
    ),
)
_INTAKE: Final = (
    Shard(
        "intake-files",
        "What lies in an outbox, written slowly or strangely",
        ("F20", "F22", "F28", "F29", "F30", "F35", "F36"),
        "certainty.intake.files",
        needs=("root",),
        quick_seconds=30,
        full_seconds=600,
    ),
    Shard(
        "intake-racers",
        "Drops that are changed all the while they are taken",
        ("F21",),
        "certainty.intake.racers",
        needs=("root",),
        quick_seconds=12,
        full_seconds=1_000,
    ),
    Shard(
        "intake-shares",
        "Folders without events, that vanish, hang, are full, closed, or belong to two daemons",
        ("F24", "F31", "F32", "F33", "F34", "F37"),
        "certainty.intake.shares",
        needs=("root", "/dev/fuse", "fusermount3", "mount", "umount", "setpriv", "unshare"),
        full_only=("F37",),
        quick_seconds=42,
        full_seconds=450,
    ),
    Shard(
        "intake-scale",
        "Overflow of the watch queue, 100,000 drops at once, 100,000 files and 1 GiB in one drop",
        ("F23", "F25", "F26", "F27"),
        "certainty.intake.scale",
        needs=("root",),
        full_only=("F27",),
        quick_seconds=32,
        full_seconds=1200,
    ),
)
_SIMULATED: Final = ("F70", "F80", "F89", "F92", "F93")
_SIMULATION: Final = (
    Shard(
        "simulation-safety",
        "simulated provinces in which faults never end",
        ("S1", *_SIMULATED),
        "certainty.simulation.safety",
        quick_seconds=18,
        full_seconds=300,
    ),
    Shard(
        "simulation-liveness",
        "simulated provinces that heal and must come to rest",
        ("S2", *_SIMULATED),
        "certainty.simulation.liveness",
        quick_seconds=30,
        full_seconds=300,
    ),
)
_OPERATION: Final = (
    Shard(
        "operation-poison-clock",
        "packets that crash workers and daemons, and clocks that go wrong",
        ("F46", "F52", "F89"),
        "certainty.operation.poison_clock",
        needs=("cc",),
        full_only=("F89",),
        quick_seconds=30,
        full_seconds=450,
    ),
    Shard(
        "operation-config-upgrade",
        "reloads, upgrades killed half-way, a log that nobody reads, stops at any moment",
        ("F104", "F105", "F109", "F110"),
        "certainty.operation.config_upgrade",
        quick_seconds=34,
        full_seconds=950,
    ),
    Shard(
        "operation-ledger",
        "the ledger of ten years",
        ("F108",),
        "certainty.operation.ledger",
        quick_seconds=9,
        full_seconds=1200,
    ),
    Shard(
        "operation-backup",
        "backups and plain copies of nodes at work",
        ("F103",),
        "certainty.operation.backups",
        quick_seconds=15,
        full_seconds=300,
    ),
)
SHARDS: Final[tuple[Shard, ...]] = (
    *_KILLS,
    *_SWEEP,
    *_SIMULATION,
    *_INTAKE,
    *_NETWORK,
    *_MUTANTS,
    *_OPERATION,
    *(shard for shard in _SUITE if shard.rows),
)
