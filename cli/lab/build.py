"""Make a lab: keys, the signed directory, folders with their markers, mailboxes, configurations.

Everything is written once into a new folder; nothing here starts a process. Known limit: a lab that was
interrupted while it was made is thrown away and made again; it holds nothing of value.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from cli.fiction.agencies import LabAgency
from cli.lab import sshd
from cli.lab.accounts import LabAccounts
from cli.lab.errors import LabFolderError
from cli.lab.joints import Joint
from cli.lab.layout import Layout
from cli.lab.plan import LabPlan
from cli.lab.state import LabState, write_state
from cli.toml_files import is_quotable
from exchanged.clock import Clock, Randomness
from exchanged.config import LinkTransport
from exchanged.keys import generate_encryption_key, generate_key, generate_ssh_key
from exchanged.places import DOOR_FOLDER, PACK_FOLDER
from exchanged.public_keys import public_key_text
from frontend_server.folders import FOLDERS, INBOX, OUTBOX, write_marker
from packet_spec.directory import encode_directory, sign_directory
from packet_spec.model import (
    Directory,
    DirectoryAgency,
    DirectoryKey,
    DirectoryNode,
    KeyUse,
    NodeRole,
    RootKey,
)
from packet_spec.signing import PublicKey, key_id_of
from packet_spec.ssh_keys import SSH_SUITE, public_of_line

# Statements may be dated a little before the lab was made (a clock set back); ten years is a long rehearsal.
_BACKDATED: Final = timedelta(days=1)
_VALID: Final = timedelta(days=3652)
_USES: Final = {
    NodeRole.FRONTEND: (KeyUse.SEAL, KeyUse.LINK, KeyUse.RECEIPT, KeyUse.ENCRYPT),
    NodeRole.PROVINCIAL: (KeyUse.LINK, KeyUse.RECEIPT),
    NodeRole.BRIDGE: (KeyUse.LINK,),
}

# Short waits: on one machine nothing is far, and who watches should not wait.
_LIMITS: Final = """
[limits]
workers = {workers}
order_wait_seconds = 5.0
retry_first_seconds = 0.2
retry_max_seconds = 5.0
link_scan_seconds = {link_scan}
free_space_bytes = 67108864
"""
_NODE: Final = """\
# A node of a lab: written by exchangectl lab create. Its keys protect nothing.

[node]
code = "{code}"
role = "{role}"
data_dir = "data"

