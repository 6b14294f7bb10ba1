"""Sized right on machines that are not here: a stand-in for the calls that ask them, real shapes of real models."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from parlant_local.catalog.recommend import recommend
from parlant_local.engine import account, loaded, sizing
from parlant_local.engine.host_memory import HostMemory
from parlant_local.engine.layout import Layout
from parlant_local.engine.loaded import LoadedEngine
from parlant_local.engine.model import _offload
from parlant_local.engine.native import devices, library
from parlant_local.engine.sizing import on_gpu, outlook, room_on_gpus, usable_gpus
from parlant_local.errors import InsufficientMemoryError
from parlant_local.settings import EngineSettings
from tests.support.machines import GIB, MACHINES, PAGE, Machine, gpu, on, page
from tests.support.real_shapes import MODELS, PUBLISHED, real_header

_CARD = MACHINES["24 GB card, 32 GB RAM"]
_TWO = MACHINES["2 x 24 GB, 64 GB RAM"]


def test_the_page_is_what_the_rule_gives() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `python -m tests.support.machines`"


@pytest.mark.parametrize(("model", "quantization"), PUBLISHED)
def test_the_headers_are_those_of_the_published_files(model: str, quantization: str) -> None:
    """The files' own headers, vocabularies and all, are 8 MB."""
    size = PUBLISHED[model, quantization] - real_header(model, quantization).weights_bytes
    assert 7_000_000 < size < 8_000_000


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("quantization", ["Q4_K_M", "Q8_0"])
def test_nothing_is_planned_that_does_not_fit(machine: Machine, model: str, quantization: str) -> None:
    found, refusal = None, None
    try:
        found = machine.planned(model, quantization)
    except InsufficientMemoryError as error:
        refusal = error
    if found is None:
        assert refusal is not None
        assert (refusal.needed or 0) > (refusal.available or 0) > 0
        return
    layout = found.layout
    assert layout.n_ctx <= layout.max_cells
    assert layout.cells <= layout.max_cells
    assert found.in_ram(layout.max_cells) <= machine.ram * GIB
    for taken, device in zip(found.on_gpus(layout.max_cells), machine.gpus, strict=False):
        assert taken < device.free
    if found.placement is not None and found.placement.shared:
        on_device = sum(part.total for part in found.placement.devices(layout.max_cells))
        assert on_device < sum(device.free for device in machine.gpus)
    # Everything is counted once, whether it is divided or not.
    whole = MACHINES["80 GB card, 128 GB RAM"].planned(model, quantization, n_ctx=8192).placement
    assert whole is not None
    if found.placement is not None:
        assert found.at(8192).weights == whole.estimate(8192).weights
        assert found.at(8192).kv_cache == whole.estimate(8192).kv_cache


def test_the_context_shrinks_before_layers_go_and_is_told() -> None:
    whole = _CARD.planned("Qwen2.5-32B", "Q4_K_M")
    assert whole.layout.gpu_layers == 65
    assert 8192 <= whole.layout.n_ctx < 32_768
    assert "instead of the 32768 it was trained for" in whole.messages[0]
    part = _CARD.planned("Qwen2.5-32B", "Q8_0")
    assert 0 < part.layout.gpu_layers < 65
    assert part.layout.n_ctx == 8192
    assert f"{part.layout.gpu_layers} of its 65 layers are on the GPU" in part.messages[0]


def test_an_asked_for_context_is_kept_at_the_cost_of_layers() -> None:
    found = _CARD.planned("Qwen2.5-32B", "Q4_K_M", n_ctx=32_768)
    assert found.layout.n_ctx == 32_768
    assert 40 < found.layout.gpu_layers < 65
    assert found.on_gpus(32_768)[0] < _CARD.gpus[0].free


