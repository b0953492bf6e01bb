"""A statement that a log was lost outlives a change of the roots that signed it (ADR 20)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cli.main import main
from exchanged.keys import load_key
from exchanged.ledger import log_entries
from packet_spec.log_recovery import open_log_recovery, sign_log_recovery
from tests.support.ceremony import FIRST, roots_of, signed
from tests.support.logs import LogStory, cut_to, forget_told
from tests.support.network import POLICE, PROVINCE


def test_a_recovery_is_told_once_the_roots_of_now_signed_it_too(tmp_path: Path) -> None:
    with LogStory(tmp_path) as story:
        story.exchange("first")
        network, file = story.network, tmp_path / "recovery.xml"
        known = story.head(POLICE)
        network.nodes[POLICE].die()
        story.tamper(cut_to(2), forget_told)
        words = ("--through", str(known.size), "--reason", "虚构：磁盘损坏", "--output", str(file))
        log = ("--config", str(network.layout.config(PROVINCE)), "log")
        lab = load_key(network.layout.root_key)
        assert main([*log, "recovery", *words]) == 0
        assert main([*log, "sign", str(file), "--key", str(network.layout.root_key)]) == 0
        assert main([*log, "install", str(file)]) == 0
        network.run()
        province = network.nodes[PROVINCE].opened
        current = province.trust.directory
        changed = replace(current, version=current.version + 1, roots=roots_of(FIRST))
        assert province.trust.offer(signed(changed, lab, FIRST))
        network.nodes[POLICE].open()
        network.run()
        story.wait(minutes=5)
        # What was told before the change is signed by roots that are no more: nobody takes it.
        assert log_entries.recoveries(story.read(POLICE), PROVINCE) == ()
        file.write_bytes(sign_log_recovery(file.read_bytes(), FIRST))
        assert main([*log, "install", str(file)]) == 0
        network.run()
        story.wait(minutes=5)
        ((_number, told),) = log_entries.recoveries(story.read(POLICE), PROVINCE)
        directory = network.nodes[POLICE].opened.trust.directory
        assert open_log_recovery(told, directory.roots, directory.threshold).excused_through == known.size
        assert story.doubts(POLICE) == []
