"""How fast a model comes in over loopback: ours (ranges, journal, sha256) against huggingface_hub and single-stream clients.

    python -m benchmarks.catalog_download [--mb 1024] [--rounds 5] [--per-connection MB/s]

The server is a process of its own that speaks the hub's protocol and sends files with sendfile. Rounds alternate, files lie
in memory (/dev/shm) where there is one, and every file that comes in is compared with what was sent. ``--per-connection``
limits each connection, as content networks do.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

REPO, FILE = "bench/Model-GGUF", "Model-Q8_0.gguf"


def serve(path: str, rate: float | None, pipe: Connection) -> None:
    from tests.fakes.hub import FakeHub
    from tests.fakes.transfers import Fault

    with FakeHub() as hub:
        hub.add(REPO, {FILE: Path(path)})
        if rate:
            hub.file_faults.append(Fault(rate=rate))
        pipe.send(hub.url)
        pipe.recv()


def ours(_url: str, target: Path) -> Path:
    from parlant_local import LocalModelManager
    from parlant_local.observability import NullLogger

    os.environ["HF_HOME"] = str(target)
    manager = LocalModelManager(NullLogger(), target / "models")
    model = asyncio.run(manager.download_model(REPO))
    assert model.path is not None
    return model.path


def huggingface(url: str, target: Path) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(REPO, FILE, cache_dir=target, endpoint=url))


def httpx_single(url: str, target: Path) -> Path:
    import httpx2

    path = target / "file"
    address = f"{url}/{REPO}/resolve/main/{FILE}"
    with path.open("wb") as out, httpx2.stream("GET", address, follow_redirects=True, timeout=60) as response:
        for piece in response.iter_bytes(1 << 20):
            out.write(piece)
    return path


def urllib_single(url: str, target: Path) -> Path:
    from urllib.request import urlopen

    path = target / "file"
    with path.open("wb") as out, urlopen(f"{url}/{REPO}/resolve/main/{FILE}") as response:
        shutil.copyfileobj(response, out, 1 << 20)
    return path


def urllib_verified(url: str, target: Path) -> Path:
    path = urllib_single(url, target)
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")
    return path


CLIENTS: dict[str, Callable[[str, Path], Path]] = {
    "parlant-local, verified": ours,
    "huggingface_hub": huggingface,
    "httpx2, one stream": httpx_single,
    "urllib, one stream": urllib_single,
    "urllib, then sha256": urllib_verified,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--per-connection", type=float, metavar="MB/s")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    os.environ.pop("HF_TOKEN", None)
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        work = Path(folder)
        from tests.support.small_gguf import write_gguf

        source = write_gguf(work / FILE, payload=options.mb << 20)
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        rate = options.per_connection * 1e6 if options.per_connection else None
        server = context.Process(target=serve, args=(str(source), rate, there))
        server.start()
        url = here.recv()
        os.environ["HF_ENDPOINT"] = url
        figures: dict[str, list[float]] = {name: [] for name in CLIENTS}
        try:
            for number in range(options.rounds + 1):
                for name, client in CLIENTS.items():
                    target = work / "target"
                    target.mkdir()
                    start = time.perf_counter()
                    path = client(url, target)
                    seconds = time.perf_counter() - start
                    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
                    if number:  # the first round imports and warms up
                        figures[name].append(source.stat().st_size / seconds / 1e6)
                    shutil.rmtree(target)
        finally:
            here.send(None)
            server.join()
    medians = {name: statistics.median(values) for name, values in figures.items()}
    mine = medians["parlant-local, verified"]
    if options.json:
        print(json.dumps({"mb": options.mb, "per_connection": options.per_connection, "mb_per_second": figures}))
        return
    print(f"{options.mb} MiB, {options.rounds} rounds, median MB/s; ratio: ours to theirs, in the same rounds")
    for name, values in figures.items():
        ratios = [own / other for own, other in zip(figures["parlant-local, verified"], values, strict=True)]
        print(
            f"{name:<26} {medians[name]:8.0f}   {mine / medians[name]:5.2f}x (rounds {min(ratios):.2f}-{max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
