"""Hand a published file to this node: into the folder where its daemon looks for what people put in (C24)."""

from __future__ import annotations

from pathlib import Path

from cli.service_user import acting_as, owner_of
from exchanged.config import Config
from exchanged.durable import DurableFiles, Volume
from exchanged.errors import ConfigurationError


def put_incoming(config: Config, folder: str, name: str, data: bytes) -> Path:
    """Write ``data`` as ``name`` into the incoming folder of ``folder`` in data_dir, and say where it lies.

    Raises ConfigurationError without a data_dir, and what the disk says.
    """
    data_dir = config.node.data_dir
    if not data_dir.is_dir():
        raise ConfigurationError((f"[node] data_dir: {data_dir} is no folder",))
    files = DurableFiles(Volume.OWN)
    incoming = data_dir / folder / "incoming"
    # What root makes the daemon could neither read nor remove, and it would not even see that it is there.
    with acting_as(owner_of(data_dir)):
        files.make_dir(incoming.parent, mode=0o750)
        files.make_dir(incoming, mode=0o770)
        files.write_file(incoming / name, (data,))
    return incoming / name
