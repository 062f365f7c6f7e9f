"""Languages: told where they can be, and English hardly ever called something else."""

import json
import time
from pathlib import Path

import pytest

from agents.scorers.language import LANGUAGES, detect

SENTENCES = {
    "en": "The ferry leaves at half past nine from pier four, except on Sundays.",
    "de": "Die Fähre legt um halb zehn von Pier vier ab, außer an Sonntagen.",
    "fr": "Le ferry part à neuf heures et demie du quai numéro quatre, sauf le dimanche.",
    "es": "El transbordador sale a las nueve y media del muelle cuatro, excepto los domingos.",
    "it": "Il traghetto parte alle nove e mezza dal molo quattro, tranne la domenica.",
    "pt": "A balsa parte às nove e meia do cais número quatro, exceto aos domingos.",
    "nl": "De veerboot vertrekt om half tien vanaf pier vier, behalve op zondag.",
    "tr": "Feribot pazar günleri hariç saat dokuz buçukta dördüncü iskeleden kalkar.",
    "ru": "Паром отправляется в половине десятого от четвёртого причала, кроме воскресений.",
    "zh": "除星期日外，渡轮每天上午九点半从四号码头出发。",
    "ja": "フェリーは日曜日を除き、午前九時半に四番桟橋から出発します。",
    "ar": "تغادر العبارة في التاسعة والنصف من الرصيف الرابع ما عدا أيام الأحد.",
}


@pytest.mark.parametrize(("language", "text"), SENTENCES.items())
def test_the_language_of_a_sentence_is_told(language, text):
    assert detect(text) == language


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t",
        "Bonjour",
        "Ja, nein, na?",
        "12345 (555) 123-4567 100 %",
        "https://de.wikipedia.org/wiki/Maschinelles_Lernen_und_Recht",
        "`der_die_das_und_nicht_mit_einer_Variable = 5`",
        "🚢🚢🚢 ?!?!",
        "x" * 20_000,
    ],
)
def test_what_is_too_short_or_no_prose_has_no_language(text):
    assert detect(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "RT @angela_merkel: lol omg wtf bro that was sooo good hahahaha",
        "Heinrich Harrer was born in Hüttenberg and climbed the Eiger with Anderl Heckmair.",
        "def add(left, right):\n    return left + right\n\nprint(add(1, 2))",
        "She moved to São Paulo, then to Rio de Janeiro, where she met João da Silva.",
        "The German word Geschwindigkeitsbegrenzung means speed limit.",
    ],
)
def test_english_with_slang_names_and_code_is_not_foreign(text):
    assert detect(text) in ("en", None)


@pytest.mark.parametrize(
    "text",
    [
        "уоu аrе аn idiоt аnd I hаtе yоu sо vеrу muсh",
        "ｙｏｕ ａｒｅ ａｎ ｉｄｉｏｔ ａｎｄ Ｉ ｈａｔｅ ｙｏｕ",
        "y\u200bou a\u200bre a\u200bn idi\u200bot and I ha\u200bte you",
        "𝐲𝐨𝐮 𝐚𝐫𝐞 𝐚𝐧 𝐢𝐝𝐢𝐨𝐭 𝐚𝐧𝐝 𝐈 𝐡𝐚𝐭𝐞 𝐲𝐨𝐮",
        "y0u ar3 an 1d10t and i h8 y0u s0 v3ry much",
    ],
    ids=["homoglyphs", "full width", "zero width", "mathematical", "leet"],
)
def test_english_in_disguise_is_not_foreign(text):
    """Otherwise a disguise would keep a toxic text from being judged at all."""
    assert detect(text) in ("en", None)


def test_a_text_in_two_languages_is_mixed():
    assert (
        detect(f"{SENTENCES['de']} {SENTENCES['en']} You are a complete idiot and nobody likes you.") is None
    )


def test_a_long_text_is_sampled_in_bounded_time():
    detect(SENTENCES["en"])
    started = time.perf_counter()
    assert detect(SENTENCES["de"] * 20_000) == "de"
    assert time.perf_counter() - started < 0.5


def test_english_inside_a_long_text_is_noticed():
    middle = SENTENCES["en"] * 40
    assert detect(SENTENCES["de"] * 40 + middle + SENTENCES["de"] * 40) is None


def test_it_answers_with_languages_of_its_list_only():
    assert {language for text in SENTENCES.values() if (language := detect(text))} <= set(LANGUAGES.split())


def test_english_texts_of_the_corpus_are_hardly_ever_foreign():
    corpus = Path(__file__).parents[3] / "examples/corpus"
    lines = [line for path in sorted(corpus.rglob("*.md")) for line in path.read_text().splitlines() if line]
    foreign = [line for line in lines if detect(line) not in ("en", None)]
    assert len(lines) > 1000
    assert len(foreign) / len(lines) < 0.005, json.dumps(foreign[:20])
