"""The documents say what the definitions say."""

from __future__ import annotations

from pathlib import Path

import pytest

from parlant_local.call_options.reference import replaced

PAGE = Path(__file__).parents[2] / "docs" / "chat.md"


def test_the_table_of_options_is_as_the_code_has_it() -> None:
    page = PAGE.read_text("utf-8")
    assert replaced(page) == page, "python -m parlant_local.call_options.reference writes it anew"


def test_a_page_without_the_marks_is_an_error() -> None:
    with pytest.raises(ValueError, match="no place"):
        replaced("# A page\n")
