"""A Python whose standard library lacks, for this package only, what Windows lacks.

``install()`` hides modules and functions from every module of parlant_local that is imported afterwards; libraries, which have their own
code for each system, keep theirs. Run as a script (``without_posix.py SCRIPT ARGUMENTS``), it runs a script like that.
"""

from __future__ import annotations

import asyncio
import builtins
import sys
import types
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any, NoReturn

PACKAGE = "parlant_local"
MODULES = (
    "fcntl",
    "resource",
    "termios",
    "tty",
    "pty",
    "pwd",
    "grp",
    "readline",
    "posix",
    "syslog",
    "crypt",
    "nis",
    "spwd",
)
FUNCTIONS: Mapping[str, frozenset[str]] = {
    "os": frozenset(
        "register_at_fork sched_getaffinity sched_setaffinity sched_yield fork forkpty openpty ttyname pwrite pread preadv pwritev "
        "readv writev sendfile statvfs fstatvfs uname getuid geteuid getgid getegid getgroups getresuid getresgid setuid setgid setsid "
        "getsid getpgid getpgrp killpg chown lchown fchown fchmod lchmod chroot mkfifo mknod nice getpriority getloadavg sysconf "
        "confstr pathconf wait wait3 wait4 waitid pidfd_open WNOHANG WIFSIGNALED WTERMSIG WEXITSTATUS O_NONBLOCK O_NOFOLLOW O_CLOEXEC "
        "O_DIRECTORY O_SYNC posix_fadvise posix_fallocate posix_spawn lockf sync fdatasync getxattr setxattr memfd_create "
        "set_blocking get_blocking ctermid".split()
    ),
    "signal": frozenset(
        "SIGALRM SIGKILL SIGHUP SIGUSR1 SIGUSR2 SIGQUIT SIGPIPE SIGCHLD SIGPROF SIGVTALRM SIGBUS SIGSTOP SIGTSTP SIGCONT SIGWINCH "
        "alarm setitimer getitimer ITIMER_PROF ITIMER_REAL ITIMER_VIRTUAL pause pthread_sigmask pthread_kill sigwait siginterrupt".split()
    ),
    "socket": frozenset(
        "AF_UNIX SO_REUSEPORT MSG_DONTWAIT MSG_NOSIGNAL TCP_USER_TIMEOUT sethostname recv_fds send_fds".split()
    ),
    "select": frozenset(("poll", "epoll", "kqueue", "devpoll")),
    "selectors": frozenset(("PollSelector", "EpollSelector", "DevpollSelector", "KqueueSelector")),
    "time": frozenset(("clock_gettime", "clock_settime", "tzset", "pthread_getcpuclockid")),
    "shutil": frozenset(("chown",)),
}


class _Lacking(types.ModuleType):
    """A module without some of its names."""

    def __init__(self, real: types.ModuleType, hidden: frozenset[str]) -> None:
        super().__init__(real.__name__)
        self.__dict__.update({name: value for name, value in vars(real).items() if name not in hidden})


_lacking: dict[str, types.ModuleType] = {}


def _import(
    name: str,
    globals: Mapping[str, object] | None = None,
    locals: Mapping[str, object] | None = None,
    fromlist: Sequence[str] = (),
    level: int = 0,
) -> types.ModuleType:
    if level == 0 and name.partition(".")[0] in MODULES:
        raise ModuleNotFoundError(f"No module named {name!r} (hidden by this test)", name=name)
    found = builtins.__import__(name, globals, locals, fromlist, level)
    if level == 0 and name in FUNCTIONS:
        if name not in _lacking:
            _lacking[name] = _Lacking(found, FUNCTIONS[name])
        return _lacking[name]
    return found


_BUILTINS: dict[str, Any] = {**vars(builtins), "__import__": _import}


class _Loader(SourceFileLoader):
    def exec_module(self, module: types.ModuleType) -> None:
        module.__dict__["__builtins__"] = _BUILTINS
        super().exec_module(module)


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != PACKAGE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def install() -> None:
    """Call before anything of the package is imported."""
    assert not [name for name in sys.modules if name.partition(".")[0] == PACKAGE], "it is imported already"
    sys.meta_path.insert(0, _Finder())

    def refused(*_arguments: object) -> NoReturn:
        raise NotImplementedError

    asyncio.SelectorEventLoop.add_signal_handler = refused  # type: ignore[method-assign]  # as Windows' loops have it
    asyncio.SelectorEventLoop.remove_signal_handler = refused  # type: ignore[method-assign]


def hide_from_helpers() -> None:
    """Has the package's helper processes run like this one."""
    from parlant_local.engine import helper_process
    from parlant_local.engine.templates import sandbox
    from parlant_local.engine.vetting import process

    start = helper_process.start

    def wrapped(script: Path, *arguments: str, **options: Any) -> Any:
        return start(Path(__file__), str(script), *arguments, **options)

    sandbox.start = process.start = wrapped  # type: ignore[assignment]


if __name__ == "__main__":
    install()
    sys.argv = sys.argv[1:]
    source = Path(sys.argv[0]).read_bytes()
    exec(
        compile(source, sys.argv[0], "exec"),
        {"__builtins__": _BUILTINS, "__name__": "__main__", "__file__": sys.argv[0]},
    )
