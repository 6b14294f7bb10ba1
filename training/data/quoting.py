"""What a tool returned, said in the tokens in which it stands in the prompt.

A value stands there after a quotation mark and is said after a space, and a vocabulary that joins spaces to words cuts the two
differently: "sh" "ipped" and " shipped". So the space is written alone, and the rest is a copy, token by token.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from training.chat import Piece

FOUND = "Here is what I found"
_WORD = re.compile(r" (\S+?)(?=[,.:?!]*(?:\s|$|\"))")


def as_quoted(pieces: list[Piece], source: str) -> list[Piece]:
    """With each reply that tells what was found cut where it takes up a string of ``source``."""
    out: list[Piece] = []
    for piece in pieces:
        if FOUND not in piece.text:
            out.append(piece)
            continue
        start = piece.text.index(FOUND)
        ends = [
            start,
            *(end for at in sorted(set(_starts(piece.text, start, source))) for end in (at, at + 1)),
            len(piece.text),
        ]
        out.append(piece._replace(text=piece.text[:start]))
        parts = [piece.text[one:other] for one, other in pairwise(ends)]
        out += [Piece(part, piece.weight, apart=bool(number)) for number, part in enumerate(parts)]
    return [piece for piece in out if piece.text]


def _starts(text: str, start: int, source: str) -> Iterator[int]:
    """Where the spaces stand before what a string of the source begins with."""
    for word in _WORD.finditer(text, start):
        end = word.end()
        further = text[word.start(1) : end + 2]
        said = (f'{word[1]}"', further, further.replace(" ", "_"))
        if not any(f'"{each}' in source for each in said):
            continue
        yield word.start()
        for further_on in _WORD.finditer(text, end):
            name = text[word.start(1) : further_on.end()].replace(" ", "_")
            if further_on.start() != end or f'"{name}' not in source:
                break
            end = further_on.end()
            yield further_on.start()
