"""Pictures, sounds and projectors gone wrong: each is read or refused, and neither ends this process nor leaves one behind."""

from __future__ import annotations

import base64
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import psutil
import pytest

from parlant_local.engine.media import decoding
from parlant_local.engine.media.decoders import shared_decoders
from parlant_local.engine.media.decoding import decode
from parlant_local.engine.media.inputs import Image
from parlant_local.errors import BadRequestError
from parlant_local.settings import EngineSettings, MediaSettings, Settings
from tests.engine.vetting.test_mutants import Server
from tests.support import evidence, gguf_models, projectors
from tests.support.hostile_media import FORMATS, mutant, sources
from tests.support.in_process import serving_here
from tests.support.mutants import mutant as mutant_gguf

PAGE = Path(__file__).parents[3] / "docs" / "evidence" / "hostile-media.md"
COMMAND = "pytest -m evidence tests/engine/media/test_hostile.py"
PICTURES = FORMATS[:4]
_MIB = 1 << 20


class Outcome(NamedTuple):
    format: str
    read: bool
    reason: str
    seconds: float


def tried(seed: int) -> Outcome:
    kind, what, data = mutant(seed)
    began = time.perf_counter()
    try:
        media = decode(
            data, "image" if kind in PICTURES else "audio", MediaSettings(), rate=16_000, stopped=threading.Event()
        )
    except BadRequestError as error:
        message = str(error)
    else:
        message = ""
    took = time.perf_counter() - began
    if message:
        assert message.isprintable(), (seed, what)
        return Outcome(kind, False, _reason(message), took)
    assert isinstance(media, Image) == (kind in PICTURES), (seed, what)
    return Outcome(kind, True, "read", took)


def _reason(message: str) -> str:
    if "the decoder failed" in message:
        return "ended its process"
    if "too much" in message:
        return "took too much time or memory"
    return "exceeds a limit" if "(media." in message else "damaged"


def all_tried(seeds: range) -> list[Outcome]:
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(tried, seeds))


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    shared_decoders().close()
    children = psutil.Process().children(recursive=True)
    assert not [each for each in children if "decoder.py" in " ".join(each.cmdline())]


def test_what_they_were_before() -> None:
    for kind, files in sources().items():
        for data in files:
            media = decode(
                data, "image" if kind in PICTURES else "audio", MediaSettings(), rate=16_000, stopped=threading.Event()
            )
            assert (media.pixels if isinstance(media, Image) else media.samples).size, kind


class Overtaken:
    """A decoder that says what a file has it say."""

    def __init__(self, answer: dict[str, Any], body: bytes) -> None:
        self.said = answer, body

    def ask(self, *_: object, **__: object) -> tuple[dict[str, Any], bytes]:
        return self.said


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"large": 3},
        {"large": [1]},
        {"large": ["x", None]},
        {"width": 2, "height": 2, "bands": 2},
        {"width": 2, "height": 2, "bands": "3"},
        {"width": 2.0, "height": 2, "bands": 3},
        {"width": 10**30, "height": 2, "bands": 3},
        {"width": 0, "height": 0, "bands": 3},
        {"width": None, "height": [], "bands": {}},
        {"width": 4, "height": 4, "bands": 3},
    ],
    ids=str,
)
def test_what_a_file_has_its_process_say(answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "shared_decoders", lambda: Overtaken(answer, b"\0" * 8))
    with pytest.raises(BadRequestError, match="the decoder failed"):
        decode(b"", "image", MediaSettings(), rate=16_000, stopped=threading.Event())
    monkeypatch.setattr(decoding, "shared_decoders", lambda: Overtaken(answer, b"odd"))
    with pytest.raises(BadRequestError, match="the decoder failed"):
        decode(b"", "audio", MediaSettings(), rate=16_000, stopped=threading.Event())


def test_140_files_crash_nothing() -> None:
    outcomes = all_tried(range(140))
    counts = Counter((each.format, each.read) for each in outcomes)
    assert {kind for kind, _ in counts} == set(FORMATS)
    assert sum(each.read for each in outcomes) > 30
    assert sum(not each.read for each in outcomes) > 30


