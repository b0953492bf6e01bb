"""The Chinese texts are an ordinary gettext file: the usual tools take it without a remark."""

from __future__ import annotations

import subprocess

from cli.locale.extract import catalogue_path


def test_msgfmt_takes_the_file() -> None:
    command = ["msgfmt", "--check", "--output-file=/dev/null", str(catalogue_path())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
