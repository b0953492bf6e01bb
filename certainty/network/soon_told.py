"""The daemon as it is, except that it looks for what is to be told every three seconds instead of 45.

    python -m certainty.network.soon_told --config FILE

Whether each of several troubles raises a notice of its own can be told only when the one before is over:
with the pause as shipped that would take minutes of waiting each time. The product's code is unchanged.
"""

from __future__ import annotations

import sys
from typing import Final

LOOK_SECONDS: Final = 3.0
COMMAND: Final = (sys.executable, "-P", "-m", __name__, "--config")


def main() -> None:
    """Become the daemon."""
    from cli import daemon
    from exchanged import notices

    vars(notices)["LOOK_SECONDS"] = LOOK_SECONDS
    daemon.main()


if __name__ == "__main__":
    main()
