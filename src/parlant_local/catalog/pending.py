"""Downloads in progress, as the catalogue shows them: whether one runs, its progress, and discarding it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from parlant_local.catalog.families import type_by_name
from parlant_local.catalog.names import local_id
from parlant_local.catalog.records import LocalModel, ModelFile, ModelState, ModelType
from parlant_local.catalog.sources.plan import Plan
from parlant_local.catalog.transfer import FileTask
from parlant_local.catalog.transfer.journal import bytes_done
from parlant_local.errors import CatalogError, StateFileError
from parlant_local.paths import exists
from parlant_local.storage import locked

__all__ = ["current", "discard", "download_lock", "fetched_bytes", "missing_bytes", "pending_record"]


def pending_record(plan: Plan, family: ModelType | None) -> LocalModel:
    """The record of a model while it is downloaded; its family is a guess until the header is read."""
    chosen = family or type_by_name(f"{plan.name} {plan.family_hint}")
    models = [task for task in plan.tasks if task.is_gguf]
    return LocalModel(
        id=local_id(chosen, plan.name),
        name=plan.name,
        type=chosen,
        source=plan.source,
        state=ModelState.DOWNLOADING,
        files=tuple(
            ModelFile(path, task.size or 0, task.sha256) for path, task in zip(plan.paths, models, strict=True)
        ),
        references=tuple(dict.fromkeys((plan.reference, *plan.aliases))),
        revision=plan.revision,
        owned=True,
        total=plan.size,
        pending=tuple(task.destination for task in plan.tasks),
    )


@contextmanager
def download_lock(folder: Path, model_id: str) -> Iterator[None]:
    """Shows other processes that this one is downloading. A second process finds the lock taken."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(_lock_path(folder, model_id), 0))
        except TimeoutError:
            pass
        except StateFileError as error:
            raise CatalogError(f"The download of {model_id} can't be locked: {error}") from None
        yield


def _lock_path(folder: Path, model_id: str) -> Path:
    return folder / ".jobs" / (model_id.replace("/", "--") + ".lock")


def current(model: LocalModel, folder: Path) -> LocalModel:
    """A pending record with its progress; incomplete if its process is gone."""
    done = sum(_done(path) for path in model.pending)
    if model.state is not ModelState.DOWNLOADING:
        return model.having(done=done)
    if _is_running(_lock_path(folder, model.id)):
        return model.having(done=done)
    return model.having(state=ModelState.INCOMPLETE, done=done, reason=model.reason or "the download was interrupted")


def _is_running(lock: Path) -> bool:
    if not exists(lock):
        return False
    try:
        with locked(lock, 0):
            return False
    except TimeoutError:
        return True
    except StateFileError:  # a folder that we can't write: its owner may be downloading
        return True


def _done(destination: Path) -> int:
    with suppress(OSError):  # not there yet
        return destination.stat().st_size
    return bytes_done(destination.with_name(f".{destination.name}.journal"))


def fetched_bytes(model: LocalModel) -> int:
    return sum(_done(path) for path in model.pending)


def missing_bytes(task: FileTask) -> int:
    """Bytes of a file that are still missing."""
    return max((task.size or 0) - _done(task.destination), 0)


def discard(model: LocalModel) -> int:
    """Removes the files of an unfinished download; returns the bytes that were downloaded."""
    freed = 0
    for destination in model.pending:
        journal = destination.with_name(f".{destination.name}.journal")
        freed += bytes_done(journal)
        for left in (journal, destination.with_name(f".{destination.name}.part")):
            with suppress(OSError):  # kept, like the download that it belongs to
                left.unlink(missing_ok=True)
    return freed
