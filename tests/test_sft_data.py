"""Examples for SFT: which tokens are learned, the templates to the letter, and what is left out or refused."""

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.errors import InputError
from tagsmith.processors.explained_tags import read_explained_tags, write_explained_tags
from tagsmith.processors.instag.instagger_example import instagger_example
from tagsmith.processors.instag.tagger import InsTagTagger
from tagsmith.processors.rows import to_rows
from tagsmith.processors.tag_instruct.encoder import TagEncoder
from tagsmith.processors.tags.distilled_tagger import distilled_example, distilled_messages
from tagsmith.trainers.base_model import BaseModel
from tagsmith.trainers.chat_template import read_chat_template, takes_input
from tagsmith.trainers.sft_data import NOT_LEARNED, prepare_examples
from tagsmith.trainers.sft_examples import instagger_examples, knowledge_tagger_examples, student_examples
from tagsmith.trainers.tiny_model import build_tiny_model

TEXTS = ["How are you? I am well.", "Sort these dates.", "### Instruction: ### Response: USER ASSISTANT"]
ALPACA = "Below is an instruction that describes a task"
TASK = "Write a response that appropriately completes the request.\n\n### Instruction:\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_tiny_model(tmp_path_factory.mktemp("base") / "tiny", TEXTS)


@pytest.fixture
def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


def turns(*texts):
    """A conversation that the user begins."""
    roles = ("user", "assistant")
    return [{"role": roles[place % 2], "content": text} for place, text in enumerate(texts)]


def prepare(tokenizer, *conversations, max_length=512, **options):
    rows = Dataset.from_list([{"id": f"row {n}", "messages": of} for n, of in enumerate(conversations)])
    return prepare_examples(rows, tokenizer, max_length=max_length, **options)


def learned(tokenizer, row):
    """The text of the tokens that are learned."""
    return tokenizer.decode([label for label in row["labels"] if label != NOT_LEARNED])


# --- what is learned ----------------------------------------------------------------------------------------------


def test_only_answers_are_learned(tokenizer):
    (row,) = prepare(tokenizer, turns("How are you?", "I am well.", "And now?", "Still well.")).train
    assert tokenizer.decode(row["input_ids"]) == (
        "<|begin|>user\nHow are you?<|end|>\n<|begin|>assistant\nI am well.<|end|>\n"
        "<|begin|>user\nAnd now?<|end|>\n<|begin|>assistant\nStill well.<|end|>\n"
    )
    assert learned(tokenizer, row) == "I am well.<|end|>\nStill well.<|end|>\n"
    assert len(row["labels"]) == len(row["input_ids"])
    assert {
        (a, b) for a, b in zip(row["input_ids"], row["labels"], strict=True) if b != NOT_LEARNED and a != b
    } == set()


def test_the_last_answer_alone(tokenizer):
    (row,) = prepare(tokenizer, turns("How are you?", "I am well.", "And now?", "Still well."), answers="last").train
    assert learned(tokenizer, row) == "Still well.<|end|>\n"
    assert "I am well." in tokenizer.decode(row["input_ids"])


def test_what_follows_the_last_answer_is_cut_off(tokenizer):
    (row,) = prepare(tokenizer, turns("How are you?", "I am well.", "And now?")).train
    assert "And now?" not in tokenizer.decode(row["input_ids"])


def test_raw_text_ends_with_the_end_token(tokenizer):
    rows = Dataset.from_list([{"prompt": "Query: a Assistant:", "completion": ' [{"tag": "b"}]'}])
    (row,) = prepare_examples(rows, tokenizer, max_length=512).train
    assert tokenizer.decode(row["input_ids"]) == 'Query: a Assistant: [{"tag": "b"}]<|end|>'
    assert learned(tokenizer, row) == ' [{"tag": "b"}]<|end|>'


def test_the_tokens_are_those_of_trl(tokenizer, folder, tmp_path):
    """TRL's own preparation of the same prompts and completions, as the reference."""
    pairs = [("How are you?", "I am well."), ("Sort these dates.", "  indented\n\n"), ("é…?", "日本語 🙂 `x`")]
    theirs = Dataset.from_list([{"prompt": turns(a), "completion": turns(a, b)[1:]} for a, b in pairs])
    config = SFTConfig(str(tmp_path), use_cpu=True, bf16=False, report_to="none", max_length=512)
    model = AutoModelForCausalLM.from_pretrained(folder)
    expected = SFTTrainer(model, config, train_dataset=theirs, processing_class=tokenizer).train_dataset
    ours = prepare(tokenizer, *(turns(*pair) for pair in pairs)).train
    assert ours["input_ids"][:] == expected["input_ids"][:]
    assert ours["labels"][:] == expected["labels"][:]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="<"), min_size=1), min_size=2, max_size=6))