[keys]
roots = ["{root}"]
"""
_DIAL_SFTP: Final = """
[[link]]
name = "{name}"
peer = "{peer}"
transport = "sftp"
side = "dial"
mailbox = "{mailbox}"
host = "{host}"
port = {port}
user = "{user}"
key = "data/keys/login"
host_key = "{host_key}"
"""
_DIAL_FOLDER: Final = """
[[link]]
name = "{name}"
peer = "{peer}"
transport = "folder"
side = "dial"
mailbox = "{mailbox}"
"""
_SERVE: Final = """
[[link]]
name = "{peer}"
peer = "{peer}"
transport = "folder"
side = "serve"
mailbox = "{mailbox}"
"""
_ACCOUNT: Final = 'account = "{account}"\n'
_RULES: Final = """
[rules]
sequence = "{sequence}"
"""
_FOLDERS: Final = """
[folders]
root = "{root}"
settle_seconds = 1.0
scan_seconds = 2.0
"""


def build_lab(
    layout: Layout,
    plan: LabPlan,
    transport: LinkTransport,
    clock: Clock,
    randomness: Randomness,
    accounts: LabAccounts | None = None,
) -> None:
    """Make everything below ``layout.root``, which must not exist or be empty.

    With ``accounts`` the configurations name them; making them is the next step (``cli.lab.accounts``).

    Raises LabFolderError when something lies there or cannot be written.
    """
    if not is_quotable(layout.root):
        raise LabFolderError(
            "the lab's configurations cannot name this folder",
            where=repr(str(layout.root)),
            expected="a path in UTF-8 without quotes, back-slashes and line ends",
        )
    try:
        layout.root.mkdir(parents=True, exist_ok=True, mode=0o750)
        if any(layout.root.iterdir()):
            raise LabFolderError("something lies there already", where=str(layout.root))
        _Builder(layout, plan, transport, clock, randomness, accounts).build()
    except OSError as error:
        raise LabFolderError(f"the lab cannot be made: {error.strerror}", where=str(layout.root)) from error


class _Builder:
    """The steps of making one lab."""

    def __init__(
        self,
        layout: Layout,
        plan: LabPlan,
        transport: LinkTransport,
        clock: Clock,
        randomness: Randomness,
        accounts: LabAccounts | None,
    ) -> None:
        self._layout = layout
        self._plan = plan
        self._transport = transport
        self._now = clock.now()
        self._randomness = randomness
        self._accounts = accounts
        self._above = {joint.lower: joint for joint in plan.links}
        self._dialling = tuple(code for code, joint in self._above.items() if self._is_sftp(joint))
        self._port = sshd.free_port() if self._dialling else 0
        self._host_line = ""
        self._login_lines: dict[str, str] = {}

    def build(self) -> None:
        """Keys first, because the directory names them; the state file last, because it says: whole."""
        root = generate_key(self._layout.root_key, self._randomness)
        for code in self._plan.nodes:
            self._layout.data(code).mkdir(parents=True)
            self._layout.data(code).chmod(0o750)
        host_key = self._make_login_keys() if self._dialling else ""
        nodes = [self._node(code) for code in self._plan.nodes]
        signed = sign_directory(encode_directory(self._directory(nodes, root.public_key)), [root])
        for node in nodes:
            (self._layout.data(node.code) / "directory").mkdir(mode=0o750)
            (self._layout.data(node.code) / "directory" / "directory-1.xml").write_bytes(signed)
        for code in dict.fromkeys(joint.upper for joint in self._plan.links):
            # Who logs in before the node has started is let in as well.
            (self._layout.data(code) / DOOR_FOLDER).mkdir(mode=0o755)
            (self._layout.data(code) / DOOR_FOLDER / "directory-1.xml").write_bytes(signed)
        self._put_packs()
        for agency in self._plan.agencies:
            self._make_folders(agency.code)
        for lower in self._above:
            for direction in ("up", "down"):
                (self._layout.mailbox(lower) / direction).mkdir(parents=True)
        root_text = public_key_text(root.public_key)
        for code in self._plan.nodes:
            self._write_config(code, root_text, host_key)
        self._write_state()

    def _is_sftp(self, joint: Joint) -> bool:
        return (joint.transport or self._transport) is LinkTransport.SFTP

    def _role(self, code: str) -> NodeRole:
        if self._plan.province is not None and code == self._plan.province.code:
            return NodeRole.PROVINCIAL
        return NodeRole.BRIDGE if code in self._plan.bridges else NodeRole.FRONTEND

    def _node(self, code: str) -> DirectoryNode:
        role = self._role(code)
        parent = self._above[code].upper if code in self._above else ""
        admits = any(self._plan.admitting_node(agency.code) == code for agency in self._plan.agencies)
        uses = (*_USES[role], *((KeyUse.LOG,) if admits else ()))
        keys = (*(self._key(code, use) for use in uses), *self._ssh_keys(code))
        return DirectoryNode(code=code, role=role, parent=parent, keys=keys)

    def _key(self, code: str, use: KeyUse) -> DirectoryKey:
        make = generate_encryption_key if use is KeyUse.ENCRYPT else generate_key
        key = make(self._layout.data(code) / "keys" / f"{use}.key", self._randomness).public_key
        return self._listed(key.suite, key.public, use)

    def _listed(self, suite: str, public: bytes, use: KeyUse) -> DirectoryKey:
        return DirectoryKey(
            key_id=key_id_of(suite, public),
            suite=suite,
            public=public,
            uses=(use,),
            not_before=self._now - _BACKDATED,
            not_after=self._now + _VALID,
        )

    def _ssh_keys(self, code: str) -> tuple[DirectoryKey, ...]:
        """By which it logs in above, and by which its server is known below.

        The server of a lab is one for all its nodes, and a key stands at one node: the first that serves.
        """
        servers = [joint.upper for joint in self._plan.links if self._is_sftp(joint)]
        lines = {}
        if code in self._dialling:
            lines[KeyUse.LOGIN] = self._login_lines[code]
        if servers and code == min(servers, key=self._plan.nodes.index):
            lines[KeyUse.HOST] = self._host_line
        return tuple(self._listed(SSH_SUITE, public_of_line(line) or b"", use) for use, line in lines.items())

    def _directory(self, nodes: list[DirectoryNode], root: PublicKey) -> Directory:
        province = () if self._plan.province is None else (self._plan.province,)
        return Directory(
            version=1,
            issued_at=self._now - _BACKDATED,
            expires_at=self._now + _VALID,
            threshold=1,
            roots=(RootKey(root.key_id, root.suite, root.public),),
            nodes=tuple(nodes),
            agencies=tuple(self._agency(agency) for agency in (*province, *self._plan.agencies)),
            packs=tuple(pack for pack, _ in self._plan.standard.packs),
            routes=self._plan.standard.routes,
            enabled_types=self._plan.standard.enabled_types,
        )

    def _put_packs(self) -> None:
        """Packs lie at the first node alone; the others get them over their links."""
        folder = self._layout.data(self._plan.nodes[0]) / PACK_FOLDER / "incoming"
        for pack, data in self._plan.standard.packs:
            if data:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{pack.digest}.pack").write_bytes(data)

    def _agency(self, agency: LabAgency) -> DirectoryAgency:
        return DirectoryAgency(
            code=agency.code,
            kind=agency.kind,
            level=agency.level,
            parent=agency.parent,
            node=agency.code,
            admitting_node=self._plan.admitting_node(agency.code),
            name_zh=agency.name_zh,
            name_en=agency.name_en,
            aliases=(("lab", agency.alias),),
            case_kinds=agency.case_kinds,
        )

    def _make_login_keys(self) -> str:
        """Keys for sshd and every node that dials over SFTP; returns the host key as they pin it."""
        host = generate_ssh_key(self._layout.sshd / "host_key", self._randomness, "lab")
        self._host_line = host.rpartition(" ")[0]
        self._login_lines = {
            code: generate_ssh_key(self._layout.login_key(code), self._randomness, code)
            for code in self._dialling
        }
        if self._accounts is None:
            servers = dict.fromkeys(joint.upper for joint in self._plan.links if self._is_sftp(joint))
            sshd.write_files(self._layout, servers, self._login_lines.values(), self._port)
        else:
            sshd.write_jailed(self._layout, self._accounts.pattern, self._port)
        return self._host_line

    def _make_folders(self, code: str) -> None:
        token = self._randomness.token(16).hex()
        for name in FOLDERS:
            folder = self._layout.agency(code) / name
            folder.mkdir(parents=True)
            folder.chmod(0o2770)
        for name in (OUTBOX, INBOX):
            write_marker(self._layout.agency(code) / name, code, token)

    def _write_config(self, code: str, root: str, host_key: str) -> None:
        role = self._role(code)
        parts = [_NODE.format(code=code, role=role, root=root)]
        below = [joint.lower for joint in self._plan.links if joint.upper == code]
        parts += [self._serve(lower) for lower in below]
        above = self._above.get(code)
        if above is not None:
            parts.append(self._dial(above, host_key))
        if role is NodeRole.FRONTEND:
            parts.append(_FOLDERS.format(root=self._layout.agency(code)))
        # Without a bell over SFTP only looking finds what is new.
        link_scan = 5.0 if above is None or self._is_sftp(above) else 0.5
        if not self._dialling:
            link_scan = 0.5
        workers = 1 if role is NodeRole.FRONTEND else 2
        parts.append(_LIMITS.format(workers=workers, link_scan=link_scan))
        if role is NodeRole.PROVINCIAL and self._plan.sequence is not None:
            parts.append(_RULES.format(sequence=self._plan.sequence))
        self._layout.config(code).write_text("".join(parts), encoding="utf-8")

    def _serve(self, lower: str) -> str:
        account = self._accounts.agencies[lower] if self._accounts else ""
        text = _SERVE.format(peer=lower, mailbox=self._layout.mailbox(lower))
        return text + (_ACCOUNT.format(account=account) if account else "")

    def _dial(self, joint: Joint, host_key: str) -> str:
        is_province = self._plan.province is not None and joint.upper == self._plan.province.code
        form = _DIAL_SFTP if self._is_sftp(joint) else _DIAL_FOLDER
        return form.format(
            name="province" if is_province else joint.upper,
            peer=joint.upper,
            mailbox="/" if self._accounts else self._layout.mailbox(joint.lower),
            host=sshd.HOST,
            port=self._port,
            user=self._accounts.agencies[joint.lower] if self._accounts else sshd.user_name(),
            host_key=host_key,
        )

    def _write_state(self) -> None:
        codes = tuple(agency.code for agency in self._plan.agencies)
        province = "" if self._plan.province is None else self._plan.province.code
        state = LabState(self._transport, self._port, province, codes, self._plan.bridges)
        write_state(self._layout.state, state)
