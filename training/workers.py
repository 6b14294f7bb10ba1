"""Several processes with one thread each train one model: they meet once per step, not in every product.

On a machine that others use, too, threads wait for each other in every operation; processes only for the gradients.
"""

import os
import tempfile
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import nn


def spread(count: int, work: Callable[[int], None]) -> None:
    """Runs ``work`` with the number of each worker; what was made before is shared by forking."""
    if count == 1:
        work(0)
        return
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.start_processes(_worker, args=(count, folder, work), nprocs=count, start_method="fork")


def _worker(rank: int, count: int, folder: str, work: Callable[[int], None]) -> None:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=count)
    try:
        work(rank)
    finally:
        dist.destroy_process_group()


@torch.no_grad()
def average_weights(model: nn.Module) -> None:
    """Gives every worker the mean of all weights."""
    if not dist.is_initialized():
        return
    weights = list(model.parameters())
    together = torch.cat([weight.flatten() for weight in weights])
    dist.all_reduce(together)
    together /= dist.get_world_size()
    start = 0
    for weight in weights:
        weight.copy_(together[start : start + weight.numel()].view_as(weight))
        start += weight.numel()


def agreed(value: float) -> float:
    """The first worker's value: clocks differ, and all have to stop at the same step."""
    if not dist.is_initialized():
        return value
    told = torch.tensor([value], dtype=torch.float64)
    dist.broadcast(told, 0)
    return float(told)
