"""`replay:` answers from a release what was answered then, rejects what was rejected then, and says what is missing."""

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from tagsmith.cards.content_hash import content_hash
from tagsmith.processors.endpoint.connect import close_clients, connect
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.recorded import open_recording
from tagsmith.processors.endpoint.request import Parameters, Request, UnparsedReplyError
from tagsmith.processors.endpoint.store import EXPORTED
from tagsmith.processors.endpoint.unrecorded import _shared
from tagsmith.processors.errors import EndpointError, InputError
from tagsmith.processors.instag.tagger import InsTagTagger
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.rows import to_rows
from tagsmith.recipes.dry_run import dry_run
from tagsmith.recipes.generations import collect_generations
from tagsmith.recipes.ranks import Ranks

PROMPT = PromptTemplate("own", "Tag this:\n{{ instruction }}")
DOWN = (503, {"error": "down"}, {"Retry-After": "9999"})  # past any deadline: given up without waiting
TAGS = '{"tags": [{"tag": "a", "explanation": "b"}]}'


def rows_of(*instructions: str) -> Dataset:
    return to_rows(Dataset.from_dict({"instruction": list(instructions)}))


def tag(uri: str, rows: Dataset, store: str | None = None, **settings: Any) -> tuple[Dataset, InsTagTagger]:
    """The tagged rows, by a client of their own."""
    close_clients()
    own = {name: settings.pop(name) for name in ("prompt", "parameters") if name in settings}
    tagger = tagger_at(Endpoint(uri, store=store, **settings), **own)
    return map_rows(rows, tagger, description="tagging", progress=False), tagger


def tagger_at(endpoint: Endpoint | str, **own: Any) -> InsTagTagger:
    return InsTagTagger(endpoint=endpoint, **{"prompt": PROMPT, "parameters": Parameters()} | own)


def write(folder: Path, generations: Dataset, rejected: Dataset | None = None, **manifest: Any) -> str:
    """A release as far as a replay looks at it; returns its URI."""
    configs = {"generations": generations} | ({} if rejected is None else {"rejected": rejected})
    shutil.rmtree(folder, ignore_errors=True)
    facts = {}
    for name, rows in configs.items():
        (folder / name).mkdir(parents=True)
        rows.to_parquet(folder / name / "train-00000-of-00001.parquet")
        facts[name] = {"train": {"rows": len(rows), "path": f"{name}/train-*.parquet"}}
    (folder / "manifest.json").write_text(json.dumps({"configs": facts} | manifest))
    return f"replay:{folder}"


def release(folder: Path, tagged: Dataset, tagger: InsTagTagger) -> str:
    rejected = tagged.filter(lambda row: row["status"] == "rejected")
    return write(folder, collect_generations(tagger.client.store, tagged), rejected)


def recorded(folder: Path, *requests: tuple[str, Request, str]) -> str:
    """A release of handmade generations: (model, request, text) each."""
    rows = []
    for model, request, text in requests:
        client = connect(Endpoint(write(folder, no_generations(), models=[{"model": model, "endpoint": "endpoint"}])))
        said = {"content": request.content.decode(), "parameters": request.parameters.as_json.decode()}
        rows.append(
            {"key": client.key_of(request).hex(), "model": model, **said, "sample": request.sample, "text": text}
        )
        close_clients()
    return write(folder, Dataset(pa.Table.from_pylist(rows, schema=EXPORTED)))


def no_generations() -> Dataset:
    return Dataset(EXPORTED.empty_table())


def chat(text: str, sample: int = 0, **parameters: Any) -> Request:
    return Request(Parameters(**parameters), messages=({"role": "user", "content": text},), sample=sample)


def refusal(uri: str, *requests: Request, rows: list[str] | None = None) -> str:
    with pytest.raises(EndpointError) as caught:
        connect(Endpoint(uri)).submit(requests, str, rows)
    return str(caught.value)


# --- the same rows again --------------------------------------------------------------------------------------------


