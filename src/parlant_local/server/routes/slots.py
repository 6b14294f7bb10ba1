"""``/slots``: prefixes that are kept, saved under a name, brought back and forgotten, after llama-server's."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from parlant_local.engine import LlamaEngine
from parlant_local.errors import RequestRefusedError
from parlant_local.server.bodies import BodyRoute
from parlant_local.server.context import context_of
from parlant_local.server.shapes.answers.slots import SlotAnswer, SlotReport
from parlant_local.server.shapes.others import SlotRequest

__all__ = ["router"]

router = APIRouter(route_class=BodyRoute, tags=["administration"])


@router.get("/slots", response_model=list[SlotReport])
async def slots(request: Request, model: str | None = None) -> Response:
    """The prefixes that a model keeps, the last used first."""
    async with context_of(request).models.engine(model) as (name, backend):
        kept = await backend.engine.kept_prefixes()
        n_ctx = backend.engine.n_ctx
    found: list[SlotReport] = [
        {
            "id": place,
            "model": name,
            "n_ctx": n_ctx,
            "n_prompt_tokens": prefix.tokens,
            "bytes": prefix.bytes,
            "static": prefix.static,
            "on_disk": prefix.on_disk,
            "is_processing": False,
        }
        for place, prefix in enumerate(kept)
    ]
    return JSONResponse(found)


@router.post("/slots/{id_slot}", response_model=SlotAnswer)
async def slot(
    id_slot: int,
    action: Literal["save", "restore", "erase"],
    request: Request,
    body: SlotRequest | None = None,
) -> Response:
    """Save a kept prefix, bring a saved one back, or forget one."""
    context = context_of(request, body)
    folder, given = context.settings.home / "slots", body or SlotRequest()
    if action != "erase" and not given.filename:
        raise RequestRefusedError(400, f"{action} needs a filename.", code="bad_request", param="filename")
    async with context.models.engine(given.model) as (_, backend):
        if action == "erase":
            erased: SlotAnswer = {"id_slot": id_slot, "n_erased": await backend.engine.erase_prefix(id_slot)}
            return JSONResponse(erased)
        name = given.filename or ""
        began = time.monotonic()
        return JSONResponse(await _moved(backend.engine, id_slot, action, (folder, name), began))


async def _moved(engine: LlamaEngine, place: int, action: str, file: tuple[Path, str], began: float) -> SlotAnswer:
    answer: SlotAnswer = {"id_slot": place, "filename": file[1]}
    if action == "save":
        saved = await engine.save_prefix(place, *file)
        answer |= {"n_saved": saved.tokens, "n_written": saved.bytes}
    else:
        restored = await engine.restore_prefix(*file)
        answer |= {"n_restored": restored.tokens, "n_read": restored.bytes}
    answer["timings"] = {f"{action}_ms": round(1000 * (time.monotonic() - began), 3)}
    return answer
