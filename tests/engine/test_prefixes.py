"""Prefixes that last: kept in memory per schema and conversation, the static ones on disk, never trusted blindly."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from parlant_local.engine import LlamaEngine
from parlant_local.engine.prefix_disk import PrefixDisk
from parlant_local.engine.prefixes import RetainedPrefix
from parlant_local.engine.requests import Generation, GenerationRequest
from parlant_local.observability import NullLogger
from tests.support.damage import scratch_of_a_dead_process
from tests.support.eventually import wait_until

from .conftest import GENERATING, MakeEngine

_STATIC = "<|im_start|>system\n" + "customer agent guideline condition action applies rationale response. " * 6


def _request(session: str | None, own: str, *, group: str | None = "schema") -> GenerationRequest:
    prompt = f"{_STATIC}{own} {'message content ' * 4}<|im_end|>\n"
    return GenerationRequest(prompt, 4, prefix_group=group, session=session)


async def _ask(engine: LlamaEngine, session: str | None, own: str, *, group: str | None = "schema") -> Generation:
    return await engine.generate(_request(session, own, group=group))


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.prefix"))


async def _two_sessions(engine: LlamaEngine) -> None:
    await _ask(engine, "anna", "first")
    await _ask(engine, "ben", "other")


async def test_each_conversation_keeps_one_prefix_per_schema(engine_of: MakeEngine) -> None:
    engine = engine_of("llama")
    for turn in range(3):
        for session in ("anna", "ben"):
            answer = await _ask(engine, session, f"{session} {'message ' * 8 * turn}")
            if turn:
                assert answer.timings.reused_tokens > 0.5 * answer.usage.prompt_tokens
    room = engine._engine
    assert room is not None
    assert room._store is not None
    owners = [(entry.group, entry.session) for entry in room._store if not entry.static]
    assert len(owners) == len(set(owners)) <= 2
    stats = engine.stats()
    assert 0 < stats.retained_bytes <= 64 * 1024 * 1024


@pytest.mark.parametrize("name", GENERATING)
async def test_prefix_memory_is_bounded_and_may_be_zero(name: str, engine_of: MakeEngine) -> None:
    small = engine_of(name, prefix_memory_mb=1)
    for i in range(12):
        await _ask(small, f"s{i}", "word " * (20 * i), group=f"g{i}")
    assert small.stats().retained_bytes <= 1024 * 1024
    none = engine_of(name, prefix_memory_mb=0)
    first, second = [await _ask(none, "anna", "first") for _ in range(2)]
    assert second.timings.reused_tokens == 0
    assert first.tokens == second.tokens
    assert none.stats().retained_bytes == 0


@pytest.mark.parametrize("unified", [True, False], ids=["unified", "split"])
@pytest.mark.parametrize("name", GENERATING)
async def test_prefixes_shared_by_two_sessions_survive_a_restart(
    name: str, unified: bool, engine_of: MakeEngine, tmp_path: Path
) -> None:
    """And only that: nothing of what one customer said reaches the disk."""
    engine = engine_of(name, prefix_dir=tmp_path, unified_kv=unified)
    await _ask(engine, "anna", "first")
    await engine.close()
    assert not _files(tmp_path)
    engine = engine_of(name, prefix_dir=tmp_path, unified_kv=unified)
    await _two_sessions(engine)
    fresh = await _ask(engine, "carl", "third")
    own_tokens = await engine.tokenize(_STATIC, parse_special=True)
    await engine.close()
    files = _files(tmp_path)
    assert len(files) == 1
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600
    assert stat.S_IMODE(files[0].parent.stat().st_mode) == 0o700
    assert json.loads(files[0].read_bytes().split(b"\n", 1)[0])["tokens"] <= len(own_tokens) + 1
    warm = engine_of(name, prefix_dir=tmp_path, unified_kv=unified)
    answer = await _ask(warm, "carl", "third")
    assert answer.timings.reused_tokens >= len(own_tokens) - 2
    assert answer.usage.cached_tokens == answer.timings.reused_tokens
    assert answer.tokens == fresh.tokens
    assert warm.stats().prefixes_on_disk == 1


async def test_without_sessions_nothing_counts_as_static(engine_of: MakeEngine, tmp_path: Path) -> None:
    engine = engine_of("llama", prefix_dir=tmp_path)
    for own in ("a", "b", "c"):
        await _ask(engine, None, own)
        await _ask(engine, "the same", own)
    await engine.close()
    assert not _files(tmp_path)


async def test_engines_share_a_folder_while_they_run(
    engine_of: MakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one has computed, the other reads: it was there when the first file was written."""
    monkeypatch.setattr("parlant_local.engine.prefix_disk._LOOK_SECONDS", 0.0)
    one, other = engine_of("llama", prefix_dir=tmp_path), engine_of("llama", prefix_dir=tmp_path, n_batch=256)
    await other.load()
    await _two_sessions(one)
    await asyncio.to_thread(wait_until, lambda: _files(tmp_path) != [])
    answer = await _ask(other, "carla", "third")
    assert answer.timings.reused_tokens > 0.5 * answer.usage.prompt_tokens
    [file] = _files(tmp_path)
    written = file.stat().st_mtime_ns
    await _two_sessions(other)
    assert _files(tmp_path) == [file], "it is known there already"
    assert file.stat().st_mtime_ns >= written