def assert_same(folder: Path, tagged: Dataset, tagger: InsTagTagger, **settings: Any) -> None:
    """A replay of the release of these rows gives these rows, and a release of these generations."""
    rows = tagged.select_columns(["id", "instruction"])
    generations = collect_generations(tagger.client.store, tagged)
    uri = release(folder, tagged, tagger)
    again, replayed = tag(uri, rows, prompt=tagger.prompt, parameters=tagger.parameters, **settings)
    assert content_hash(again) == content_hash(tagged.select_columns(again.column_names))
    assert content_hash(collect_generations(replayed.client.store, again)) == content_hash(generations)
    usage = replayed.client.usage
    assert (usage.requests, usage.repairs, usage.retries) == (0, 0, 0)
    assert usage.store_hits + usage.failed == sum(map(bool, again["generation_keys"]))
    assert usage.failed == sum(reason.startswith(("refused", "endpoint")) for reason in again["reason"])


INSTRUCTIONS = [f"{verb} {n} {thing}" for n in range(8) for verb in ("Explain", "Sum") for thing in ("cats", "primes")]


@pytest.mark.parametrize("api", ["chat", "generate"])
def test_a_run_is_replayed_to_the_bit(tmp_path, store_path, fast_retries, api):
    rows = rows_of(*INSTRUCTIONS, "  ", INSTRUCTIONS[0])
    uri = f"offline:?api={api}&malformed=0.4&fail=0.05"
    tagged, tagger = tag(uri, rows, store_path, max_repairs=1, prompt=None)
    codes = {reason.partition(":")[0] for reason in tagged["reason"]}
    assert {"", "unparsed", "empty_instruction"} <= codes
    assert_same(tmp_path / "release", tagged, tagger, max_repairs=1)


def befalls(text: str, asked: dict[str, int]) -> Any:
    """What a server does with a prompt, by its last word."""
    times = asked[text] = asked.get(text, 0) + 1
    word = text.split()[-1]
    if word == "unlucky":  # the first time
        return DOWN if times == 1 else TAGS
    return {"refused": 422, "down": DOWN, "spoilt": "no JSON"}.get(word, TAGS)


def test_rows_that_got_no_answer_are_rejected_with_the_same_words(scripted_server, tmp_path, store_path):
    asked: dict[str, int] = {}
    server = scripted_server(lambda seen: befalls(seen.text.removesuffix("\n"), asked))
    rows = rows_of("one", "is refused", "is down", "three", "  ")
    tagged, tagger = tag(server.url, rows, store_path, reject_refused=True)
    assert tagged["status"][:] == ["ok", "rejected", "rejected", "ok", "rejected"]
    assert (
        tagged["reason"][1] == f"refused: {server.url}/v1/chat/completions answered HTTP 422: scripted 422 (scripted)"
    )
    assert tagged["reason"][2].startswith("endpoint: gave up after 1 try in 600 s: ")
    assert tagged["attempts"][:] == [1, 0, 0, 1, 0]
    assert [len(keys) for keys in tagged["generation_keys"]] == [1, 1, 1, 1, 0]
    server.stop()
    assert_same(tmp_path / "release", tagged, tagger)


def test_a_repair_that_got_no_answer(scripted_server, tmp_path, store_path):
    server = scripted_server(lambda seen: "no JSON" if len(seen.body["messages"]) == 1 else DOWN)
    tagged, tagger = tag(server.url, rows_of("one", "two"), store_path)
    assert (tagged["attempts"][:], [len(keys) for keys in tagged["generation_keys"]]) == ([1, 1], [2, 2])
    assert tagged["reason"][0].startswith("endpoint: gave up")
    assert_same(tmp_path / "release", tagged, tagger)


def test_a_request_that_failed_for_one_row_and_was_answered_for_another(scripted_server, tmp_path, store_path):
    asked: dict[str, int] = {}
    server = scripted_server(lambda seen: befalls(seen.text, asked))
    one, tagger = tag(server.url, rows_of("is unlucky"), store_path)
    again = map_rows(rows_of("other", "is unlucky").select([1]), tagger, description="", progress=False)
    both = Dataset.from_list([one[0], again[0] | {"id": "later"}], features=one.features)
    assert both["status"][:] == ["rejected", "ok"]
    assert_same(tmp_path / "release", both, tagger)


