"""Where everything of a lab lies. Paths only; nothing is made or read here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

SSHD: Final = "sshd"


@dataclass(frozen=True, slots=True)
class Layout:
    """The folder of one lab; ``root`` is absolute."""

    root: Path

    @property
    def state(self) -> Path:
        """What the lab knows of itself: link kind, port, codes."""
        return self.root / "lab.json"

    @property
    def accounts(self) -> Path:
        """The accounts of a lab with jails; missing in any other lab."""
        return self.root / "accounts.json"

    @property
    def root_key(self) -> Path:
        """The key that signs the directory."""
        return self.root / "keys" / "root.key"

    @property
    def sshd(self) -> Path:
        """Configuration, host key and authorized keys of the lab's own sshd."""
        return self.root / "sshd"

    def agency(self, code: str) -> Path:
        """What the agency's case software sees."""
        return self.root / "agencies" / code

    def node(self, code: str) -> Path:
        """Everything of one node."""
        return self.root / "nodes" / code

    def config(self, code: str) -> Path:
        """The node's configuration."""
        return self.node(code) / "exchanged.toml"

    def data(self, code: str) -> Path:
        """The node's data_dir: ledger, spool, keys, directory."""
        return self.node(code) / "data"

    def login_key(self, code: str) -> Path:
        """The key that a front-end logs in with."""
        return self.data(code) / "keys" / "login"

    @property
    def mailboxes(self) -> Path:
        """The mailboxes of all links."""
        return self.root / "mailboxes"

    def mailbox(self, code: str) -> Path:
        """The mailbox of the link between an agency and the province."""
        return self.mailboxes / code

    def log(self, name: str) -> Path:
        """What the process ``name`` (a node's code or sshd) writes."""
        return self.root / "logs" / f"{name}.log"

    def record(self, name: str) -> Path:
        """The record of the running process ``name``."""
        return self.root / "run" / f"{name}.json"
