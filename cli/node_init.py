"""Make a node from nothing: folders, keys, login keys, the commented configuration, what to hand over.

Guarantees: nothing that exists is changed, above all no key; every part is made whole and flushed, the
configuration last, so that a second call after a power cut finishes the rest. As root the places are made
in folders that root owns and given away, and everything in them is made under the owner's ids: a service
user can put no link in root's way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.directory_trusted import find_directory
from cli.enrolment_request import MadeKey, MadeLogin, enrolment_text
from cli.node_plan import CASE_GROUP, Plan, login_keys
from cli.service_user import acting_as, has_group
from cli.unit_places import Shut, drop_in, shut_places, unit_of
from exchanged.clock import Randomness
from exchanged.config import Config, LinkConfig, LinkSide, LinkTransport
from exchanged.durable import DurableFiles, Volume
from exchanged.keys import (
    check_private_file,
    generate_encryption_key,
    generate_key,
    generate_ssh_key,
    load_encryption_key,
    load_key,
    public_ssh_line,
    read_public_half,
)
from exchanged.places import DIRECTORY_FOLDER, DOOR_FOLDER
from exchanged.public_keys import public_key_text
from packet_spec.model import KeyUse, NodeRole

ENROLMENT_FILE: Final = "enrolment.toml"
_DATA_MODE: Final = 0o750
_AGENCY_MODE: Final = 0o2750


@dataclass(frozen=True, slots=True)
class Step:
    """One thing of the node. ``made`` is false when it was there already."""

    name: str
    path: Path
    made: bool


@dataclass(frozen=True, slots=True)
class MadeNode:
    """What was made or found, and what a person does next. ``to_fill_in``: keys that hold a placeholder.

    ``shut``: places to which the service could not write, and ``drop_in`` the lines that open them.
    """

    config: Config
    owner: str
    steps: tuple[Step, ...]
    keys: tuple[MadeKey, ...]
    logins: tuple[MadeLogin, ...]
    enrolment: str
    to_fill_in: tuple[str, ...]
    next: tuple[str, ...]
    shut: tuple[Shut, ...]
    drop_in: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Something was made."""
        return any(step.made for step in self.steps)


def make_node(plan: Plan, randomness: Randomness) -> MadeNode:
    """Make what is missing of the planned node. Raises as ``exchanged.keys`` and ``DurableFiles``."""
    return _Maker(plan, randomness).make()


