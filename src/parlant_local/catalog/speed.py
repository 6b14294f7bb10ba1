"""The prefill speed of this machine: one measurement with llama.cpp itself, cached.

A prompt token costs about two operations per parameter, so a rate measured on a small model of random weights gives the
rate of any other: ``tokens per second = operations per second / (2 * active parameters)``.
"""

from __future__ import annotations

import platform
import random
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Annotated

import psutil
from pydantic import Field, TypeAdapter

from parlant_local.cores import usable_threads
from parlant_local.errors import EngineError, StateFileError
from parlant_local.observability import Logger, NullLogger
from parlant_local.storage import read_as, write_whole

__all__ = ["MachineSpeed", "guessed_operations", "machine_speed", "measure_prefill", "prefill_operations"]

_WIDTH, _FEED_FORWARD, _LAYERS, _KV_WIDTH, _VOCABULARY, _HEADS = 2048, 5632, 2, 512, 256, 32
_TOKENS, _ROUNDS = 512, 3
_TIMEOUT_SECONDS = 180
_LOOK_SECONDS = 0.5
_MAX_BYTES = 64 << 10
_Q4_K, _F32 = 12, 0
_OPERATIONS_OF_A_CORE = 1.5e11


@dataclass(frozen=True, slots=True)
class MachineSpeed:
    """A measurement, as it is saved."""

    key: str
    """The machine, its cores and its llama.cpp: another one is measured anew."""
    prefill_operations_per_second: Annotated[float, Field(ge=1e6, le=1e18)]
    measured_on: date | None = None
    others_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Of the processor's time that other programs took just before."""

    @property
    def disturbed(self) -> bool:
        """Whether other programs made the machine look slower than it is."""
        return self.others_share > 0.2


def prefill_operations(
    home: Path, *, measure: bool = True, again: bool = False, logger: Logger | None = None
) -> float | None:
    """Operations per second while reading prompts, or None where that is not known and not to be measured."""
    speed = machine_speed(home, measure=measure, again=again, logger=logger)
    return None if speed is None else speed.prefill_operations_per_second


def guessed_operations() -> float:
    """For an order of models before anything is measured: what one core of the last ten years does, times the cores."""
    return _OPERATIONS_OF_A_CORE * usable_threads()


def machine_speed(
    home: Path, *, measure: bool = True, again: bool = False, logger: Logger | None = None
) -> MachineSpeed | None:
    """How fast this machine reads prompts, measured once per machine, core count and llama.cpp version.

    ``again`` repeats the measurement, in case the machine was busy the first time.
    """
    path, logger = home / "machine.json", logger or NullLogger()
    known = _key()
    saved = None if again else _saved(path, logger)
    if saved is not None and saved.key == known:
        return saved
    if not measure:
        return None
    logger.info("Measuring how fast this machine reads prompts; this takes about 5 seconds.")
    others = min(1.0, psutil.cpu_percent(interval=_LOOK_SECONDS) / 100)
    speed = MachineSpeed(known, measure_prefill(), date.today(), others)
    try:
        write_whole(path, TypeAdapter(MachineSpeed).dump_json(speed).decode())
    except StateFileError as error:
        logger.warning(f"The measurement can't be saved and will be repeated: {error}")
    return speed


def _saved(path: Path, logger: Logger) -> MachineSpeed | None:
    try:
        return read_as(TypeAdapter(MachineSpeed), path, _MAX_BYTES)
    except FileNotFoundError:
        return None
    except StateFileError as error:
        logger.warning(f"The saved speed of this machine can't be used and is measured again: {error}")
        return None


