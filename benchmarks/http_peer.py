"""xllamacpp's own HTTP server, kept up until it is told to end: ``python -m benchmarks.http_peer MODEL PORT N_CTX SLOTS UNIFIED``."""

from __future__ import annotations

import signal
import sys
import threading

import xllamacpp as xlc


def main(model: str, port: str, n_ctx: str, slots: str, unified: str, threads: str) -> None:
    params = xlc.CommonParams()
    params.model.path = model
    params.port = int(port)
    params.n_ctx = int(n_ctx) * int(slots)
    params.n_parallel = int(slots)
    params.n_batch = 2048
    params.n_ubatch = 512
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(threads)
    params.kv_unified = unified == "unified"
    params.n_threads_http = int(slots) + 2  # a thread per stream, which waits
    params.verbosity = 0
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    server = xlc.Server(params)
    ended.wait()
    del server


if __name__ == "__main__":
    main(*sys.argv[1:])