def test_rows_that_were_too_long_stay_too_long(scripted_server, tmp_path, store_path):
    info = {"model_id": "m", "max_input_tokens": 100}
    server = scripted_server([TAGS], info=info, token_count=lambda text: len(text.split()))
    turns = [{"role": "user", "content": "short"}, {"role": "user", "content": "word " * 150}]
    source = Dataset.from_dict({"messages": [turns, turns[:1], turns[1:]]})
    tagged, tagger = tag(server.url, to_rows(source), store_path, reject_refused=True)
    reason = "too_long: the prompt has 152 tokens, the server takes 100"
    assert tagged["reason"][:] == [reason, "", reason]
    assert tagged["turn_tags"][:] == [[], [["a"]], []]
    uri = release(tmp_path / "release", tagged, tagger)
    again, _ = tag(uri, to_rows(source))  # whether or not it says reject_refused: the record decides
    assert content_hash(again) == content_hash(tagged)


def test_a_failure_that_only_the_rejected_row_tells_of(scripted_server, tmp_path, store_path):
    server = scripted_server(lambda seen: befalls(seen.text, {}))
    tagged, tagger = tag(server.url, rows_of("one", "is refused"), store_path, reject_refused=True)
    generations = collect_generations(tagger.client.store, tagged)
    answered = generations.filter(lambda row: row["text"] is not None)
    uri = write(tmp_path / "release", answered, tagged.filter(lambda row: row["status"] == "rejected"))
    again, _ = tag(uri, rows_of("one", "is refused"))
    assert content_hash(again) == content_hash(tagged)


def test_a_failure_within_a_row_that_is_ok(scripted_server, tmp_path, store_path):
    server = scripted_server(lambda seen: befalls(seen.text, {}))
    client = connect(Endpoint(server.url, store=store_path, reject_refused=True))
    requests = [chat("one", 0), chat("is refused", 1), chat("two", 2)]
    before = client.submit(requests, str, ["a"] * 3).result()
    keys = Dataset.from_dict({"generation_keys": [[key for reply in before for key in reply.keys]]})
    uri = write(tmp_path / "release", collect_generations(client.store, keys))
    after = connect(Endpoint(uri)).submit(requests, str, ["a"] * 3).result()
    assert [replace(reply, from_store=False) for reply in after] == before


# --- several ways in ------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path, store_path: str, scripted_server: Any) -> tuple[str, Dataset, Dataset]:
    """A release's URI, the rows behind it, and what they were tagged as."""
    server = scripted_server(lambda seen: befalls(seen.body["messages"][0]["content"], {}))
    rows = rows_of(*INSTRUCTIONS, "is spoilt")
    tagged, tagger = tag(server.url, rows, store_path)
    server.stop()
    return release(tmp_path / "release", tagged, tagger), rows, tagged


@pytest.mark.parametrize("num_proc", [None, 2])
def test_a_plain_map_in_one_or_more_processes(run, num_proc):
    uri, rows, tagged = run
    close_clients()
    tagger = pickle.loads(pickle.dumps(tagger_at(uri)))
    mapped = rows.map(tagger, batched=True, batch_size=10, num_proc=num_proc)
    assert [mapped[name][:] for name in tagged.column_names] == [tagged[name][:] for name in tagged.column_names]


def test_a_plain_map_rejects_what_failed_then(scripted_server, tmp_path, store_path):
    server = scripted_server(lambda seen: befalls(seen.text, {}))
    tagged, tagger = tag(server.url, rows_of("one", "is down"), store_path)
    uri = release(tmp_path / "release", tagged, tagger)
    mapped = rows_of("one", "is down").map(tagger_at(uri), batched=True)
    assert (mapped["status"][:], mapped["reason"][:]) == (tagged["status"][:], tagged["reason"][:])


def test_nothing_is_asked_or_written(run, tmp_path, monkeypatch):
    uri, rows, _ = run
    close_clients()
    store = tmp_path / "none.sqlite"
    monkeypatch.setattr("tagsmith.processors.endpoint.connect._server", lambda *_: pytest.fail("a server was wanted"))
    tag(uri, rows, str(store), max_tokens_total=1)
    assert not store.exists()
    assert close_clients(10) == 0


def test_a_share_of_the_ranks(run, monkeypatch):
    uri, rows, _ = run
    close_clients()
    monkeypatch.setattr(Ranks, "_used_by_all", lambda self, before, usage: usage)
    shares = []
    for rank in range(2):
        tagger = tagger_at(Endpoint(uri, deadline_sec=rank + 1))  # a client of its own
        Ranks(rank, 2).generate_share(rows, tagger)
        shares.append(tagger.client.usage.store_hits)
    assert sum(shares) == len(rows)
    assert all(shares)


