"""The simulation: one seed is one run, a sound world has nothing to tell, and broken programs are found."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from certainty.simulation.disk import VirtualDisk
from certainty.simulation.drops import Sample, make_samples
from certainty.simulation.regressions import seeds_of
from certainty.simulation.run import Mode, run_seed
from certainty.simulation.template import Templates
from exchanged.admission import Admission
from exchanged.durable import DurableFiles, DurableWriter, Volume
from exchanged.durable_group import GroupedFiles
from exchanged.landing import Landing
from exchanged.volume import Kernel
from frontend_server.delivery import Delivery
from packet_spec.findings import Finding, Severity
from packet_spec.sentences import make_finding

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Simulated nodes do not log; what is tested after them does."""
    level = logging.root.manager.disable
    yield
    logging.disable(level)


@pytest.fixture(scope="module")
def samples() -> tuple[Sample, ...]:
    return make_samples()


@pytest.fixture(scope="module")
def templates() -> Iterator[Templates]:
    """In memory where there is one: nothing need reach a disk."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
    with TemporaryDirectory(dir=memory) as folder:
        yield Templates(Path(folder))


def found(mode: Mode, templates: Templates, samples: tuple[Sample, ...], most: int) -> set[str]:
    """The invariants that the first seeds find broken."""
    for seed in range(1, most + 1):
        violations = run_seed(seed, mode, templates, samples).violations
        if violations:
            return {each.invariant for each in violations}
    return set()


@pytest.mark.parametrize("mode", Mode)
def test_one_seed_is_one_run_and_a_sound_program_has_nothing_to_hide(
    mode: Mode, templates: Templates, samples: tuple[Sample, ...]
) -> None:
    for seed in (2,):
        first = run_seed(seed, mode, templates, samples)
        again = run_seed(seed, mode, templates, samples)
        assert first.violations == ()
        assert replace(again, seconds=0.0) == replace(first, seconds=0.0)


@pytest.mark.parametrize("mode", Mode)
def test_seeds_that_once_failed_pass(mode: Mode) -> None:
    """In a process of their own, whose sets have the order that they had when the seed was found."""
    for seed in seeds_of(mode.value):
        command = [sys.executable, "-m", "certainty.simulation", "--seed", str(seed), "--mode", mode.value]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_program_that_flushes_nothing_is_found(
    monkeypatch: pytest.MonkeyPatch, templates: Templates, samples: tuple[Sample, ...]
) -> None:
    monkeypatch.setattr(DurableWriter, "sync", lambda self, operation: None)
    assert found(Mode.SAFETY, templates, samples, 12)


def test_a_program_that_flushes_no_folder_is_found(
    monkeypatch: pytest.MonkeyPatch, templates: Templates, samples: tuple[Sample, ...]
) -> None:
    monkeypatch.setattr(DurableFiles, "sync_dir", lambda self, path: True)
    assert found(Mode.SAFETY, templates, samples, 12)


def test_a_program_that_acknowledges_what_it_does_not_keep_is_found(
    monkeypatch: pytest.MonkeyPatch, templates: Templates, samples: tuple[Sample, ...]
) -> None:
    monkeypatch.setattr(Landing, "_land_item", lambda self, tx, batch, where, entry: False)
    monkeypatch.setattr("certainty.simulation.run._PATIENCE", 60.0)
    assert found(Mode.LIVENESS, templates, samples, 3)


def test_a_program_that_receipts_before_it_delivers_is_found(
    monkeypatch: pytest.MonkeyPatch, templates: Templates, samples: tuple[Sample, ...]
) -> None:
    monkeypatch.setattr("frontend_server.delivery.kind_of", lambda path: None)
    monkeypatch.setattr(Delivery, "_require_good_folders", lambda self: None)
    monkeypatch.setattr("certainty.simulation.run._PATIENCE", 60.0)
    assert "I7" in found(Mode.LIVENESS, templates, samples, 6)


def test_a_program_that_forgets_what_it_delivered_is_found(
    monkeypatch: pytest.MonkeyPatch, templates: Templates, samples: tuple[Sample, ...]
) -> None:
    commit = Delivery._commit_placed

    def forget(self: Delivery, tx: Any, done: Any, *, synced: bool) -> bool:
        is_done = commit(self, tx, done, synced=synced)
        tx.execute(
            "UPDATE destination SET state = 'arrived', folder = '' WHERE state = 'delivered'"
        )
        return is_done

    monkeypatch.setattr(Delivery, "_commit_placed", forget)
    monkeypatch.setattr("certainty.simulation.run._PATIENCE", 60.0)
    # And not for a mistake of this test's own, which would be told as I12.
    assert found(Mode.LIVENESS, templates, samples, 12) - {"I12"}


def test_a_province_that_refuses_good_packets_is_found(
    monkeypatch: pytest.MonkeyPatch, templates: Templates, samples: tuple[Sample, ...]
) -> None:
    check = Admission._check_case
    wrong = make_finding("case-not-open-to-sender", severity=Severity.REFUSE)

    def refuse(self: Admission, *given: Any) -> tuple[str, tuple[str, ...], tuple[Finding, ...]]:
        case, joined, findings = check(self, *given)
        return case, joined, (*findings, wrong)

    monkeypatch.setattr(Admission, "_check_case", refuse)
    assert "I7" in found(Mode.SAFETY, templates, samples, 6)


def test_a_program_whose_papers_are_torn_by_a_power_cut_is_found(
    monkeypatch: pytest.MonkeyPatch, templates: Templates, samples: tuple[Sample, ...]
) -> None:
    class Careless(GroupedFiles):
        """Status files and receipts get their names before their content is flushed."""

        def _flush_contents(self) -> None:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.writer.close()

    monkeypatch.setattr("frontend_server.effects.GroupedFiles", Careless)
    assert "I3" in found(Mode.SAFETY, templates, samples, 12)


class TestVirtualDisk:
    """What a power cut leaves."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        (tmp_path / "root").mkdir()
        return tmp_path / "root"

    def files(self, disk: VirtualDisk) -> DurableFiles:
        class Watched(Kernel):
            def write(self, descriptor: int, block: bytes | memoryview) -> int:
                disk.wrote(os.fstat(descriptor).st_ino)
                return super().write(descriptor, block)

            def fsync(self, descriptor: int) -> None:
                disk.flushed(descriptor)

        return DurableFiles(Volume.OWN, kernel=Watched())

    @pytest.mark.parametrize("keeps", [0.0, 0.5, 1.0])
    def test_what_was_written_durably_outlives_it(self, root: Path, keeps: float) -> None:
        disk = VirtualDisk((root,), root.parent / "limbo")
        files = self.files(disk)
        files.write_file(root / "one", (b"1" * 100,))
        files.make_dir(root / "folder")
        files.write_file(root / "folder" / "two", (b"2",))
        files.rename_new(root / "folder", root / "named")
        disk.cut(Random(1), keeps)  # noqa: S311
        assert (root / "one").read_bytes() == b"1" * 100
        assert (root / "named" / "two").read_bytes() == b"2"
        assert not (root / "folder").exists()

    def test_what_was_not_flushed_is_lost_and_what_was_removed_comes_back(self, root: Path) -> None:
        disk = VirtualDisk((root,), root.parent / "limbo")
        files = self.files(disk)
        files.write_file(root / "old", (b"old",))
        with files.create(root / "new") as writer:
            writer.append(b"flushed")
            writer.flush()
            writer.append(b" and not")
        with files.create(root / "nameless") as writer:
            writer.append(b"x")
            writer.sync("test")
        files.unlink(root / "old")
        disk.cut(Random(1), 0.0)  # noqa: S311
        assert sorted(path.name for path in root.iterdir()) == ["new", "old"]
        assert (root / "old").read_bytes() == b"old"
        assert (root / "new").read_bytes().startswith(b"flushed")

    def test_a_rename_that_was_not_flushed_is_done_or_not(self, root: Path) -> None:
        for seed in range(8):
            disk = VirtualDisk((root,), root.parent / "limbo")
            files = self.files(disk)
            files.write_file(root / "a", (b"first",))
            files.write_file(root / ".b", (b"second",))
            (root / ".b").rename(root / "a")
            disk.cut(Random(seed), 0.5)  # noqa: S311
            assert (root / "a").read_bytes() in (b"first", b"second")
            assert (root / ".b").exists() == ((root / "a").read_bytes() == b"first")
