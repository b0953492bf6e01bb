"""What an operator releases under one name is of one kind: a doubted receipt never goes along with a leg."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

import pytest

from cli.fiction.request import DropRequest
from exchanged.acts.values import Act, Answer, Filter
from exchanged.clock import SystemClock
from exchanged.control import ControlServer
from exchanged.errors import NotFoundError, RequestError
from exchanged.places import SPOOL_FOLDER
from packet_spec.model import ReceiptKind
from tests.custody.test_disabling import disabled, in_force
from tests.custody.test_stolen_receipt_keys import bring, now, offer, said
from tests.support.acting import act, desk, outcomes, recorded
from tests.support.asking import Operator, operator
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE
from tests.support.peer import Peer, Sealed
from tests.support.province import Province, link_to, node, rows

WAITS = "offered"
WHY = ("--reason", "the procuratorate confirmed it by telephone")


def states(province: Province) -> dict[str, str]:
    return {str(to): str(state) for to, state in rows(province, "SELECT recipient, state FROM destination")}


def pause(province: Province, agency: str, what: Act = Act.PAUSE) -> None:
    act(node(province), what, node(province).opened.links.name_of(agency))


def judgment(province: Province) -> Sealed:
    court, at = Peer(province.network, COURT), province.network.clock.now()
    sealed = court.seal(DropRequest("trial.judgment", COURT, PROCURATORATE, at, copy_to=(POLICE,)))
    court.send(sealed)
    province.run()
    return sealed


def mixed(province: Province, *kinds: ReceiptKind) -> Sealed:
    """A judgment for the procuratorate with a copy to the police: the copy is on hold.

    Receipts of the procuratorate landed before a directory disabled it, and are held.
    """
    pause(province, POLICE)
    sealed = judgment(province)
    assert outcomes(act(node(province), Act.HOLD, str(sealed.key))) == ["on-hold"]
    pause(province, POLICE, Act.RESUME)
    bring(
        province.procuratorate,
        *(said(sealed, province.procuratorate, now(province), kind) for kind in kinds),
    )
    link_to(province, PROCURATORATE).step()
    offer(province, disabled(in_force(province), PROCURATORATE))
    assert province.arrivals() == [("held", "issuer-disabled")] * len(kinds)
    assert states(province)[POLICE] == "on-hold"
    return sealed


@pytest.fixture
def packet(province: Province) -> Sealed:
    """One genuine receipt that it was delivered."""
    return mixed(province, ReceiptKind.DELIVERED)


@pytest.fixture
def asked(province: Province, capsys: pytest.CaptureFixture[str]) -> Iterator[Operator]:
    """An operator of the province, whose daemon serves its socket."""
    config = node(province).config
    server = ControlServer(config.control.socket, "", desk(node(province)), SystemClock(), print)
    server.start()
    yield operator(province.network.layout.config(PROVINCE), capsys)
    server.stop()


def release(province: Province, packet: Sealed, **wanted: object) -> Answer:
    narrowed = {"filter": Filter(**wanted)} if wanted else {}  # type: ignore[arg-type]
    return act(node(province), Act.RELEASE, str(packet.key), **narrowed)


def test_a_name_alone_does_not_release_a_doubted_receipt_and_a_leg(
    province: Province, packet: Sealed
) -> None:
    before = len(recorded(node(province)))
    answer = release(province, packet)
    assert outcomes(answer) == ["among-others", "among-others"]
    assert [entry.fields["outcome"] for entry in answer.not_done] == ["to-count", "to-link"]
    province.run()
    assert province.arrivals() == [("held", "issuer-disabled")]
    assert states(province) == {PROCURATORATE: WAITS, POLICE: "on-hold"}
    assert len(recorded(node(province))) == before


def test_the_receipt_counts_alone(province: Province, packet: Sealed) -> None:
    assert outcomes(release(province, packet, reasons=("issuer-disabled",))) == ["to-count"]
    province.run()
    assert province.arrivals() == []
    assert states(province) == {PROCURATORATE: "delivered", POLICE: "on-hold"}
    # Nothing else is held now: the name says enough.
    assert outcomes(release(province, packet)) == ["to-link"]
    province.run()
    assert states(province) == {PROCURATORATE: "delivered", POLICE: "offered"}


@pytest.mark.parametrize(
    "wanted", [{"state": "on-hold"}, {"recipient": POLICE}, {"reasons": ("held-by-operator",)}]
)
def test_the_leg_goes_out_alone(province: Province, packet: Sealed, wanted: dict[str, object]) -> None:
    assert outcomes(release(province, packet, **wanted)) == ["to-link"]
    province.run()
    assert province.arrivals() == [("held", "issuer-disabled")]
    assert states(province) == {PROCURATORATE: WAITS, POLICE: "offered"}


def test_each_of_two_doubted_receipts_is_released_alone(province: Province) -> None:
    """The one that was confirmed is not the one that the thief signed."""
    packet = mixed(province, ReceiptKind.DELIVERED, ReceiptKind.REFUSED)
    answer = release(province, packet, reasons=("issuer-disabled",))
    assert outcomes(answer) == ["among-others", "among-others"]
    assert [(each.fields["receipt"], each.fields["issuer"]) for each in answer.not_done] == [
        ("delivered", PROCURATORATE), ("refused", PROCURATORATE),
    ]  # fmt: skip
    assert outcomes(release(province, packet, only=answer.not_done[0].token)) == ["to-count"]
    province.run()
    assert states(province) == {PROCURATORATE: "delivered", POLICE: "on-hold"}
    assert province.arrivals() == [("held", "issuer-disabled")]


def test_a_receipt_that_is_judged_in_this_moment_ends_no_node(province: Province, packet: Sealed) -> None:
    """Its bytes may go between two looks; whether a volume is damaged is for the judge to say."""
    for path in (node(province).config.node.data_dir / SPOOL_FOLDER).iterdir():
        path.unlink()
    wanted = Filter(reasons=("issuer-disabled",))
    answer = act(node(province), Act.RELEASE, str(packet.key), filter=wanted, preview=True)
    assert outcomes(answer) == ["to-count"]
    assert "issuer" not in answer.done[0].fields


def test_legs_alone_go_on_under_one_name(province: Province) -> None:
    pause(province, POLICE)
    pause(province, PROCURATORATE)
    sealed = judgment(province)
    assert outcomes(act(node(province), Act.HOLD, str(sealed.key))) == ["on-hold", "on-hold"]
    link = node(province).opened.links.name_of(POLICE)
    assert outcomes(release(province, sealed, link=link)) == ["to-link"]
    assert states(province) == {PROCURATORATE: "on-hold", POLICE: "queued"}
    assert outcomes(act(node(province), Act.HOLD, str(sealed.key))) == ["on-hold"]
    assert outcomes(release(province, sealed)) == ["to-link", "to-link"]


def test_a_filter_that_fits_nothing_of_it_releases_nothing(province: Province, packet: Sealed) -> None:
    for wanted in ({"reasons": ("revoked-since",)}, {"only": "arrival:999"}, {"sender": POLICE}):
        with pytest.raises(NotFoundError, match="fits"):
            release(province, packet, **wanted)
    with pytest.raises(RequestError, match="nothing out of that state"):
        release(province, packet, state="queued")
    with pytest.raises(RequestError, match="one way"):
        act(node(province), Act.PAUSE, "a-link", filter=Filter(state="held"))


@pytest.mark.parametrize("consent", [(), ("--yes",), ("--preview",)])
def test_the_command_refuses_lists_them_and_says_how_to_name_one(
    province: Province, packet: Sealed, asked: Operator, consent: tuple[str, ...]
) -> None:
    name = str(packet.key)
    said_json = json.loads(asked.text("queue", "release", name, *WHY, *consent, "--json", code=5))
    assert said_json["error"]["reference"] == "act-refused"
    asked.text("queue", "release", name, *WHY, *consent, code=5)
    lines = asked.errors.splitlines()
    assert "several things of this name are held, and each would go another way" in lines[0]
    found = next(line for line in lines if line.startswith("  found: "))
    assert f"counts from now on, though a thief may have signed it (delivered by {PROCURATORATE})" in found
    assert f"queued again for {POLICE}" in found
    hint = next(line for line in lines if line.startswith("hint: "))
    assert states(province) == {PROCURATORATE: WAITS, POLICE: "on-hold"}
    words = shlex.split(hint.partition("exchangectl ")[2])[2:]
    assert words[:2] == ["queue", "release"]
    token = found.removeprefix("  found: ").partition(" ")[0]
    words[words.index("TOKEN")] = token
    asked.text(*words[:-1], WHY[1])
    province.run()
    assert states(province) == {PROCURATORATE: "delivered", POLICE: "on-hold"}


def test_the_commands_that_are_shown_as_possible_name_each_alone(
    province: Province, packet: Sealed, asked: Operator
) -> None:
    possible = asked.json("packet", "show", str(packet.key))["possible"]
    releases = [shlex.split(each.partition("exchangectl ")[2]) for each in possible if " release " in each]
    assert len(releases) == 2
    for words in releases:
        asked.text(*words[2:-1], WHY[1])
    province.run()
    assert states(province) == {PROCURATORATE: "delivered", POLICE: "offered"}


def test_the_command_narrows_a_name_down(province: Province, packet: Sealed, asked: Operator) -> None:
    name = str(packet.key)
    asked.text("queue", "release", name, "--reason-is", "revoked-since", *WHY, code=4)
    asked.text("queue", "release", name, "--all", *WHY, code=2)
    asked.text("queue", "release", "--only", "arrival:1", *WHY, code=2)
    narrowed = ("queue", "release", name, "--reason-is", "issuer-disabled", *WHY)
    assert "would be done: " in asked.text(*narrowed, "--preview")
    done = asked.json(*narrowed)["answer"]["done"]
    assert [entry["outcome"] for entry in done] == ["to-count"]
    assert states(province)[POLICE] == "on-hold"


