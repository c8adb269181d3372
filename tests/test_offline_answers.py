"""What the offline endpoint answers: recognition of our prompts, tags, judges, guided output, settings and faults."""

import re
from collections import Counter

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.endpoint.offline import OfflineSettings, identity
from tagsmith.processors.endpoint.offline.answers import ANSWERS, instag, instag_judges
from tagsmith.processors.endpoint.offline.answers.cues import Reading, read_yaml, table
from tagsmith.processors.endpoint.offline.answers.instag import all_concepts, tags_of
from tagsmith.processors.endpoint.offline.answers.languages import foreign_language, languages
from tagsmith.processors.endpoint.offline.bodies import Parameters
from tagsmith.processors.endpoint.offline.draw import Draw
from tagsmith.processors.endpoint.offline.faults import Faults
from tagsmith.processors.endpoint.offline.generation import Generation, Prompt, generate, recognise
from tagsmith.processors.endpoint.offline.grammar import Shaper
from tagsmith.processors.endpoint.offline.keyphrases import keyphrases
from tagsmith.processors.endpoint.offline.regex_sample import NoMatchError, sample
from tagsmith.processors.endpoint.offline.schema_check import SchemaError, check_schema
from tagsmith.processors.endpoint.offline.tokens import token, tokenize, top_tokens
from tagsmith.processors.endpoint.offline.validation import Grammar
from tagsmith.processors.errors import InputError
from tagsmith.processors.prompt_template import PromptTemplate, shipped_templates

TAG = PromptTemplate.load("instag/tag")
REPAIR = PromptTemplate.load("repair")
AWKWARD = 'Two lines,\n\nbraces {{ x }} {"tags": []} \\ and \u2764\ufe0f.\n[request ends]\nmore'


def reply_to(
    text: str, query: str = "", grammar: Grammar | None = None, whole: str | None = None, seed: int | None = None
) -> Generation:
    """One reply, without a server."""
    offline = OfflineSettings.from_query(query)
    parameters = Parameters(do_sample=seed is not None, seed=seed)
    prompt = Prompt(text, whole or text)
    return generate(prompt, parameters, grammar, 4_000, offline, Faults(offline))


# Recognition


def test_every_shipped_prompt_has_an_answer_and_every_answer_a_prompt():
    assert {template.name for template in shipped_templates()} == set(ANSWERS)


@pytest.mark.parametrize("name", sorted(ANSWERS))
@pytest.mark.parametrize("around", ["{}", "{}\n", "\n\n  {} \n", "{}  "])
def test_a_rendered_prompt_is_recognised_again(name, around):
    template = PromptTemplate.load(name)
    values = {name: f"{AWKWARD} ({name})" for name in template.inputs}
    assert recognise(around.format(template.render(**values))) == (name, values)


def test_other_text_is_not_recognised():
    assert recognise("List the main intentions of this request") is None
    assert recognise(TAG.render(instruction="x").replace("Answer with JSON alone", "Answer")) is None


def test_a_repair_conversation_is_answered_as_its_first_message():
    first = TAG.render(instruction="Write a poem about the sea.")
    repair = REPAIR.render(reason="not JSON")
    joined = f"{first}\n\n{{broken\n\n{repair}"
    assert recognise(joined) == ("instag/tag", {"instruction": "Write a poem about the sea."})
    assert reply_to(joined).text == reply_to(first).text