def test_what_others_write_is_news_once_and_again_after_eviction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parlant_local.engine.prefix_disk._LOOK_SECONDS", 0.0)
    writer, reader = (PrefixDisk(tmp_path, "key", 1 << 20, NullLogger()) for _ in range(2))
    assert reader.entries() == []
    entry = RetainedPrefix(np.arange(9, dtype=np.int32), "group", None, np.zeros(64, np.uint8), static=True)
    writer.write(entry)
    writer.close()
    assert [list(found.tokens) for found in reader.fresh()] == [list(range(9))]
    assert reader.fresh() == []
    assert writer.fresh() == [], "its own"
    [file] = _files(tmp_path)
    content = file.read_bytes()
    file.unlink()
    assert reader.fresh() == []
    file.write_bytes(content)
    assert len(reader.fresh()) == 1
    reader.close()


async def test_the_setting_turns_disk_prefixes_off(engine_of: MakeEngine, tmp_path: Path) -> None:
    engine = engine_of("llama", prefix_dir=tmp_path, prefix_disk=False)
    await _two_sessions(engine)
    await engine.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "harm",
    [
        "state",
        "tokens",
        "cut",
        "longer",
        "empty",
        "no header",
        "wrong kinds",
        "another key",
        "nested",
        "not utf-8",
        "absurd count",
        "count beyond any file",
        "negative count",
        "a state of terabytes",
        "a number of many digits",
        "half a character",
        "no end of header",
    ],
)
async def test_a_corrupt_file_is_never_used(harm: str, engine_of: MakeEngine, tmp_path: Path) -> None:
    engine = engine_of("llama", prefix_dir=tmp_path)
    await _two_sessions(engine)
    expected = await _ask(engine, "carl", "third")
    await engine.close()
    [path] = _files(tmp_path)
    data = path.read_bytes()
    line, rest = data.split(b"\n", 1)
    header = json.loads(line)
    path.write_bytes(
        {
            "state": data[:-100] + bytes(100),
            "tokens": line + b"\n" + b"\1" + rest[1:],
            "cut": data[:-7],
            "longer": data + b"x",
            "empty": b"",
            "no header": b"[]\n" + rest,
            "wrong kinds": json.dumps({**header, "tokens": "many", "state": None}).encode() + b"\n" + rest,
            "another key": json.dumps({**header, "key": "another model"}).encode() + b"\n" + rest,
            "nested": b"[" * 60_000 + b"\n" + rest,
            "not utf-8": b"\xff\xfe\n" + rest,
            "absurd count": json.dumps({**header, "tokens": 2**40}).encode() + b"\n" + rest,
            "count beyond any file": json.dumps({**header, "tokens": 10**30}).encode() + b"\n" + rest,
            "negative count": json.dumps({**header, "tokens": -1}).encode() + b"\n" + rest,
            "a state of terabytes": json.dumps({**header, "state": 2**42}).encode() + b"\n" + rest,
            "a number of many digits": line.replace(b'"tokens": ', b'"tokens": ' + b"9" * 5000) + b"\n" + rest,
            "half a character": json.dumps({**header, "group": "\ud800"}).encode() + b"\n" + rest,
            "no end of header": line + b" " * (1 << 17) + b"\n" + rest,
        }[harm]
    )
    again = engine_of("llama", prefix_dir=tmp_path)
    answer = await _ask(again, "carl", "third")
    assert answer.tokens == expected.tokens
    assert answer.timings.reused_tokens == 0
    await again.close()


