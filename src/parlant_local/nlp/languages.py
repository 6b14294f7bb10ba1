"""Whether texts are English: a light look at letters and function words, for embedders that know no other language."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["LanguageWatch"]

_WORD = re.compile(r"[^\W\d_]+")
_ENOUGH_WORDS = 40
_LAST_WORD = 4000
_FOREIGN_SCRIPT_SHARE = 0.3
_LAST_LATIN = 0x024F

# Words that only one side has: "die", "in", "no", "so", "he" or "me" would say nothing.
_ENGLISH = frozenset(
    "the of and to is are was were that this with for you your have has it be from they their we our not what which when how "
    "can will would should if or by at an as about there been do does did customer".split()
)
_OTHERS = frozenset(
    # German, Dutch
    "der das und ist nicht ein eine einen dem den mit für auf auch wir sie ich wie oder wenn kann wird sind haben zu "
    "het een van zijn niet met voor dat wij jij ze maar wordt naar ook "
    # French, Spanish, Portuguese, Italian
    "le la les des du est pas une avec pour dans que qui sur vous nous je ou et ce cette "
    "el los las una con por para del como más pero su está usted nosotros y "
    "o os um uma não com em do da dos das você mais seu são "
    "il gli di che per non sono con come più della nel "
    # Polish, Swedish, Turkish
    "jest nie się na do że jak czy w z och att det som är för på inte med ett ve bir bu için ile mi değil".split()
) - {"do", "on", "me", "a", "i"}


class LanguageWatch:
    """Looks at texts until it knows that many are not English, or has seen enough."""

    def __init__(self) -> None:
        self._words = self._english = self._others = self._foreign_letters = self._letters = 0
        self._done = False

    def sees_another_language(self, texts: Iterable[str]) -> bool:
        """True once: when the texts so far are mostly not English."""
        if self._done:
            return False
        for text in texts:
            for word in _WORD.findall(text.casefold()):
                self._count(word)
        self._done = self._words >= _LAST_WORD or (self._words >= _ENOUGH_WORDS and self._is_foreign)
        return self._done and self._is_foreign

    def _count(self, word: str) -> None:
        # A script without spaces makes one word of a sentence.
        self._words += 1 if ord(word[0]) <= _LAST_LATIN else max(len(word) // 3, 1)
        self._letters += len(word)
        self._foreign_letters += sum(ord(letter) > _LAST_LATIN for letter in word)
        self._english += word in _ENGLISH
        self._others += word in _OTHERS

    @property
    def _is_foreign(self) -> bool:
        if self._foreign_letters > _FOREIGN_SCRIPT_SHARE * self._letters:
            return True
        return self._others >= _ENOUGH_WORDS // 8 and self._others > self._english
