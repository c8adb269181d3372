"""PreferencePairs: which tags make a pair, what the messages say, what is rejected, and that TRL trains on it."""

import random

import pytest
from datasets import Dataset, Features, List, Value
from datasets.fingerprint import Hasher
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_instruct.expansion_prompt import expansion_messages, parse_completion
from tagsmith.processors.tag_instruct.preference_pairs import PAIR_FEATURES, PreferencePairs

TEXT = Value("string")
CANDIDATE = {"tag": TEXT, "explanation": TEXT, "status": TEXT, "reason": TEXT, "score": Value("float64")}


def candidate(tag, score, explanation="", status="ok"):
    return {"tag": tag, "explanation": explanation, "status": status, "reason": "", "score": score}


def row(*candidates, id="r1", **changed):
    return {
        "id": id,
        "instruction": "List books.",
        "base_tags": ["listing", "books"],
        "candidates": list(candidates),
    } | changed


def rows(*made):
    features = Features({"id": TEXT, "instruction": TEXT, "base_tags": List(TEXT), "candidates": List(CANDIDATE)})
    return Dataset.from_list(list(made), features=features)


def mapped(pairs, dataset):
    return dataset.map(pairs, batched=True, features=pairs.features(dataset.features), load_from_cache_file=False)


THREE = (candidate("low", -0.2), candidate("top", 0.3), candidate("middle", 0.1))


def test_worst_pairs_the_highest_with_the_lowest_score():
    assert PreferencePairs(way="worst").pair(row(*THREE)) == {
        "prompt": expansion_messages("List books.", ["listing", "books"]),
        "chosen": [{"role": "assistant", "content": "top"}],
        "rejected": [{"role": "assistant", "content": "low"}],
        "chosen_tag": "top",
        "rejected_tag": "low",
        "chosen_score": 0.3,
        "rejected_score": -0.2,
        "margin": 0.5,
    }


def test_random_takes_any_other_and_the_rows_id_decides_which():
    pairs = PreferencePairs()
    drawn = {number: pairs.pair(row(*THREE, id=f"r{number}"))["rejected_tag"] for number in range(40)}
    assert set(drawn.values()) == {"low", "middle"}
    assert drawn == {number: pairs.pair(row(*THREE, id=f"r{number}"))["rejected_tag"] for number in drawn}
    other = PreferencePairs(seed=1)
    assert drawn != {number: other.pair(row(*THREE, id=f"r{number}"))["rejected_tag"] for number in drawn}


def test_of_equal_scores_the_earlier_is_the_better():
    tied = (candidate("a", 0.3), candidate("b", 0.3), candidate("c", 0.1), candidate("d", 0.1))
    pair = PreferencePairs(way="worst").pair(row(*tied))
    assert (pair["chosen_tag"], pair["rejected_tag"]) == ("a", "d")


def test_candidates_that_are_not_valid_take_no_part():
    beside = (
        candidate("best", 0.9, status="rejected"),
        candidate(None, None),
        candidate("worst", -0.9, status="rejected"),
    )
    pair = PreferencePairs(way="worst").pair(row(*beside, *THREE))
    assert (pair["chosen_tag"], pair["rejected_tag"]) == ("top", "low")


def test_with_explanation_the_completion_reads_back_and_the_prompt_asks_for_it():
    explained = (candidate("top", 0.3, "it adds depth"), candidate("low", 0.1, "it adds\nlittle"), candidate("no", 0.0))
    pair = PreferencePairs(way="worst", explain=True).pair(row(*explained))
    assert pair["prompt"] == expansion_messages("List books.", ["listing", "books"], explain=True)
    for side, tag, explanation in (("chosen", "top", "it adds depth"), ("rejected", "low", "it adds little")):
        completion = parse_completion(pair[side][0]["content"])
        assert (completion.tag, completion.explanation) == (tag, explanation)


def test_without_explanation_the_completion_is_the_tag_alone():
    explained = (candidate("top", 0.3, "why"), candidate("low", 0.1, "why not"))
    assert PreferencePairs().pair(row(*explained))["chosen"][0]["content"] == "top"


@pytest.mark.parametrize(
    ("candidates", "explain", "reason"),
    [
        ([], False, "too_few: 0 distinct valid candidates; a pair needs two"),
        ([candidate("a", 0.1)], False, "too_few: 1 distinct valid candidates; a pair needs two"),
        ([candidate("a", 0.1), candidate("a", 0.1)], False, "too_few: 1 distinct valid candidates; a pair needs two"),
        (THREE, True, "too_few: 0 distinct valid candidates with an explanation; a pair needs two"),
        ([candidate("a", 0.1), candidate("b", 0.1)], False, "equal_scores: all 2 candidates have the score 0.1"),
    ],
)
@pytest.mark.parametrize("way", ["random", "worst"])
def test_rows_without_a_preference_are_rejected_with_the_reason(way, candidates, explain, reason):
    dataset = rows(row(*candidates), row(*(candidate(t, s, "why") for t, s in (("x", 0.1), ("y", 0.2))), id="r2"))
    made = mapped(PreferencePairs(way=way, explain=explain), dataset)
    assert made["status"][:] == ["rejected", "ok"]
    assert made["reason"][:] == [reason, ""]
    assert {name: made[0][name] for name in PAIR_FEATURES} == dict.fromkeys(PAIR_FEATURES)
    assert made["chosen_tag"][1] == "y"


