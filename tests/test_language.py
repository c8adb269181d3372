"""Languages are told from short instructions; code, numbers and what is too short are not guessed at."""

import pytest
from datasets import Dataset

from tagsmith.cards.language import Languages, detect_language, detect_languages

TEXTS = [
    ("en", "Write a short story about a lighthouse keeper."),
    ("en", "What is the capital of Peru?"),
    ("en", "Write a Python function that reverses a string s."),
    ("en", "Derive the slope of f(x) = x squared from its definition and show every step."),
    ("de", "Erkläre den Unterschied zwischen Liste und Tupel."),
    ("fr", "Écris une lettre de motivation pour un stage."),
    ("es", "Explica cómo funciona un motor eléctrico."),
    ("pt", "Escreva um resumo do texto a seguir em duas frases."),
    ("it", "Traduci questa frase in inglese, per favore."),
    ("nl", "Geef drie tips om beter te slapen."),
    ("pl", "Napisz krótkie opowiadanie o latarniku."),
    ("ru", "Напиши короткий рассказ о смотрителе маяка."),
    ("zh", "请解释列表和元组的区别。"),
    ("ja", "秋についての短い詩を書いてください。"),
    ("ko", "가을에 대한 짧은 시를 써 주세요."),
    ("ar", "اكتب قصة قصيرة عن حارس منارة."),
    ("hi", "पतझड़ के बारे में एक छोटी कविता लिखिए।"),
    ("tr", "Daha iyi uyumak için üç öneri ver."),
    ("vi", "Hãy viết một bài thơ ngắn về mùa thu."),
    ("th", "เขียนบทกวีสั้น ๆ เกี่ยวกับฤดูใบไม้ร่วง"),
]
NO_LANGUAGE = [
    "",
    "42",
    "Paris",
    "12 + 7 * 3 = 33",
    "A, C, D",
    "7:10, 7:30, 7:50, 8:10, 8:30",
    "def add(a, b):\n    return a + b",
    "SELECT name FROM users WHERE id = 3;",
    "for (int i = 0; i < n; i++) { sum += x[i]; }",
    "import os\nfor name in os.listdir('.'):\n    print(name)",
    '{"buyer": "Tessel", "target": "Nimbra", "price": 130000000}',
    "```python\n# says hello to everybody who comes by\nprint('hello')\n```",
    "https://example.org/a/long/address/with/english/words/in/it",
]


@pytest.mark.parametrize(("code", "text"), TEXTS)
def test_the_language_of_one_sentence(code, text):
    assert detect_language(text) == code


@pytest.mark.parametrize("text", NO_LANGUAGE)
def test_what_has_no_language_is_undetermined(text):
    assert detect_language(text) == "und"


def test_prose_around_code_counts():
    assert detect_language("Die Funktion gibt die Summe beider Zahlen zurück:\n```python\ndef f(a, b):\n```") == "de"


def test_shares_are_of_the_texts_that_there_are():
    rows = [
        {"instruction": "Erkläre den Unterschied zwischen Liste und Tupel.", "response": "x = [1]"},
        {"instruction": "What is the capital of Peru?", "response": ""},
        {"instruction": None, "response": "The capital of Peru is Lima, on the coast."},
    ]
    found = detect_languages(Dataset.from_list(rows))
    assert found == Languages(4, {"de": 0.25, "en": 0.5, "und": 0.25})
    assert found.codes == ["en", "de"]
    assert found.undetermined == 0.25


def test_conversations_are_read_too():
    turns = [{"role": "user", "content": "Quelle est la capitale du Pérou ?"}, {"role": "assistant", "content": "Lima"}]
    assert detect_languages(Dataset.from_list([{"messages": turns}])).shares == {"fr": 0.5, "und": 0.5}


def test_the_sample_is_spread_over_all_rows_and_the_same_every_time():
    german, english = "Erkläre den Unterschied zwischen Liste und Tupel.", "What is the capital of Peru?"
    rows = Dataset.from_dict({"instruction": [german] * 3000 + [english] * 1000})
    found = detect_languages(rows)
    assert found.texts == 500
    assert found.shares == {"de": 0.75, "en": 0.25}
    assert detect_languages(rows) == found


def test_no_rows_have_no_language():
    found = detect_languages(Dataset.from_dict({"instruction": []}))
    assert found == Languages(0, {})
    assert found.codes == []


def test_only_languages_of_one_text_in_twenty_get_into_the_metadata():
    found = Languages(1000, {"de": 0.04, "en": 0.8, "fr": 0.05, "und": 0.1, "ar": 0.004, "he": 0.006})
    assert found.codes == ["en", "fr"]
    assert found.words() == "en 80%, fr 5%, de 4%, 2 others 1%, undetermined 10%"
