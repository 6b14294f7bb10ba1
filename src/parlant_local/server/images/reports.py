"""What is told of jobs and kept pictures."""

from __future__ import annotations

from parlant_local.images import ImageProgress
from parlant_local.server.images.gallery import Entry
from parlant_local.server.images.jobs import Job
from parlant_local.server.problems import problem_of
from parlant_local.server.shapes.answers import ImageJob, KeptImage
from parlant_local.server.shapes.answers.images import ImageParameters

__all__ = ["ended_earlier", "job_report", "kept_report"]


def kept_report(entry: Entry, keep_seconds: float) -> KeptImage:
    return {
        "id": entry.id,
        "job": entry.job,
        "created": round(entry.created, 3),
        "expires": round(entry.created + keep_seconds, 3),
        "url": f"/images/{entry.name}",
        "format": entry.form,
        "size": entry.size,
        "model": entry.model,
        "seconds": entry.seconds,
        "parameters": _of_entry(entry),
    }


def job_report(job: Job, ahead: int, keep_seconds: float) -> ImageJob:
    now = job.progress or ImageProgress(0, job.order.request.steps or 0, count=job.order.request.count)
    return {
        "id": job.id,
        "state": job.state,
        "created": round(job.created, 3),
        "model": job.order.model,
        "ahead": ahead + now.queued if not job.ended else 0,
        "step": now.step,
        "steps": now.steps,
        "picture": now.picture,
        "count": job.order.request.count,
        "seconds": None if job.seconds is None else round(job.seconds, 3),
        "error": None if job.error is None else problem_of(job.error).body["error"],
        "parameters": _of_job(job),
        "pictures": [kept_report(one.entry, keep_seconds) for one in job.pictures if one.entry is not None],
    }


def ended_earlier(entries: list[Entry], keep_seconds: float) -> ImageJob:
    """A job of which only its pictures are known: it was made before the server started."""
    first = entries[-1]
    return {
        "id": first.job,
        "state": "done",
        "created": round(first.created, 3),
        "model": first.model,
        "ahead": 0,
        "step": first.steps or 0,
        "steps": first.steps or 0,
        "picture": len(entries),
        "count": len(entries),
        "seconds": first.seconds,
        "error": None,
        "parameters": _of_entry(first),
        "pictures": [kept_report(entry, keep_seconds) for entry in reversed(entries)],
    }


def _of_entry(entry: Entry) -> ImageParameters:
    return {
        "prompt": entry.prompt,
        "negative_prompt": entry.negative_prompt,
        "width": entry.width,
        "height": entry.height,
        "steps": entry.steps,
        "guidance": entry.guidance,
        "seed": entry.seed,
        "sampler": entry.sampler,
        "strength": entry.strength,
        "edited": entry.edited,
    }


def _of_job(job: Job) -> ImageParameters:
    request = job.order.request
    return {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "width": request.width,
        "height": request.height,
        "steps": request.steps,
        "guidance": request.guidance,
        "seed": request.seed,
        "sampler": request.sampler,
        "strength": request.strength,
        "edited": job.edited,
    }
