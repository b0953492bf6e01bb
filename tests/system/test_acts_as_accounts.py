"""Who may act, with real accounts: the node's user, a group of operators, root, and a stranger.

Every account is a forked child of the test, because the interpreter may lie where they cannot read; what
they need is imported here for the same reason.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - as below
import contextlib
import encodings.ascii
import encodings.idna
import encodings.latin_1  # noqa: F401 - as below
import io
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import cli.acting
import cli.commands.link
import cli.commands.link_pause
import cli.commands.link_resume
import cli.wiring
from cli.lab.build import build_lab
from cli.lab.layout import Layout
from cli.lab.plan import default_plan
from cli.main import main
from exchanged.clock import SystemClock, SystemRandomness
from exchanged.config import LinkTransport, load_config
from exchanged.ledger import open_read_only
from exchanged.places import LEDGER_FILE

POLICE = "620199-01-00"
NODE, OPERATOR, STRANGER, OPERATORS = "ex-act-node", "ex-act-li", "ex-act-wang", "ex-act-ops"
PATIENCE_SECONDS = 30.0


@pytest.fixture(scope="module")
def accounts() -> None:
    """In the private /etc only."""
    subprocess.run(["groupadd", OPERATORS], check=True)
    for name in (NODE, OPERATOR, STRANGER):
        more = [] if name == STRANGER else ["--groups", OPERATORS]
        subprocess.run(["useradd", "--no-create-home", "--user-group", *more, name], check=True)


@pytest.fixture
def node(accounts: None) -> Iterator[Path]:
    """The configuration of a front-end whose data belongs to the node's user."""
    root = Path(tempfile.mkdtemp(prefix="acts-", dir="/tmp"))
    root.chmod(0o755)
    try:
        layout, plan = Layout(root / "lab"), default_plan()
        plan = replace(plan, agencies=tuple(each for each in plan.agencies if each.code == POLICE))
        build_lab(layout, plan, LinkTransport.FOLDER, SystemClock(), SystemRandomness())
        config = layout.config(POLICE)
        with config.open("a", encoding="utf-8") as file:
            file.write(f'\n[control]\nsocket = "{root}/run/control.sock"\ngroup = "{OPERATORS}"\n')
        (root / "run").mkdir()
        # Everybody reads the configuration; the data is the node's alone.
        subprocess.run(["chmod", "--recursive", "a+rX", root], check=True)
        load_config(config).node.data_dir.chmod(0o750)
        subprocess.run(["chmod", "--recursive", "go=", load_config(config).keys.link.parent], check=True)
        subprocess.run(["chown", "--recursive", f"{NODE}:{NODE}", root / "lab", root / "run"], check=True)
        yield config
    finally:
        shutil.rmtree(root)


def become(name: str) -> None:
    account = pwd.getpwnam(name)
    os.initgroups(name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def fork(name: str, work: Callable[[], int]) -> int:
    """A child of that account that does ``work``. Its process number."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            if name != "root":
                become(name)
            code = work()
        except BaseException:  # noqa: BLE001 - told to whoever reads the output
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def run(name: str, config: Path, *words: str, **environment: str) -> tuple[int, str]:
    """Exit code and complaint of exchangectl, run by that account."""
    reading, writing = os.pipe()

    def work() -> int:
        os.environ.update(environment)
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            code = main(["--config", str(config), *words, "--reason", "a fictional reason"])
        os.write(writing, errors.getvalue().encode())
        return code

    child = fork(name, work)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        said = file.read().decode()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


@pytest.fixture
def daemon(node: Path) -> Iterator[Path]:
    """The daemon at work as the node's user."""
    config = load_config(node)
    child = fork(NODE, lambda: int(cli.wiring.run_node(node, config)))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not config.control.socket.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield node
    os.kill(child, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def acts(config: Path) -> list[dict[str, object]]:
    with contextlib.closing(open_read_only(load_config(config).node.data_dir / LEDGER_FILE)) as connection:
        rows = connection.execute("SELECT detail FROM event WHERE kind = 'operator-act' ORDER BY id")
        return [json.loads(row["detail"]) for row in rows]


def test_the_socket_lets_root_the_nodes_user_and_the_group_act(daemon: Path) -> None:
    socket = load_config(daemon).control.socket
    assert (socket.group(), oct(socket.stat().st_mode & 0o777)) == (OPERATORS, "0o660")
    link = load_config(daemon).links[0].name
    assert run(OPERATOR, daemon, "link", "pause", link) == (0, "")
    assert run(NODE, daemon, "link", "resume", link) == (0, "")
    operator = pwd.getpwnam(OPERATOR).pw_uid
    assert run("root", daemon, "link", "pause", link, SUDO_UID=str(operator)) == (0, "")
    code, said = run(STRANGER, daemon, "link", "resume", link)
    assert code == 5, said
    assert "act-not-permitted" in said
    assert [(row["act"], row["operator"], row["account"]) for row in acts(daemon)] == [
        ("link-pause", OPERATOR, OPERATOR),
        ("link-resume", NODE, NODE),
        ("link-pause", OPERATOR, "root"),
    ]


def test_without_a_daemon_root_acts_and_leaves_nothing_that_the_node_could_not_open(node: Path) -> None:
    link = load_config(node).links[0].name
    assert run("root", node, "link", "pause", link) == (0, "")
    data_dir = load_config(node).node.data_dir
    made = [data_dir / LEDGER_FILE, data_dir / "lock", *data_dir.iterdir()]
    assert {path.owner() for path in made} == {NODE}
    for name in (OPERATOR, STRANGER):
        code, said = run(name, node, "link", "resume", link)
        assert code == 5, said
        assert "you may not open its data" in said
    assert run(NODE, node, "link", "resume", link) == (0, "")
    assert [row["account"] for row in acts(node)] == ["root", NODE]
