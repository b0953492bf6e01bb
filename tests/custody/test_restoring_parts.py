"""C23 beside other promises: a restored province and its log, a restored receiver and encrypted parts."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cli.lab.plan import Standard
from exchanged import backup
from exchanged.ledger import restoring
from exchanged.ledger.log_tree import size_of
from packet_spec.delivery import decode_delivery
from packet_spec.log_entry import EntryKind
from packet_spec.log_recovery import decode_log_recovery
from packet_spec.signing import split_signed
from tests.support.asking import operator
from tests.support.encrypting import ROUTES
from tests.support.logs import LogStory
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.restoring import World, check_books
from tests.support.traffic import drop_packet


@pytest.mark.slow
def test_c23_a_restored_province_works_on_while_its_log_waits_for_the_word_of_the_roots(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with LogStory(tmp_path) as story:
        world = World(story.network, 1)
        story.exchange("first")
        saved = world.snapshot(PROVINCE, tmp_path / "backup")
        kept = size_of(story.read(PROVINCE))
        # One each way: what is given back comes in another order than it was logged in.
        story.exchange("back", PROCURATORATE, POLICE)
        story.exchange("second")
        known, accepted = story.head(POLICE), story.accepted("second")
        assert known.size > kept
        asked = operator(story.network.layout.config(PROVINCE), capsys)
        node = story.network.nodes[PROVINCE]
        node.die()
        told = " ".join(asked.text("node", "restore", saved).split())
        assert f"{kept} entries of its own log come back" in told
        world.restore(PROVINCE, saved)
        node.open()
        story.wait(minutes=2)
        # It is through, and packets go on; but what it says of its log counts nowhere.
        assert not restoring.is_going_on(node.opened.ledger.read())
        story.exchange("third")
        assert story.accepted("second") == accepted
        assert len(inbox(story.network)) == 3
        for code in (POLICE, PROCURATORATE):
            assert len(story.doubts(code)) == 1
            assert not story.is_proved(code, EntryKind.RECEIPT, story.accepted("third")[1])
        # Written after the start: it excuses from where the log was set back, not from where it is now.
        unsigned = tmp_path / "recovery.xml"
        why = ("--reason", "a fictional disk", "--output", unsigned)
        asked.text("log", "recovery", "--through", known.size, *why)
        recovery = decode_log_recovery(split_signed(unsigned.read_bytes())[0])
        assert recovery.excused_above == kept
        story.bring(PROVINCE, "recovery-1.xml", story.signed(recovery, story.root_key))
        story.wait(minutes=2)
        story.exchange("fourth")
        for code in (POLICE, PROCURATORATE):
            assert story.doubts(code) == []
            for name in ("second", "third", "fourth"):
                seal, receipt = story.accepted(name)
                assert story.is_proved(code, EntryKind.SEAL, seal), name
                assert story.is_proved(code, EntryKind.RECEIPT, receipt), name


def test_c23_a_restored_receiver_opens_what_comes_again_with_the_keys_that_were_kept_apart(
    tmp_path: Path,
) -> None:
    plan = replace(small_plan(POLICE, PROCURATORATE), standard=Standard(routes=ROUTES))
    with Network(tmp_path / "lab", plan) as network:
        world = World(network, 1)
        network.run()
        config, layout = network.nodes[PROCURATORATE].config, network.layout
        saved, keys = tmp_path / "backup", tmp_path / "keys"
        backup.create(config, layout.config(PROCURATORATE), saved, network.clock.now(), keys=keys)
        path = drop_packet(network, seed=1, sender_ref="R-1")
        world.dropped["R-1"] = (POLICE, path)
        # Delivered and taken, and the province never hears of it.
        receiver = network.nodes[PROCURATORATE]
        for _ in range(8):
            network.nodes[POLICE].step()
            network.nodes[PROVINCE].step()
            network.clock.advance(1.0)
        receiver.step()
        receiver.step()
        (folder,) = inbox(network)
        first = {file.name: file.read_bytes() for file in folder.iterdir()}
        world.seen.look(network)
        shutil.rmtree(folder)
        for file in (network.mailbox(PROCURATORATE) / "up").glob("0*.batch"):
            file.unlink()
        world.restore(PROCURATORATE, saved)
        own = config.node.data_dir / "keys"
        shutil.rmtree(own)
        shutil.copytree(keys, own)
        own.chmod(0o700)
        receiver.open()
        world.drain()
        check_books(world)
        (again,) = inbox(network)
        delivery = decode_delivery((again / "delivery.xml").read_bytes())
        assert delivery.maybe_duplicate
        assert delivery.files
        assert any(file.carried_digest for file in delivery.files)
        for file in delivery.files:
            assert (again / file.file).read_bytes() == first[file.file]


def inbox(network: Network) -> list[Path]:
    return sorted((network.agency(PROCURATORATE) / "inbox").glob("*/*/"))
