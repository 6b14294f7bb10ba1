"""What people ask about a picture, and what is answered. A wording of each kind is kept out of training."""

import numpy as np

COLOUR = (
    "What colour is it?", "What color is it?", "Which colour is it?", "Which color is it?", "What colour is the shape?",
    "What color is the shape?", "What is its colour?", "What is the color?", "What colour do you see?", "What color do you see?",
)  # fmt: skip
SHAPE = (
    "What shape is it?", "Which shape is it?", "What shape do you see?", "Which shape do you see?", "What is its shape?",
    "What is the shape?", "What shape does it have?", "Name the shape.",
)  # fmt: skip
BOTH = (
    "What is it?", "What do you see?", "What is in the picture?", "What is on the picture?", "Describe the picture.",
    "What does the picture show?", "Look at this. What is it?", "What is this?", "What can you see?", "Tell me what you see.",
    "What is shown in the picture?", "What have I drawn?",
)  # fmt: skip
UNSEEN = {"colour": "Tell me its color.", "shape": "Which shape does it have?", "both": "What is shown here?"}
KINDS = {"colour": COLOUR, "shape": SHAPE, "both": BOTH}
SYSTEMS = ("You are a helpful assistant.", "You answer questions.", "You are parlant-local-tiny.")

Turn = tuple[str, str]


def answer(kind: str, colour: str, shape: str) -> str:
    """The right sentence."""
    if kind == "colour":
        return f"It is {colour}."
    words = shape if kind == "shape" else f"{colour} {shape}"
    return f"It is {'an' if words[0] in 'aeiou' else 'a'} {words}."


def conversation(dice: np.random.Generator, colour: str, shape: str) -> list[Turn]:
    """One question about a picture, or two."""
    kinds = dice.permutation(list(KINDS))[: 2 if dice.random() < 0.15 else 1]
    return [(str(dice.choice(KINDS[kind])), answer(kind, colour, shape)) for kind in kinds]
