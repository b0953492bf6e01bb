"""``exchanged-keys``: what sshd runs to learn which keys open an account (AuthorizedKeysCommand).

    exchanged-keys --config FILE [--keys FILE] [--cache DIR] ACCOUNT

Prints lines of authorized_keys, or nothing; ends with 1 when it could not even look, which sshd takes for
nothing and logs. ``--keys`` is the account's keys file, which counts until the directory lists a login key.
``--every`` instead of an account is for labs, where all nodes log in as one user; ``--config`` may then be
repeated. What it says and why: ``exchangectl link doors``.

It runs once for each login, and after a power cut everybody logs in at once. So the answers for all accounts
of a node are kept in ``--cache``, which must belong to the user of this program and be writable for nobody
else; they count only while configuration, directory and keys file are the very files that they were made of.
Nothing but the standard library is imported until they do not.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import time
from pathlib import Path
from typing import Final

_FOREVER: Final = 1e18
_TAKES_VALUE: Final = {"--config", "--keys", "--cache"}


def main(arguments: list[str] | None = None) -> int:
    """Answer one call; never raises."""
    try:
        lines = _answer(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
    except Exception as error:  # noqa: BLE001 - sshd reads the exit code; nobody a traceback
        sys.stderr.write(f"exchanged-keys: {type(error).__name__}: {error}\n")
        return 1
    return 0


def _answer(words: list[str]) -> list[str]:
    configs: list[str] = []
    options: dict[str, str] = {}
    accounts: list[str] = []
    every = False
    while words:
        word = words.pop(0)
        if word == "--every":
            every = True
        elif word in _TAKES_VALUE and words:
            value = words.pop(0)
            options[word] = value
            if word == "--config":
                configs.append(value)
        else:
            accounts.append(word)
    if not configs or len(accounts) != 1 or accounts[0].startswith("-"):
        raise ValueError("usage: exchanged-keys --config FILE [--keys FILE] [--cache DIR] ACCOUNT")
    if every:
        from cli.jail.answers import every_line  # noqa: PLC0415 - see above

        return every_line([Path(config) for config in configs])
    return _for_account(configs[0], accounts[0], options.get("--keys", ""), options.get("--cache", ""))


def _for_account(config: str, account: str, keys: str, cache: str) -> list[str]:
    keys_folder = os.path.dirname(keys) if keys else ""  # noqa: PTH120 - paths as text: nothing else is needed
    if not cache or not _is_ours(cache):
        return _made(config, keys_folder, account)
    place = os.path.join(cache, config.strip("/").replace("/", "_") + ".json")  # noqa: PTH118 - as above
    known = _kept(place, config, keys_folder, account)
    if known is not None:
        return known
    with contextlib.ExitStack() as held:
        # On a full disk nobody waits and nothing is kept, but everybody is answered.
        with contextlib.suppress(OSError):
            # Who comes while the answers are made waits for them, instead of making them as well.
            lock = held.enter_context(open(f"{place}.lock", "a", encoding="ascii"))  # noqa: PTH123 - as above
            fcntl.flock(lock, fcntl.LOCK_EX)
        known = _kept(place, config, keys_folder, account)
        return known if known is not None else _made(config, keys_folder, account, place)


def _made(config: str, keys_folder: str, account: str, place: str = "") -> list[str]:
    from cli.jail.answers import answers_of  # noqa: PLC0415 - see above

    # Looked at before they are read: what changes meanwhile is another file afterwards.
    folder = _door_of(config)
    marks = _marks(config, folder)
    answers = answers_of(Path(config), keys_folder)
    if place:
        accounts = {
            name: {"lines": list(answer.lines), "until": answer.until, "keys": answer.keys_mark}
            for name, answer in answers.items()
        }
        data = json.dumps({"folder": folder, "marks": marks, "at": time.time(), "accounts": accounts})
        new = f"{place}.new"
        with contextlib.suppress(OSError):
            with open(new, "w", encoding="utf-8") as file:  # noqa: PTH123 - as above
                file.write(data)
            os.replace(new, place)  # noqa: PTH105 - a cache: lost in a power cut, it is made anew
    return list(answers[account].lines) if account in answers else []


def _door_of(config: str) -> str:
    from exchanged.config import load_config  # noqa: PLC0415 - see above

    return str(load_config(Path(config)).node.door)


def _kept(place: str, config: str, keys_folder: str, account: str) -> list[str] | None:
    """The kept answer; None when there is none that counts now."""
    try:
        with open(place, encoding="utf-8") as file:  # noqa: PTH123 - as above
            kept = json.load(file)
        if kept["marks"] != _marks(config, kept["folder"]):
            return None
        found = kept["accounts"].get(account)
        if found is None:
            return []
        now = time.time()
        if not kept["at"] <= now < (found["until"] or _FOREVER):
            return None
        path = os.path.join(keys_folder, account) if keys_folder else ""  # noqa: PTH118 - as above
        return found["lines"] if found["keys"] == mark_of(path) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _marks(config: str, door: str) -> dict[str, object]:
    """Everything that the answers were made of, but the keys files."""
    paths = [config]
    for folder in (door, os.path.join(door, "steps")):  # noqa: PTH118 - as above
        with contextlib.suppress(OSError):
            names = sorted(os.listdir(folder))  # noqa: PTH208 - as above
            paths += [os.path.join(folder, name) for name in names if name.endswith(".xml")]  # noqa: PTH118
    return {path: mark_of(path) for path in paths}


def mark_of(path: str) -> list[int] | None:
    """What tells one file from every other that lies under its name at another time."""
    try:
        found = os.stat(path)  # noqa: PTH116 - as above
    except OSError:
        return None
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _is_ours(folder: str) -> bool:
    try:
        found = os.stat(folder)  # noqa: PTH116 - as above
    except OSError:
        return False
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022


if __name__ == "__main__":
    sys.exit(main())