# Tags


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("Write a poem about autumn leaves.", {"poetry writing"}),
        ("Write a haiku about my cat.", {"haiku", "poetry writing", "pets"}),
        ("Translate this sentence into French: The cat sleeps.", {"translation", "french language"}),
        ("Summarize the following article about vaccines in 50 words.", {"summarization", "medicine", "word limit"}),
        ("What are the pros and cons of electric cars?", {"pros and cons", "automotive"}),
        ("Write a Python function that reverses a string.", {"code generation", "programming", "python programming"}),
        ("Fix the bug in this Java program.", {"code debugging", "java programming"}),
        ("Solve the equation 3x + 5 = 20 for x.", {"math problem", "mathematics", "algebra"}),
        ("Suggest three vegetarian recipes for dinner.", {"recipe suggestion", "quantity", "nutrition"}),
        ("Classify these tweets as positive or negative.", {"text classification", "sentiment analysis"}),
        ("Extract all names from the text as JSON.", {"information extraction", "json format", "output format"}),
        ("Write a formal email to my boss asking for a raise.", {"email writing", "formal tone"}),
        ("Plan a five day trip to Japan on a budget.", {"travel planning", "travel", "geography", "price limit"}),
        ("Explain quantum entanglement to a 10 year old.", {"explanation", "physics", "audience for children"}),
        ("Act as a pirate and tell a joke.", {"role play", "joke writing"}),
        ("Is it safe to mix bleach and ammonia?", {"safety question"}),
    ],
)
def test_a_request_shows_its_tasks_domains_and_conditions(instruction, expected):
    shown = {found.concept.name for found in instag.concepts_of(instruction, Reading(instruction), None)}
    assert expected <= shown


def test_tags_follow_the_text():
    assert tags_of("Write a poem about the sea.", Draw(0)) != tags_of("Write a poem about taxes.", Draw(0))
    assert tags_of("Write a poem about the sea.", Draw(0)) == tags_of("Write a poem about the sea.", Draw(0))


def test_a_harder_request_gets_more_tags():
    plain = "Write a poem."
    hard = (
        "Write a funny poem for children about renewable energy in at most 80 words, then translate it into Spanish,"
        " explain the rhyme scheme step by step and return everything as JSON. Do not use the word 'sun'."
    )
    assert len(tags_of(plain, Draw(0))) < len(tags_of(hard, Draw(0)))


def test_broader_concepts_always_come_along():
    for text in ("Write a haiku.", "What is the derivative of x?", "Write a for loop.", "Find keywords in the text."):
        names = [found.concept.name for found in instag.concepts_of(text, Reading(text), None)]
        for name in names:
            for part in ("tasks", "domains", "conditions"):
                concept = table(part).concepts.get(name)
                assert concept is None or concept.parent is None or concept.parent in names


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=400))
def test_every_text_gets_1_to_10_different_tags_with_explanations(text):
    tags = tags_of(text, Draw(3))
    assert 1 <= len(tags) <= 10
    assert len({tag["tag"] for tag in tags}) == len(tags)
    assert all(tag.keys() == {"tag", "explanation"} for tag in tags)
    assert all(tag["tag"].strip() and tag["explanation"].endswith(".") for tag in tags)


def test_a_concept_is_worded_in_many_ways_most_often_in_its_own():
    concept = table("tasks").concepts["information request"]
    worded = Counter(instag.surface(concept, Draw("t", number)) for number in range(2_000))
    assert worded.most_common(1)[0][0] == "information request"
    assert {"Information Request", "information_request", "request for information"} <= worded.keys()
    assert 0.5 < worded["information request"] / 2_000 < 0.7


@pytest.mark.parametrize(
    ("text", "language", "concept"),
    [
        ("Schreib mir bitte ein Gedicht über den Herbst in der Stadt.", "german", "poetry writing"),
        ("Explique-moi pourquoi le ciel est bleu.", "french", "explanation"),
        ("Escribe una receta de cocina para la cena.", "spanish", "recipe suggestion"),
        ("请把这段话翻译成英文。", "chinese", "translation"),
        ("日本語で俳句を書いてください。", "japanese", "haiku"),
        ("이 글을 요약해 주세요.", "korean", "summarization"),
        ("Напиши рассказ о весне.", "russian", "story writing"),
        ("Напиши вірш про їжака.", "ukrainian", "poetry writing"),
        ("اكتب قصيدة عن البحر.", "arabic", "poetry writing"),
        ("כתוב סיפור על הים.", "hebrew", "story writing"),
        ("भारत पर एक कविता लिखो।", "hindi", "poetry writing"),
    ],
)
def test_other_languages_are_told_and_understood(text, language, concept):
    assert foreign_language(text) == language
    assert {concept, f"{language} language"} <= all_concepts(text)


