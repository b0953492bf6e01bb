"""Postfix, sender to relay to receiver: a durable queue on three machines' worth of stock instances.

Mails of the size of a packet go in over ten sessions and are delivered into a maildir. Each queue file is
flushed before it is acknowledged, as ours are; nothing is signed, and no receipt comes back.
"""

from __future__ import annotations

import os
import pwd
import shutil
import smtplib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.peers.running import PeerFailedError, Running, free_port, program

NEEDS: Final = ("root", "postfix", "smtp-source")
_LIMIT_SECONDS: Final = 120.0
_SESSIONS: Final = 10
_MAIL_BYTES: Final = 20_000
_SENDER, _RECEIVER = "a@sender.test", "b@receiver.test"
# Between two single mails: the system is idle again.
_PAUSE_SECONDS: Final = 0.1


def through_relay(folder: Path, count: int) -> float:
    """Seconds until ``count`` mails of 20 KB lie in the receiver's maildir. Raises PeerFailedError."""
    with relay(folder) as (port, arrived):
        began = time.monotonic()
        source = ("-s", str(_SESSIONS), "-m", str(count), "-l", str(_MAIL_BYTES), "-f", _SENDER)
        target = ("-t", _RECEIVER, f"127.0.0.1:{port}")
        with subprocess.Popen((program("smtp-source"), *source, *target)) as process:
            while _count(arrived) < count:
                if time.monotonic() - began > _LIMIT_SECONDS or (process.poll() or 0) != 0:
                    process.kill()
                    raise PeerFailedError(f"{_count(arrived)} of {count} mails arrived")
                time.sleep(0.02)
            return time.monotonic() - began


def one_after_another(folder: Path, count: int) -> list[float]:
    """Seconds of each of ``count`` mails from its submission to the maildir. Raises PeerFailedError."""
    body = f"From: {_SENDER}\r\nTo: {_RECEIVER}\r\n\r\n" + ("x" * 70 + "\r\n") * (_MAIL_BYTES // 72)
    found = []
    with relay(folder) as (port, arrived), smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        # The first mail starts the services that wait for one.
        for number in range(count + 1):
            began = time.monotonic()
            client.sendmail(_SENDER, [_RECEIVER], body)
            while _count(arrived) <= number:
                if time.monotonic() - began > _LIMIT_SECONDS:
                    raise PeerFailedError("a mail did not arrive")
                time.sleep(0.001)
            found.append(time.monotonic() - began)
            time.sleep(_PAUSE_SECONDS)
    return found[1:]


@contextmanager
def relay(folder: Path) -> Iterator[tuple[int, Path]]:
    """Three instances in a row: the port where mail goes in, and the folder where it comes out."""
    user = pwd.getpwnam("postfix")
    mail = folder / "mail"
    mail.mkdir(parents=True)
    # The instances' own user passes through to its folders.
    for path in (folder, *folder.parents):
        if path.stat().st_uid == os.geteuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o011)
    os.chown(mail, user.pw_uid, user.pw_gid)
    ports = {name: free_port() for name in ("receiver", "hub", "sender")}
    after = {"sender": "hub", "hub": "receiver"}
    with Running(folder / "log") as running:
        for name, port in ports.items():
            config = _instance(folder / name, user, port)
            settings = {**_MAIN, "myhostname": f"{name}.test", "maillog_file": f"{folder}/log/{name}.mail"}
            settings |= {"maillog_file_prefixes": str(folder)}
            settings |= {"queue_directory": f"{folder}/{name}/spool"}
            settings |= {"data_directory": f"{folder}/{name}/data"}
            if name in after:
                settings["relayhost"] = f"[127.0.0.1]:{ports[after[name]]}"
            else:
                settings |= _delivering(mail, user)
            lines = (f"{key} = {value}\n" for key, value in settings.items())
            (config / "main.cf").write_text("".join(lines), encoding="ascii")
            running.start("postfix", "-c", str(config), "start-fg", port=port)
        yield ports["sender"], mail / "inbox" / "new"


def _instance(folder: Path, user: pwd.struct_passwd, port: int) -> Path:
    config = folder / "etc"
    for each in (config, folder / "spool", folder / "data"):
        each.mkdir(parents=True)
    os.chown(folder / "data", user.pw_uid, user.pw_gid)
    (config / "master.cf").write_text(_MASTER.format(port=port), encoding="ascii")
    for name in ("postfix-files", "dynamicmaps.cf"):
        for place in ("/etc/postfix", "/usr/share/postfix", "/usr/libexec/postfix", "/usr/lib/postfix"):
            if (Path(place) / name).exists():
                shutil.copy(Path(place) / name, config)
                break
        (config / f"{name}.d").mkdir()
    return config


def _delivering(mail: Path, user: pwd.struct_passwd) -> dict[str, str]:
    return {
        "virtual_mailbox_domains": "receiver.test",
        "virtual_mailbox_base": str(mail),
        "virtual_mailbox_maps": "static:inbox/",
        "virtual_uid_maps": f"static:{user.pw_uid}",
        "virtual_gid_maps": f"static:{user.pw_gid}",
        "virtual_minimum_uid": "1",
    }


def _count(folder: Path) -> int:
    try:
        return sum(1 for _ in os.scandir(folder))
    except FileNotFoundError:
        return 0


_MAIN: Final = {
    "compatibility_level": "3.6",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "mydestination": "",
    "mynetworks": "127.0.0.0/8",
    "smtpd_relay_restrictions": "permit_mynetworks,reject",
    "alias_maps": "",
    "alias_database": "",
    "local_recipient_maps": "",
    "message_size_limit": "0",
    "mailbox_size_limit": "0",
    "virtual_mailbox_limit": "0",
    "smtp_tls_security_level": "none",
    "smtp_dns_support_level": "disabled",
    "smtp_host_lookup": "native",
}
_MASTER: Final = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