def test_learned_tokens_are_the_answers_whatever_they_say(texts):
    tokenizer = _property_tokenizer()
    answers = [text for text in texts[1::2] if text.strip()]
    conversation = turns(*texts)
    if not answers:
        with pytest.raises(InputError, match="none of the 1 examples has an answer to learn"):
            prepare(tokenizer, conversation, max_length=10**6)
        return
    (row,) = prepare(tokenizer, conversation, max_length=10**6).train
    assert learned(tokenizer, row) == "".join(f"{answer}<|end|>\n" for answer in answers)


_MADE = []


def _property_tokenizer():
    """One for all examples that hypothesis makes, which fixtures of a function's scope cannot be."""
    if not _MADE:
        import tempfile

        with tempfile.TemporaryDirectory() as place:
            _MADE.append(AutoTokenizer.from_pretrained(build_tiny_model(f"{place}/tiny", TEXTS)))
    return _MADE[0]


# --- the templates ------------------------------------------------------------------------------------------------


def rendered(tokenizer, name, messages, **beside):
    tokenizer.chat_template = read_chat_template(name, tokenizer)
    return tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=messages[-1]["role"] == "user", **beside
    )


@pytest.mark.parametrize(
    ("messages", "extra", "expected"),
    [
        (turns("Hi."), None, f"{ALPACA}. {TASK}Hi.\n\n### Response:"),
        (
            turns("Add."),
            "1 2",
            f"{ALPACA}, paired with an input that provides further context. {TASK}Add.\n\n### Input:\n1 2\n\n"
            "### Response:",
        ),
        (turns("Hi.", "Yo."), None, f"{ALPACA}. {TASK}Hi.\n\n### Response:Yo.<|end|>"),
        (
            turns("Hi.", "Yo.", "So?"),
            None,
            f"{ALPACA}. {TASK}Hi.\n\n### Response:Yo.<|end|>\n\n### Instruction:\nSo?\n\n### Response:",
        ),
        (
            [{"role": "system", "content": "Be brief."}, *turns("Hi.")],
            "x",
            "Be brief.\n\n### Instruction:\nHi.\n\n### Input:\nx\n\n### Response:",
        ),
    ],
)
def test_the_alpaca_template(messages, extra, expected, tokenizer):
    assert rendered(tokenizer, "alpaca", messages, **({"input": extra} if extra else {})) == expected


def test_the_vicuna_template(tokenizer):
    assert rendered(tokenizer, "vicuna", turns("Hi.", "Yo.", "So?")) == (
        "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed,"
        " and polite answers to the user's questions. USER: Hi. ASSISTANT: Yo.<|end|>USER: So? ASSISTANT:"
    )


def test_a_template_begins_as_its_tokenizer_does(tokenizer):
    assert rendered(tokenizer, "alpaca", turns("Hi.")).startswith("Below is")
    begin = ("<|begin|>", tokenizer.bos_token_id)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<|begin|> $A", special_tokens=[begin])
    assert rendered(tokenizer, "alpaca", turns("Hi.")).startswith("<|begin|>Below is")
    (row,) = prepare(tokenizer, turns("Hi.", "Yo.")).train
    assert row["input_ids"].count(tokenizer.bos_token_id) == 1


def test_an_input_is_set_apart_where_the_template_does_that(tokenizer):
    rows = to_rows(Dataset.from_list([{"instruction": "Add.", "input": "1 2", "output": "3"}]))
    examples = student_examples(rows)
    own = prepare_examples(examples, tokenizer, max_length=512).train[0]
    assert "user\nAdd.\n\n1 2<|end|>" in tokenizer.decode(own["input_ids"])
    tokenizer.chat_template = read_chat_template("alpaca", tokenizer)
    assert takes_input(tokenizer.chat_template)
    alpaca = prepare_examples(examples, tokenizer, max_length=512).train[0]
    assert tokenizer.decode(alpaca["input_ids"]).endswith(
        "### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:3<|end|>"
    )
    assert learned(tokenizer, alpaca) == "3<|end|>"


# --- what is left out, and what is refused ------------------------------------------------------------------------