def test_english_that_quotes_another_language_stays_english():
    assert foreign_language("Translate 'Guten Morgen, wie geht es dir?' into English for my friend.") is None
    assert foreign_language("What does 你好 mean in the Chinese language?") is None
    assert foreign_language("") is None


def test_the_cue_tables_are_whole():
    tables = {name: table(name) for name in ("tasks", "domains", "conditions")}
    known = {name for each in tables.values() for name in each.concepts}
    assert len(tables["tasks"].concepts) >= 120
    assert len(tables["domains"].concepts) >= 60
    for each in tables.values():
        assert all(concept.parent is None or concept.parent in known for concept in each.concepts.values())
    assert {concept for language in languages().values() for concept in language.cues.values()} <= known
    assert set(read_yaml("languages")) == set(languages())


def test_tag_prompts_are_answered_in_the_form_they_ask_for():
    instruction = "List 3 breakfast foods that are healthy."
    tags = orjson.loads(reply_to(TAG.render(instruction=instruction)).text)["tags"]
    for name in ("instag/instagger", "instag/instagger_paper"):
        bare = orjson.loads(reply_to(PromptTemplate.load(name).render(instruction=instruction)).text)
        assert bare == tags


# Judges


def test_precision_finds_the_planted_tag_and_no_other():
    query = "List 3 breakfast foods that are healthy."
    tags = [tag["tag"] for tag in tags_of(query, Draw(0))]
    tags.insert(1, "military history")
    lines = "\n".join(f"[tag {number}] {tag}" for number, tag in enumerate(tags))
    assert instag_judges.precision({"query": query, "tags": lines}, Draw(0)) == {"incorrect": [{"idx": 1}]}


def test_precision_knows_concepts_in_any_wording(monkeypatch):
    monkeypatch.setattr(instag_judges, "cosines", lambda left, right: pytest.fail("nothing here is doubtful"))
    lines = "[tag 0] Poem_Composition\n[tag 1] poetri write\n[tag 2] Writing Poetry\n[tag 3] sea"
    values = {"query": "Write a poem about the sea.", "tags": lines}
    assert instag_judges.precision(values, Draw(0)) == {"incorrect": []}


def test_consistency_finds_the_request_to_which_the_tag_does_not_apply():
    block = "\n".join(
        [
            "[instruction 0] Write a sonnet about the moon.",
            "[instruction 1] Compose a limerick,\nwith five lines.",
            "[instruction 2] What is the boiling point of mercury?",
            "[instruction 3] Create a poem for my mother's birthday.",
        ]
    )
    values = {"tag": "poetry writing", "instructions": block}
    assert instag_judges.consistency(values, Draw(0)) == {"inconsistent": [{"idx": 2}]}


# Unknown prompts and guided output


def test_an_unknown_prompt_gets_plain_text_from_its_keyphrases():
    text = reply_to("Tell me about volcanic eruptions in Iceland.").text
    assert "volcanic eruptions" in text
    assert not text.startswith(("{", "["))
    assert reply_to("?!").text  # nothing to go by, and still an answer


def test_keyphrases_are_runs_of_content_words():
    text = "Explain how machine learning helps doctors, and why solar panels need machine learning."
    assert keyphrases(text, 3) == ["machine learning", "solar panels", "doctors"]
    assert keyphrases(text, 3, min_words=2) == ["machine learning", "solar panels"]
    assert keyphrases("of the and to", 3) == []


