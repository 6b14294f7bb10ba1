"""Conversations as training samples: text in pieces, each with the weight its tokens have in the loss."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from jinja2.sandbox import ImmutableSandboxedEnvironment

TEMPLATE = (Path(__file__).parent / "chat_template.jinja").read_text(encoding="utf-8").rstrip("\n")

PROMPT = 0.08
"""Weight of what the model reads: enough to learn the language it is spoken to in, no more."""
ANSWER = 1.0
SILENT = 0.0


class Piece(NamedTuple):
    """Some text, its weight in the loss, what was left out before it (its positions stay free), and whether it is encoded apart
    from what comes before it."""

    text: str
    weight: float
    skipped: str = ""
    apart: bool = False


@dataclass(frozen=True)
class Sample:
    """One sequence. `split` encodes each piece alone, as a decoder does whose schema forces some of the text."""

    pieces: tuple[Piece, ...]
    split: bool = False

    @property
    def text(self) -> str:
        """The whole sequence as one string."""
        return "".join(piece.text for piece in self.pieces)


Content = str | Sequence[Piece]


def system_text(system: str | None, tools: Sequence[dict[str, Any]]) -> str | None:
    """What the template writes into the system turn."""
    if not tools:
        return system
    head = f"{system}\n\n" if system else ""
    listed = "".join(f"\n{json.dumps(tool, ensure_ascii=False)}" for tool in tools)
    tail = "\n</tools>\nTo call one, write its name and arguments as JSON between <tool_call> and </tool_call>."
    return f"{head}You may call these functions:\n<tools>{listed}{tail}"


def chat(
    turns: Sequence[tuple[str, Content]],
    system: str | None = None,
    tools: Sequence[dict[str, Any]] = (),
    *,
    prompt_weight: float = PROMPT,
    split: bool = False,
) -> Sample:
    """Writes turns as the template does (`check.py` compares them); the assistant's turns carry the weight."""
    pieces: list[Piece] = []
    opening = system_text(system, tools)
    if opening is not None:
        pieces.append(Piece(f"<|im_start|>system\n{opening}<|im_end|>\n", prompt_weight))
    for role, content in turns:
        if role == "assistant":
            pieces.append(Piece("<|im_start|>assistant\n", SILENT))
            pieces += [Piece(content, ANSWER)] if isinstance(content, str) else content
            pieces += [Piece("<|im_end|>", ANSWER), Piece("\n", SILENT)]
        elif role == "tool":
            pieces.append(
                Piece(f"<|im_start|>user\n<tool_response>\n{content}\n</tool_response><|im_end|>\n", prompt_weight)
            )
        else:
            assert isinstance(content, str)
            pieces.append(Piece(f"<|im_start|>{role}\n{content}<|im_end|>\n", prompt_weight))
    return Sample(tuple(pieces), split)


def render(messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None = None, *, generate: bool = True) -> str:
    """Renders the shipped template the way Hugging Face does."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string(TEMPLATE).render(messages=messages, tools=tools, add_generation_prompt=generate)