def test_asked_for_layers_are_obeyed_or_refused_with_figures() -> None:
    assert _CARD.planned("Llama-3.1-8B", "Q4_K_M", n_gpu_layers=20).layout.gpu_layers == 20
    assert _CARD.planned("Llama-3.1-8B", "Q4_K_M", n_gpu_layers=99).layout.gpu_layers == 33
    assert _CARD.planned("Llama-3.1-8B", "Q4_K_M", n_gpu_layers=0).placement is None
    most = _CARD.planned("Llama-3.1-70B", "Q4_K_M").layout.gpu_layers
    assert _CARD.planned("Llama-3.1-70B", "Q4_K_M", n_gpu_layers=most).layout.gpu_layers == most
    with pytest.raises(InsufficientMemoryError, match=f"enough for {most} layers") as refused:
        _CARD.planned("Llama-3.1-70B", "Q4_K_M", n_gpu_layers=most + 1)
    assert f"engine.n_gpu_layers to {most} or less" in refused.value.hint


def test_fewer_layers_than_all_leave_the_rest_in_ram() -> None:
    """By tensors: the first blocks of a Q4_K_M file are larger than the average."""
    header = real_header("Llama-3.1-8B", "Q4_K_M")
    found = _CARD.planned("Llama-3.1-8B", "Q4_K_M", n_gpu_layers=32, n_ctx=4096).placement
    assert found is not None
    first = sum(t.nbytes for t in header.tensors if t.name.startswith("blk.0."))
    table = next(t.nbytes for t in header.tensors if t.name == "token_embd.weight")
    assert found.host(4096).weights == first + table
    assert first > (header.weights_bytes - 2 * table) / 32
    assert found.host(4096).kv_cache == 4096 * 8 * 256 * 2


def test_a_tied_output_is_a_copy_on_the_gpu() -> None:
    header = real_header("Llama-3.2-1B", "Q8_0")
    found = _CARD.planned("Llama-3.2-1B", "Q8_0")
    table = next(t.nbytes for t in header.tensors if t.name == "token_embd.weight")
    assert found.at(8192).weights == header.weights_bytes + table


def test_several_gpus_hold_layers_by_their_free_memory() -> None:
    even = _TWO.planned("Llama-3.1-70B", "Q4_K_M").layout
    assert even.gpu_split == (41, 40)
    uneven = Machine(56, (gpu(23.2, 24), gpu(8, 24, name="CUDA1"))).planned("Qwen2.5-32B", "Q4_K_M").layout
    assert sum(uneven.gpu_split) == 65
    assert 2 < uneven.gpu_split[0] / uneven.gpu_split[1] < 4
    full = Machine(56, (gpu(0.3, 24), gpu(23.2, 24, name="CUDA1"))).planned("Llama-3.1-8B", "Q4_K_M").layout
    assert full.gpu_split == (0, 33)


def test_memory_that_other_models_hold_is_not_there() -> None:
    """Of two models on one card the second gets what is left; what the process itself holds can be unloaded."""
    first = _CARD.planned("Qwen2.5-14B", "Q8_0")
    (taken,) = first.on_gpus(first.layout.cells)
    rest = Machine(_CARD.ram, (replace(_CARD.gpus[0], free=_CARD.gpus[0].free - taken),))
    second = rest.planned("Qwen2.5-14B", "Q8_0")
    assert second.layout.gpu_layers < 49
    ours = account.MemoryAccount(None, lambda: 0, lambda: (taken,))
    try:
        with on(rest):
            header = real_header("Qwen2.5-14B", "Q8_0")
            assert outlook(header, EngineSettings(n_threads=4)).layout.gpu_layers == 49
    finally:
        ours.close()


def test_on_a_mac_the_memory_is_one() -> None:
    mac = MACHINES["16 GB Mac"]
    found = mac.planned("Llama-3.1-8B", "Q4_K_M")
    assert found.on_gpus(8192) == ()
    assert found.in_ram(8192) == found.at(8192).total
    busy = Machine(6.5, mac.gpus)  # another program took some: Metal's own figure does not tell
    assert busy.planned("Llama-3.1-8B", "Q4_K_M").layout.n_ctx < found.layout.n_ctx
    small = Machine(11, (gpu(5, 16, name="Vulkan0", kind="igpu"),))
    assert 0 < small.planned("Llama-3.1-8B", "Q4_K_M").layout.gpu_layers < 33


