"""The default embedder of a Parlant home: chosen once, then kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from parlant_local.catalog import LocalModelManager
from parlant_local.catalog.sources import pypi_known
from parlant_local.catalog.sources.pypi_known import KnownPackage, PackedFile, Wheel
from parlant_local.errors import EmbeddingIdentityError
from parlant_local.gguf_info import sha256_file
from parlant_local.nlp import LlamaService, LocalNLPService
from parlant_local.nlp import service as service_module
from parlant_local.nlp.embedder_choice import default_embedder
from parlant_local.observability import NullLogger
from parlant_local.settings import Settings
from tests.fakes.scripted import ScriptedBackend
from tests.support import gguf_models

MINILM = "local/embedding/all-minilm-l6-v2"


class Told(NullLogger):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str) -> None:
        self.lines.append(message)

    warning = error = info


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def manager(tmp_path: Path) -> LocalModelManager:
    return LocalModelManager(NullLogger(), tmp_path / "models", Settings())


async def bring(manager: LocalModelManager, tmp_path: Path, seed: int = 0) -> Path:
    path = gguf_models.bert(tmp_path / f"bert{seed}.gguf", seed=seed)
    await manager.register_model(path, name="all-minilm-l6-v2", copy=True)
    return path


async def test_a_new_home_takes_the_model_if_it_is_here(manager: LocalModelManager, home: Path, tmp_path: Path) -> None:
    await bring(manager, tmp_path)
    told = Told()
    assert await default_embedder(manager, home, told) == MINILM
    assert "for English" in told.lines[-1]
    assert await default_embedder(manager, home, told) == MINILM


async def test_what_is_downloaded_later_changes_nothing_but_is_told(
    manager: LocalModelManager, home: Path, tmp_path: Path
) -> None:
    told = Told()
    assert await default_embedder(manager, home, told) is None
    assert "`parlant-local pull all-minilm-l6-v2`" in told.lines[-1]
    await bring(manager, tmp_path)
    assert await default_embedder(manager, home, told) is None
    assert "embedding.model=all-minilm-l6-v2 changes that" in told.lines[-1]
    assert await default_embedder(manager, None, told) == MINILM  # nothing is kept without a home


@pytest.mark.parametrize(
    ("cache", "wanted"),
    [
        ({"LexicalEmbedder_v1_512": [{"id": "1"}]}, None),
        ({"LexicalEmbedder_v1_256": [{"id": "1"}], "Embedder_aabbccddeeff_mean_384": [{"id": "1"}]}, None),
        ({"LexicalEmbedder_v1_512": []}, MINILM),
        ({"OpenAITextEmbedding3Large": [{"id": "1"}]}, MINILM),
        ({}, MINILM),
        (["odd"], MINILM),
    ],
)
async def test_a_home_of_an_older_version_stays_as_it_was(
    manager: LocalModelManager, home: Path, tmp_path: Path, cache: object, wanted: str | None
) -> None:
    await bring(manager, tmp_path)
    (home / "cache_embeddings.json").write_text(json.dumps(cache))
    assert await default_embedder(manager, home, Told()) == wanted
    (home / "cache_embeddings.json").unlink()
    assert await default_embedder(manager, home, Told()) == wanted  # by what was written down


@pytest.mark.parametrize("space", [0, (1 << 20) - 40, 3 << 20])
async def test_a_large_cache_and_one_that_was_cut_tell_it_too(
    manager: LocalModelManager, home: Path, tmp_path: Path, space: int
) -> None:
    await bring(manager, tmp_path)
    rows = json.dumps({"Other": ["x" * space], "LexicalEmbedder_v1_512": [{"vectors": [0.1] * 100}]}, indent=2)
    (home / "cache_embeddings.json").write_text(rows[:-20])
    assert await default_embedder(manager, home, Told()) is None


async def test_a_cache_that_is_no_file_is_not_a_new_homes(
    manager: LocalModelManager, home: Path, tmp_path: Path
) -> None:
    await bring(manager, tmp_path)
    (home / "cache_embeddings.json").mkdir()
    assert await default_embedder(manager, home, Told()) is None


async def test_a_damaged_note_is_set_aside(manager: LocalModelManager, home: Path, tmp_path: Path) -> None:
    await bring(manager, tmp_path)
    (home / "parlant-local-embedder.json").write_text('{"model": 5}')
    assert await default_embedder(manager, home, Told()) == MINILM
    assert any(".damaged-" in path.name for path in home.iterdir())


async def test_a_home_never_falls_back(manager: LocalModelManager, home: Path, tmp_path: Path) -> None:
    await bring(manager, tmp_path)
    assert await default_embedder(manager, home, Told()) == MINILM
    await manager.delete_model(MINILM)
    with pytest.raises(EmbeddingIdentityError, match="not available any more") as told:
        await default_embedder(manager, home, Told())
    assert "pull all-minilm-l6-v2" in told.value.hint
    await bring(manager, tmp_path, seed=1)
    lines = Told()
    assert await default_embedder(manager, home, lines) == MINILM
    assert any("is not the file" in line for line in lines.lines)
    again = Told()
    await default_embedder(manager, home, again)
    assert not any("is not the file" in line for line in again.lines)


async def test_the_service_embeds_with_it_and_settings_come_first(
    manager: LocalModelManager, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await bring(manager, tmp_path)
    monkeypatch.setattr(service_module, "parlant_home", lambda: home)
    service = LocalNLPService(ScriptedBackend(), manager=manager)
    embedder = await service.get_embedder()
    assert type(embedder).__name__ == f"Embedder_{sha256_file(path)[:12]}_mean_64"
    assert len((await embedder.embed(["the customer"])).vectors[0]) == 64
    await service.close()
    lexical = Settings.load(None, **{"embedding.model": "lexical"})
    for made in (
        LocalNLPService(ScriptedBackend(), manager=manager, settings=lexical),
        LlamaService(model_manager=manager, model_id="parlant-local-tiny", settings=lexical),
    ):
        assert type(await made.get_embedder()).__name__ == "LexicalEmbedder_v1_512"
        await made.close()
    named = Settings.load(None, **{"embedding.model": "all-minilm-l6-v2"})
    service = LlamaService(model_manager=manager, model_id="parlant-local-tiny", settings=named)
    assert type(await service.get_embedder()) is type(embedder)
    await service.close()


async def test_an_installed_package_is_enough_offline(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = gguf_models.bert(tmp_path / "bert.gguf")
    site = tmp_path / "site"
    (site / "packed").mkdir(parents=True)
    (site / "packed" / "m.gguf").write_bytes(path.read_bytes())
    (site / "packed_model-1.dist-info").mkdir()
    (site / "packed_model-1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: packed-model\nVersion: 1\n"
    )
    monkeypatch.syspath_prepend(str(site))
    packages = [
        KnownPackage(
            name="all-minilm-l6-v2",
            what="",
            wheels=(Wheel(package, "1", "0" * 64, 1),),
            files=(PackedFile("packed/m.gguf", "m.gguf"),),
            sha256=sha256_file(path),
            size=path.stat().st_size,
            license="mit",
            short=short,
        )
        for package, short in (("not-here", "all-minilm-l6-v2"), ("packed-model", ""))
    ]
    monkeypatch.setattr(pypi_known, "PACKAGES", tuple(packages))
    monkeypatch.setattr("parlant_local.catalog.sources.pypi.PACKAGES", tuple(packages))
    manager = LocalModelManager(NullLogger(), tmp_path / "models", Settings(), offline=True)
    whole = (site / "packed" / "m.gguf").read_bytes()
    (site / "packed" / "m.gguf").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    told = Told()
    assert await default_embedder(manager, None, told) is None  # an altered one is no reason not to start
    assert any("can't be used" in line for line in told.lines)
    (site / "packed" / "m.gguf").write_bytes(whole)
    assert await default_embedder(manager, home, told) == MINILM
    assert any("from the installed package packed-model" in line for line in told.lines)