@pytest.mark.parametrize(
    ("schema", "wanted", "expected"),
    [
        ({"properties": {"a": {"type": "string"}, "n": {"type": "integer"}}}, None, {"a": "w1", "n": 1}),
        ({"properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}, {"a": "y", "b": 1}, {"a": "y", "b": 1}),
        ({"properties": {"a": {"enum": ["x", "y"]}}, "additionalProperties": False}, {"a": "z", "b": 1}, {"a": "x"}),
        ({"properties": {"a": {"items": {"type": "string"}, "maxItems": 1}}}, {"a": ["p", "q"]}, {"a": ["p"]}),
        ({"properties": {"a": {"minItems": 2, "uniqueItems": True, "items": {"const": 1}}}}, None, SchemaError),
        ({"properties": {"a": {"minItems": 2, "uniqueItems": True, "items": {"enum": [1, 2]}}}}, None, {"a": [1, 2]}),
        ({"properties": {"a": {"uniqueItems": True, "items": {"type": "integer"}}}}, {"a": [3, 3]}, {"a": [3, 4]}),
        ({"properties": {"a": {"type": "array", "minItems": 2, "items": {"type": "integer"}}}}, None, {"a": [1, 1]}),
        ({"properties": {"n": {"type": "integer", "minimum": 5, "multipleOf": 4}}}, None, {"n": 8}),
        ({"properties": {"n": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.2}}}, None, {"n": 0.1}),
        ({"properties": {"s": {"type": "string", "maxLength": 2}}}, {"s": "long"}, {"s": "lo"}),
        ({"properties": {"s": {"type": ["null", "string"]}}}, {"s": None}, {"s": None}),
        ({"properties": {"s": {"anyOf": [{"type": "integer"}, {"type": "string"}]}}}, {"s": "t"}, {"s": "t"}),
        ({"properties": {"s": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"type": "boolean"}}}, None, {"s": True}),
        ({"allOf": [{"properties": {"a": {"const": 1}}}, {"required": ["a"]}], "properties": {}}, None, {"a": 1}),
        ({"properties": {"s": {"type": "string", "pattern": "^[0-9]{4}$"}}}, {"s": "2024"}, {"s": "2024"}),
        ({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}, None, SchemaError),
        ({"properties": {"a": False}, "required": ["a"]}, None, SchemaError),
        ({"properties": {"a": {"enum": []}}}, None, SchemaError),
        ({"properties": {"a": {"enum": [0, 1]}}}, {"a": True}, {"a": 0}),
    ],
)  # fmt: skip
def test_values_are_brought_into_a_schemas_shape(schema, wanted, expected):
    check_schema(schema)
    shaper = Shaper(schema, lambda: ["w1", "w2"], Draw(0))
    if expected is SchemaError:
        with pytest.raises(SchemaError):
            shaper.shape() if wanted is None else shaper.shape(wanted)
    else:
        assert (shaper.shape() if wanted is None else shaper.shape(wanted)) == expected


def test_a_schema_that_refers_to_itself_comes_to_an_end():
    tree = {"$ref": "#/$defs/tree"}
    schema = {
        "properties": {"tree": tree},
        "$defs": {"tree": {"properties": {"name": {"type": "string"}, "parts": {"type": "array", "items": tree}}}},
    }
    shaped = Shaper(schema, lambda: ["w"], Draw(0)).shape()
    assert shaped["tree"]["name"] == "w"
    assert shaped["tree"]["parts"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "text"},
        {"properties": []},
        {"properties": {"a": {"type": 5}}},
        {"required": "a"},
        {"required": [1]},
        {"anyOf": []},
        {"items": 3},
        {"minItems": -1},
    ],
)
def test_what_is_no_schema_is_refused(schema):
    with pytest.raises(SchemaError):
        check_schema(schema)


def test_a_known_prompt_keeps_its_answer_under_a_schema_that_fits():
    prompt = TAG.render(instruction="Write a poem about the sea.")
    free = orjson.loads(reply_to(prompt).text)
    item = {"type": "object", "properties": {"tag": {"type": "string"}, "explanation": {"type": "string"}}}
    schema = {"type": "object", "properties": {"tags": {"type": "array", "items": item}}, "required": ["tags"]}
    assert orjson.loads(reply_to(prompt, grammar=Grammar(schema=schema)).text) == free
    schema["properties"]["tags"]["maxItems"] = 2
    assert orjson.loads(reply_to(prompt, grammar=Grammar(schema=schema)).text) == {"tags": free["tags"][:2]}


