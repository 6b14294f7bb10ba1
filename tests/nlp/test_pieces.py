"""What a reader sees of a message while it is written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from parlant_local.engine.text import TextAssembler
from parlant_local.messages import ChatChunk, Delta, Usage
from parlant_local.nlp import LocalNLPService
from parlant_local.nlp.pieces import Pieces
from parlant_local.observability import NullLogger
from parlant_local.settings import Settings
from tests.fakes.scripted import ScriptedBackend

FAMILY = "👩‍👩‍👧‍👦"
MARKS = "Z̷̡̈a̋l̃g̀o"
UNITS = [
    FAMILY, "🇫🇷🇩🇪", "👍🏽", "❤️", "1️⃣", "e\u0301", MARKS, "각", "\u1112\u1161\u11ab", "नमस्ते", "ไทย", "မြန်မာ", "한국어 문장", "日本語。", "中文，",
    "word ", "two words. ", "\r\n", "𝒳", "اَلْعَرَبِيَّةُ ", "\u200d", "\ufe0f", " \u0301", "a", "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
]  # fmt: skip


def cut(text: str, size: int) -> list[str]:
    pieces = Pieces()
    shown = [pieces.feed(text[start : start + size]) for start in range(0, len(text), size)]
    return [piece for piece in (*shown, pieces.finish()) if piece]


def graphemes(text: str) -> list[str]:
    return regex.findall(r"\X", text)


@given(st.lists(st.sampled_from(UNITS), max_size=60).map("".join), st.integers(1, 9))
def test_no_grapheme_is_ever_cut(text: str, size: int) -> None:
    pieces = cut(text, size)
    assert "".join(pieces) == text
    assert [sign for piece in pieces for sign in graphemes(piece)] == graphemes(text)


@given(st.text(max_size=200), st.integers(1, 9))
def test_nor_of_any_other_text(text: str, size: int) -> None:
    pieces = cut(text, size)
    assert [sign for piece in pieces for sign in graphemes(piece)] == graphemes(text)


@pytest.mark.parametrize(
    "unit", [FAMILY, "🇫🇷", "❤️", "漢", "か", "สวัสดี", "中文的句子，", "ကျွန်"], ids=["family", "flag", "heart", "han", "kana", "thai", "clause", "burmese"]
)  # fmt: skip
def test_scripts_without_spaces_come_as_they_are_written(unit: str) -> None:
    pieces = cut(unit * 512, 1)
    assert len(pieces) > 50
    assert max(len(graphemes(piece)) for piece in pieces) <= 12


def test_words_are_whole_and_come_a_few_at_a_time() -> None:
    text = "The quick brown fox, it's said, jumps over the lazy dog's 3.14 tails. " * 20
    pieces = cut(text, 3)
    assert all(piece.endswith(" ") for piece in pieces)
    assert all(1 <= len(piece.split()) <= 4 for piece in pieces)


def test_punctuation_stays_with_what_it_closes() -> None:
    pieces = cut("他说：“你好，世界。”然后走了。" * 10, 1)
    assert not any(piece[0] in "，。”：" for piece in pieces)


def test_what_has_no_end_is_cut_somewhere() -> None:
    pieces = cut("https://shop.example/" + "a1" * 400 + " end", 4)
    assert len(pieces) > 3
    assert len(pieces[0]) < 200


def test_a_slow_model_shows_every_word() -> None:
    pieces = Pieces()
    assert pieces.feed("Hello there", hurry=True) == "Hello "
    assert pieces.feed(" 漢字", hurry=True) == "there 漢"


WRITTEN = {
    "thai": "สวัสดีครับ ร้านของเราเปิดตั้งแต่เก้าโมงเช้าถึงสองทุ่มทุกวันยกเว้นวันอาทิตย์ครับ",
    "lao": "ສະບາຍດີ ຮ້ານຂອງພວກເຮົາເປີດແຕ່ເກົ້າໂມງເຊົ້າ",
    "khmer": "សួស្តី ហាងរបស់យើងបើកពីម៉ោងប្រាំបួនព្រឹករៀងរាល់ថ្ងៃលើកលែងតែថ្ងៃអាទិត្យ",
    "burmese": "မင်္ဂလာပါ ကျွန်ုပ်တို့ဆိုင်သည် နံနက်ကိုးနာရီတွင်ဖွင့်ပါသည်",
    "tai tham": "ᩈ᩠ᩅᩢᩔ᩠ᨯᩦᨣᩕᩢ᩠ᨷᨾᩣᨲᩮᩬᩥ᩶ᨦ",
    "javanese": "ꦱꦸꦒꦼꦁꦫꦮꦸꦃꦏꦁꦩꦶꦠꦿꦲꦶꦁꦏꦁꦏꦶꦤꦲꦺꦴꦂꦩꦠ꧀ꦠꦤ꧀",
    "tibetan": "བཀྲ་ཤིས་བདེ་ལེགས། ང་ཚོའི་ཚོང་ཁང་ཉིན་ལྟར་སྒོ་འབྱེད།",
    "hindi": "नमस्ते, क्षमा करें। हमारी दुकान सुबह नौ बजे खुलती है और स्त्रियों के वस्त्र भी मिलते हैं।",
    "bengali": "নমস্কার, আমাদের দোকান সকাল নয়টায় খোলে এবং বিশ্বস্ত।",
    "arabic": "مَرْحَبًا، يَفْتَحُ مَتْجَرُنَا فِي السَّاعَةِ التَّاسِعَةِ صَبَاحًا؛ أَهْلًا وَسَهْلًا ﷺ بِكُمْ.",
    "hebrew": "שָׁלוֹם, הַחֲנוּת שֶׁלָּנוּ נִפְתַּחַת בְּתֵשַׁע בַּבֹּקֶר.",
    "korean": "안녕하세요, 저희 가게는 오전 아홉 시에 문을 엽니다.",
    "korean jamo": "안녕 하세요 가게는 ㅋㅋㅋ",
    "japanese": "いらっしゃいませ。当店は午前９時に開店します、か゛んばって。",
    "chinese": "您好，我们的商店早上九点开门，晚上八点关门。𠮷野家在旁边。",
    "emoji": "👩‍👩‍👧‍👦👨🏽‍🚀🏳️‍🌈🏴‍☠️🇫🇷🇩🇪👍🏿❤️‍🔥1️⃣🏴󠁧󠁢󠁥󠁮󠁧󠁿🧑🏻‍🤝‍🧑🏿",
    "marks": "Z̷̡̈a̋l̃g̀o e\u0301tude naïve",
}


@pytest.mark.parametrize("script", WRITTEN)
async def test_every_script_streams_as_it_is_written_and_no_sign_is_broken(script: str) -> None:
    """Through the real service, the model's bytes one by one, as the engine assembles them."""
    text = f"{WRITTEN[script]} " * 6

    class Backend(ScriptedBackend):
        async def chat_stream(self, messages: Any, **options: Any) -> AsyncIterator[ChatChunk]:
            assembler = TextAssembler()
            for byte in text.encode():
                yield ChatChunk(Delta(content=assembler.feed(bytes([byte]))))
            yield ChatChunk(Delta(content=assembler.finish()))
            yield ChatChunk(finish_reason="stop", usage=Usage(1, len(text)))

    service = LocalNLPService(Backend(), settings=Settings(), logger=NullLogger())
    result = (await service.get_streaming_text_generator()).generate("hi")
    pieces = [piece async for piece in result.stream]
    assert pieces.pop() is None
    assert "".join(piece or "" for piece in pieces) == text
    shown = [graphemes(piece or "") for piece in pieces]
    assert [sign for signs in shown for sign in signs] == graphemes(text)
    assert max(map(len, shown)) <= 40, "it comes in one piece"


async def test_two_thousand_emoji_stream_through_the_generator() -> None:
    class Backend(ScriptedBackend):
        async def chat_stream(self, messages: Any, **options: Any) -> AsyncIterator[ChatChunk]:
            for _ in range(2048):
                yield ChatChunk(Delta(content="👩‍"))
                yield ChatChunk(Delta(content="👧"))
            yield ChatChunk(finish_reason="stop", usage=Usage(1, 4096))

    service = LocalNLPService(Backend(), settings=Settings(), logger=NullLogger())
    stream = (await service.get_streaming_text_generator()).generate("hi").stream
    pieces = [piece async for piece in stream]
    assert pieces.pop() is None
    assert len(pieces) > 200
    assert "".join(piece or "" for piece in pieces) == "👩‍👧" * 2048
    assert all(len(piece or "") % 3 == 0 for piece in pieces)
