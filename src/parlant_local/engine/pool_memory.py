"""What the pool's models take and may take."""

from __future__ import annotations

from dataclasses import dataclass

from parlant_local.errors import InsufficientMemoryError

__all__ = ["NOTHING", "PoolMemory", "exceeds", "memory_of"]

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class PoolMemory:
    """Bytes of the machine's memory, and of GPUs that have their own."""

    ram: int
    gpu: int = 0

    def __add__(self, other: PoolMemory) -> PoolMemory:
        return PoolMemory(self.ram + other.ram, self.gpu + other.gpu)

    def fits(self, budget: PoolMemory) -> bool:
        return self.ram <= budget.ram and self.gpu <= budget.gpu


NOTHING = PoolMemory(0)


def memory_of(size: int | PoolMemory) -> PoolMemory:
    return size if isinstance(size, PoolMemory) else PoolMemory(size)


def exceeds(model_id: str, size: PoolMemory, budget: PoolMemory) -> InsufficientMemoryError:
    if size.ram > budget.ram:
        return InsufficientMemoryError(
            f"{model_id} needs about {size.ram // _MIB} MiB; loaded models may take {budget.ram // _MIB} MiB together.",
            needed=size.ram,
            available=budget.ram,
            hint="Use a smaller model or context, or raise engine.memory_mb.",
        )
    return InsufficientMemoryError(
        f"{model_id} needs about {size.gpu // _MIB} MiB of GPU memory; there were {budget.gpu // _MIB} MiB at the start.",
        needed=size.gpu,
        available=budget.gpu,
        hint="Use a smaller model or context, or fewer engine.n_gpu_layers.",
    )