def test_a_dry_run_finds_everything(run):
    uri, rows, _ = run
    close_clients()
    lines = dict(dry_run(rows, tagger_at(uri)))
    assert (lines["distinct requests"], lines["requests to send"]) == ("33", "0")
    assert lines["model"] == "test/model@abc"


def test_all_that_a_completion_tells_comes_back(tmp_path, scripted_server, store_path):
    top = [[{"token": "a", "logprob": -0.5}]]
    choice = {
        "finish_reason": "length",
        "message": {"content": "é\n"},
        "logprobs": {"content": [{"top_logprobs": top[0]}]},
    }
    server = scripted_server([{"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}])
    client = connect(Endpoint(server.url, store=store_path))
    (reply,) = client.submit([chat("x", top_n_tokens=1)], str).result()
    keys = Dataset.from_dict({"generation_keys": [reply.keys]})
    uri = write(tmp_path / "release", collect_generations(client.store, keys))
    (again,) = connect(Endpoint(uri)).submit([chat("x", top_n_tokens=1)], str).result()
    assert again.completion == reply.completion
    assert again.completion.top_tokens == [[{"text": "a", "logprob": -0.5}]]
    key = bytes.fromhex(reply.keys[0])
    assert open_recording(uri.partition(":")[2]).get_many([b"0" * 16, key]) == {key: reply.completion}


# --- what was not recorded ------------------------------------------------------------------------------------------

END = "; use the rows, prompts and settings of its manifest.json, or ask a server"


def test_every_other_setting_is_named(tmp_path):
    uri = recorded(tmp_path / "r", ("m@1", chat("What is one?", temperature=0.5, top_k=3), "1"))
    said = refusal(uri, chat("What is one?", 2, seed=7, temperature=1, max_new_tokens=9), rows=["row-7"])
    assert said == (
        f"row row-7: the request 'What is one?' is not among the 1 that {tmp_path / 'r'} recorded; the nearest recorded"
        " one has the same text; max_new_tokens is 9 here, 1024 there; seed is 7 here, not set there; temperature is"
        f" 1.0 here, 0.5 there; top_k is not set here, 3 there; sample number is 2 here, 0 there{END}"
    )


def test_the_nearest_is_the_one_with_fewest_differences(tmp_path):
    others = [chat("x", top_k=1, top_p=0.5), chat("x", top_k=2), chat("x", sample=1, top_k=1, top_p=0.5)]
    uri = recorded(tmp_path / "r", *(("m", request, "1") for request in others))
    assert "the same text; top_k is 3 here, 2 there; use" in refusal(uri, chat("x", top_k=3))


def test_another_model_is_named(tmp_path):
    uri = recorded(tmp_path / "r", ("m@1", chat("x"), "1"), ("n@2", chat("y"), "1"))
    said = refusal(f"{uri}?model=n@2", chat("x"))
    assert "the nearest recorded one has the same text; model is n@2 here, m@1 there" in said
    assert connect(Endpoint(f"{uri}?model=m")).submit([chat("x")], str).result()[0].value == "1"


def test_where_the_text_differs_is_shown(tmp_path):
    texts = ["Name all cats of Rome.", "Count the dogs that bark in Paris at night.", "Sing."]
    uri = recorded(tmp_path / "r", *(("m", chat(text), "1") for text in texts))
    said = refusal(uri, chat("Count the dogs that sleep in Paris at night.", temperature=1))
    assert (
        "in the nearest recorded one the text differs from character 21 on: 'the dogs that sleep in Paris at night.'"
        " here, 'the dogs that bark in Paris at night.' there; temperature is 1.0 here, 0.0 there; use"
    ) in said


def test_a_conversation_is_not_raw_text(tmp_path):
    uri = recorded(tmp_path / "r", ("m", chat("x"), "1"))
    said = refusal(uri, Request(Parameters(), prompt="x"))
    assert "in the nearest recorded one the prompt is raw text here, a conversation there" in said


def test_a_long_prompt_is_shown_by_its_start(tmp_path):
    uri = recorded(tmp_path / "r", ("m", chat("x"), "1"))
    said = refusal(uri, chat("word\n" * 100))
    assert f"the request '{'word ' * 11}word…' is not among" in said


def test_a_key_of_another_making_is_told_apart(tmp_path):
    uri = recorded(tmp_path / "r", ("m", chat("x"), "1"))
    (path,) = (tmp_path / "r" / "generations").glob("*")
    table = pq.read_table(path)
    pq.write_table(table.set_column(0, "key", pa.array(["00" * 16])), path)
    assert "one says the same, but under another key than" in refusal(uri, chat("x"))


def test_nothing_recorded_at_all(tmp_path):
    uri = write(
        tmp_path / "r", no_generations(), models=[{"model": "m", "endpoint": "endpoint"}, {"model": "embedder"}]
    )
    assert refusal(uri, chat("x")).endswith(f"is not among the 0 that {tmp_path / 'r'} recorded; it recorded none{END}")


def digits(text: str) -> int:
    if not text.isdigit():
        raise UnparsedReplyError("that is not a number")
    return int(text)


def test_more_repairs_than_there_were(tmp_path):
    uri = recorded(tmp_path / "r", ("m", chat("x"), "one"))
    (reply,) = connect(Endpoint(uri, max_repairs=0)).submit([chat("x")], digits).result()
    assert (reply.status, reply.text, reply.reason) == ("unparsed", "one", "unparsed: that is not a number")
    with pytest.raises(EndpointError) as caught:
        connect(Endpoint(uri)).submit([chat("x")], digits, ["7"])
    assert str(caught.value) == (
        f"row 7: the reply recorded for 'x' cannot be read (that is not a number), and {tmp_path / 'r'} recorded no"
        " more than 1 tries of it: set max_repairs to 0, as it was then, not 2"
    )


def test_another_repair_than_there_was(tmp_path):
    uri = recorded(tmp_path / "r", ("m", chat("x"), "one"), ("m", chat("x").followed_by("one", "Once more."), "1"))
    with pytest.raises(
        EndpointError, match=r"repair 1 of the request 'user: x .* nearest recorded one the text differs"
    ):
        connect(Endpoint(uri)).submit([chat("x")], digits)


@pytest.mark.parametrize(("one", "other", "shared"), [("", "a", 0), ("ab", "ab", 2), ("abc", "abd", 2), ("a", "b", 0)])
def test_common_beginnings(one, other, shared):
    assert _shared(one, other) == _shared(other, one) == shared


# --- which model, which dialect -------------------------------------------------------------------------------------


def test_several_models_must_be_chosen_from(tmp_path):
    uri = recorded(
        tmp_path / "r", ("org/a@1", chat("x"), "1"), ("org/b@1", chat("x"), "2"), ("org/b@2", chat("x"), "3")
    )
    with pytest.raises(InputError) as caught:
        connect(Endpoint(uri))
    assert str(caught.value) == (
        f"{tmp_path / 'r'} recorded 3 models (org/a@1, org/b@1, org/b@2); choose one: …?model=NAME"
    )
    answers = {}
    for name in ("org/a", "org/a@1", "org/b@1", "org%2Fb%402"):
        answers[name] = connect(Endpoint(f"{uri}?model={name}")).submit([chat("x")], str).result()[0].value
    assert list(answers.values()) == ["1", "1", "2", "3"]
    with pytest.raises(InputError, match="recorded no model 'org/b'; it has: org/a@1, org/b@1, org/b@2"):
        connect(Endpoint(f"{uri}?model=org/b"))


def test_each_model_has_its_own_dialect(tmp_path):
    raw = Request(Parameters(), prompt="x")
    uri = recorded(tmp_path / "r", ("talks", chat("x"), "1"), ("talks", raw, "2"), ("completes", raw, "3"))
    talks, completes = (connect(Endpoint(f"{uri}?model={name}")) for name in ("talks", "completes"))
    assert [reply.value for reply in talks.submit([chat("x"), raw], str).result()] == ["1", "2"]
    assert [reply.value for reply in completes.submit([chat("x"), raw], str).result()] == ["3", "3"]


def test_sample_numbers_are_told_apart(tmp_path):
    uri = recorded(tmp_path / "r", *(("m", chat("x", sample), str(sample)) for sample in (0, 2)))
    replies = connect(Endpoint(uri)).submit([chat("x", 2), chat("x", 0)], str).result()
    assert [reply.value for reply in replies] == ["2", "0"]
    assert "sample number is 1 here" in refusal(uri, chat("x", 1))


# --- what is no release ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("replay:", "names no release; expected replay:org/dataset@tag or replay:folder"),
        ("replay:./nowhere", r"replay:\./nowhere does not exist; give a release folder, or org/name@tag on the Hub"),
        ("replay:org/name", "replay:org/name is no folder here, and names no version for the Hub: replay:org/name@v1"),
        ("replay:{folder}?api=generate", "a replay has no option api; it has: model"),
    ],
)
def test_a_uri_that_leads_nowhere(tmp_path, uri, words):
    folder = recorded(tmp_path / "r", ("m", chat("x"), "1")).partition(":")[2]
    with pytest.raises((EndpointError, InputError), match=words):
        connect(Endpoint(uri.format(folder=folder)))


def rewrite(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    (path,) = (folder / "generations").glob("*.parquet")
    table = change(pq.read_table(path))
    pq.write_table(table, path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["configs"]["generations"]["train"]["rows"] = table.num_rows
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "is no release: its manifest.json cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "is no release: its manifest.json cannot be read"),
        (
            lambda folder: (folder / "manifest.json").write_text('{"configs": {"x": {}}}'),
            r"no config `generations` \(it",
        ),
        (lambda folder: shutil.rmtree(folder / "generations"), "has 0 rows, manifest.json says 2; fetch"),
        (
            lambda folder: next((folder / "generations").glob("*")).write_bytes(b"PAR1 and no more"),
            "generations cannot be read: ",
        ),
        (
            lambda folder: rewrite(folder, lambda table: table.drop(["sample", "text"])),
            "lack the columns sample, text;",
        ),
        (
            lambda folder: rewrite(folder, lambda table: pa.concat_tables([table, table.slice(1)])),
            "have the key [0-9a-f]{32} more than once",
        ),
        (
            lambda folder: rewrite(folder, lambda table: table.set_column(5, "text", pa.nulls(2, pa.string()))),
            "has neither text nor failure",
        ),
        (
            lambda folder: rewrite(folder, lambda table: table.set_column(4, "sample", pa.array(["x", "y"]))),
            "have another type than they should: ",
        ),
        (
            lambda folder: rewrite(folder, lambda table: table.set_column(1, "model", pa.nulls(2, pa.string()))),
            "have nulls in model",
        ),
    ],
)
def test_a_damaged_release(tmp_path, damage, words):
    uri = recorded(tmp_path / "r", ("m", chat("x"), "1"), ("m", chat("y"), "1"))
    assert connect(Endpoint(uri)).submit([chat("y")], str).result()[0].value == "1"
    close_clients()
    damage(tmp_path / "r")
    with pytest.raises(EndpointError, match=words):
        connect(Endpoint(uri))


# --- from the Hub ---------------------------------------------------------------------------------------------------


def test_from_the_hub_and_then_without_it(hub, run, tmp_path, monkeypatch):
    uri, rows, tagged = run
    folder = Path(uri.partition(":")[2])
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    hub.create("dataset", "lab/x", files=files | {"data/train-00000-of-00001.parquet": b"not wanted"})
    from huggingface_hub import HfApi

    HfApi(token=hub.token).create_tag("lab/x", tag="v1.0.0", repo_type="dataset")
    again, _ = tag("replay:lab/x@v1.0.0", rows)
    assert content_hash(again) == content_hash(tagged)
    assert hub.count("resolve/.*data/") == 0
    # Once the files are there, nothing but the tag is asked for, and a Hub that is gone is no obstacle.
    before = len(hub.seen)
    tag("replay:lab/x@v1.0.0", rows)
    assert all("/resolve/" not in seen.path for seen in hub.seen[before:])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    again, _ = tag("replay:lab/x@v1.0.0", rows)
    assert content_hash(again) == content_hash(tagged)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("lab/x@v2", "replay:lab/x@v2: dataset lab/x has no tag 'v2'"),
        ("lab/none@v1", "replay:lab/none@v1: there is no dataset lab/none on the Hub, or it is private"),
        ("no name@v1", "replay:no name@v1 could not be fetched from the Hub: "),
    ],
)
def test_what_the_hub_does_not_have(hub, target, words):
    hub.create("dataset", "lab/x", files={})
    with pytest.raises(EndpointError, match=words):
        connect(Endpoint(f"replay:{target}"))