@pytest.mark.parametrize(
    "pattern",
    [
        r"((25[0-5]|2[0-4]\d|[01]?\d\d?)\.){3}(25[0-5]|2[0-4]\d|[01]?\d\d?)",
        r"[1-6]",
        r"(yes|no|maybe)",
        r"\d{4}-\d{2}-\d{2}",
        r"^[A-Z][a-z]+( [A-Z][a-z]+)*$",
        r"(?P<quote>['\"])\w+(?P=quote)",
        r"[^\W\d]+@[^@\s]{3,9}\.(com|org)",
        r"\{\"score\": ?(10|[0-9])\}",
        r"(?:a|b){2,}?c*+",
        r"(?i:tag): .{5,20}",
        r"\bword\b",
        r"(?=.*\d)[a-z0-9]{4}",
        r"[^a-z]\S\s\W\D",
        r"(x)?y(?(1)z|w)",
        r"",
    ],
)
def test_a_drawn_string_matches_its_expression(pattern):
    for number in range(20):
        assert re.fullmatch(pattern, sample(pattern, Draw(number)))
    assert sample(pattern, Draw(1)) == sample(pattern, Draw(1))


def test_an_expression_that_nothing_matches_is_an_error():
    with pytest.raises(NoMatchError, match="no string"):
        sample(r"a(?!b)b", Draw(0))
    with pytest.raises(re.error):
        sample(r"(unclosed", Draw(0))


# Tokens


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300))
def test_tokens_join_to_the_text(text):
    assert "".join(tokenize(text)) == text


def test_tokens_carry_stable_ids_and_probabilities():
    assert tokenize("Hello world, 2024!") == ["Hello", " world", ",", " 202", "4", "!"]
    one = token(" world", 1)
    assert one == token(" world", 1)
    assert one.id == token(" world", 7).id
    likely = top_tokens(one, 5)
    assert likely[0] == one
    assert [each.logprob for each in likely] == sorted((each.logprob for each in likely), reverse=True)
    assert len({each.text for each in likely}) == 5
    assert all(each.logprob <= 0 for each in likely)


# Settings and identity


def test_settings_are_read_from_a_query():
    assert OfflineSettings.from_query("") == OfflineSettings()
    read = OfflineSettings.from_query("?malformed=0.05&latency_ms=20&fail=0.01&seed=1&max_concurrent_requests=256")
    assert read == OfflineSettings(malformed=0.05, latency_ms=20, fail=0.01, seed=1, max_concurrent_requests=256)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("malformd=1", "no setting 'malformd'; it has: malformed, latency_ms"),
        ("malformed=1.5", "malformed=1.5 must be a share between 0 and 1"),
        ("fail=nan", "fail=nan must be a share"),
        ("seed=x", "seed='x' is not a whole number"),
        ("seed=1.5", "seed='1.5' is not a whole number"),
        ("latency_ms=", "latency_ms='' is not a number"),
        ("latency_ms=-1", "latency_ms=-1.0 must be 0 to"),
        ("slow=0.1&slow=0.2", "'slow' is given twice"),
        ("max_total_tokens=100", "must be more than max_input_tokens"),
        ("max_concurrent_requests=0", "must be 1 or more"),
    ],
)
def test_wrong_settings_are_one_line_errors(query, words):
    with pytest.raises(InputError) as raised:
        OfflineSettings.from_query(query)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_identity_depends_on_what_changes_replies_and_on_nothing_else():
    plain = identity(OfflineSettings())
    assert plain[0] == "tagsmith/offline-rules"
    assert re.fullmatch("[0-9a-f]{40}", plain[1])
    slow = OfflineSettings(latency_ms=9, slow=0.5, fail=0.5, max_input_tokens=10, max_concurrent_requests=1)
    assert identity(slow) == plain
    shas = {identity(each)[1] for each in (OfflineSettings(seed=1), OfflineSettings(malformed=0.1))}
    assert len(shas | {plain[1]}) == 3


# Seeds


