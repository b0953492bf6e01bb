"""The agency's folders beside a restored ledger, for case software that has one name for everything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from exchanged.acts.values import Act
from exchanged.ledger import restoring
from packet_spec.delivery import decode_delivery
from tests.support.acting import act, outcomes
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, SimulatedNode
from tests.support.restoring import World
from tests.support.traffic import drop_packet

NOT_POSSIBLE = "sent-again-not-possible"


def police(world: World) -> SimulatedNode:
    return world.network.nodes[POLICE]


def folder(world: World, name: str) -> Path:
    return world.network.agency(POLICE) / name


def send(world: World, reference: str = "R-1", name: str = "DATA") -> Path:
    """One packet from the police to the procuratorate, by case software that has one name for everything."""
    path = drop_packet(world.network, seed=len(world.dropped) + 1, sender_ref=reference)
    world.dropped[reference] = (POLICE, path)
    return path.rename(path.with_name(name))


def seal(world: World, reference: str = "R-1", name: str = "DATA") -> str:
    """The same, sealed and put away, while the link rests. Its packet id."""
    pause(world)
    send(world, reference, name)
    for _ in range(3):
        police(world).step()
    said = status(world, name)
    assert said["state"] == "queued", said
    return str(said["packetId"])


def pause(world: World) -> None:
    link = police(world).opened.links.name_of(PROVINCE)
    act(police(world), Act.PAUSE, link)


def do(world: World, what: Act, packet_id: str) -> None:
    """An operator does it, and the status says so."""
    assert outcomes(act(police(world), what, packet_id))[0] in {"cancelled", "on-hold", "to-link"}
    for _ in range(3):
        police(world).step()


def lying(world: World, name: str) -> list[str]:
    return sorted(path.name for path in folder(world, name).iterdir() if not path.name.startswith("."))


def shown(world: World, name: str = "DATA") -> str:
    """What events call an original in sent/."""
    return f"inode {(folder(world, 'sent') / name).lstat().st_ino}"


def status(world: World, name: str = "DATA") -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder(world, "status") / f"{name}.status.json").read_text("utf-8"))
    return told


def delivered(world: World) -> dict[str, str]:
    """Sender's number -> packet id of what lies in the receiver's inbox; nothing lies there twice."""
    found = [
        decode_delivery(path.read_bytes())
        for path in (world.network.agency(PROCURATORATE) / "inbox").glob("*/*/delivery.xml")
    ]
    assert len({each.sender_ref for each in found}) == len(found)
    return {each.sender_ref: each.key.packet_id for each in found}


def events(world: World, kind: str) -> list[dict[str, Any]]:
    rows = police(world).opened.ledger.read().execute("SELECT detail FROM event WHERE kind = ?", (kind,))
    return [json.loads(row["detail"]) for row in rows]


def save(world: World, target: Path, *codes: str) -> dict[str, Path]:
    return {code: world.snapshot(code, target / code) for code in codes}


def restore(world: World, saved: dict[str, Path]) -> None:
    """The nodes die and come back from their backups, and everything that still can happens."""
    for code, source in saved.items():
        world.restore(code, source)
    for code in saved:
        world.network.nodes[code].open()
    if POLICE in saved:
        act(police(world), Act.RESUME, police(world).opened.links.name_of(PROVINCE))
    world.drain()
    assert not restoring.is_going_on(police(world).opened.ledger.read())


def lose_mail(world: World) -> None:
    """What the police had put into their mailbox never arrives."""
    for path in (world.network.mailbox(POLICE) / "up").iterdir():
        path.unlink()


def pinned(world: World) -> list[tuple[str, int]]:
    """The ids that wait for their drops."""
    rows = police(world).opened.ledger.read().execute("SELECT packet_id, attempt FROM restore_pinned")
    return [tuple(row) for row in rows]


def rewrite(world: World, packet_id: str, words: dict[str, str]) -> None:
    """Somebody, or a node that is gone, wrote other words into both status files."""
    for path in folder(world, "status").rglob("*.status.*"):
        if packet_id in (text := path.read_text("utf-8")):
            for old, new in words.items():
                text = text.replace(old, new)
            path.write_text(text, "utf-8")


def mark(path: Path) -> None:
    path.with_name(f"{path.name}.ok").touch()
