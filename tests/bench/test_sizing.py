"""The tables of docs/scaling.md are the formulas' results, and the words around them say the same figures."""

from __future__ import annotations

import pytest
from benchmarks.routing.measured import EVIDENCE, phases
from benchmarks.routing.turn import head_tokens
from benchmarks.sizing import BUSY, CARD, CORES, PAGE, Demand, Turn, need, written

from parlant_local.catalog.short_names import find_short_name
from parlant_local.settings import Settings

TURN = Turn.measured(phases((EVIDENCE / "bench.md").read_text("utf-8")))
PAGE_TEXT = PAGE.read_text("utf-8")
WORDS = " ".join(PAGE_TEXT.split())


def test_the_tables_are_computed() -> None:
    assert written(PAGE_TEXT) == PAGE_TEXT, "run python -m benchmarks.sizing"


def test_a_table_without_a_place_is_an_error() -> None:
    with pytest.raises(ValueError, match="'demand'"):
        written(PAGE_TEXT.replace("<!-- demand:", "<!--"))


def test_needs_by_hand() -> None:
    """One agent: a turn each six seconds."""
    model = find_short_name("llama3.2:3b")
    assert model is not None
    assert Demand(1).turns_per_second == pytest.approx(1 / 6)
    found = need(Demand(1), model, TURN)
    assert found.operations == pytest.approx(2 * 3.21e9 * (12_611 + 841) / 6, rel=0.001)
    assert found.processors == -(-found.operations // (TURN.sustained / 2 * 16 * 0.6))
    assert found.heads == 22_668 * 114_688
    ten = need(Demand(10), model, TURN)
    assert ten.operations == pytest.approx(10 * found.operations)
    assert ten.heads == 10 * found.heads
    assert need(Demand(1, conversations=20), model, TURN).operations == pytest.approx(2 * found.operations)
    assert need(Demand(1, seconds=30), model, TURN).operations == pytest.approx(2 * found.operations)


def test_a_mixture_of_experts_counts_its_active_parameters() -> None:
    dense, mixture = find_short_name("llama3.2:3b"), find_short_name("qwen3:30b")
    assert dense is not None
    assert mixture is not None
    ratio = need(Demand(1), mixture, TURN).operations / need(Demand(1), dense, TURN).operations
    assert ratio == pytest.approx(mixture.active_parameters / dense.parameters)


@pytest.mark.parametrize(
    ("says", "figure"),
    [
        ("{:,.0f} in prompts", TURN.prompt),
        ("of which {:.0f} % have to be computed", 100 * TURN.computed / TURN.prompt),
        ("some {:.0f} in answers", TURN.answered // 10 * 10),
        ("{:.0f} × 10¹² for three billion", 2 * 3.21e9 * (TURN.computed + TURN.answered) / 1e12),
        ("{:.0f} × 10⁹ operations a second on two cores", TURN.sustained / 1e9),
        ("{:.0f} × 10⁹ a core", TURN.sustained / 2e9),
        ("sustain {:.0f} × 10¹² a second", CARD / 1e12),
        ("busy {:.0f} % of the time", 100 * BUSY),
        ("{:,.0f} tokens for each agent", head_tokens()),
        ("one machine of {:.0f} cores", CORES),
        ("`disk_mb`: {:,.0f} by default", Settings().engine.prefixes.disk_mb),
    ],
)
def test_the_words_have_the_same_figures(says: str, figure: float) -> None:
    assert says.format(figure) in WORDS


def test_what_is_concluded_follows() -> None:
    """A turn of a 3B model on 16 cores in some three minutes; the default disk has two agents' heads."""
    model = find_short_name("llama3.2:3b")
    assert model is not None
    seconds = 2 * 3.21e9 * (TURN.computed + TURN.answered) / (TURN.sustained / 2 * CORES) / BUSY
    assert 150 < seconds < 210
    heads = Settings().engine.prefixes.disk_mb * 2**20 / need(Demand(1), model, TURN).heads
    assert 1.4 < heads < 2.4
