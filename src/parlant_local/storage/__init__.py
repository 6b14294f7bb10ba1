"""State files: read with limits, written atomically, locked between processes.

Their contents are never trusted: a file may be truncated, edited, from another version, or not a regular file.
"""

from parlant_local.storage.evicting import evict
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
from parlant_local.storage.renaming import rename_over
from parlant_local.storage.setting_aside import set_aside
from parlant_local.storage.sweeping import scratch_folder, scratch_for, sweep
from parlant_local.storage.writing import publish, sync_folder, whole_file, write_whole

__all__ = [
    "evict",
    "locked",
    "open_regular",
    "parse_json",
    "publish",
    "read_as",
    "read_bytes",
    "read_json",
    "read_text",
    "rename_over",
    "scratch_folder",
    "scratch_for",
    "set_aside",
    "sweep",
    "sync_folder",
    "validated",
    "whole_file",
    "write_whole",
]
