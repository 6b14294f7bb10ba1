"""The thought before a verdict: the customer's words again, and what the condition has in common with them.

A verdict is one token, and comparing two sentences for it in one step is what a model of this size does not learn. Naming the
words that both have is copying, which it does; after them a verdict is easy.
"""

import re

from training.data.topics import GREETING, MEANINGS

NOTHING = "nothing"
_SAME = " Same: "
_WORD = re.compile(r"[a-z0-9][a-z0-9'_-]*", re.IGNORECASE)
_FRAME = frozenset(
    "a an the and or of to in on at for from by with about into over as is are am was be been being it its it's this that these those there here i "
    "i'm i'd i've i'll you your my me we our us they their them theirs he she his her who what which when where how why whether if do does did don't "
    "doesn't done can could would should will may might must have has had having not no yes so too very just then than out up off please thanks "
    "thank hello hi hey customer user client guest caller someone somebody asks ask asking asked wants want wishes wish needs need says say "
    "tells tell mentions mention knows know likes like would looking look talks talk reports complains certain information something anything "
    "question got get getting trying try some any more one else now also again".split()
)
_LONGEST = 4


def _stem(word: str) -> str:
    """Plurals and forms of a verb alike."""
    for ending in ("'s", "ies", "ing", "es", "ed", "s", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _content(text: str) -> list[str]:
    return [word for word in _WORD.findall(text) if word.lower() not in _FRAME]


def shared(condition: str, said: str, *, applies: bool) -> str:
    """The condition's words that the customer used, too; what both mean, where they have none; or "nothing"."""
    told = {_stem(word.lower()) for word in _content(said)}
    both = list(dict.fromkeys(word for word in _content(condition) if _stem(word.lower()) in told))
    if both:
        return " ".join(both[:_LONGEST])
    return _meaning(condition) if applies else NOTHING


def _meaning(condition: str) -> str:
    for rest, about in MEANINGS.items():
        if rest in condition:
            return about
    if any(condition.endswith(rest) for rest in GREETING[0]):
        return "greeting"
    return (_content(condition) or ["that"])[-1]


def reason(condition: str, said: str, *, applies: bool) -> str:
    """What is written before the verdict."""
    return f"They said: {said}{_SAME}{shared(condition, said, applies=applies)}"


def parted(text: str) -> tuple[str, str]:
    """The repetition, and what follows."""
    said, same, words = text.rpartition(_SAME)
    return (said, same + words) if same else (text, "")
