"""Names that become file names: safe on every system, whichever this is."""

from __future__ import annotations

import pytest

from parlant_local.catalog.names import check_component, slug
from parlant_local.errors import BadReferenceError


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "a\\b", "llama3.2:3b", "a*", "ends.", "ends ", "CON", "nul.gguf", "Aux .txt", "com1", "LPT\u00b2.bin", "a\nb"],
)  # fmt: skip
def test_a_name_that_some_system_refuses_is_refused_on_all(name: str) -> None:
    with pytest.raises(BadReferenceError):
        check_component(name)


@pytest.mark.parametrize(
    "name", ["conference.gguf", ".hidden", "common", "com10", "nullable.gguf", "a b.gguf", "日本語.gguf"]
)
def test_a_name_that_only_looks_like_one_is_taken(name: str) -> None:
    assert check_component(name) == name


@pytest.mark.parametrize("text", ["NUL", "con.gguf", "COM1", "llama3.2:3b", "...", "x" * 119 + "..y", "Aux"])
def test_whatever_people_write_becomes_a_name_that_every_system_takes(text: str) -> None:
    assert check_component(slug(text)) == slug(text)
