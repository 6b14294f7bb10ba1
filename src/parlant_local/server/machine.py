"""Load of the machine: processor, memory, GPUs."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from typing import Any

import psutil

from parlant_local.single_flight import SingleFlight

__all__ = ["Machine"]

_QUERY = "name,utilization.gpu,memory.used,memory.total"
_CACHE_SECONDS = 2.0
_MIB = 1024 * 1024


class Machine:
    """GPU figures are cached for two seconds."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._gpus: tuple[float, list[dict[str, Any]]] = (float("-inf"), [])
        self._nvidia_smi = shutil.which("nvidia-smi")
        self._measured = SingleFlight(self._measure)
        psutil.cpu_percent()  # the first call only starts the measurement

    @property
    def cards(self) -> list[str]:
        """The graphics cards that were seen when somebody asked last."""
        return [str(card["name"]) for card in self._gpus[1]]

    async def now(self) -> dict[str, Any]:
        """Shares in percent, sizes in bytes."""
        memory = psutil.virtual_memory()
        return {
            "cpu_percent": psutil.cpu_percent(),
            "cpu_count": psutil.cpu_count(),
            "memory_total": memory.total,
            "memory_used": memory.total - memory.available,
            "memory_percent": memory.percent,
            "process_memory": self._process.memory_info().rss,
            "gpus": await self._graphics(),
        }

    async def _graphics(self) -> list[dict[str, Any]]:
        measured, found = self._gpus
        return found if time.monotonic() - measured < _CACHE_SECONDS else await self._measured()

    async def _measure(self) -> list[dict[str, Any]]:
        found = [] if self._nvidia_smi is None else await _ask(self._nvidia_smi)
        self._gpus = (time.monotonic(), found)
        return found


async def _ask(smi: str) -> list[dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        smi,
        f"--query-gpu={_QUERY}",
        "--format=csv,noheader,nounits",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(5):
            output, _ = await process.communicate()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        return []
    found = []
    for line in output.decode("utf-8", "replace").splitlines():
        name, *figures = (part.strip() for part in line.split(","))
        with contextlib.suppress(ValueError):  # unavailable figures are [N/A]
            used, taken, total = (float(figure) for figure in figures)
            found.append({
                "name": name,
                "percent": used,
                "memory_used": int(taken * _MIB),
                "memory_total": int(total * _MIB),
            })  # fmt: skip
    return found
