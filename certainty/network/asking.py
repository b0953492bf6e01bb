"""A login with a front-end's own key, as its node makes it: to flood a server, or to ask what it can do."""

from __future__ import annotations

import os
import re

from certainty.network.stage import Stage
from exchanged.sftp_connection import SftpConnection, SftpSettings


def settings_of(stage: Stage, code: str) -> SftpSettings:
    """How that front-end logs in at the lab's sshd, without a line between."""
    config = stage.lab.node_config(code).read_text(encoding="utf-8")
    host_key = re.search(r'^host_key = "(.*)"$', config, re.MULTILINE)
    return SftpSettings(
        host="127.0.0.1",
        port=stage.port,
        user="root" if os.geteuid() == 0 else os.environ.get("USER", ""),
        key=stage.lab.layout.login_key(code),
        host_key=host_key[1] if host_key else "",
        mailbox=str(stage.mailbox(code)),
    )


def offers(stage: Stage, code: str, extension: str) -> bool:
    """The server says that it can do this. Raises HostKeyError, LoginRefusedError or TransportError."""
    connection = SftpConnection(settings_of(stage, code))
    try:
        return extension.encode("ascii") in connection.open_window()._extensions
    finally:
        connection.drop()
