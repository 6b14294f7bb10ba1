"""What a tool returned is cut in replies as it is in the prompt."""

from training.chat import Piece
from training.data.quoting import as_quoted

SOURCE = """"arguments": {"name": "Lamp Braickzus"}, "result": {"in_stock": true, "station": "Mill Lane", "last_seen": "found in Lagos", "by": "Dr. Foo", "n": 72}"""


def cuts(said: str) -> list[str]:
    """The parts that are encoded apart."""
    pieces = as_quoted([Piece(said, 1.0, " word")], SOURCE)
    assert "".join(piece.text for piece in pieces) == said
    assert pieces[0].skipped == " word"
    assert {piece.weight for piece in pieces} == {1.0}
    return [piece.text for piece in pieces if piece.apart]


def test_names_and_values_begin_after_a_space_of_its_own() -> None:
    said = '"Hello! Here is what I found for Lamp Braickzus: station Mill Lane, last seen found in Lagos, by Dr. Foo, n 72."'
    assert cuts(said) == [
        " ", "Lamp Braickzus:", " ", "station", " ", "Mill Lane,", " ", "last", " ", "seen", " ", "found in Lagos,", " ", "by", " ", "Dr. Foo,",
        " ", 'n 72."',
    ]  # fmt: skip


def test_what_stands_nowhere_is_not_cut() -> None:
    assert cuts('"Here is what I found for 17: red."') == []
    assert cuts('"The station is Mill Lane."') == []
