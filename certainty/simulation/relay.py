"""A hostile relay: what may carry the files between two mailboxes, and what it does to them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from certainty.simulation.mailboxes import Mailbox, MailFile, short
from exchanged.mailbox import ACKNOWLEDGEMENT_NAME, Direction, classify


class Relay:
    """What carries the files of a mailbox, when it means harm: it forges nothing, for it has no keys."""

    def __init__(self, mailboxes: list[Mailbox], dice: Random, tell: Callable[[str], None]) -> None:
        self._mailboxes = mailboxes
        self._dice = dice
        self._tell = tell
        self._deeds = (
            self._replay, self._replay, self._lose, self._spoil, self._misplace, self._rename, self._junk
        )  # fmt: skip

    def act(self, now: float) -> str:
        """One deed; returns the name of the mailbox, empty where nothing could be done."""
        mailbox = self._dice.choice(self._mailboxes)
        direction = self._dice.choice((Direction.UP, Direction.DOWN))
        done = self._dice.choice(self._deeds)(mailbox, direction, now)
        if done:
            self._tell(f"relay at {mailbox.name}/{direction}: {done}")
        return mailbox.name if done else ""

    def _replay(self, mailbox: Mailbox, direction: Direction, now: float) -> str:
        """An old file lies there again: the bytes were good once."""
        past = [entry for entry in mailbox.past if entry[0] is direction]
        if not past:
            return ""
        _, name, content = self._dice.choice(past)
        mailbox.files[direction][name] = MailFile(content, now, now)
        return f"{short(name)} is back"

    def _lose(self, mailbox: Mailbox, direction: Direction, _now: float) -> str:
        files = mailbox.files[direction]
        if not files:
            return ""
        name = self._dice.choice(sorted(files))
        del files[name]
        return f"{short(name)} is gone"

    def _spoil(self, mailbox: Mailbox, direction: Direction, now: float) -> str:
        """What lies there is other bytes now."""
        files = mailbox.files[direction]
        names = [name for name in sorted(files) if files[name].content]
        if not names:
            return ""
        name = self._dice.choice(names)
        content = bytearray(files[name].content)
        content[self._dice.randrange(len(content))] ^= 0x55
        files[name] = MailFile(bytes(content), now, now)
        return f"{short(name)} is spoilt"

    def _misplace(self, mailbox: Mailbox, direction: Direction, now: float) -> str:
        """A file of another link, or of the other direction, lies here."""
        others = [entry for each in self._mailboxes for entry in each.past]
        others = [entry for entry in others if entry[1] != ACKNOWLEDGEMENT_NAME or self._dice.random() < 0.5]
        if not others:
            return ""
        _, name, content = self._dice.choice(others)
        mailbox.files[direction][name] = MailFile(content, now, now)
        return f"{short(name)} of somewhere lies here"

    def _rename(self, mailbox: Mailbox, direction: Direction, now: float) -> str:
        """An old batch lies there under another random."""
        past = [entry for entry in mailbox.past if entry[0] is direction and entry[1][8:9] == "-"]
        if not past:
            return ""
        _, name, content = self._dice.choice(past)
        number = name.split("-")[0]
        other = f"{number}-{self._dice.randbytes(8).hex()}.batch"
        if classify(other) is None:
            return ""
        mailbox.files[direction][other] = MailFile(content, now, now)
        return f"{short(name)} lies here as {short(other)}"


    def _junk(self, mailbox: Mailbox, direction: Direction, now: float) -> str:
        """A file that bears a number to come and nothing else."""
        names = [name for towards, name, _ in mailbox.past if towards is direction and name[8:9] == "-"]
        numbers = [int(name[:8]) for name in names]
        number = max(numbers, default=0) + self._dice.choice((1, 1, 2, 3, 40))
        if self._dice.random() < 0.2:
            number = 99_999_999
        name = f"{number:08d}-{self._dice.randbytes(8).hex()}.batch"
        mailbox.files[direction][name] = MailFile(self._dice.randbytes(600), now, now)
        return f"{short(name)} is junk"