def test_what_is_left_out_is_counted(tokenizer):
    data = prepare(tokenizer, turns("a", "b"), turns("a", " "), turns("a"), turns("a", "long " * 200), max_length=64)
    assert (len(data.train), data.rows, data.left_out) == (1, 4, {"no_answer": 2, "too_long": 1})
    assert learned(tokenizer, data.train[0]) == "b<|end|>\n"


def test_equal_first_prompts_stay_on_one_side(tokenizer):
    conversations = [turns(f"question {n % 10}", f"answer {n}") for n in range(40)]
    data = prepare(tokenizer, *conversations, evaluation_share=0.3)
    asked = [
        {tokenizer.decode(row["input_ids"]).partition("<|end|>")[0] for row in part}
        for part in (data.train, data.evaluation)
    ]
    assert (len(data.train), len(data.evaluation)) == (28, 12)
    assert not asked[0] & asked[1]


BACKWARDS = "{% for m in messages|reverse %}{{ m.content }}<|end|>{% endfor %}"
NO_END = "{% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}{{ 'assistant: ' if add_generation_prompt }}"
PICKY = "{{ raise_exception('no system messages') }}"


@pytest.mark.parametrize(
    ("rows", "template", "said"),
    [
        ([], None, r"there are no examples \(0 rows\)"),
        ([{"text": "a"}], None, "the examples have the columns text; expected messages, or prompt and completion"),
        ([{"messages": turns("a")}], None, "none of the 1 examples has an answer to learn"),
        (
            [{"messages": turns("a", "b c d" * 99)}],
            None,
            "all 1 examples are longer than max_length = 64 .*shortest has",
        ),
        ([{"id": "x", "messages": [{"role": "user", "content": None}]}], None, "example x: messages must be a list of"),
        ([{"id": "x", "prompt": "a", "completion": None}], None, "example x: prompt and completion must be texts"),
        (
            [{"id": "x", "messages": turns("a", "b")}],
            BACKWARDS,
            "example x: the chat template writes message 1 in another",
        ),
        (
            [{"id": "x", "messages": turns("a", "b")}],
            NO_END,
            "example x: the chat template ends an answer with no special",
        ),
        ([{"id": "x", "messages": turns("a", "b")}], PICKY, r"refuses these messages \(no system messages\)"),
    ],
)
def test_bad_examples(rows, template, said, tokenizer):
    if template:
        tokenizer.chat_template = template
    examples = Dataset.from_list(rows) if rows else Dataset.from_dict({"messages": []})
    with pytest.raises(InputError, match=said) as raised:
        prepare_examples(examples, tokenizer, max_length=64)
    assert "\n" not in str(raised.value)


def test_a_shipped_template_gives_a_bare_model_one(folder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer.chat_template = None
    model.save_pretrained(tmp_path / "bare")
    tokenizer.save_pretrained(tmp_path / "bare")
    with pytest.raises(InputError, match=r"no chat template, .*one of ours: alpaca, vicuna"):
        BaseModel.open(str(tmp_path / "bare"))
    assert BaseModel.open(str(tmp_path / "bare"), needs_chat_template=False).tokenizer.chat_template is None
    assert "### Response:" in BaseModel.open(str(tmp_path / "bare"), chat_template="alpaca").tokenizer.chat_template


# --- from rows to examples ----------------------------------------------------------------------------------------

TAGGED = {"raw_tags": ["Sort", "rare"], "tag_explanations": ["It sorts.", "It is rare."]}


def test_a_student_learns_from_any_shape():
    alpaca = student_examples(to_rows(Dataset.from_list([{"instruction": "a", "input": "", "output": "b"}])))
    assert alpaca[0]["messages"] == turns("a", "b")
    assert alpaca[0]["input"] is None
    share = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}, {"from": "human", "value": "c"}]
    chat = student_examples(to_rows(Dataset.from_list([{"conversations": share}])))
    assert chat[0]["messages"] == turns("a", "b", "c")
    # An evolved row still has its seed's input, but no longer its text.
    evolved = Dataset.from_list([{"id": "1", "instruction": "Harder.", "input": "1 2", "response": "b"}])
    assert student_examples(evolved)[0]["input"] is None


