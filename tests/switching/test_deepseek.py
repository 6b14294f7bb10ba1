"""DeepSeekService over random-weights models with the family's real chat templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from parlant.core.common import DefaultBaseModel

from parlant_local.nlp import DeepSeekService
from parlant_local.observability import NullLogger
from tests.support import gguf_models

from .conftest import Configure

TEMPLATES = Path(__file__).resolve().parents[3] / "shared" / "data" / "chat_templates"
BODIES = {
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": gguf_models.llama,
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": gguf_models.qwen2,
    "deepseek-ai-DeepSeek-V3.1": gguf_models.deepseek2,
}

pytestmark = pytest.mark.filterwarnings("ignore:llama_token_get_attr:DeprecationWarning")  # llguidance calls it


class City(DefaultBaseModel):
    coastal: bool
    inhabitants: int


@pytest.fixture(params=list(BODIES))
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    template = TEMPLATES / f"{request.param}.jinja"
    if not template.is_file():
        pytest.skip("the shared chat templates are not here")
    return BODIES[request.param](tmp_path / "model.gguf", template=template.read_text("utf-8"))


def service(configure: Configure, model: Path, **more: Any) -> DeepSeekService:
    given = {"engine.n_ctx": 1024, "engine.seed": 3, "generation.limits.max_digits": 4, **more}
    return DeepSeekService(model_path=model, settings=configure(**given), logger=NullLogger())


@pytest.mark.parametrize("reasoning", ["off", "on"])
async def test_the_whole_family_is_served_and_thoughts_stay_within_their_budget(
    model: Path, reasoning: str, configure: Configure
) -> None:
    made = service(configure, model, **{"generation.reasoning": reasoning, "generation.reasoning_tokens": 24})
    generator = await made.get_schematic_generator(City)
    result = await generator.generate("Is Paris on the coast?", hints={"temperature": 0.8})
    assert isinstance(result.content, City)
    thought = (result.info.usage.extra or {})["reasoning_tokens"]
    if reasoning == "on":
        assert 0 < thought <= 24 + 4  # the closing tag may take a few tokens of its own
    else:
        assert thought == 0
    await made.close()
