"""The process that must not end: adds each file that it is told of, loads it, and answers with it; with ``--eyes MODEL``, takes each for
the projector of that model, and shows it a picture."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from parlant_local.catalog import LocalModelManager
from parlant_local.engine import LlamaEngine, vetting
from parlant_local.engine.media import Image, Media
from parlant_local.engine.requests import GenerationRequest, Sampling
from parlant_local.errors import ParlantLocalError
from parlant_local.observability import NullLogger
from parlant_local.settings import EngineSettings, PrefixSettings, load_settings
from tests.support.vetting_zygote import Zygote

TEXT = "The quick brown fox \u00fcber \u4f60\u597d \U0001f600\n\t0x0A"
_SETTINGS = EngineSettings(n_ctx=512, n_seq_max=2, n_threads=1, prefixes=PrefixSettings(disk=False, memory_mb=8))


async def treat(path: Path, manager: LocalModelManager, home: Path) -> dict[str, Any]:
    """How far a file came, and what was said of it."""
    stage = "add"
    began = time.perf_counter()
    added = 0.0
    try:
        await manager.register_model(path)
        added = time.perf_counter() - began
        stage = "load"
        engine = LlamaEngine(
            path, settings=_SETTINGS, logger=NullLogger(), vetting=vetting.Vetting(False, home / "vetted.json")
        )
        try:
            await engine.load()
            stage = "use"
            if engine.model.generates:
                request = GenerationRequest(prompt=TEXT, max_tokens=6, sampling=Sampling(temperature=0.0))
                await engine.generate(request)
                await engine.generate(request)
            await engine.embed([TEXT, ""])
            stage = "done"
        finally:
            await engine.close()
    except ParlantLocalError as error:
        return {
            "stage": stage,
            "error": type(error).__name__,
            "message": str(error)[:400],
            "add": added or time.perf_counter() - began,
        }
    return {"stage": stage, "error": "", "message": "", "add": added}


async def look(projector: Path, model: Path, home: Path) -> dict[str, Any]:
    """How far a projector came, and what was said of it."""
    stage = "load"
    settings = _SETTINGS.model_copy(update={"projector": str(projector)})
    engine = LlamaEngine(
        model, settings=settings, logger=NullLogger(), vetting=vetting.Vetting(False, home / "vetted.json")
    )
    try:
        await engine.load()
        stage = "use"
        parts: list[Sequence[int] | Media] = [
            await engine.tokenize("What is this: "),
            Image(np.full((40, 60, 3), 99, np.uint8)),
            [1],
        ]
        await engine.generate(GenerationRequest(prompt=await engine.read(parts), max_tokens=2))
        stage = "done"
    except ParlantLocalError as error:
        return {"stage": stage, "error": type(error).__name__, "message": str(error)[:400]}
    finally:
        await engine.close()
    return {"stage": stage, "error": "", "message": ""}


def main(home: Path) -> None:
    model = Path(sys.argv[sys.argv.index("--eyes") + 1]) if "--eyes" in sys.argv else None
    zygote = Zygote() if "--fork" in sys.argv else None
    if zygote is not None:
        vetting.run_trial = zygote.run
    settings = load_settings(overrides={"home": str(home), "offline": True})
    manager = LocalModelManager(NullLogger(), home / "models", settings)
    process = psutil.Process()
    for line in sys.stdin:
        path = Path(line.strip())
        report = asyncio.run(treat(path, manager, home) if model is None else look(path, model, home))
        print(json.dumps(report | {"rss": process.memory_info().rss}), flush=True)
    if zygote is not None:
        zygote.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
