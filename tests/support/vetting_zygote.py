"""Trials by the hundred: a process that has the library loaded and forks for each file, which then takes its course as ever.

What runs in the fork is the trial itself; only the start of an interpreter is spared.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

from parlant_local.engine import trial
from parlant_local.engine.loading import LoadControl
from parlant_local.engine.vetting.process import Outcome, _outcome, native_environment


class Zygote:
    """Has :func:`run_trial`'s signature as :meth:`run`."""

    def __init__(self) -> None:
        environment = native_environment("auto") | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.vetting_zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.trials = 0

    def run(self, spec: Mapping[str, Any], control: LoadControl) -> Outcome:
        self.trials += 1
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(spec) + "\n")
        self._process.stdin.flush()
        return _outcome(*json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def _serve() -> None:
    from parlant_local.engine.native import llama

    llama.library()
    for line in sys.stdin:
        spec = json.loads(line)
        with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as log:
            if not (pid := os.fork()):
                llama._process = os.getpid()  # nothing has run here yet, so no thread was left behind
                os.dup2(answer.fileno(), 1)
                os.dup2(log.fileno(), 2)
                try:
                    os.write(1, json.dumps(trial.main(spec)).encode())
                    os._exit(0)
                except BaseException as error:
                    os.write(2, repr(error).encode())
                    os._exit(1)
            _, status = os.waitpid(pid, 0)
            texts = []
            for file in (answer, log):
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - 4096))
                texts.append(file.read().decode("utf-8", "replace"))
        print(json.dumps([os.waitstatus_to_exitcode(status), *texts]), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _serve()