async def test_states_of_other_settings_or_models_are_not_used(engine_of: MakeEngine, tmp_path: Path) -> None:
    engine = engine_of("llama", prefix_dir=tmp_path)
    await _two_sessions(engine)
    await engine.close()
    for name, changes in (("llama", {"kv_type": "f32"}), ("llama", {"rope_freq_base": 12345.0}), ("qwen3", {})):
        other = engine_of(name, prefix_dir=tmp_path, **changes)
        assert (await _ask(other, "carl", "third")).timings.reused_tokens == 0
        await other.close()
    assert (await _ask(engine_of("llama", prefix_dir=tmp_path), "carl", "x")).timings.reused_tokens > 0


async def test_the_disk_budget_evicts_the_least_recently_used(engine_of: MakeEngine, tmp_path: Path) -> None:
    engine = engine_of("slow", n_ctx=1024, prefix_dir=tmp_path, prefix_disk_mb=2, prefix_memory_mb=512)
    for group in ("one", "two", "three", "four"):
        for session in ("anna", "ben"):
            await _ask(engine, session, f"{group} {session}", group=group)
    await engine.close()
    files = _files(tmp_path)
    assert files
    assert sum(path.stat().st_size for path in files) <= 2 * 1024 * 1024


async def test_an_unwritable_disk_only_costs_a_warning(engine_of: MakeEngine, tmp_path: Path) -> None:
    said: list[str] = []

    class Listening(NullLogger):
        def warning(self, message: str) -> None:
            said.append(message)

    (tmp_path / "file").write_text("not a folder")
    engine = engine_of("llama", prefix_dir=tmp_path / "file", logger=Listening())
    await _two_sessions(engine)
    assert (await _ask(engine, "carl", "third")).tokens
    await engine.close()
    assert any("prefix" in message for message in said)


async def test_a_full_disk_is_logged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    class Listening(NullLogger):
        def warning(self, message: str) -> None:
            said.append(message)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    disk = PrefixDisk(tmp_path, "key", 1 << 20, Listening())
    for number in range(3):
        tokens = np.arange(number + 1, dtype=np.int32)
        disk.write(RetainedPrefix(tokens, "group", None, np.zeros(64, np.uint8), static=True))
    disk.close()
    assert len(said) == 1
    assert "No space left" in said[0]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path)])
def test_only_regular_files_are_read_as_prefixes(make: Callable[[Path], object], tmp_path: Path) -> None:
    disk = PrefixDisk(tmp_path, "key", 1 << 20, NullLogger())
    disk.write(RetainedPrefix(np.arange(9, dtype=np.int32), "group", None, np.zeros(64, np.uint8), static=True))
    disk.close()
    [path] = _files(tmp_path)
    make(path.with_name("0.prefix"))
    [entry] = PrefixDisk(tmp_path, "key", 1 << 20, NullLogger()).entries()
    assert entry.read is not None
    assert (state := entry.read()) is not None
    assert state.nbytes == 64
    path.unlink()
    make(path)
    assert entry.read() is None


async def test_leftovers_of_killed_writers_are_removed(engine_of: MakeEngine, tmp_path: Path) -> None:
    engine = engine_of("llama", prefix_dir=tmp_path)
    await _two_sessions(engine)
    await engine.close()
    [path] = _files(tmp_path)
    lefts = [path.with_suffix(".999999999.part"), scratch_of_a_dead_process(path)]
    for left in lefts:
        left.write_bytes(b"half")
    again = engine_of("llama", prefix_dir=tmp_path)
    await again.load()
    assert not any(left.exists() for left in lefts)
    assert path.exists()
    await again.close()


async def test_a_recurrent_model_shares_whole_states(engine_of: MakeEngine) -> None:
    engine = engine_of("mamba", n_seq_max=3)
    answers = [await _ask(engine, f"s{i}", f"own {i}") for i in range(4)]
    assert [answer.timings.reused_tokens > 0 for answer in answers] == [False, False, True, True]
    static = len(await engine.tokenize(_STATIC, parse_special=True))
    assert answers[3].timings.reused_tokens == pytest.approx(static, abs=3)
