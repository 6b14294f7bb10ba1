"""Pictures in prompts: computed as the library's own helper computes them, and shared, batched and cancelled as text is."""

from __future__ import annotations

import asyncio
import ctypes
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from parlant_local.engine import LlamaEngine
from parlant_local.engine.media import Image, Media, Sound
from parlant_local.engine.media.projector import Projector
from parlant_local.engine.media.spans import Span, Spans, stand_ins
from parlant_local.engine.native import library
from parlant_local.engine.native.media import InputPart, InputText
from parlant_local.engine.requests import Generation, GenerationRequest
from parlant_local.errors import BadRequestError, EngineClosedError, InvalidModelError
from parlant_local.settings import EngineSettings
from tests.support import gguf_models, projectors

BEFORE, AFTER = "<|im_start|>user\nthe customer ", " content is true<|im_end|>\n<|im_start|>assistant\n"


def picture(seed: int, width: int = 60, height: int = 40) -> Image:
    return Image(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def sound(step: float, seconds: float = 1.0) -> Sound:
    return Sound(np.sin(np.arange(int(16_000 * seconds)) / step).astype(np.float32), 16_000)


@pytest.fixture(scope="module", params=["llava", "qwen2vl", "gemma3"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model whose positions have one axis, one where they have several, so that a picture takes fewer of them than cells, and one
    whose pictures are attended to in both directions and with a sliding window."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "llava":
        model = gguf_models.llama(folder / "model.gguf", tied=False)
        return model, projectors.vision(folder / "mmproj-model.gguf")
    if request.param == "gemma3":
        return gguf_models.gemma3(folder / "model.gguf"), projectors.gemma3(folder / "mmproj-model.gguf")
    model = gguf_models.qwen2vl(folder / "model.gguf", tied=False)
    return model, projectors.qwen2vl(folder / "mmproj-model.gguf")


def seeing(files: tuple[Path, Path], **settings: object) -> LlamaEngine:
    model, projector = files
    values = {"projector": str(projector), "n_ctx": 2048, "kv_type": "f32", "flash_attention": "off", **settings}
    return LlamaEngine(model, settings=EngineSettings.model_validate(values))


async def ask(engine: LlamaEngine, *parts: str | Media, tokens: int = 8, session: str | None = None) -> Generation:
    await engine.load()
    read = [await engine.tokenize(part, parse_special=True) if isinstance(part, str) else part for part in parts]
    prompt = await engine.read(read)
    return await engine.generate(GenerationRequest(prompt, tokens, logprobs=0, prefix_group="g", session=session))


async def taken(engine: LlamaEngine, image: Media, *, embeddings: bool = False) -> int:
    """Cells that a picture takes, the marks around it included, or its embeddings alone."""
    tokens = (await engine.read([image, [0]])).tokens[:-1]
    return int((tokens < 0).sum()) if embeddings else tokens.size


def told(generation: Generation) -> tuple[tuple[int, ...], list[float]]:
    assert generation.logprobs is not None
    return generation.tokens, [each.logprob for each in generation.logprobs]


async def test_the_answer_is_that_of_the_librarys_own_helper(files: tuple[Path, Path]) -> None:
    await compare_with_helper(files, picture(1))


async def test_a_sound_is_heard_as_by_the_librarys_own_helper(tmp_path: Path) -> None:
    files = gguf_models.llama(tmp_path / "model.gguf", tied=False), projectors.hearing(tmp_path / "mmproj-model.gguf")
    told = [await compare_with_helper(files, each) for each in (sound(3), sound(11), sound(3, 31.0))]
    assert len({round(logprob, 4) for logprob in told}) == 3


async def compare_with_helper(files: tuple[Path, Path], media: Media) -> float:
    """The probability of the first token, which both agree on."""
    engine = seeing(files)
    try:
        mine = await ask(engine, BEFORE, media, AFTER, tokens=1)
        assert mine.logprobs is not None
        room = engine._engine
        assert room is not None
        reference = by_helper(room.media.projector(), engine, BEFORE, media, AFTER)
        expected = reference - np.log(np.exp(reference - reference.max()).sum()) - reference.max()
        assert mine.tokens[0] == int(reference.argmax())
        assert mine.logprobs[0].logprob == pytest.approx(float(expected[mine.tokens[0]]), abs=2e-4)
        texts = [len(await engine.tokenize(text, parse_special=True)) for text in (BEFORE, AFTER)]
        assert mine.usage.prompt_tokens == sum(texts) + await taken(engine, media)
        return mine.logprobs[0].logprob
    finally:
        await engine.close()


def by_helper(
    projector: Projector, engine: LlamaEngine, before: str, shown: Media, after: str
) -> npt.NDArray[np.float32]:
    """Logits after a text, a picture or sound and a text by ``mtmd_helper_eval_chunks``, in a context of its own."""
    lib, media = library(), projector._lib
    evaluate = lib.function(
        "mtmd_helper_eval_chunks",
        ctypes.c_int32,
        [*[ctypes.c_void_p] * 3, *[ctypes.c_int32] * 3, ctypes.c_bool, ctypes.POINTER(ctypes.c_int32)],
    )
    params = lib.llama_context_default_params()
    params.n_ctx = 2048
    params.n_ubatch = 512
    params.type_k = params.type_v = 0
    params.flash_attn_type = 0
    context = lib.llama_init_from_model(engine.model.pointer, params)
    bitmap, chunks = projector._bitmap(shown), media.mtmd_input_chunks_init()
    texts = [InputText(text.encode(), len(text), False, True) for text in (before, after)]
    parts = [
        InputPart(ctypes.pointer(texts[0]), None),
        InputPart(None, bitmap),
        InputPart(ctypes.pointer(texts[1]), None),
    ]
    given = (ctypes.POINTER(InputPart) * 3)(*map(ctypes.pointer, parts))
    try:
        assert media.mtmd_tokenize_from_parts(projector.pointer, chunks, given, 3, False) == 0
        position = ctypes.c_int32()
        assert evaluate(projector.pointer, context, chunks, 0, 0, 256, True, ctypes.byref(position)) == 0
        row = lib.llama_get_logits_ith(context, -1)
        return np.ctypeslib.as_array(row, (engine.model.n_vocab,)).copy()
    finally:
        media.mtmd_input_chunks_free(chunks)
        media.mtmd_bitmap_free(bitmap)
        lib.llama_free(context)


async def test_many_at_once_are_answered_as_each_alone(files: tuple[Path, Path]) -> None:
    asked: list[tuple[str | Image, ...]] = [
        (BEFORE, picture(1), AFTER),
        (BEFORE, picture(2, 30, 90), " and ", picture(1), AFTER),
        ("the quick brown fox ", picture(3), AFTER),
        ("the quick brown fox jumps",),
    ]
    alone = []
    for each in asked:
        engine = seeing(files)
        alone.append(told(await ask(engine, *each)))
        await engine.close()
    assert len({tokens for tokens, _ in alone}) > 1
    engine = seeing(files)
    try:
        together = [told(each) for each in await asyncio.gather(*(ask(engine, *each) for each in asked))]
        await engine.check_integrity()
    finally:
        await engine.close()
    for (tokens, logprobs), (others, other_logprobs) in zip(alone, together, strict=True):
        assert tokens == others
        assert logprobs == pytest.approx(other_logprobs, abs=1e-3)


async def test_the_same_picture_is_read_once_and_another_is_not_taken_for_it(files: tuple[Path, Path]) -> None:
    engine = seeing(files, prefixes={"min_tokens": 4})
    long = BEFORE + "guideline condition action " * 10
    try:
        first = await ask(engine, long, picture(1), AFTER, session="s")
        for number in range(
            1 if engine.model.sliding_window == 0 else 2
        ):  # its states serve where two customers' prompts part
            again = await ask(engine, long, picture(1), " not" + AFTER, session=f"again {number}")
            other = await ask(engine, long, picture(2), AFTER, session=f"other {number}")
        before = len(await engine.tokenize(long, parse_special=True))
        marks = await taken(engine, picture(1)) - await taken(engine, picture(1), embeddings=True)
        assert again.timings.reused_tokens == before + await taken(engine, picture(1))
        assert before <= other.timings.reused_tokens <= before + marks
        await engine.check_integrity()
    finally:
        await engine.close()
    fresh = seeing(files)
    try:
        assert told(await ask(fresh, long, picture(2), AFTER))[0] == told(other)[0] != told(first)[0]
    finally:
        await fresh.close()


async def test_a_model_without_eyes_says_so_and_so_does_a_wrong_projector(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    blind = LlamaEngine(files[0])
    try:
        with pytest.raises(BadRequestError, match="reads text only"):
            await ask(blind, BEFORE, picture(1), AFTER)
    finally:
        await blind.close()
    wrong = seeing((files[0], files[0]))
    try:
        with pytest.raises(InvalidModelError, match="is not a projector"):
            await ask(wrong, BEFORE, picture(1), AFTER)
        assert (await wrong.generate(GenerationRequest("the quick", 2))).tokens  # text goes on
    finally:
        await wrong.close()
    engine = seeing(files)
    try:
        with pytest.raises(BadRequestError, match="has to end with text"):
            await ask(engine, BEFORE, picture(1))
    finally:
        await engine.close()


async def test_a_request_that_is_dropped_while_its_picture_is_read_leaves_nothing(files: tuple[Path, Path]) -> None:
    engine = seeing(files)
    try:
        await engine.load()
        tasks = [asyncio.create_task(ask(engine, BEFORE, picture(n), AFTER)) for n in range(6)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(each, asyncio.CancelledError) for each in done] == [True, False] * 3
        await engine.check_integrity()
    finally:
        await engine.close()


async def test_closing_ends_what_is_being_read(files: tuple[Path, Path]) -> None:
    engine = seeing(files)
    await engine.load()
    tasks = [asyncio.create_task(ask(engine, BEFORE, picture(n, 400, 300), AFTER)) for n in range(20)]
    await asyncio.sleep(0.05)
    await engine.close()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, EngineClosedError | Generation) for each in done), done
    assert any(isinstance(each, EngineClosedError) for each in done)


def span(start: int, length: int, positions: int, held: int) -> Span:
    return Span(start, length, positions, held, None, np.empty((length, 0), np.float32))


def test_positions_of_pictures_with_several_axes() -> None:
    spans = Spans([span(5, 16, 4, 1), span(25, 9, 3, 1)])
    assert [spans.position(index) for index in (0, 5, 21, 25, 34, 40)] == [0, 5, 9, 13, 16, 22]
    assert [spans.held(index) for index in (5, 21, 22, 34, 35)] == [5, 6, 10, 14, 17]
    assert [spans.whole(index) for index in (4, 5, 6, 20, 21, 33, 34)] == [4, 5, 5, 5, 21, 25, 34]
    for index in (0, 3, 5, 22, 24, 25, 35, 40):
        assert spans.index(spans.held(index)) in (index, spans.whole(index))


def test_stand_ins_are_of_no_vocabulary_and_of_one_picture() -> None:
    one, other = stand_ins(picture(1).digest, 64), stand_ins(picture(2).digest, 64)
    assert (one < 0).all()
    assert (one == stand_ins(picture(1).digest, 64)).all()
    assert (one != other).all()
