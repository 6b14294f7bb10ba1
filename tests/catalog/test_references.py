"""References: what each way of writing means, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlant_local.catalog.lookup import find
from parlant_local.catalog.references import (
    HubReference,
    OllamaReference,
    PathReference,
    UrlReference,
    parse_reference,
)
from parlant_local.catalog.short_names import find_short_name, short_names
from parlant_local.errors import BadReferenceError, ModelNotFoundError

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("hf.co/user/repo:Q4_K_M", "hf.co/user/repo:Q4_K_M"),
        ("hf.co/user/repo", "hf.co/user/repo"),
        ("hf://user/repo:q8_0", "hf.co/user/repo:q8_0"),
        ("user/repo", "hf.co/user/repo"),
        ("user/repo:Q4_K_M", "hf.co/user/repo:Q4_K_M"),
        ("user/repo:q4_k_m", "hf.co/user/repo:q4_k_m"),
        ("user/repo:IQ4_XS", "hf.co/user/repo:IQ4_XS"),
        ("user/repo:UD-Q4_K_XL", "hf.co/user/repo:UD-Q4_K_XL"),
        ("user/repo:BF16", "hf.co/user/repo:BF16"),
        ("user/repo/file.gguf", "hf.co/user/repo/file.gguf"),
        ("user/repo/Q4/file-00001-of-00002.gguf", "hf.co/user/repo/Q4/file-00001-of-00002.gguf"),
        ("user/repo@v1.0:Q4_0", "hf.co/user/repo@v1.0:Q4_0"),
        ("https://huggingface.co/user/repo", "hf.co/user/repo"),
        ("https://huggingface.co/user/repo/resolve/main/a/file.gguf", "hf.co/user/repo@main/a/file.gguf"),
        ("https://huggingface.co/user/repo/blob/main/file.gguf?download=true", "hf.co/user/repo@main/file.gguf"),
        ("llama3.2:3b", "ollama://llama3.2:3b"),
        ("llama3.2", "ollama://llama3.2:latest"),
        ("ns/name:3b", "ollama://ns/name:3b"),
        ("ns/name:latest", "ollama://ns/name:latest"),
        (f"ns/name@{DIGEST}", f"ollama://ns/name@{DIGEST}"),
        ("ollama://llama3.2:3b", "ollama://llama3.2:3b"),
        ("ollama://ns/name", "ollama://ns/name:latest"),
        ("registry.example.com/ns/name:tag", "ollama://registry.example.com/ns/name:tag"),
        ("localhost:5000/ns/name", "ollama://localhost:5000/ns/name:latest"),
        ("127.0.0.1:5000/name:3b", "ollama://127.0.0.1:5000/library/name:3b"),
        ("https://ollama.com/library/llama3.2:3b", "ollama://llama3.2:3b"),
        ("https://example.com/models/m-Q4_K_M.gguf", "https://example.com/models/m-Q4_K_M.gguf"),
        ("https://user:pw@example.com/m.gguf?token=secret", "https://example.com/m.gguf"),
    ],
)
def test_what_users_write_is_read_as_they_mean_it(text: str, meaning: str) -> None:
    assert str(parse_reference(text)) == meaning
    if "user:pw" not in text:
        assert str(parse_reference(meaning)) == meaning


def test_paths_are_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "repo").write_bytes(b"")
    assert parse_reference("user/repo") == PathReference(tmp_path / "user" / "repo")
    for text in ("./m.gguf", f"{tmp_path}/m.gguf", f"file:{tmp_path}/m.gguf", f"file://{tmp_path}/m.gguf"):
        assert parse_reference(text) == PathReference(tmp_path / "m.gguf")
    assert parse_reference(f"file://{tmp_path}/a%20b.gguf") == PathReference(tmp_path / "a b.gguf")


def test_a_source_decides_what_the_name_leaves_open() -> None:
    assert isinstance(parse_reference("ns/name:Q4_0", "ollama"), OllamaReference)
    assert parse_reference("llama3.2:3b", "huggingface") == HubReference("bartowski/Llama-3.2-3B-Instruct-GGUF")
    assert isinstance(parse_reference("https://example.com/m.gguf", "custom"), UrlReference)
    registry = parse_reference("https://registry.example.com/ns/name:tag", "ollama")
    assert str(registry) == "ollama://registry.example.com/ns/name:tag"
    with pytest.raises(BadReferenceError, match="ollama reference"):
        parse_reference("ollama://x", "huggingface")
    with pytest.raises(BadReferenceError, match="Known"):
        parse_reference("x", "somewhere")


def test_a_mirror_is_a_hub_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_ENDPOINT", "https://mirror.example")
    assert str(parse_reference("https://mirror.example/user/repo/resolve/main/f.gguf")) == "hf.co/user/repo@main/f.gguf"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "../../etc/passwd\0",
        "user/..",
        "user/repo/../../../etc/x.gguf",
        "user/repo//x.gguf",
        "user/repo/a\\..\\b.gguf",
        "user/repo/" + "a" * 300 + ".gguf",
        "user/" + "r" * 200,
        "hf.co/../x",
        "hf.co/user/repo/resolve/../x.gguf",
        "hf://user/repo@../../x:Q4_0",
        "ollama://../x",
        "ollama://a/../b:c",
        "ollama://x:../y",
        "ollama://a/b/c/d",
        "name@sha256:zz",
        "https://example.com/readme.txt",
        "https://example.com/..%2f..%2fx.gguf/..",
        "https:///x.gguf",
        "ftp://example.com/m.gguf",
        "missing.gguf",
        "a/b/c",
        "user/repo:Q4_K_M/file.gguf",
        "x" * 3000,
    ],
)
def test_what_can_not_be_meant_is_refused(text: str) -> None:
    with pytest.raises(BadReferenceError):
        parse_reference(text)


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_a_typed_refusal(text: str) -> None:
    try:
        reference = parse_reference(text)
    except BadReferenceError:
        return
    if not isinstance(reference, PathReference | UrlReference):
        assert ".." not in str(reference).split("/")


def test_short_names_are_unique_and_sane() -> None:
    names = [entry.name for entry in short_names()]
    assert len(names) == len(set(names))
    for entry in short_names():
        assert isinstance(parse_reference(entry.name), OllamaReference)
        assert isinstance(parse_reference(entry.hub), HubReference)
        assert 0.4 < entry.q4_gb / entry.parameters < 0.9
    smallest = find_short_name("llama3.2")
    assert smallest is not None
    assert smallest.name == "llama3.2:1b"


@pytest.mark.parametrize(
    "text", [r"C:\models\m.gguf", "c:/models/m.gguf", r"\\server\share\m.gguf", r"models\m.gguf", r"..\m.gguf"]
)
def test_a_windows_path_is_a_path_everywhere(text: str) -> None:
    """Not a model ``C`` of the registry: on another system it is a file that does not exist."""
    assert isinstance(parse_reference(text), PathReference)
    with pytest.raises(ModelNotFoundError, match="does not exist"):
        find(text, {})
