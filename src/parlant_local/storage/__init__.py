"""Files that hold state: read with limits, written whole or not at all, locked between processes.

What stands in such a file is never taken on trust: it may have been cut short, edited, put there by another version, or
be no file at all.
"""

from parlant_local.storage.locking import locked
from parlant_local.storage.reading import (
    open_regular,
    parse_json,
    read_as,
    read_bytes,
    read_json,
    read_text,
    validated,
)
from parlant_local.storage.setting_aside import set_aside
from parlant_local.storage.sweeping import scratch_for, sweep
from parlant_local.storage.writing import publish, sync_folder, whole_file, write_whole

__all__ = [
    "locked",
    "open_regular",
    "parse_json",
    "publish",
    "read_as",
    "read_bytes",
    "read_json",
    "read_text",
    "scratch_for",
    "set_aside",
    "sweep",
    "sync_folder",
    "validated",
    "whole_file",
    "write_whole",
]