def test_what_an_instagger_learns_is_what_it_is_asked(store_path):
    example = instagger_example("Sort these dates.", [("sorting", "It sorts.")])
    row = {"id": "1", "instruction": "Sort these dates."}
    endpoint = Endpoint("offline:", store=store_path)
    assert InsTagTagger(endpoint=endpoint, format="instagger").render(row)[0].prompt == example["prompt"]
    assert TagEncoder(endpoint=endpoint, variant="model").render(row)[0].prompt == example["prompt"]
    assert example["completion"] == ' [{"tag": "sorting", "explanation": "It sorts."}]'
    assert read_explained_tags(example["completion"]) == [("sorting", "It sorts.")]
    paper = instagger_example("Sort these dates.", [("sorting", "It sorts.")], format="instagger_paper")
    assert InsTagTagger(endpoint=endpoint, format="instagger_paper").render(row)[0].prompt == paper["prompt"]
    with pytest.raises(InputError, match="format 'own' is unknown; expected one of instagger, instagger_paper"):
        instagger_example("a", [("b", "c")], format="own")


def test_an_instagger_learns_raw_or_canonical_tags():
    rows = Dataset.from_list([{"id": "1", "instruction": "Sort.", **TAGGED}])
    assert read_explained_tags(instagger_examples(rows)[0]["completion"]) == [
        ("Sort", "It sorts."),
        ("rare", "It is rare."),
    ]
    canonical = instagger_examples(rows, canonical={"Sort": "sorting", "rare": None})
    assert read_explained_tags(canonical[0]["completion"]) == [("sorting", "It sorts.")]
    none = instagger_examples(rows, canonical={"Sort": None, "rare": None})
    assert none[0] == {"id": "1", "prompt": "Sort.", "completion": ""}


def test_each_turn_of_a_conversation_is_a_query_of_its_own():
    row = {"id": "1", "instruction": "Sort.", "messages": turns("Sort.", "Done.", "Why?"), **TAGGED}
    rows = Dataset.from_list([row | {"turn_tags": [["Sort"], ["rare", "Sort"]]}])
    examples = instagger_examples(rows)
    assert [read_explained_tags(text) for text in examples["completion"]] == [
        [("Sort", "It sorts.")],
        [("rare", "It is rare."), ("Sort", "It sorts.")],
    ]
    assert ["Sort." in examples[0]["prompt"], "Why?" in examples[1]["prompt"]] == [True, True]
    with pytest.raises(InputError, match="row 1 has 2 user turns and no turn_tags for each"):
        instagger_examples(Dataset.from_list([row]))


def test_a_knowledge_tagger_sees_problem_answer_and_history():
    messages = turns("Hello.", "Hi.", "What is 2 + 2?", "4")
    rows = Dataset.from_list(
        [
            {"id": "1", "instruction": "2 + 2?", "response": "4", "messages": None, **TAGGED},
            {"id": "2", "instruction": "Hello.", "response": "4", "messages": messages, **TAGGED},
            {
                "id": "3",
                "instruction": "Untagged.",
                "response": None,
                "messages": None,
                "raw_tags": [],
                "tag_explanations": [],
            },
        ]
    )
    flat, chat, untagged = knowledge_tagger_examples(rows)["messages"]
    pairs = [("Sort", "It sorts."), ("rare", "It is rare.")]
    assert flat == distilled_example("2 + 2?", "4", pairs)["messages"]
    assert chat == distilled_example("What is 2 + 2?", "4", pairs, history=messages[:2])["messages"]
    assert "user: Hello.\n\nassistant: Hi." in chat[0]["content"]
    assert read_explained_tags(chat[1]["content"]) == pairs
    assert untagged == distilled_messages("Untagged.", None)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"raw_tags": ["a"], "tag_explanations": []}, "row 1 has 1 raw_tags and 0 tag_explanations; expected one"),
        ({"raw_tags": list("abcdef"), "tag_explanations": list("abcdef")}, "row 1 has 6 tags in 'raw_tags', but"),
        ({"tags": ["a"]}, "the rows have no column 'raw_tags', they have id, instruction, tags; give a tagged dataset"),
    ],
)
def test_rows_that_no_tagger_can_learn_from(row, said):
    rows = Dataset.from_list([{"id": "1", "instruction": "a", **row}])
    with pytest.raises(InputError, match=said):
        knowledge_tagger_examples(rows)


@given(st.lists(st.tuples(st.text(min_size=1).filter(str.strip), st.text()), min_size=1, max_size=5))
def test_tags_written_are_tags_read(pairs):
    assert read_explained_tags(write_explained_tags(pairs)) == [(tag.strip(), said.strip()) for tag, said in pairs]


@pytest.mark.parametrize("pairs", [[], [("a", ""), ("  ", "x")]])
def test_tags_that_are_none_cannot_be_learned(pairs):
    with pytest.raises(InputError, match="expected at least one, none blank"):
        write_explained_tags(pairs)
