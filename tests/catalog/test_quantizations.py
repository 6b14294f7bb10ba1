"""Which files of a repository are meant."""

from __future__ import annotations

import pytest

from parlant_local.catalog.quantizations import candidates, choose, quantization_of
from parlant_local.errors import BadReferenceError, InvalidModelError, ModelNotFoundError

GB = 1_000_000_000
REPO = {
    "README.md": 1,
    "Model-Q2_K.gguf": 3 * GB,
    "Model-Q4_K_M.gguf": 5 * GB,
    "Model-Q4_K_S.gguf": 4 * GB,
    "Model-IQ4_XS.gguf": 4 * GB,
    "Model-UD-Q4_K_XL.gguf": 5 * GB,
    "Model-Q8_0.gguf": 8 * GB,
    "BF16/Model-BF16-00001-of-00002.gguf": 10 * GB,
    "BF16/Model-BF16-00002-of-00002.gguf": 6 * GB,
    "mmproj-Model-f16.gguf": 1 * GB,
    "Model-imatrix.gguf": 1,
    "Model-f32-00001-of-00003.gguf": 10 * GB,
}


def chosen(files: dict[str, int] = REPO, **wanted: object) -> str:
    options = {"quantization": None, "file": None, "memory": 64 * GB, **wanted}
    return choose("u/r", files, **options).files[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Llama-3.2-3B-Instruct-Q4_K_M.gguf", "Q4_K_M"),
        ("llama-2-7b-chat.Q5_K_S.gguf", "Q5_K_S"),
        ("qwen2.5-0.5b-instruct-q8_0.gguf", "Q8_0"),
        ("gemma-3-1b-it-f16.gguf", "F16"),
        ("Model-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("Model-IQ3_XXS.gguf", "IQ3_XXS"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("Q4_K_M/Model-00001-of-00002.gguf", "Q4_K_M"),
        ("BF16/Model-BF16-00001-of-00002.gguf", "BF16"),
        ("model.gguf", None),
    ],
)
def test_labels_are_read_from_names(name: str, label: str | None) -> None:
    assert quantization_of(name) == label


def test_projectors_importance_matrices_and_lone_shards_are_not_models() -> None:
    found, problems = candidates(REPO)
    files = [item.files[0] for item in found]
    assert "mmproj-Model-f16.gguf" not in files
    assert "Model-imatrix.gguf" not in files
    assert "Model-f32-00001-of-00003.gguf" not in files
    assert problems == ["Model-f32-00001-of-00003.gguf is shard 1 of 3, but Model-f32-00002-of-00003.gguf is missing"]


def test_the_default_is_q4_k_m_else_the_best_that_fits_memory() -> None:
    assert chosen() == "Model-Q4_K_M.gguf"
    without = {name: size for name, size in REPO.items() if "Q4_K_M" not in name}
    assert chosen(without, memory=64 * GB) == "Model-Q8_0.gguf"
    assert chosen(without, memory=6 * GB) == "Model-UD-Q4_K_XL.gguf"
    assert chosen(without, memory=5 * GB) in ("Model-Q4_K_S.gguf", "Model-IQ4_XS.gguf")
    assert chosen(without, memory=1 * GB) == "Model-Q2_K.gguf"
    assert chosen({"only-F16.gguf": 1}) == "only-F16.gguf"


def test_labels_match_in_any_case_and_by_their_start() -> None:
    assert chosen(quantization="q8_0") == "Model-Q8_0.gguf"
    assert chosen(quantization="Q4_K_XL") == "Model-UD-Q4_K_XL.gguf"
    assert chosen(quantization="q4") == "Model-Q4_K_M.gguf"
    assert choose("u/r", REPO, quantization="bf16", file=None, memory=0).size == 16 * GB


def test_files_are_taken_by_name_any_shard_for_all() -> None:
    assert chosen(file="BF16/Model-BF16-00002-of-00002.gguf") == "BF16/Model-BF16-00001-of-00002.gguf"
    with pytest.raises(ModelNotFoundError, match=r"Model-Q2_K\.gguf"):
        chosen(file="none.gguf")
    with pytest.raises(InvalidModelError, match="projector"):
        chosen(file="mmproj-Model-f16.gguf")
    with pytest.raises(InvalidModelError, match="missing"):
        chosen(file="Model-f32-00001-of-00003.gguf")


def test_two_models_of_one_label_must_be_told_apart() -> None:
    with pytest.raises(BadReferenceError, match="several files"):
        chosen({"A-Q4_K_M.gguf": 1, "B-Q4_K_M.gguf": 1}, quantization="Q4_K_M")


def test_a_repository_without_models_says_so() -> None:
    with pytest.raises(ModelNotFoundError, match="has no GGUF"):
        chosen({"mmproj.gguf": 1})