def test_a_row_rejected_before_passes_through():
    dataset = rows(row(*THREE), row(*THREE, candidates=None, base_tags=None, id="r2"))
    dataset = dataset.add_column("status", ["ok", "rejected"]).add_column("reason", ["", "unparsed: x"])
    made = mapped(PreferencePairs(), dataset)
    assert made["reason"][:] == ["", "unparsed: x"]
    assert made["prompt"][1] is None


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from([-1.0, 0.0, 1.0]), st.booleans()), max_size=6),
    st.sampled_from(["random", "worst"]),
)
def test_the_pair_holds_what_it_says_whatever_the_candidates(made, way):
    score_of = {tag: score for tag, score, _ in reversed(made)}  # a tag has one score: that of its first mention
    candidates = [candidate(tag, score_of[tag], status="ok" if valid else "rejected") for tag, _, valid in made]
    valid = {tag: score_of[tag] for tag, _, is_valid in made if is_valid}
    pair = PreferencePairs(way=way).pair(row(*candidates))
    if len(set(valid.values())) < 2:
        assert isinstance(pair, str)
        return
    assert pair["chosen_score"] == valid[pair["chosen_tag"]] == max(valid.values())
    assert pair["rejected_score"] == valid[pair["rejected_tag"]] < pair["chosen_score"]
    assert pair["margin"] == pair["chosen_score"] - pair["rejected_score"]
    if way == "worst":
        assert pair["rejected_score"] == min(valid.values())


def test_the_order_of_rows_does_not_matter():
    made = [row(*random.Random(n).sample(THREE, 3), id=f"r{n}") for n in range(12)]
    forwards = mapped(PreferencePairs(), rows(*made)).to_list()
    backwards = mapped(PreferencePairs(), rows(*reversed(made))).to_list()
    assert forwards == backwards[::-1]


def test_another_prompt_gives_another_fingerprint(tmp_path):
    prompt = tmp_path / "mine.jinja"
    prompt.write_text("Tags so far: {{ tags }}. Task: {{ instruction }}. One more tag:", encoding="utf-8")
    mine = PreferencePairs(prompt=str(prompt))
    assert mine.pair(row(*THREE))["prompt"][0]["content"].startswith("Tags so far: listing, books. Task: List books.")
    assert Hasher.hash(mine) != Hasher.hash(PreferencePairs()) == Hasher.hash(PreferencePairs())


def test_what_does_not_fit_is_an_error():
    with pytest.raises(InputError, match="'best' is unknown; expected random or worst"):
        PreferencePairs(way="best")
    with pytest.raises(InputError, match="row r1: candidate 'a' has no score; run TagScorer"):
        PreferencePairs().pair(row(candidate("a", None), candidate("b", 0.1)))
    with pytest.raises(InputError, match="column 'candidates' is missing"):
        PreferencePairs()({"id": ["r1"], "instruction": ["x"], "base_tags": [["a"]]})


def test_trl_prepares_the_pairs_as_they_are(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from trl import DPOConfig, DPOTrainer

    pairs = mapped(PreferencePairs(), rows(row(*THREE), row(*THREE, id="r2")))
    text = " ".join(
        message["content"] for pair in pairs for name in ("prompt", "chosen", "rejected") for message in pair[name]
    )
    splitter = pre_tokenizers.Whitespace()
    words = dict.fromkeys(["<unk>", "<pad>", "<s>", "</s>", "user", "assistant"])
    words |= dict.fromkeys(word for word, _ in splitter.pre_tokenize_str(text))
    backend = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = splitter
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    tokenizer.chat_template = (
        "{% for m in messages %}<s> {{ m.role }} {{ m.content }} </s> {% endfor %}"
        "{% if add_generation_prompt %}<s> assistant {% endif %}"
    )
    size = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = LlamaConfig(vocab_size=len(words), max_position_embeddings=512, **size)
    model, reference = LlamaForCausalLM(config), LlamaForCausalLM(config)
    arguments = DPOConfig(
        str(tmp_path), use_cpu=True, bf16=False, report_to=[], max_steps=1, save_strategy="no", disable_tqdm=True
    )
    trainer = DPOTrainer(model, reference, args=arguments, train_dataset=pairs, processing_class=tokenizer)
    prepared = trainer.train_dataset
    assert len(prepared) == 2
    decoded = tokenizer.decode(prepared[0]["chosen_ids"])
    assert decoded.split() == ["top", "</s>"]
    assert tokenizer.decode(prepared[0]["prompt_ids"]).split()[:2] == ["<s>", "user"]
    assert trainer.train().global_step == 1