class _Maker:
    def __init__(self, plan: Plan, randomness: Randomness) -> None:
        self._plan = plan
        self._config = plan.config
        self._randomness = randomness
        self._files = DurableFiles(Volume.OUTPUT)
        self._steps: list[Step] = []

    def make(self) -> MadeNode:
        """Folders, then keys, which need them, then the configuration, which names both."""
        config, wish = self._config, self._plan.wish
        data_dir = config.node.data_dir
        self._place("data_dir", data_dir, _DATA_MODE)
        if config.folders is not None:
            group = config.folders.group or (CASE_GROUP if wish.is_system else "")
            self._place("agency root", config.folders.root, _AGENCY_MODE, group=group)
        with acting_as(self._plan.owner):
            self._folder("keys", data_dir / "keys", 0o700)
            self._folder("directory", data_dir / DIRECTORY_FOLDER, _DATA_MODE)
            keys = tuple(self._key(use, path) for use, path in self._key_files().items())
            if config.node.role is NodeRole.FRONTEND:
                keys += (self._encryption_key(config.keys.encrypt),)
            logins = tuple(self._login(name, path) for name, path in login_keys(config))
            enrolment = enrolment_text(config, keys, logins, find_directory(config)[0])
            self._enrolment(data_dir / ENROLMENT_FILE, enrolment)
        if config.node.door != data_dir / DOOR_FOLDER:
            self._place("door", config.node.door, 0o755)
        for link in config.links:
            if link.transport is LinkTransport.FOLDER and not wish.is_system:
                self._mailbox(link)
        self._configuration(wish.config_path)
        shut = shut_places(config, wish.config_path)
        return MadeNode(
            config=config,
            owner=self._plan.owner.name,
            steps=tuple(self._steps),
            keys=keys,
            logins=logins,
            enrolment=enrolment,
            to_fill_in=tuple(placeholders(config)),
            next=tuple(self._next(shut)),
            shut=shut,
            drop_in=drop_in(shut),
        )

    # --- parts ---------------------------------------------------------------------------------

    def _place(self, name: str, path: Path, mode: int, group: str = "") -> None:
        """A folder of its own, with those above it, given to the owner."""
        made = not path.is_dir()
        if made:
            for above in reversed([each for each in path.parents if not each.exists()]):
                self._files.make_dir(above, mode=0o755)
            self._files.make_dir(path, mode=0o700)
            self._give(path, mode, group)
        self._steps.append(Step(name, path, made))

    def _give(self, path: Path, mode: int, group: str) -> None:
        """Owner and mode through the folder's descriptor: nobody can put another thing in its place."""
        owner = self._plan.owner
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.geteuid() == 0:
                os.fchown(descriptor, owner.uid, _gid(group) if group and has_group(group) else owner.gid)
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)

    def _folder(self, name: str, path: Path, mode: int) -> None:
        made = not path.is_dir()
        if made:
            self._files.make_dir(path, mode=mode)
        self._steps.append(Step(name, path, made))

    def _key(self, use: KeyUse, path: Path) -> MadeKey:
        made = not os.path.lexists(path)
        key = generate_key(path, self._randomness) if made else load_key(path)
        self._steps.append(Step(f"key {use}", path, made))
        return MadeKey(use, key.key_id, public_key_text(key.public_key))

    def _key_files(self) -> dict[KeyUse, Path]:
        """With one for the log where the node admits: a provincial node, a front-end that serves another."""
        config = self._config
        admits = config.node.role is NodeRole.PROVINCIAL or (
            config.node.role is NodeRole.FRONTEND
            and any(link.side is LinkSide.SERVE for link in config.links)
        )
        return config.key_files() | ({KeyUse.LOG: config.keys.log} if admits else {})

    def _encryption_key(self, path: Path) -> MadeKey:
        made = not os.path.lexists(path)
        key = generate_encryption_key(path, self._randomness) if made else load_encryption_key(path)
        self._steps.append(Step(f"key {KeyUse.ENCRYPT}", path, made))
        return MadeKey(KeyUse.ENCRYPT, key.key_id, public_key_text(key.public_key))

    def _login(self, link: str, path: Path) -> MadeLogin:
        config = next(each for each in self._config.links if each.name == link)
        made = not os.path.lexists(path)
        if made:
            generate_ssh_key(path, self._randomness, self._config.node.code)
        check_private_file(path)
        self._steps.append(Step(f"login key {link}", path, made))
        line = public_ssh_line(path, self._config.node.code)
        return MadeLogin(link, config.peer, config.user, line, read_public_half(path).key_id)

    def _enrolment(self, path: Path, text: str) -> None:
        """Written anew only when it says something else: a link or key was added."""
        try:
            same = path.read_text(encoding="utf-8") == text
        except (OSError, UnicodeDecodeError):
            same = False
        if not same:
            self._files.write_file(path, (text.encode(),))
        self._steps.append(Step("enrolment", path, not same))

    def _mailbox(self, link: LinkConfig) -> None:
        if link.side is LinkSide.SERVE:
            mailbox = Path(link.mailbox)
            for direction in ("up", "down"):
                self._place(f"mailbox {link.name}", mailbox / direction, 0o2770)

    def _configuration(self, path: Path) -> None:
        if self._plan.text is not None:
            for above in reversed([each for each in path.parents if not each.exists()]):
                self._files.make_dir(above, mode=0o755)
            self._files.write_new(path, (self._plan.text.encode(),), mode=0o640)
            if os.geteuid() == 0:
                # Root's, so that the daemon cannot change it. It holds no secret, and operators read it.
                os.chown(path, 0, self._plan.owner.gid, follow_symlinks=False)
                path.chmod(0o644)
        self._steps.append(Step("configuration", path, self._plan.text is not None))

    # --- what a person does next ---------------------------------------------------------------

    def _next(self, shut: Sequence[Shut]) -> Iterator[str]:
        wish, config = self._plan.wish, self._config
        call = f"exchangectl --config {wish.config_path}"
        # Its script keeps the keys of an account that has some; the directory opens the others.
        shell = "sh" if os.geteuid() == 0 else "sudo sh"
        for link in config.links:
            if link.account and wish.is_system:
                yield f"{call} link jail {link.name} | {shell}"
        if config.folders is not None:
            yield f"{call} folder init"
        yield f"{call} directory install DIRECTORY.xml"
        yield f"{call} config check"
        if shut:
            yield f"systemctl edit {unit_of(wish.config_path)}"
        if wish.is_system:
            yield f"systemctl enable --now {unit_of(wish.config_path)}"
        else:
            yield f"exchanged --config {wish.config_path}"


def placeholders(config: Config) -> Iterator[str]:
    """Keys of the configuration whose value only the province knows and nobody has filled in."""
    if any(not any(root.public) for root in config.keys.roots):
        yield "[keys] roots"
    for link in config.links:
        for key in unfilled(link):
            yield f"[link {link.name}] {key}"


def unfilled(link: LinkConfig) -> Sequence[str]:
    """The keys of one link that still hold the placeholder: a name of RFC 2606, or zeros."""
    unset = {"host": link.host.endswith(".invalid"), "host_key": link.host_key.endswith("A" * 40)}
    return [key for key, is_unset in unset.items() if is_unset]


def _gid(group: str) -> int:
    import grp  # noqa: PLC0415 - one name looked up by root alone

    return grp.getgrnam(group).gr_gid
