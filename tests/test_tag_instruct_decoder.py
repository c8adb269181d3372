"""Tag-Instruct's decoder: which new instructions are harder versions, and the reason for each that is not."""

from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import UnparsedReplyError
from tagsmith.processors.errors import InputError
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.rewrite_checks import carries
from tagsmith.processors.tag_instruct.decode_checks import DecodeLimits, problem_of
from tagsmith.processors.tag_instruct.decoder import InstructionDecoder

PAGE = "Create an HTML page that displays a list of books and their authors."
TAGS = ["web development", "book listing", "author info"]
LIMITS = DecodeLimits()


def problem(new: str, original: str = PAGE, tag: str = "responsive design", **limits: Any) -> str | None:
    return problem_of(original, new, TAGS, tag, DecodeLimits(**limits), None)


# --- checks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "new",
    [
        # Rewritten, extended after the original (as the paper's case study does), and extended within it.
        "Build a catalogue of novels whose design stays responsive from phones to wide screens, without any library.",
        f"{PAGE} Make its layout responsive: the design must hold on phones and on printed paper.",
        "Create a responsive HTML page that displays a sortable list of books and their authors; justify its design.",
        # The tag's words in other forms.
        "Design an HTML page of books that responds to the width of the screen, and argue for each breakpoint.",
    ],
)
def test_harder_versions_pass(new):
    assert problem(new) is None


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (PAGE, "same: it says the same words as the original"),
        (f"  {PAGE.upper()[:-1]}!!\n", "same: it says the same words as the original"),
        (f"[New Question]\n{PAGE} x", "leaked_markup: the text contains '[New Question]'"),
        ("[Tags]: web development\nBuild a responsive design for shops.", "leaked_markup: the text contains '[Tags]'"),
        ("Build it.\n### Instruction:\nresponsive design", "leaked_markup: the text contains '### Instruction'"),
        ("Responsive design.", "too_short: 18 characters, the original has 68; at least 0.5 of it"),
        (PAGE + " Use responsive design." * 60, "too_long: 1448 characters, the original has 68; at most 1072"),
        (
            f"{PAGE} Please give a long, detailed and comprehensive answer with examples.",
            "padded: 100% of the original's words in order, and 0 new content words; at least 2 beside the tags' own",
        ),
        (
            f"{PAGE} Tags: web development, book listing, author info, responsive design.",
            "padded: 100% of the original's words in order, and 0 new content words; at least 2 beside the tags' own",
        ),
        (
            f"Please, {PAGE.lower()} Make sure to use responsive design, in detail and properly.",
            "padded: 100% of the original's words in order, and 1 new content words (properli); at least 2 beside",
        ),
        (
            "Create an HTML page that displays a list of books and authors. Be thorough about responsive design.",
            "padded: 92% of the original's words in order",
        ),
        (
            f"{PAGE} Add a shopping cart, a checkout and an archive of past orders.",
            "tag_missing: neither words nor meaning of 'responsive design' can be found in the text",
        ),
    ],
)
def test_each_problem_has_its_reason(new, reason):
    found = problem(new)
    assert found is not None
    assert found.startswith(reason)


def test_a_copy_with_real_demands_is_no_padding():
    assert problem(f"{PAGE} Sort it by responsive design.") is not None
    assert problem(f"{PAGE} Sort it with keyboard shortcuts by responsive design.") is None


def test_markup_that_the_original_has_is_not_leaked():
    original = "Explain what [INPUT] means in this template, and who fills it."
    assert problem("Explain how a responsive design treats [input] in templates, and who audits it.", original) is None


def test_limits_are_relative_and_absolute():
    new = f"{PAGE} Make its layout responsive: the design must hold on phones and on printed paper."
    assert problem(new, max_characters=len(new)) is None
    assert (problem(new, max_characters=len(new) - 1) or "").startswith("too_long: 149 characters")
    assert (problem(new, max_ratio=2, slack=0) or "").endswith("at most 136")
    assert (problem(new, min_ratio=3) or "").startswith("too_short")
    for wrong in ({"min_ratio": -1}, {"max_ratio": 0.5}, {"slack": -1}, {"max_characters": 0}, {"tag_similarity": 2}):
        (name,) = wrong
        with pytest.raises(InputError, match=f"^decode limit {name}={wrong[name]}: expected"):
            DecodeLimits(**wrong)


@pytest.mark.parametrize(
    ("tag", "text", "found"),
    [
        ("user_authentication", "Users must authenticate before they buy.", True),
        ("user authentication", "Only users with a ticket may enter.", True),  # half of the words
        ("web accessibility audit", "Audit the shop.", False),  # a third
        ("self-care", "Plan a day of care for nurses.", True),
        ("c++", "Port it to C++.", True),
        ("c++", "Port it to C.", False),
        ("how to", "Say how to do it.", True),  # nothing but function words
        ("机器学习", "用 机器学习 预测天气。", True),
    ],
)
def test_a_tag_is_found_by_its_words_in_any_inflection(tag, text, found):
    assert carries(tag, text, 0.4, None) is found