def _key() -> str:
    builds = " ".join(f"{package} {_version(package)}" for package in ("llama-cpp-python", "xllamacpp"))
    return f"{platform.node()} {platform.machine()} {usable_threads()} {builds}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def measure_prefill() -> float:
    """Operations per second, measured in a process of its own (a few seconds). Raises :class:`EngineError`."""
    with tempfile.TemporaryDirectory(prefix="parlant-local-") as folder:
        model = Path(folder) / "random.gguf"
        _write_random_model(model)
        # By its name: the catalogue doesn't import the engine.
        program = [sys.executable, "-m", "parlant_local.engine.measuring.prefill"]
        command = [*program, str(model), str(_TOKENS), str(_ROUNDS)]
        try:
            result = subprocess.run(
                command, capture_output=True, encoding="utf-8", errors="replace", timeout=_TIMEOUT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise EngineError(
                f"The speed measurement took more than {_TIMEOUT_SECONDS} s.", hint="Is the machine busy?"
            ) from None
    if result.returncode != 0:
        last = result.stderr.strip().splitlines()[-1:] or ["no message"]
        raise EngineError(f"The speed measurement failed: {last[0]}", hint="See `parlant-local doctor`.")
    seconds = float(result.stdout.split()[-1])
    return 2 * _parameters() * _TOKENS / seconds


def _parameters() -> int:
    return sum(rows * columns for name, columns, rows in _matrices() if name.startswith("blk"))


def _matrices() -> Iterable[tuple[str, int, int]]:
    """(name, columns, rows) of every quantized tensor."""
    yield "token_embd.weight", _WIDTH, _VOCABULARY
    for layer in range(_LAYERS):
        prefix = f"blk.{layer}."
        yield prefix + "attn_q.weight", _WIDTH, _WIDTH
        yield prefix + "attn_k.weight", _WIDTH, _KV_WIDTH
        yield prefix + "attn_v.weight", _WIDTH, _KV_WIDTH
        yield prefix + "attn_output.weight", _WIDTH, _WIDTH
        yield prefix + "ffn_gate.weight", _WIDTH, _FEED_FORWARD
        yield prefix + "ffn_up.weight", _WIDTH, _FEED_FORWARD
        yield prefix + "ffn_down.weight", _FEED_FORWARD, _WIDTH


def _write_random_model(path: Path) -> None:
    """A llama of random Q4_K weights, without a vocabulary."""
    tensors: list[tuple[str, tuple[int, ...], int, bytes]] = []
    chooser = random.Random(7)
    for name, columns, rows in _matrices():
        # Small scales, then noise: the arithmetic does not depend on the values, only on their not being infinite.
        block = struct.pack("<ee", 0.001, 0.001) + chooser.randbytes(140)
        tensors.append((name, (columns, rows), _Q4_K, block * (rows * columns // 256)))
    ones = struct.pack("<f", 1.0) * _WIDTH
    norms = ["output_norm.weight", *(f"blk.{i}.{kind}_norm.weight" for i in range(_LAYERS) for kind in ("attn", "ffn"))]
    tensors += [(name, (_WIDTH,), _F32, ones) for name in norms]
    keys = {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "no_vocab",
        "llama.vocab_size": _VOCABULARY,
        "llama.context_length": 4096,
        "llama.embedding_length": _WIDTH,
        "llama.block_count": _LAYERS,
        "llama.feed_forward_length": _FEED_FORWARD,
        "llama.attention.head_count": _HEADS,
        "llama.attention.head_count_kv": _HEADS * _KV_WIDTH // _WIDTH,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": _WIDTH // _HEADS,
    }
    header = bytearray(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys)))
    for key, value in keys.items():
        header += _text(key)
        if isinstance(value, str):
            header += struct.pack("<I", 8) + _text(value)
        else:
            header += struct.pack(
                "<If" if isinstance(value, float) else "<II", 6 if isinstance(value, float) else 4, value
            )
    offset = 0
    for name, shape, kind, data in tensors:
        header += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
        offset += len(data) + -len(data) % 32
    with path.open("wb") as file:
        file.write(header + b"\0" * (-len(header) % 32))
        for _, _, _, data in tensors:
            file.write(data + b"\0" * (-len(data) % 32))


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()
