"""Log lines: one line per event, ``event=`` first, values escaped, nothing secret representable.

``text`` lines are ``key=value``; ``json`` lines are one object each. Control characters never reach
the log: a value is quoted and escaped as JSON whenever it is not a plain word. Nobody waits for the log:
where its reader does not read, or its disk is full, lines are lost and counted (``exchanged.log_lines``), and
the node goes on; the audit is in the ledger.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Final

from exchanged.log_lines import LineHandler

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:/+@-]+")
_LOGGER: Final = "exchanged"
_LIMIT: Final = 500

Value = str | int | float | bool | None


def event_line(event: str, *, level: int = logging.INFO, **fields: Value) -> None:
    """Log one event. error: a person must act; warning: odd, handled; info: a state changed."""
    logger = logging.getLogger(_LOGGER)
    if logger.isEnabledFor(level):
        logger.log(level, event, extra={"fields": fields})


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        fields = getattr(record, "fields", None)
        parts = [at, record.levelname.lower()]
        if fields is None:
            parts.append(_text(record.getMessage()) if record.name != _LOGGER else record.getMessage())
        else:
            parts.append(f"event={record.getMessage()}")
            parts.extend(f"{name}={_text(value)}" for name, value in fields.items())
        if record.exc_info:
            parts.append(f"trace={_text(self.formatException(record.exc_info))}")
        return " ".join(parts)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat()
        line: dict[str, Value] = {"at": at, "level": record.levelname.lower(), "event": record.getMessage()}
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


def _text(value: Value) -> str:
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and len(value) <= _LIMIT:
            return value
        return json.dumps(value[:_LIMIT] if "\n" not in value else value, ensure_ascii=True)
    return json.dumps(value)


def configure_logging(level: str, *, as_json: bool) -> None:
    """Send log lines to standard error at ``level`` (error, warning, info, debug)."""
    handler = LineHandler.of(sys.stderr)
    handler.setFormatter(_JsonFormatter() if as_json else _TextFormatter())
    root = logging.getLogger()
    for former in root.handlers:
        former.close()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # What a library warns of through the language would be printed past us, on several lines.
    logging.captureWarnings(capture=True)
    logging.getLogger(_LOGGER).setLevel(level.upper())
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
