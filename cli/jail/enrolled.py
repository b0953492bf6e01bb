"""The jail of a node that the directory lists: its link, made where it is missing, and its account (C2).

Guarantees: only a node that stands directly below this one in the directory gets an account here, and one
account, one mailbox and one link belong to one node. Leaves to others: the script itself
(``cli.jail.script``).
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cli.config_edit import edit_config
from cli.jail.errors import JailPlanError
from cli.jail.plan import QUOTA_GIB, SSHD_FOLDER, JailPlan, plan_jail
from cli.jail.script import making_script
from exchanged.config import Config, LinkConfig, LinkSide, LinkTransport, load_config
from exchanged.durable import DurableFiles, Volume
from exchanged.errors import NotPermittedError
from exchanged.routing import RouteKind, route_to_node
from packet_spec.model import Directory

JAILS: Final = Path("/srv/exchanged/jails")
DOORS: Final = Path("/srv/exchanged/doors")
_SECTION: Final = """
[[link]]
name = "{name}"
peer = "{peer}"
transport = "folder"
side = "serve"
mailbox = "{mailbox}"
account = "{account}"
"""


@dataclass(frozen=True, slots=True)
class EnrolledJail:
    """``section`` is the [[link]] that the configuration lacks, as TOML; empty when it has it.

    ``sets_door``: the configuration must name the door of ``plan``; without it the SSH server sees none.
    """

    plan: JailPlan
    section: str
    sets_door: bool = False

    @property
    def script(self) -> str:
        """What root runs. The missing section stands at its head, to be put into the configuration."""
        script = making_script(self.plan)
        missing = [f'[node] door = "{self.plan.door}"'] if self.sets_door else []
        missing += self.section.strip().splitlines()
        if not missing:
            return script
        first, _, rest = script.partition("\n")
        lines = ["First put this into the configuration of the node:", *missing]
        return "\n".join([first, *(f"# {line}" for line in lines), rest])


def plan_enrolled(
    config: Config,
    config_path: Path,
    directory: Directory,
    code: str,
    *,
    sshd: Path = SSHD_FOLDER,
    service: str = "",
    quota_gib: int = QUOTA_GIB,
    jails: Path = JAILS,
) -> EnrolledJail:
    """The jail for the node ``code``, or for the node that serves the agency ``code``.

    Its keys are those of the directory; none is installed. Raises JailPlanError when the directory does not
    put that node directly below this one, or as ``plan_jail``.
    """
    peer = _peer_of(config, directory, code)
    link = next((link for link in config.links if link.peer == peer), None)
    section = ""
    if link is None:
        link = _new_link(peer, jails)
        section = _SECTION.format(name=link.name, peer=peer, mailbox=link.mailbox, account=link.account)
        config = replace(config, links=(*config.links, link))
    sets_door = sshd == SSHD_FOLDER and config.node.data_dir in config.node.door.parents
    if sets_door:
        # A node that served nobody until now, or was made before the SSH server asked for the directory.
        config = replace(config, node=replace(config.node, door=DOORS / config_path.stem))
    plan = plan_jail(
        config, link.name, config_path=config_path, sshd=sshd, service=service, quota_gib=quota_gib
    )
    return EnrolledJail(plan, section, sets_door)


def make_enrolled(jail: EnrolledJail) -> str:
    """As root: put the missing link into the configuration, then run the script. What the script said.

    Running it again is fine. Raises NotPermittedError for anybody else, ConfigurationError when the
    configuration cannot be used with the new link (then it stays as it was), and JailPlanError when the
    script stopped.
    """
    if os.geteuid() != 0:
        raise NotPermittedError("accounts are made by root", hint="print the script, and let root run it")
    if jail.section or jail.sets_door:
        door = {"door": str(jail.plan.door)} if jail.sets_door else {}
        _complete(jail.plan.config_path, jail.section, door)
    script = making_script(jail.plan)
    done = subprocess.run(["sh"], input=script, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise JailPlanError(
            "the script that makes the account stopped",
            where=jail.plan.account,
            found=words[-1] if words else "",
            hint="mend what it names and call the command again",
        )
    return done.stdout


def _peer_of(config: Config, directory: Directory, code: str) -> str:
    agency = directory.agency(code)
    target = code if agency is None else agency.node
    if directory.node(target) is None:
        raise JailPlanError("the directory in force lists no such agency or node", where=code)
    route = route_to_node(directory, config.node.code, target, came_from="")
    node = directory.node(target)
    if route.kind is RouteKind.NEIGHBOUR and route.neighbour == target and node is not None:
        if node.parent == config.node.code:
            return target
        raise JailPlanError("this node dials it, and does not serve it", where=target)
    raise JailPlanError(
        "the directory does not put that node directly below this one",
        where=target,
        expected=f"parent {config.node.code}",
        found=f"parent {node.parent}" if node is not None and node.parent else "",
        hint="make its account at the node that serves it",
    )


def _new_link(peer: str, jails: Path) -> LinkConfig:
    return LinkConfig(
        name=peer,
        peer=peer,
        transport=LinkTransport.FOLDER,
        side=LinkSide.SERVE,
        mailbox=str(jails / peer),
        host="",
        port=0,
        user="",
        key=None,
        host_key="",
        account=f"ex-{peer}",
    )


def _complete(path: Path, section: str, node: dict[str, str]) -> None:
    """The new configuration is tried beside the old one before it takes its place."""
    files = DurableFiles(Volume.OUTPUT)
    before = path.stat()
    text = edit_config(path.read_text(encoding="utf-8-sig"), {"node": node} if node else {}, {})
    text = text.rstrip("\n") + "\n" + section
    tried = path.with_name(f".{path.name}.new")
    files.write_file(tried, (text.encode(),), mode=before.st_mode & 0o777)
    try:
        load_config(tried)
    finally:
        files.unlink(tried)
    files.write_file(path, (text.encode(),), mode=before.st_mode & 0o777)
    os.chown(path, before.st_uid, before.st_gid, follow_symlinks=False)