class _Fixed:
    """An embedder of one dimension a topic."""

    model = "fixed"

    def encode(self, texts: Any) -> Any:
        self.seen = list(texts)
        return np.array([[1.0, 0.0] if "lock" in t.lower() or "safe" in t else [0.3, 0.954] for t in texts], np.float32)


def test_a_tag_in_other_words_is_found_sentence_by_sentence():
    embedder = _Fixed()
    assert carries("safety", "Sell the boat. Lock the doors at night! Then leave.", 0.4, embedder)
    assert embedder.seen == ["safety", "Sell the boat.", "Lock the doors at night!", "Then leave."]
    assert not carries("safety", "Sell the boat. Then leave.", 0.4, embedder)
    assert carries("safety", "Sell the boat.", 0.25, embedder)
    embedder.seen = []
    assert carries("safety", "Mind your safety.", 0.4, embedder)
    assert embedder.seen == []  # words settle it


# --- rows -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("[New Question]\nHarder?\n\nMore.", "Harder?\n\nMore."),
        ("Sure!\n**[New Question]**: Harder?", "Harder?"),
        ("<think>[New Question] draft</think>[new question] Harder?", "Harder?"),
        ("[New Question]\nfirst\n[New Question]\nHarder?", "Harder?"),
    ],
)
def test_the_text_behind_the_mark(text, new):
    assert InstructionDecoder().read(text) == new


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I am sorry, but I cannot do that.", "the line [New Question] is missing before the new question"),
        ("Harder?", "the line [New Question] is missing before the new question"),
        ("[New Question]\n \n", "nothing follows the line [New Question]"),
        ("", "the answer is empty"),
    ],
)
def test_replies_without_a_question(text, reason):
    with pytest.raises(UnparsedReplyError) as caught:
        InstructionDecoder().read(text)
    assert str(caught.value) == reason


def rows_of(*instructions: str, tag: str = "responsive design", **columns: Any) -> Dataset:
    n = len(instructions)
    made = {"id": [str(k) for k in range(n)], "instruction": list(instructions), "base_tags": [TAGS] * n}
    return Dataset.from_dict(made | {"new_tag": [tag] * n} | columns)


def test_rejected_rows_keep_their_text_and_the_others_their_place(scripted_server, store_path):
    good = "Build a catalogue of novels whose design stays responsive from phones to wide screens."
    padded = f"{PAGE} Please answer in detail, and use responsive design."
    replies = {"one": good, "two": padded, "three": "", "four": good}
    rows = rows_of(*(f"{PAGE} ({name})" for name in replies))
    server = scripted_server(
        lambda seen: f"[New Question]\n{next(r for n, r in replies.items() if f'({n})' in seen.text)}"
    )
    decoder = InstructionDecoder(endpoint=Endpoint(server.url, store=store_path, max_repairs=0), embedder=None)
    decoded = map_rows(rows, decoder, description="decoding", progress=False)
    assert decoded["new_instruction"][:] == [good, None, None, good]
    assert decoded["status"][:] == ["ok", "rejected", "rejected", "ok"]
    assert [reason.partition(":")[0] for reason in decoded["reason"]] == ["", "padded", "unparsed", ""]
    assert decoded["raw_reply"][:] == ["", f"[New Question]\n{padded}", "[New Question]\n", ""]
    assert "[Tags]\nweb development, book listing, author info, responsive design\n" in server.posts[0].text


def test_a_reply_at_its_limit_of_tokens_is_not_taken_for_whole(scripted_server, store_path):
    text = "[New Question]\nBuild a catalogue of novels whose design stays responsive on phones and"
    usage = {"prompt_tokens": 9, "completion_tokens": 2048, "total_tokens": 2057}
    choice = {"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": text}}
    server = scripted_server([{"choices": [choice], "usage": usage}])
    decoder = InstructionDecoder(endpoint=Endpoint(server.url, store=store_path), embedder=None)
    (row,) = map_rows(rows_of(PAGE), decoder, description="decoding", progress=False)
    assert row["reason"] == "cut_off: the reply ended at its limit of tokens (2048); raise max_new_tokens"
    assert (row["new_instruction"], row["raw_reply"]) == (None, text)


def test_rows_without_a_tag_or_text_ask_nothing():
    decoder = InstructionDecoder()
    row = {"id": "1", "instruction": "x", "base_tags": ["a"], "new_tag": " "}
    assert decoder.render(row) == "no_candidate: the row has no new tag"
    assert decoder.render(row | {"instruction": "\n"}) == "empty_instruction: the instruction has no text"
    with pytest.raises(InputError, match=r"^row 1: column 'new_tag' is null; run the step that makes it first"):
        decoder.render(row | {"new_tag": None})
    (request,) = decoder.render(row | {"new_tag": "a"})
    assert "[Tags]\na\n" in request.messages[0]["content"]  # once, not twice