def test_a_gpu_without_room_for_a_layer_leaves_all_to_the_processor() -> None:
    header = real_header("Llama-3.1-8B", "Q8_0")
    with on(Machine(16, (gpu(0.7, 2),))):
        found = outlook(header, EngineSettings(n_threads=4))
    assert found.placement is None
    assert found.layout.n_ubatch == 128
    with on(Machine(16)):
        assert isinstance(sizing._memory(header, EngineSettings(), (), 16 * GIB, 4, unified=True)[0], HostMemory)


def test_only_devices_that_llama_cpp_uses_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build with GPU support on a machine without a GPU; an integrated one beside a card."""
    settings = EngineSettings()
    card, chip = gpu(20, 24), gpu(20, 32, name="Vulkan1", kind="igpu")

    def found(*gpus: devices.Device, supported: bool = True, **values: Any) -> tuple[devices.Device, ...]:
        monkeypatch.setattr(sizing, "library", lambda _: SimpleNamespace(llama_supports_gpu_offload=lambda: supported))
        monkeypatch.setattr(devices, "gpus", lambda: gpus)
        return usable_gpus(settings.model_copy(update=values))

    assert found() == ()
    assert not on_gpu(settings)
    assert found(chip, card) == (card,)
    assert found(chip) == (chip,)
    assert found(card, n_gpu_layers=0) == ()
    assert found(card, supported=False) == ()


def test_llama_cpp_is_told_layers_and_shares() -> None:
    params = library().llama_model_default_params()
    layout = Layout(8192, 8192, 16, True, 2048, 512, 4, 4, gpu_split=(41, 40))
    _offload(library(), params, -1, layout)
    assert params.n_gpu_layers == 81
    assert [params.tensor_split[index] for index in (0, 1)] == [41, 40]
    assert ctypes.cast(params.tensor_split, ctypes.c_void_p).value
    _offload(library(), params, -1, replace(layout, gpu_split=()))
    assert params.n_gpu_layers == 0


def test_what_is_recommended_is_by_the_same_rule() -> None:
    settings = EngineSettings()
    with on(_CARD):
        assert room_on_gpus(settings) == int(23.2 * GIB) - (640 << 20)
    with on(MACHINES["16 GB Mac"]):
        assert room_on_gpus(settings) == int(10.67 * GIB) - (640 << 20)
    with on(Machine(4, MACHINES["16 GB Mac"].gpus)):
        assert room_on_gpus(settings) == 4 * GIB
    with on(Machine(16)):
        assert room_on_gpus(settings) is None


@pytest.mark.parametrize(
    ("short", "model"),
    [
        ("llama3.2:1b", "Llama-3.2-1B"),
        ("llama3.2:3b", "Llama-3.2-3B"),
        ("llama3.1:8b", "Llama-3.1-8B"),
        ("qwen2.5:14b", "Qwen2.5-14B"),
        ("qwen2.5:32b", "Qwen2.5-32B"),
        ("llama3.3:70b", "Llama-3.1-70B"),
    ],
)
def test_recommend_says_what_loading_takes(short: str, model: str) -> None:
    """Within 10 % of what `show` says of the file once it is here."""
    told = {item.name: item.memory for item in recommend(256 * GIB, None, limit=99)}
    taken = Machine(200).planned(model, "Q4_K_M").estimate.total
    assert told[short] == pytest.approx(taken, rel=0.1)


def test_growing_asks_the_gpus_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another program took of the card since the model was loaded is missing."""
    planned = _CARD.planned("Llama-3.1-8B", "Q4_K_M")
    engine: Any = SimpleNamespace(
        sizing=planned,
        settings=EngineSettings(),
        _cells=8192,
        _scheduler=SimpleNamespace(cells_used=100),
        _account=SimpleNamespace(missing=lambda extra, passing: 0),
    )
    (now,), (then,) = planned.on_gpus(8192), planned.on_gpus(32_768)
    for free, missing in ((then - now, 0), (then - now - 7, 7), (0, then - now)):
        monkeypatch.setattr(loaded, "usable_gpus", lambda _, free=free: (gpu(free / GIB, 24),))
        assert LoadedEngine._missing_memory(engine, 32_768) == pytest.approx(missing, abs=1)
