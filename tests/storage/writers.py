"""What the tests of kills run in processes of their own: writers that go on until they are killed, and those who look after
them. A writer acknowledges what it has written by sending a number; whoever looks raises if anything of that is missing.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np

from parlant_local.catalog import LocalModelManager
from parlant_local.catalog.index import ModelIndex
from parlant_local.catalog.records import LocalModel, ModelSource, ModelType
from parlant_local.engine.prefix_disk import PrefixDisk
from parlant_local.engine.prefixes import RetainedPrefix
from parlant_local.engine.saved import save_settings
from parlant_local.observability import NullLogger
from parlant_local.settings import BudgetSettings
from parlant_local.storage import locked, read_json
from parlant_local.switching import TokenBudget
from parlant_local.switching.budget import Reservation
from tests.storage.forks import Acknowledged

__all__ = ["KINDS", "load", "look", "look_at_load", "scratch_files", "write"]

TOKENS = 7
RECORDS = 5


class Told(NullLogger):
    """Nothing may be worth a warning."""

    def warning(self, message: str) -> None:
        raise AssertionError(message)

    error = warning


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def write_index(folder: Path, acknowledge: Acknowledged) -> None:
    index, dice = ModelIndex(folder / "index"), random.Random()
    known = index.read()
    start = max((int(model.name) for model in known.values()), default=0)
    for number in itertools.count(start + 1):
        template = "x" * dice.randrange(200_000) + str(number)
        record = LocalModel(
            id=f"local/llama/{number % RECORDS}",
            name=str(number),
            type=ModelType.LLAMA,
            source=ModelSource.CUSTOM,
            template=template,
            revision=_sum(template),
        )
        with index.locked():
            index.write(record)
        acknowledge.send(number)


def look_at_index(folder: Path, acknowledged: int) -> None:
    manager = LocalModelManager(Told(), folder)
    asyncio.run(manager.initialize())
    index = ModelIndex(folder / "index")
    records = index.read()
    assert not index.unreadable
    assert all(_sum(model.template or "") == model.revision for model in records.values())
    if acknowledged:
        assert max(int(model.name) for model in records.values()) >= acknowledged
    with locked(folder / "index" / ".lock", 1.0):
        pass


def write_copy(folder: Path, acknowledge: Acknowledged) -> None:
    manager = LocalModelManager(Told(), folder)
    for number in itertools.count(1):
        name = f"copy-{number % RECORDS}"
        asyncio.run(manager.register_model(folder.parent / "origin.gguf", name=name, copy=True))
        acknowledge.send(number)


def look_at_copy(folder: Path, acknowledged: int) -> None:
    manager = LocalModelManager(Told(), folder)
    asyncio.run(manager.initialize())
    digest = hashlib.sha256((folder.parent / "origin.gguf").read_bytes()).hexdigest()
    models = [model for model in manager.list_models(states="all") if not model.shipped]
    assert len(models) >= min(acknowledged, RECORDS)
    for model in models:
        assert model.path is not None
        assert hashlib.sha256(model.path.read_bytes()).hexdigest() == model.sha256 == digest
    copies = {path for path in (folder / "files").rglob("*") if path.is_file()}
    assert copies == {model.path for model in models}


def write_ledger(folder: Path, acknowledge: Acknowledged) -> None:
    budget = TokenBudget(BudgetSettings(), folder / "ledger.json", logger=Told())
    for number in itertools.count(1):
        budget.settle(Reservation(TOKENS), TOKENS, f"target {number % 9}")
        budget.flush()
        if not budget.unwritten:
            acknowledge.send(number)


def look_at_ledger(folder: Path, acknowledged: int) -> None:
    budget = TokenBudget(BudgetSettings(daily_tokens=10**12), folder / "ledger.json", logger=Told())
    spent = budget.spent()
    assert spent.total == spent.today == spent.calls * TOKENS == sum(spent.by_target.values())
    assert spent.calls >= acknowledged
    reservation = asyncio.run(budget.reserve(1))
    budget.settle(reservation, 0, "x")
    with locked(folder / "ledger.json.lock", 1.0):
        pass


def write_prefix(folder: Path, acknowledge: Acknowledged) -> None:
    dice = random.Random()
    disk = PrefixDisk(folder / "prefixes", "key", 40 << 20, Told())
    disk.entries()
    for number in itertools.count(1):
        tokens = np.arange(dice.randrange(1, 4000), dtype=np.int32)
        state = np.frombuffer(dice.randbytes(dice.randrange(1, 1 << 20)), dtype=np.uint8)
        disk.write(RetainedPrefix(tokens, "group", None, state, static=True))
        disk._writer.submit(int).result()  # what was queued before it is written
        acknowledge.send(number)


def look_at_prefix(folder: Path, acknowledged: int) -> None:
    disk = PrefixDisk(folder / "prefixes", "key", 40 << 20, Told())
    entries = disk.entries()
    assert entries or not acknowledged
    assert all(entry.read is not None and entry.read() is not None for entry in entries)
    disk.close()


def write_settings(folder: Path, acknowledge: Acknowledged) -> None:
    dice, file = random.Random(), folder / "bench" / "model-machine.json"
    start = read_json(file, 1 << 22)["number"] if file.exists() else 0
    for number in itertools.count(start + 1):
        text = "x" * dice.randrange(100_000)
        save_settings(file, {"n_batch": 512}, {"number": number, "text": text, "sum": _sum(text)})
        acknowledge.send(number)


def look_at_settings(folder: Path, acknowledged: int) -> None:
    file = folder / "bench" / "model-machine.json"
    if acknowledged or file.exists():
        found = read_json(file, 1 << 22)
        assert found["number"] >= acknowledged
        assert _sum(found["text"]) == found["sum"]


KINDS: dict[str, tuple[Callable[[Path, Acknowledged], None], Callable[[Path, int], None]]] = {
    "index": (write_index, look_at_index),
    "copy": (write_copy, look_at_copy),
    "ledger": (write_ledger, look_at_ledger),
    "prefix": (write_prefix, look_at_prefix),
    "settings": (write_settings, look_at_settings),
}


def write(kind: str, folder: str, acknowledgements: str) -> None:
    acknowledge = Acknowledged(Path(acknowledgements))
    acknowledge.send(0)
    KINDS[kind][0](Path(folder), acknowledge)


def look(kind: str, folder: str, acknowledged: str) -> None:
    KINDS[kind][1](Path(folder), int(acknowledged))


def load(folder: str, model: str, acknowledgements: str) -> None:
    """Loads a model, answers two conversations (whose beginning goes to the disk), lets go, and so on."""
    from parlant_local.engine import LlamaEngine
    from parlant_local.engine.requests import GenerationRequest

    acknowledge = Acknowledged(Path(acknowledgements))

    async def once() -> None:
        engine = LlamaEngine(Path(model), prefix_dir=Path(folder, "prefixes"), logger=Told())
        await engine.load()
        acknowledge.send("loaded")
        beginning = "customer agent guideline condition action applies rationale response. " * 12
        for session in ("anna", "ben"):
            await engine.generate(GenerationRequest(f"{beginning}{session}", 4, prefix_group="g", session=session))
        await engine.close()
        acknowledge.send("closed")

    acknowledge.send("begun")
    while True:
        asyncio.run(once())


def look_at_load(folder: str, model: str) -> None:
    """The model is nobody's, its prefixes are whole, and it loads and answers."""
    from parlant_local.engine import LlamaEngine
    from parlant_local.engine.requests import GenerationRequest
    from parlant_local.gguf_info import in_use

    with in_use.claim(Path(model)):
        pass

    async def once() -> None:
        engine = LlamaEngine(Path(model), prefix_dir=Path(folder, "prefixes"), logger=Told())
        answer = await engine.generate(GenerationRequest("customer agent", 4))
        assert answer.usage.completion_tokens
        await engine.close()

    asyncio.run(once())


def scratch_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.suffix in (".tmp", ".part", ".new")]
