"""Texts that an embedder for English is told of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parlant_local.nlp import LocalNLPService
from parlant_local.nlp.languages import LanguageWatch
from parlant_local.profiles.embedding import speaks_english_only
from tests.fakes.scripted import ScriptedBackend
from tests.nlp.test_embedder import embedding_backend

ENGLISH = [
    "The customer asks when the shop is open on Saturday, and whether it is closed on holidays.",
    "Café Müller's naïve résumé: order 4711 was shipped to Łódź by DHL; die-cut, in situ, de facto, la carte.",
    "Return the book within 30 days to get your money back, or exchange it for another one of the same price.",
    "customer_id order_id status shipped None null true false https://example.com/a?b=c def on_select(self) -> None",
]
OTHERS = {
    "de": "Der Kunde fragt, wann der Laden am Samstag geöffnet ist und ob er an Feiertagen geschlossen ist. Wir nehmen das Buch zurück.",
    "nl": "De klant vraagt wanneer de winkel op zaterdag open is en of het boek niet meer op voorraad is voor zijn bestelling.",
    "fr": "Le client demande quand le magasin est ouvert le samedi et si les livres sont retournés dans les trente jours avec une facture.",
    "es": "El cliente pregunta cuándo está abierta la tienda los sábados y si los libros se pueden devolver con una factura de la compra.",
    "pt": "O cliente pergunta quando a loja está aberta aos sábados e se os livros podem ser devolvidos com uma fatura da compra.",
    "it": "Il cliente chiede quando il negozio è aperto il sabato e se gli articoli della libreria non sono più disponibili per la vendita.",
    "pl": "Klient pyta, czy sklep jest otwarty w sobotę i że nie może oddać książki, bo się zniszczyła na poczcie. Czy to jest możliwe?",
    "tr": "Müşteri dükkânın cumartesi ne zaman açık olduğunu ve bir kitap için iade süresini soruyor; bu ürün kargo ile gönderildi mi?",
    "ru": "Клиент спрашивает, когда магазин открыт в субботу и закрыт ли он в праздники.",
    "ja": "お客様は土曜日の営業時間と返品の条件について質問しています。本は三十日以内に返品できます。",
    "zh": "顾客询问书店星期六的营业时间以及退货的条件。书可以在三十天之内退货，需要发票。",
    "ar": "يسأل العميل متى يفتح المتجر يوم السبت وهل يمكن إرجاع الكتب خلال ثلاثين يوما مع الفاتورة.",
    "ko": "고객이 토요일 영업 시간과 반품 조건을 묻습니다. 책은 삼십 일 이내에 반품할 수 있습니다.",
}


def test_english_is_left_alone() -> None:
    watch = LanguageWatch()
    assert not any(watch.sees_another_language([text]) for text in ENGLISH * 200)


@pytest.mark.parametrize("language", OTHERS)
def test_another_language_is_noticed_once(language: str) -> None:
    watch = LanguageWatch()
    assert [watch.sees_another_language([OTHERS[language]]) for _ in range(6)].count(True) == 1


def test_a_few_foreign_words_say_nothing() -> None:
    assert not LanguageWatch().sees_another_language(["Guten Tag, ich bin der Kunde und das ist nicht für mich."])
    watch = LanguageWatch()
    assert not watch.sees_another_language([*ENGLISH * 3, OTHERS["de"]])


@pytest.mark.parametrize(
    ("name", "alone"),
    [
        ("local/embedding/all-minilm-l6-v2", True),
        ("bge-small-en-v1.5-q8_0", True),
        ("nomic-embed-text-v1.5", True),
        ("e5-small-v2", True),
        ("bge-m3", False),
        ("multilingual-e5-large-instruct-q8_0", False),
        ("nomic-embed-text-v2-moe", False),
        ("embeddinggemma-300m", False),
        ("snowflake-arctic-embed2", False),
    ],
)
def test_models_by_their_names(name: str, alone: bool) -> None:
    assert speaks_english_only(name) == alone


async def test_the_log_says_it_once(caplog: pytest.LogCaptureFixture) -> None:
    for name, wanted in (("all-minilm-l6-v2", 1), ("bge-m3", 0)):
        caplog.clear()
        backend = embedding_backend()
        backend.info = replace(backend.info, id=f"local/embedding/{name}")
        embedder = await LocalNLPService(ScriptedBackend(), embedding_backend=backend).get_embedder()
        for number in range(20):
            await embedder.embed([f"{OTHERS['de']} {number}"])
        assert sum("knows English only" in message for message in caplog.messages) == wanted
