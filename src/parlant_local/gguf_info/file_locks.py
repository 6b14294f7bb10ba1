"""Shared and exclusive locks on a file itself, by what the system has.

The kernel's advisory locks (``flock``) elsewhere; on Windows the way a file is opened: without the right to delete it, no process can, and
who has that right keeps others from opening it. (Byte ranges locked there would stop their own process from reading and deleting.)
Both follow symbolic links, work between processes, and end with the process.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Literal

__all__ = ["FileLock", "HeldError", "lock"]

Mode = Literal["shared", "exclusive"]

# File systems without locks (some network mounts).
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


class HeldError(Exception):
    """Somebody else's lock is in the way."""


class FileLock:
    """An open file, locked until :meth:`close`. ``locked``: whether the file system could."""

    def __init__(self, descriptor: int, locked: bool) -> None:
        self._descriptor = descriptor
        self.locked = locked

    def close(self) -> None:
        os.close(self._descriptor)


if sys.platform == "win32":
    import ctypes
    import msvcrt
    from ctypes import wintypes

    _DELETE, _GENERIC_READ = 0x0001_0000, 0x8000_0000
    _SHARE_READ, _SHARE_DELETE = 0x1, 0x4
    _OPEN_EXISTING = 3
    _INVALID_HANDLE = wintypes.HANDLE(-1).value
    _SHARING_VIOLATION, _DELETE_PENDING = 32, 303
    # Access asked for, and what others may do meanwhile.
    _OPENED = {"shared": (_GENERIC_READ, _SHARE_READ), "exclusive": (_DELETE, _SHARE_DELETE)}

    _create_file = ctypes.WinDLL("kernel32", use_last_error=True).CreateFileW
    _create_file.restype = wintypes.HANDLE
    _create_file.argtypes = [
        wintypes.LPCWSTR,
        wintypes.DWORD,
        wintypes.DWORD,
        wintypes.LPVOID,
        wintypes.DWORD,
        wintypes.DWORD,
        wintypes.HANDLE,
    ]

    def lock(path: Path, mode: Mode) -> FileLock:
        """Raises :class:`HeldError`, and :class:`OSError` where the file can't be opened."""
        access, shared = _OPENED[mode]
        handle = _create_file(str(path), access, shared, None, _OPEN_EXISTING, 0, None)
        if handle == _INVALID_HANDLE:
            code = ctypes.get_last_error()
            if code in (_SHARING_VIOLATION, _DELETE_PENDING):
                raise HeldError
            raise ctypes.WinError(code)
        return FileLock(msvcrt.open_osfhandle(handle, os.O_RDONLY), locked=True)

else:

    def lock(path: Path, mode: Mode) -> FileLock:
        """Raises :class:`HeldError`, and :class:`OSError` where the file can't be opened."""
        # Read-only is enough for a local lock of either kind; O_CLOEXEC (Python's default) keeps children out of it.
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return FileLock(descriptor, _flocked(descriptor, mode))
        except BaseException:
            os.close(descriptor)
            raise

    def _flocked(descriptor: int, mode: Mode) -> bool:
        try:
            import fcntl
        except ImportError:  # a Python without it
            return False
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if mode == "exclusive" else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno == errno.EWOULDBLOCK:
                raise HeldError from None
            # Network mounts ask for a writable file before they lock it exclusively.
            if error.errno in _NO_LOCKS or (mode == "exclusive" and error.errno == errno.EBADF):
                return False
            raise
        return True
