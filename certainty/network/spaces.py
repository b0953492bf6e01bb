"""Network namespaces of the trial's own: from one a node reaches the host over interfaces that can be broken.

Names bear the number of the process that made them; what a dead process left is removed by the next that
makes one. Known limit: this kernel has no netem, so delay comes from a ``Line`` behind the interfaces.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final, Self

from certainty.network import enter

_PREFIX: Final = "certnet"


class Space:
    """One namespace with an interface pair. ``host`` is the address of the host as seen from inside."""

    def __init__(self, number: int) -> None:
        self.name = f"{_PREFIX}-{os.getpid()}-{number}"
        short = f"{os.getpid() % 0xFFFFF:x}{number}"
        self._outer, self._inner = f"cno{short}", f"cni{short}"
        net = f"10.213.{(os.getpid() * 8 + number) % 254 + 1}"
        self.host, self.own = f"{net}.1", f"{net}.2"

    def __enter__(self) -> Self:
        _remove_left()
        try:
            _ip("netns", "add", self.name)
            _ip("link", "add", self._outer, "type", "veth", "peer", "name", self._inner, "netns", self.name)
            _ip("addr", "add", f"{self.host}/24", "dev", self._outer)
            _ip("link", "set", self._outer, "up")
            self._inside("ip", "addr", "add", f"{self.own}/24", "dev", self._inner)
            self._inside("ip", "link", "set", self._inner, "up")
            self._inside("ip", "link", "set", "lo", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        _try("ip", "link", "del", self._outer)
        _try("ip", "netns", "del", self.name)

    def cut(self) -> None:
        """The cable is out."""
        _ip("link", "set", self._outer, "down")

    def join(self) -> None:
        """The cable is in again."""
        _ip("link", "set", self._outer, "up")

    def silence(self) -> None:
        """Every packet vanishes, both ways, and nobody is told."""
        for chain in ("INPUT", "OUTPUT"):
            self._inside("iptables", "-A", chain, "-j", "DROP")

    def lose(self, share: float) -> None:
        """This share of the packets vanishes, both ways."""
        for chain in ("INPUT", "OUTPUT"):
            self._inside(
                "iptables", "-A", chain, "-m", "statistic", "--mode", "random", "--probability", str(share),
                "-j", "DROP",
            )  # fmt: skip

    def speak(self) -> None:
        """Nothing vanishes any more."""
        self._inside("iptables", "-F")

    def vanished(self) -> int:
        """How many packets vanished since something was to be lost or silent."""
        return sum(dropped(_run(*self._within, "iptables", "-nvxL", chain)) for chain in ("INPUT", "OUTPUT"))

    def slow(self, kilobits: int) -> None:
        """So many kilobits a second, each way, with a queue of 400 ms."""
        shape = ("root", "tbf", "rate", f"{kilobits}kbit", "burst", "4kb", "latency", "400ms")
        _run("tc", "qdisc", "replace", "dev", self._outer, *shape)
        self._inside("tc", "qdisc", "replace", "dev", self._inner, *shape)

    def fast(self) -> None:
        """As fast as the machine."""
        _run("tc", "qdisc", "del", "dev", self._outer, "root")
        self._inside("tc", "qdisc", "del", "dev", self._inner, "root")

    @property
    def _within(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)

    def _inside(self, *words: str) -> None:
        _run(*self._within, *words)


def daemon_in(folder: Path, homes: dict[str, str]) -> tuple[str, ...]:
    """The command of a lab's nodes, where ``homes`` says which configuration runs in which namespace."""
    table = folder / "spaces.json"
    folder.mkdir(parents=True, exist_ok=True)
    table.write_text(json.dumps(homes), encoding="utf-8")
    return (sys.executable, "-P", enter.__file__, str(table))


def _remove_left() -> None:
    found = subprocess.run(["ip", "netns", "list"], check=False, capture_output=True, text=True).stdout
    for line in found.splitlines():
        name = line.split()[0] if line.split() else ""
        parts = name.split("-")
        if len(parts) == 3 and parts[0] == _PREFIX and not Path(f"/proc/{parts[1]}").exists():
            _try("ip", "netns", "del", name)


def _ip(*words: str) -> None:
    _run("ip", *words)


def dropped(listing: str) -> int:
    """The packets of all rules that drop, in what ``iptables -nvxL`` says of a chain."""
    lines = (line.split() for line in listing.splitlines())
    return sum(int(words[0]) for words in lines if words[2:3] == ["DROP"] and words[0].isdigit())


def _run(*words: str) -> str:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def _try(*words: str) -> None:
    subprocess.run(words, check=False, capture_output=True)