def test_replies_follow_the_servers_seed_and_the_requests():
    prompt = TAG.render(instruction="Give three tips for a healthy breakfast, in a friendly tone, for my students.")
    assert reply_to(prompt).text == reply_to(prompt).text
    assert len({reply_to(prompt, f"seed={number}").text for number in range(8)}) > 1
    assert len({reply_to(prompt, seed=number).text for number in range(8)}) > 1
    assert reply_to(prompt, seed=5) == reply_to(prompt, seed=5)


# Faults


def _useful(text: str) -> bool:
    try:
        tags = orjson.loads(text)["tags"]
        return bool(tags) and all({"tag", "explanation"} <= tag.keys() for tag in tags)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False


def _prompts(n: int) -> list[str]:
    return [TAG.render(instruction=f"Write {number} poems about the sea.") for number in range(n)]


def test_malformed_1_spoils_every_reply_in_many_ways():
    texts = [reply_to(prompt, "malformed=1").text for prompt in _prompts(150)]
    assert not any(map(_useful, texts))
    assert "" in texts
    assert any(text.startswith("```json") for text in texts)
    assert any(text.startswith("{") and not text.endswith("}") for text in texts)  # cut
    assert any(text.endswith(",}") for text in texts)
    assert any('"labels"' in text for text in texts)
    assert any(text and "{" not in text for text in texts)  # prose instead
    assert any(text and not text.startswith(("{", "`")) and '{"tags"' in text for text in texts)  # prose around


def test_malformed_1_also_spoils_empty_lists_and_plain_text():
    prompt = PromptTemplate.load("instag/precision").render(query="Write a poem.", tags="[tag 0] poetry writing")
    good = '{"incorrect":[]}'
    assert reply_to(prompt).text == good
    assert all(reply_to(prompt, f"malformed=1&seed={number}").text != good for number in range(20))
    assert (
        reply_to("Tell me about volcanic eruptions.", "malformed=1").text
        != reply_to("Tell me about volcanic eruptions.").text
    )


def test_malformed_is_a_share_and_a_repair_is_usually_answered_well():
    prompts = _prompts(600)
    useful = [_useful(reply_to(prompt, "malformed=0.3").text) for prompt in prompts]
    assert 0.22 < 1 - sum(useful) / len(useful) < 0.38
    assert useful[::-1] == [_useful(reply_to(prompt, "malformed=0.3").text) for prompt in prompts[::-1]]
    spoiled = [prompt for prompt, good in zip(prompts, useful, strict=True) if not good]
    repaired = [
        _useful(reply_to(prompt, "malformed=0.3", whole=f"{prompt}\n\nbad\n\n{REPAIR.render(reason='cut')}").text)
        for prompt in spoiled
    ]
    assert 0.55 < sum(repaired) / len(repaired) < 0.85


def test_failures_are_a_share_and_retries_succeed():
    requests = [f"request {number}".encode() for number in range(2_000)]

    def outcomes(order: list[bytes]) -> dict[bytes, list[int | None]]:
        faults = Faults(OfflineSettings(fail=0.3))
        seen: dict[bytes, list[int | None]] = {request: [] for request in order}
        for request in order:
            while failure := faults.failure(request):
                seen[request].append(getattr(failure, "status", None))
        return seen

    seen = outcomes(requests)
    failed = [statuses for statuses in seen.values() if statuses]
    assert 0.26 < len(failed) / len(requests) < 0.34
    assert {status for statuses in failed for status in statuses} == {500, 429, 503, None}
    assert {len(statuses) for statuses in failed} == {1, 2}
    assert outcomes(requests[::-1]) == seen
    assert not any(outcomes_of for outcomes_of in (Faults(OfflineSettings()).failure(r) for r in requests))


def test_a_share_of_requests_is_slow():
    faults = Faults(OfflineSettings(latency_ms=20, slow=0.1, slow_factor=50))
    delays = Counter(faults.delay_sec(f"request {number}") for number in range(2_000))
    assert delays.keys() == {0.02, 1.0}
    assert 0.07 < delays[1.0] / 2_000 < 0.13
    assert Faults(OfflineSettings(slow=1.0)).delay_sec("any") == 0.0
