"""The daemon as it is, except that it looks for what is to be told every three seconds, and tells all of it.

    python -m certainty.network.soon_told --config FILE

Whether each of several troubles raises a notice of its own can be told only when the one before is over:
with the 45 seconds as shipped that would take minutes of waiting each time. Which packets an open notice is
about is written anew as soon, not once an hour. Of strange files in a mailbox only the first of an hour are
told one by one: which of several tricks was noticed would not show. The product's code is unchanged.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Final

LOOK_SECONDS: Final = 3.0
AN_HOUR: Final = 1_000_000
COMMAND: Final = (sys.executable, "-P", "-m", __name__, "--config")


def main() -> None:
    """Become the daemon."""
    from cli import daemon
    from exchanged import complaints, notices

    vars(notices)["LOOK_SECONDS"] = LOOK_SECONDS
    vars(notices)["_RENEW"] = timedelta(seconds=LOOK_SECONDS)
    vars(complaints)["AN_HOUR"] = AN_HOUR
    daemon.main()


if __name__ == "__main__":
    main()