@pytest.mark.evidence
@pytest.mark.timeout(3600)
def test_10000_files_crash_nothing() -> None:
    process = psutil.Process()
    all_tried(range(20_000, 20_200))
    memory = process.memory_info().rss
    outcomes = all_tried(range(10_000))
    growth = process.memory_info().rss - memory
    assert growth < 256 * _MIB
    counts = Counter((each.format, each.reason) for each in outcomes)
    reasons = ["read", "damaged", "exceeds a limit", "took too much time or memory", "ended its process"]
    rows = [[kind, *(f"{counts[kind, reason]:,}" for reason in reasons)] for kind in FORMATS]
    assert sum(counts.values()) == sum(counts[kind, reason] for kind in FORMATS for reason in reasons)
    seconds = sorted(1000 * each.seconds for each in outcomes)
    text = f"""{evidence.table(["Format", *(reason.capitalize() for reason in reasons)], rows)}

Each that was not read was refused with a typed error of one printable line. The process that played the server is the one that
wrote this; its memory grew by {max(0, growth) // _MIB} MiB, and no child of it was left. Milliseconds per file, two at a time: median
{statistics.median(seconds):.1f}, 99 of 100 within {seconds[9900]:.0f}, the slowest {seconds[-1]:.0f}."""
    evidence.write_section(PAGE, "Ten thousand files", text, command=COMMAND)


@pytest.mark.evidence
@pytest.mark.timeout(1800)
def test_pictures_over_http_end_no_server(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "seeing"
    folder.mkdir(parents=True)
    projectors.vision(folder / "mmproj-seeing.gguf")
    gguf_models.llama(folder / "seeing.gguf", tied=False)
    statuses: Counter[int] = Counter()
    with (
        serving_here(Settings(home=tmp_path, engine=EngineSettings(n_ctx=1024))) as server,
        httpx2.Client(base_url=server.url, timeout=120) as client,
    ):
        model = next(each["id"] for each in client.get("/v1/models").json()["data"] if each["id"].endswith("/seeing"))
        for seed in range(1400):
            kind, _, data = mutant(seed)
            if kind in PICTURES:
                uri = f"data:image/{kind.lower()};base64,{base64.b64encode(data).decode()}"
                content = [{"type": "image_url", "image_url": {"url": uri}}, {"type": "text", "text": "?"}]
                body = {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": 1}
                statuses[client.post("/v1/chat/completions", json=body).status_code] += 1
        assert client.get("/health").status_code == 200
    assert set(statuses) == {200, 400}
    text = f"""{sum(statuses.values())} of the pictures, one after the other, as data URIs to `/v1/chat/completions` with a model that sees: {statuses[200]} were
answered, {statuses[400]} refused with 400, and the server was healthy afterwards."""
    evidence.write_section(PAGE, "Over HTTP", text, command=COMMAND)


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, list[bytes]]:
    made = [
        projectors.vision(tmp_path / "a.gguf"),
        projectors.hearing(tmp_path / "b.gguf"),
        projectors.qwen2vl(tmp_path / "c.gguf"),
    ]
    return gguf_models.llama(tmp_path / "model.gguf", tied=False), [path.read_bytes() for path in made]


def looked(models: tuple[Path, list[bytes]], folder: Path, seeds: range) -> Counter[str]:
    model, bases = models
    server = Server(folder / "home", "--eyes", str(model))
    outcomes: Counter[str] = Counter()
    path = folder / "mmproj-mutant.gguf"
    for seed in seeds:
        what, content = mutant_gguf(bases[seed % len(bases)], seed)
        path.write_bytes(content)
        report = server.take(path)
        assert report["message"].isprintable(), (seed, what)
        outcomes[f"{report['stage']}: {report['error']}" if report["error"] else "read a picture"] += 1
    server.close()
    return outcomes


def test_some_projectors_crash_nothing(models: tuple[Path, list[bytes]], tmp_path: Path) -> None:
    assert len(looked(models, tmp_path, range(6))) > 1


@pytest.mark.evidence
@pytest.mark.timeout(3600)
def test_projectors_crash_nothing(models: tuple[Path, list[bytes]], tmp_path: Path) -> None:
    outcomes = looked(models, tmp_path, range(100, 500))
    table = evidence.table(["Outcome", "Files"], [[name, f"{count:,}"] for name, count in outcomes.most_common()])
    text = f"""400 `mmproj` files of three kinds (LLaVA's, Qwen2-Audio's, Qwen2-VL's), changed after the grammar of GGUF as in
[mutated-files.md](mutated-files.md). One process loads each with a sound model and shows it a picture (what hears
refuses it: BadRequestError).

{table}

The process ended: never."""
    evidence.write_section(PAGE, "Projectors", text, command=COMMAND)
