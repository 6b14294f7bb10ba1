"""Files that nobody vouched for are loaded in a process of their own first: what that finds, and how long it is remembered."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from parlant_local.engine import LlamaEngine, LoadedModel, vetting
from parlant_local.engine.loading import LoadControl
from parlant_local.engine.requests import GenerationRequest
from parlant_local.engine.vetting import Vetting, ensure_loadable
from parlant_local.engine.vetting.process import Outcome, _outcome, run_trial
from parlant_local.errors import (
    ContextOverflowError,
    EngineClosedError,
    InvalidModelError,
    ModelLoadError,
    TextTooLongError,
    UnsupportedModelError,
)
from parlant_local.observability import NullLogger
from parlant_local.settings import EngineSettings
from tests.engine.conftest import TINY, settings_of
from tests.support import gguf_models
from tests.support.mutants import changed

SETTINGS = EngineSettings(n_threads=1)


class Trials:
    """Counts the trials that are held, each in a real process."""

    def __init__(self) -> None:
        self.wishes: list[Mapping[str, Any]] = []

    def __call__(self, spec: Mapping[str, Any], control: LoadControl) -> Outcome:
        self.wishes.append(spec)
        return run_trial(spec, control)


@pytest.fixture(autouse=True)
def trials(monkeypatch: pytest.MonkeyPatch) -> Trials:
    counted = Trials()
    monkeypatch.setattr("parlant_local.engine.vetting.run_trial", counted)
    monkeypatch.setattr("parlant_local.engine.vetting.verdicts._in_memory", {})
    return counted


def forget() -> None:
    """As a new process would find it: what is in files, and no more."""
    from parlant_local.engine.vetting import verdicts

    verdicts._in_memory.clear()


@pytest.fixture
def sound(made: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copyfile(made("llama"), tmp_path / "sound.gguf"))


@pytest.fixture
def deadly(tmp_path: Path) -> Path:
    """Nothing in its header is absurd, but llama.cpp asserts that these two agree in this architecture."""
    return changed(gguf_models.qwen2(tmp_path / "deadly.gguf"), rope__dimension_count=8)


async def test_a_file_that_crashes_its_trial_is_an_invalid_model_and_stays_one(
    deadly: Path, tmp_path: Path, trials: Trials
) -> None:
    file = tmp_path / "home" / "vetted.json"
    engine = LlamaEngine(deadly, settings=settings_of(), vetting=Vetting(verdicts=file), logger=NullLogger())
    with pytest.raises(InvalidModelError, match=r"SIGABRT: qwen2\.cpp:\d+: GGML_ASSERT\(n_embd_head == n_rot\) failed"):
        await engine.load()
    await engine.close()
    forget()
    engine = LlamaEngine(deadly, settings=settings_of(), vetting=Vetting(verdicts=file), logger=NullLogger())
    with pytest.raises(InvalidModelError, match="GGML_ASSERT"):
        await engine.load()
    await engine.close()
    assert len(trials.wishes) == 1


def test_a_vocabulary_without_some_pieces_crashes_its_trial_not_us(tmp_path: Path) -> None:
    """llama.cpp throws through its own C interface when it meets a byte that has no token."""
    path = gguf_models.llama(tmp_path / "pieces.gguf", pieces=True)
    ensure_loadable(path, SETTINGS, Vetting())
    tokens = ["<unk>", "<s>", "</s>", *(f"<nobyte{byte:02X}>" for byte in range(256))]
    tokens += [f"<word{number}>" for number in range(1024 - len(tokens))]
    changed(path, tokenizer__ggml__tokens=(8, [token.encode() for token in tokens]))
    with pytest.raises(InvalidModelError, match="SIGABRT"):
        LoadedModel(path, SETTINGS)
    with pytest.raises(InvalidModelError, match="SIGABRT"):
        LoadedModel(path, SETTINGS, vocabulary_only=True)


def test_one_trial_is_enough_for_a_file_wherever_it_lies(sound: Path, tmp_path: Path, trials: Trials) -> None:
    file = tmp_path / "vetted.json"
    for _ in range(3):
        ensure_loadable(sound, SETTINGS, Vetting(verdicts=file))
        forget()
    copy = Path(shutil.copyfile(sound, tmp_path / "copy.gguf"))
    ensure_loadable(copy, SETTINGS, Vetting(verdicts=file))
    assert len(trials.wishes) == 1


def test_a_file_that_changed_is_tried_again_whatever_its_times_say(
    sound: Path, deadly: Path, tmp_path: Path, trials: Trials
) -> None:
    status = sound.stat()
    ensure_loadable(sound, SETTINGS, Vetting())
    content = bytearray(sound.read_bytes())
    content[-1] ^= 1
    sound.write_bytes(content)
    os.utime(sound, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (sound.stat().st_size, sound.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    ensure_loadable(sound, SETTINGS, Vetting())
    assert len(trials.wishes) == 2
    deadly.replace(sound)
    with pytest.raises(InvalidModelError):
        ensure_loadable(sound, SETTINGS, Vetting())


def test_another_way_of_use_needs_another_trial(sound: Path, trials: Trials) -> None:
    for values in ({}, {"kv_type": "f32"}, {"flash_attention": "on"}, {"kv_type": "f32"}):
        ensure_loadable(sound, EngineSettings.model_validate({"n_threads": 1, **values}), Vetting())
    assert len(trials.wishes) == 3


@pytest.mark.parametrize(
    ("mode", "vouched", "held"),
    [("auto", False, 1), ("auto", True, 0), ("never", False, 0), ("always", True, 2)],
)
def test_which_files_are_tried(sound: Path, trials: Trials, mode: str, vouched: bool, held: int) -> None:
    settings = EngineSettings.model_validate({"n_threads": 1, "vetting": mode})
    for _ in range(2):
        ensure_loadable(sound, settings, Vetting(vouched=vouched))
    assert len(trials.wishes) == held


def test_the_model_that_comes_with_us_is_not_tried(trials: Trials) -> None:
    LoadedModel(TINY, SETTINGS).release()
    assert not trials.wishes


async def test_engines_of_one_new_file_share_its_trial(sound: Path, trials: Trials) -> None:
    engines = [LlamaEngine(sound, settings=settings_of(), logger=NullLogger()) for _ in range(3)]
    await asyncio.gather(*(engine.load() for engine in engines))
    for engine in engines:
        await engine.close()
    assert len(trials.wishes) == 1


def test_a_trial_covers_all_shards(sound: Path, tmp_path: Path, trials: Trials) -> None:
    """Split as gguf-split does it: every shard has its own table, the first one the metadata."""
    first, second = split_in_two(sound, tmp_path)
    ensure_loadable(second, SETTINGS, Vetting())
    ensure_loadable(first, SETTINGS, Vetting())
    assert [Path(spec["path"]) for spec in trials.wishes] == [first]


def test_a_load_error_of_llama_cpp_is_reported_and_not_stored(sound: Path, trials: Trials) -> None:
    changed(sound, general__architecture=b"lrama")
    for _ in range(2):
        with pytest.raises(UnsupportedModelError, match="unknown model architecture"):
            LoadedModel(sound, SETTINGS)
    assert len(trials.wishes) == 2


def test_a_trial_that_times_out_proves_nothing(sound: Path, trials: Trials) -> None:
    impatient = EngineSettings(n_threads=1, vetting_seconds=0.001)
    with pytest.raises(ModelLoadError, match=r"longer than .* \(engine\.vetting_seconds\)"):
        ensure_loadable(sound, impatient, Vetting())
    ensure_loadable(sound, SETTINGS, Vetting())
    assert len(trials.wishes) == 2


def test_a_trial_ends_when_the_load_is_cancelled(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    control = LoadControl("sound")

    def given_up_as_it_begins(spec: dict[str, object], control: LoadControl) -> Outcome:
        control.cancel()
        return run_trial(spec, control)

    monkeypatch.setattr("parlant_local.engine.vetting.run_trial", given_up_as_it_begins)
    with pytest.raises(EngineClosedError, match="was cancelled"):
        ensure_loadable(sound, SETTINGS, Vetting(), control=control)


def test_a_trial_has_a_memory_limit(sound: Path, trials: Trials) -> None:
    ensure_loadable(sound, SETTINGS, Vetting())
    outcome = run_trial({**trials.wishes[0], "memory": 30 << 20}, LoadControl("sound"))
    assert (outcome.kind, "memory" in outcome.reason) == ("ended", True), outcome


def test_a_trial_has_a_memory_limit_where_the_system_sets_none(sound: Path, trials: Trials) -> None:
    """The parent looks at it: a process that has started is larger than this."""
    ensure_loadable(sound, SETTINGS, Vetting())
    outcome = run_trial({**trials.wishes[0], "memory": 0, "resident": 1 << 20}, LoadControl("sound"))
    assert (outcome.kind, "memory" in outcome.reason) == ("ended", True), outcome


@pytest.mark.parametrize(
    ("code", "log", "kind"),
    [
        (-6, "x.c:1: GGML_ASSERT(a) failed", "died"),
        (-11, "", "died"),
        (-7, "", "died"),
        (-8, "", "died"),
        (-9, "", "ended"),
        (-15, "", "ended"),
        (-4, "", "ended"),
        (-14, "", "ended"),
        (-6, "terminate called after throwing an instance of 'std::bad_alloc'", "ended"),
        (1, "ImportError: no module", "ended"),
        (0xC0000005, "", "died"),  # Windows: access violation
        (0xC0000409, "x.c:1: GGML_ASSERT(a) failed", "died"),  # abort
        (0xC0000409, "terminate called after throwing an instance of 'std::bad_alloc'", "ended"),
        (0xC00000FD, "", "died"),
        (0xC0FFEE00, "", "died"),
        (0xC000001D, "", "ended"),  # a library for another processor
        (0xC0000135, "", "ended"),
        (0xC0000017, "", "ended"),
        (15, "", "ended"),  # terminated by somebody
        (0, "", "ended"),
    ],
)
def test_only_crashes_caused_by_the_file_count_against_it(code: int, log: str, kind: str) -> None:
    outcome = _outcome(code, "", f"first line\n{log}\n")
    assert outcome.kind == kind
    assert outcome.reason


def test_log_lines_with_file_contents_have_no_control_characters() -> None:
    assert "\x1b" not in _outcome(-6, "", "loading \x1b[2Jmodel\n").reason


_GARBAGE = {
    "no JSON": b"\xff\xfe not JSON",
    "a list": b"[]",
    "half": b'{"verdicts": {',
    "deep": b"[" * 100_000,
    "numbers where there should be books": b'{"verdicts": 3, "digests": null}',
    "wrong entries": b'{"verdicts": {"x": []}, "digests": {"y": "z", "w": {"stamp": 1}}}',
    "nothing": b"",
    "another version's": b'{"trials": {}}',
}


@pytest.mark.parametrize("what", _GARBAGE)
def test_a_damaged_verdicts_file_costs_a_trial_at_most(sound: Path, tmp_path: Path, trials: Trials, what: str) -> None:
    file = tmp_path / "vetted.json"
    file.write_bytes(_GARBAGE[what])
    ensure_loadable(sound, SETTINGS, Vetting(verdicts=file))
    forget()
    ensure_loadable(sound, SETTINGS, Vetting(verdicts=file))
    assert len(trials.wishes) == 1
    assert json.loads(file.read_bytes())["verdicts"]
    assert [item.name for item in tmp_path.iterdir() if "vetted" in item.name] == ["vetted.json"]


def test_unwritable_verdicts_apply_in_this_process(sound: Path, tmp_path: Path, trials: Trials) -> None:
    (tmp_path / "home").write_text("a file, no folder")
    said: list[str] = []

    class Listening(NullLogger):
        def warning(self, message: str, *arguments: object) -> None:
            said.append(message)

    for _ in range(2):
        ensure_loadable(sound, SETTINGS, Vetting(verdicts=tmp_path / "home" / "vetted.json"), logger=Listening())
    assert len(trials.wishes) == 1
    assert any("vetted.json" in message for message in said)


def test_verdicts_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from parlant_local.engine.vetting.verdicts import Verdicts

    monkeypatch.setattr("parlant_local.engine.vetting.verdicts._MAX_ENTRIES", 10)
    verdicts = Verdicts(tmp_path / "vetted.json", NullLogger())
    for number in range(15):
        verdicts.record(f"file {number}", "")
    assert verdicts.found("file 4") is None
    assert verdicts.found("file 5") == ""


def test_verdicts_of_many_threads_are_all_kept(tmp_path: Path) -> None:
    from parlant_local.engine.vetting.verdicts import Verdicts

    verdicts = Verdicts(tmp_path / "vetted.json", NullLogger())
    threads = [threading.Thread(target=verdicts.record, args=(f"file {number}", "")) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    forget()
    assert all(verdicts.found(f"file {number}") == "" for number in range(20))


def test_an_invalid_adapter_never_reaches_native_code(sound: Path, made: Callable[[str], Path]) -> None:
    settings = EngineSettings(n_threads=1, lora={str(made("qwen2")): 1.0})
    with pytest.raises(ModelLoadError, match="not a LoRA adapter"):
        LoadedModel(sound, settings)


def split_in_two(path: Path, folder: Path) -> tuple[Path, Path]:
    import gguf

    reader = gguf.GGUFReader(path)
    paths = (folder / "split-00001-of-00002.gguf", folder / "split-00002-of-00002.gguf")
    half = len(reader.tensors) // 2
    for number, (target, tensors) in enumerate(zip(paths, (reader.tensors[:half], reader.tensors[half:]), strict=True)):
        writer = gguf.GGUFWriter(target, "llama")
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", 2)
        writer.add_int32("split.tensors.count", len(reader.tensors))
        for name, field in reader.fields.items():
            if number == 0 and not name.startswith(("GGUF.", "general.architecture")):
                kind = field.types[0]
                writer.add_key_value(name, field.contents(), kind, field.types[-1] if len(field.types) > 1 else None)
        for tensor in tensors:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return paths


async def test_embedding_with_an_indivisible_context_does_not_crash(made: Callable[[str], Path]) -> None:
    """llama.cpp pools a batch by its sequences, and asserted where 64 of them did not divide it."""
    for name in ("llama", "mamba"):
        engine = LlamaEngine(made(name), settings=settings_of(n_ctx=333), logger=NullLogger())
        assert (await engine.embed(["hello", ""])).vectors.shape == (2, 64)
        await engine.close()


async def test_a_position_table_is_never_exceeded(tmp_path: Path) -> None:
    """llama.cpp ended the process at the first position that the table does not have."""
    path = gguf_models.gpt2(tmp_path / "gpt2.gguf", n_ctx=64)
    engine = LlamaEngine(path, settings=settings_of(n_ctx=512), logger=NullLogger())
    await engine.load()
    assert engine.n_ctx == 64
    with pytest.raises(ContextOverflowError):
        await engine.generate(GenerationRequest("the quick brown fox " * 20, max_tokens=300))
    assert await engine.generate(GenerationRequest([1] * 32, max_tokens=32))
    with pytest.raises(TextTooLongError):
        await engine.embed(["the quick brown fox " * 40])
    await engine.close()


def test_a_trial_imports_only_what_it_needs() -> None:
    code = (
        "import sys; import parlant_local.engine.trial, parlant_local.engine.model;"
        "parlant_local.engine.native.library();"
        "print(sorted({'numpy', 'pydantic', 'psutil', 'yaml', 'openai', 'jinja2'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.strip() == "[]"


def test_a_vetted_file_does_not_wait_for_other_trials(sound: Path) -> None:
    ensure_loadable(sound, SETTINGS, Vetting())
    with vetting._exclusively(LoadControl("another")):
        ensure_loadable(sound, SETTINGS, Vetting())
