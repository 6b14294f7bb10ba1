"""The table of machines and models in docs/evidence/machines.md: what the engine would do on machines that are not here.

``python -m tests.support.machines`` writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from unittest import mock

from parlant_local.engine import sizing
from parlant_local.engine.native.devices import Device
from parlant_local.engine.sizing import Sizing, plan
from parlant_local.errors import InsufficientMemoryError
from parlant_local.settings import EngineSettings
from tests.support.evidence import table
from tests.support.places import REPOSITORY
from tests.support.real_shapes import MODELS, real_header

__all__ = ["GIB", "MACHINES", "PAGE", "Machine", "on", "page"]

GIB = 1 << 30
PAGE = REPOSITORY / "docs" / "evidence" / "machines.md"


@dataclass(frozen=True)
class Machine:
    ram: float
    """GiB available."""
    gpus: tuple[Device, ...] = ()

    def planned(self, model: str, quantization: str, **values: object) -> Sizing:
        """What :func:`plan` gives here."""
        settings = EngineSettings.model_validate({"n_threads": 4, "kv_type": "f16", **values})
        with on(self):
            return plan(real_header(model, quantization), model, settings)


def gpu(free: float, total: float, *, name: str = "CUDA0", kind: str = "gpu") -> Device:
    return Device(name, name, kind, int(free * GIB), int(total * GIB))  # type: ignore[arg-type]  # one of its kinds


MACHINES = {
    "8 GB laptop, no GPU": Machine(6.0),
    "16 GB Mac": Machine(11.0, (gpu(10.67, 10.67, name="MTL0"),)),
    "24 GB card, 32 GB RAM": Machine(26.0, (gpu(23.2, 24),)),
    "2 x 24 GB, 64 GB RAM": Machine(56.0, (gpu(23.2, 24), gpu(23.2, 24, name="CUDA1"))),
    "80 GB card, 128 GB RAM": Machine(118.0, (gpu(78.8, 79.6),)),
}


def on(machine: Machine) -> mock._patch[object]:
    """Stands in for the calls that ask this machine."""
    return mock.patch.multiple(
        sizing,
        usable_gpus=lambda settings: () if settings.n_gpu_layers == 0 else machine.gpus,
        available_memory=lambda: int(machine.ram * GIB),
    )


def page() -> str:
    parts = [_INTRODUCTION]
    for name, machine in MACHINES.items():
        rows = [_row(machine, model, quantization) for model in MODELS for quantization in ("Q4_K_M", "Q8_0")]
        parts.append(f"## {name}\n\n{_told(machine)}\n\n{table(_HEAD, rows)}")
    return "\n\n".join(parts) + "\n"


_HEAD = ("model", "weights", "layers on GPU", "context", "cells: first, most", "GPU: first, most", "RAM: first, most")


def _told(machine: Machine) -> str:
    if not machine.gpus:
        return f"{machine.ram:.1f} GiB of RAM available."
    free = " and ".join(f"{device.free / GIB:.2f} GiB" for device in machine.gpus)
    return f"{machine.ram:.1f} GiB of RAM available, {free} of GPU memory free."


def _row(machine: Machine, model: str, quantization: str) -> list[str]:
    header = real_header(model, quantization)
    row = [f"{model} {quantization}", _gib(header.weights_bytes)]
    try:
        found = machine.planned(model, quantization)
    except InsufficientMemoryError as error:
        return [*row, f"refused: {error.message.removeprefix(model).strip()}", "", "", "", ""]
    layout = found.layout
    on_gpus = [found.on_gpus(cells) for cells in (layout.cells, layout.max_cells)]
    split = f" ({' + '.join(map(str, layout.gpu_split))})" if len(layout.gpu_split) > 1 else ""
    shared = found.placement is not None and found.placement.shared
    return [
        *row,
        f"{layout.gpu_layers} of {(header.block_count or 0) + 1}{split}" if found.placement else "none",
        f"{layout.n_ctx:,}",
        f"{layout.cells:,}, {layout.max_cells:,}",
        "in RAM" if shared else ", ".join(" + ".join(map(_gib, sizes)) for sizes in on_gpus) if on_gpus[0] else "-",
        f"{_gib(found.in_ram(layout.cells))}, {_gib(found.in_ram(layout.max_cells))}",
    ]


def _gib(size: int) -> str:
    return f"{size / GIB:.2f}"


_INTRODUCTION = """# Machines and models

What the engine decides by itself on machines of five kinds, for models of six sizes: computed by `sizing.plan` from headers with
the shapes and tensor types of the published files (their sums are within 1 % of the files' sizes), with the calls that ask the machine
replaced by a stand-in. `python -m tests.support.machines` writes this page; a test compares it. It shows the rule. What a real
card holds is measured by `make gpu-check`. All figures are GiB.

To check a row, for Llama-3.1-8B in Q4_K_M:

- **Weights**: from the header, tensor by tensor: 4.58, of which 0.28 are the embedding table, which the CPU keeps; 32 blocks and the
  output layer (4.30) can be offloaded, 33 layers as llama.cpp counts.
- **KV cache**: 32 layers x 8 heads x (128 + 128) elements x 2 bytes = 128 KiB for each cell; 1.00 for the first 8,192 cells.
- **Compute on a GPU**: the larger of 512 rows of logits (512 x 128,256 x 4 bytes = 0.24) and 512 rows of activations, and a mask of
  512 x cells x 2 bytes (times four on several GPUs, which work in a pipeline).
- **RAM** beside a GPU: the embedding table, the layers that stay with their cells, compute buffers, and the vocabulary's tables
  (625 bytes for each token and 160 for each merge: 0.12). Without a GPU everything, and a row of attention scores for each of 128
  tokens.
- **Reserve**: 0.625 of each GPU for the driver, its workspaces and the display. Apple's GPU computes in RAM: its working set and the
  RAM available both bound the sum, which is counted once.

What gives way, in this order: cells beyond the context; the context, if `engine.n_ctx` leaves it open, down to 8,192 tokens; layers, from
the first one on. Several GPUs hold shares of the layers in proportion to their free memory. Without a GPU the cells may take 60 % of
what the weights leave of the RAM."""


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
