"""Calling a command anew as the daemon's user."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from cli.service_user import ServiceUserError, call_as_owner


def test_a_program_that_the_daemons_user_may_not_read_is_told_with_the_command_that_opens_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As it lies where a root with umask 027 made its virtual environment."""

    def refused(*_arguments: object, **_options: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(subprocess, "run", refused)
    data_dir = SimpleNamespace(stat=lambda: SimpleNamespace(st_uid=65_534))
    with pytest.raises(ServiceUserError) as caught:
        call_as_owner(data_dir, Path("police.toml"), ())  # type: ignore[arg-type]
    assert "chmod -R go+rX /opt/exchanged" in caught.value.advice
