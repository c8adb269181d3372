"""`local:` end to end with a tiny Llama of random weights: identity, limits, replies, errors, and its end."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import torch
from aiohttp.test_utils import TestClient, TestServer
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from tagsmith.processors.endpoint import local_batching, local_server
from tagsmith.processors.endpoint.local import start_local
from tagsmith.processors.endpoint.local_batching import (
    Batcher,
    Generation,
    GenerationError,
    GenerationRequest,
    OverloadedError,
    generate,
    sample_token,
)
from tagsmith.processors.endpoint.local_folder import content_hash
from tagsmith.processors.endpoint.local_model import LocalModel
from tagsmith.processors.endpoint.local_server import Routes
from tagsmith.processors.errors import EndpointError

WINDOW = 128
CHAT_TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools here') }}{% endif %}"
    "<s>{{ m.role }}: {{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<s>assistant: {% endif %}"
)
SENTENCES = ["Name the tags of this question.", "Write a poem on the sea, in four lines.", "What is 12 times 12?"]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """More threads only wait for each other on a model this small, above all when the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # for the servers that are started
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as `save_pretrained` writes it."""
    path = tmp_path_factory.mktemp("models") / "tiny-llama"
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(vocab_size=300, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=WINDOW,
        initializer_range=0.3,  # wide: replies depend on the prompt, and two logits are never nearly equal
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def server(folder: Path):
    child = start_local(str(folder), device="cpu")
    yield child
    child.stop()


@pytest.fixture(scope="module")
def local(folder: Path) -> LocalModel:
    """The same model in this process, for what needs a look inside."""
    return LocalModel.load(folder, "tiny-llama", None, "cpu", "auto")


def post(server, route: str, body: Any) -> requests.Response:
    return requests.post(server.url + route, json=body, timeout=60)


def complete(server, inputs: str, **parameters: Any) -> dict[str, Any]:
    response = post(server, "/generate", {"inputs": inputs, "parameters": {"details": True, **parameters}})
    assert response.status_code == 200, response.text
    return response.json()


def chat(server, content: str, **body: Any) -> requests.Response:
    return post(server, "/v1/chat/completions", {"messages": [{"role": "user", "content": content}], **body})


def wanted(**changes: Any) -> GenerationRequest:
    request = GenerationRequest(
        input_ids=[5, 6, 7], max_new_tokens=4, temperature=0, top_p=1, top_k=0, seed=0, stop=(), top_n_tokens=0
    )
    return replace(request, **changes)


def wait_until_gone(pid: int, timeout_sec: float = 20) -> None:
    end = time.monotonic() + timeout_sec
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} still runs after {timeout_sec} s")


# What it says of itself


def test_health_and_info(server, folder: Path):
    assert requests.get(server.url + "/health", timeout=10).status_code == 200
    info = requests.get(server.url + "/info", timeout=10).json()
    assert info["model_id"] == "tiny-llama"
    assert info["model_sha"] == content_hash(folder)
    assert info["max_total_tokens"] == WINDOW
    assert info["max_input_tokens"] == WINDOW - 1
    assert info["max_concurrent_requests"] >= 1
    assert info["grammar"] is False


def test_content_hash_follows_content_not_place_or_date(folder: Path, tmp_path: Path):
    copy = Path(shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile))
    (copy / "README.md").write_text("says nothing of the model")
    assert content_hash(copy) == content_hash(folder)
    weights = copy / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1  # one bit of the last weight
    weights.write_bytes(changed)
    assert content_hash(copy) != content_hash(folder)


def test_tokenize(server):
    text = "Name the sea."
    tokens = post(server, "/tokenize", {"inputs": text}).json()
    assert "".join(token["text"] for token in tokens) == text
    assert all(text[token["start"] : token["stop"]] == token["text"] for token in tokens)


# Replies


def test_greedy_generate_equals_transformers(server, local: LocalModel):
    reply = complete(server, SENTENCES[0], max_new_tokens=12)
    encoded = local.tokenizer(SENTENCES[0], return_tensors="pt")["input_ids"]
    expected = local.model.generate(encoded, max_new_tokens=12, do_sample=False, eos_token_id=1)
    expected_ids = expected[0, encoded.shape[1] :].tolist()
    assert [token["id"] for token in reply["details"]["tokens"]] == expected_ids
    assert reply["generated_text"] == local.tokenizer.decode(expected_ids, skip_special_tokens=True)
    assert reply["details"]["generated_tokens"] == len(expected_ids)


def test_top_tokens_are_the_models_log_probabilities(server, local: LocalModel):
    response = post(
        server,
        "/generate",
        {"inputs": SENTENCES[1], "parameters": {"details": True, "max_new_tokens": 3, "top_n_tokens": 6}},
    )
    prompt = local.tokenizer(SENTENCES[1])["input_ids"]
    assert response.headers["x-prompt-tokens"] == str(len(prompt))
    details = response.json()["details"]
    with torch.no_grad():
        logits = local.model(torch.tensor([prompt + [t["id"] for t in details["tokens"]]])).logits[0]
    expected = torch.log_softmax(logits[len(prompt) - 1 : -1], dim=-1).topk(6)
    assert len(details["top_tokens"]) == 3
    for position, ids, logprobs in zip(details["top_tokens"], expected.indices, expected.values, strict=True):
        assert [token["id"] for token in position] == ids.tolist()
        assert [token["logprob"] for token in position] == pytest.approx(logprobs.tolist(), abs=1e-4)
        assert [token["text"] for token in position] == [local.tokenizer.decode([i]) for i in ids.tolist()]
    assert [t["logprob"] for t in details["tokens"]] == [position[0]["logprob"] for position in details["top_tokens"]]


def test_chat_goes_through_the_template(server, local: LocalModel):
    answer = chat(server, "Name the sea.", max_tokens=8, temperature=0, logprobs=True, top_logprobs=2).json()
    raw = complete(server, "<s>user: Name the sea.</s><s>assistant: ", max_new_tokens=8)
    choice = answer["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": raw["generated_text"]}
    assert choice["finish_reason"] == "length"
    content = choice["logprobs"]["content"]
    assert [token["token"] for token in content] == [token["text"] for token in raw["details"]["tokens"]]
    assert all(token["top_logprobs"][0]["logprob"] == pytest.approx(token["logprob"]) for token in content)
    assert all(len(token["top_logprobs"]) == 2 for token in content)
    prompt_tokens = len(local.tokenizer("<s>user: Name the sea.</s><s>assistant: ")["input_ids"])
    assert answer["usage"] == {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": 8,
        "total_tokens": prompt_tokens + 8,
    }


def test_schemas_are_accepted_and_ignored(server):
    plain = chat(server, "Name it.", max_tokens=8, temperature=0).json()["choices"]
    schema = {"type": "json_object", "value": {"type": "object", "properties": {"tags": {"type": "array"}}}}
    assert chat(server, "Name it.", max_tokens=8, temperature=0, response_format=schema).json()["choices"] == plain
    text = complete(server, "Name it.", max_new_tokens=8)["generated_text"]
    grammar = {"type": "json", "value": schema["value"]}
    assert complete(server, "Name it.", max_new_tokens=8, grammar=grammar)["generated_text"] == text


def test_replies_are_the_same_alone_and_together(server):
    """Twelve requests of different lengths and ways of sampling, one after the other and then all at once."""
    asked = [
        (
            SENTENCES[i % 3] * (1 + i % 4),
            {"max_new_tokens": 4 + 3 * i}
            | ({"do_sample": True, "seed": i, "temperature": 1.5} if i % 3 else {})
            | ({"top_p": 0.8} if i % 3 == 2 else {}),
        )
        for i in range(12)
    ]
    alone = [complete(server, inputs, **parameters)["generated_text"] for inputs, parameters in asked]
    with ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(lambda request: complete(server, request[0], **request[1]), asked))
    assert [reply["generated_text"] for reply in replies] == alone
    assert len(set(alone)) > 6


def test_a_seed_reproduces_and_another_seed_does_not(server):
    def sampled(**seed: int) -> str:
        return complete(server, "Name", max_new_tokens=24, do_sample=True, temperature=2.0, **seed)["generated_text"]

    assert sampled(seed=7) == sampled(seed=7)
    assert len({sampled(seed=seed) for seed in range(4)}) == 4
    assert sampled() != sampled()
    chats = [chat(server, "Name", max_tokens=24, temperature=2.0, seed=3).json()["choices"] for _ in range(2)]
    assert chats[0] == chats[1]


def test_no_parameters_sample_and_empty_ones_are_greedy(server):
    def text(**body: Any) -> str:
        return post(server, "/generate", {"inputs": "Name the", **body}).json()["generated_text"]

    assert text(parameters={}) == complete(server, "Name the", max_new_tokens=100)["generated_text"]
    assert text() != text()


def test_stop_sequences(server):
    whole = complete(server, SENTENCES[2], max_new_tokens=30)
    texts = [token["text"] for token in whole["details"]["tokens"]]
    at = next(i for i in range(3, 30) if texts[i].isascii() and "".join(texts[:i]).find(texts[i]) < 0)
    reply = complete(server, SENTENCES[2], max_new_tokens=30, stop=["never there", texts[at]])
    assert reply["details"]["finish_reason"] == "stop_sequence"
    assert reply["details"]["generated_tokens"] == at + 1
    assert reply["generated_text"] == whole["generated_text"][: len(reply["generated_text"])]
    assert reply["generated_text"].endswith(texts[at])
    full = chat(server, "Count.", max_tokens=30, temperature=0).json()["choices"][0]["message"]["content"]
    stop = next(c for c in full[3:] if c.isascii())
    answer = chat(server, "Count.", max_tokens=30, temperature=0, stop=stop).json()["choices"][0]
    assert answer["message"]["content"] == full[: full.index(stop)]
    assert answer["finish_reason"] == "stop"


def test_end_token_ends_a_reply_and_not_its_neighbours(local: LocalModel):
    whole = generate(local, [wanted(max_new_tokens=8)])[0]
    assert isinstance(whole, Generation)
    ids = whole.token_ids
    at = max(i for i in range(1, 7) if ids[i] not in ids[:i])
    ends_there = replace(local, eos_ids=frozenset({ids[at]}))
    neighbour = wanted(input_ids=[9], max_new_tokens=8)
    ended, other = generate(ends_there, [wanted(max_new_tokens=8), neighbour])
    (alone,) = generate(ends_there, [neighbour])
    assert isinstance(ended, Generation)
    assert isinstance(other, Generation)
    assert isinstance(alone, Generation)
    assert (ended.finish_reason, ended.token_ids) == ("eos_token", ids[: at + 1])
    assert other.token_ids == alone.token_ids


# Sampling


@pytest.mark.parametrize(
    ("top_k", "top_p", "likely_tokens"),
    [(0, 1, 1024), (3, 1, 1024), (0, 0.6, 1024), (0, 0.95, 1), (0, 0.95, 3), (3, 0.6, 1024), (1, 0.1, 1)],
)
@settings(max_examples=8, deadline=None)
@given(
    # Quarters: two that are nearly equal may be ranked either way.
    scores=st.lists(st.integers(-12, 12).map(lambda n: n / 4), min_size=5, max_size=12, unique=True),
    temperature=st.sampled_from([0.7, 1.0, 2.0]),
)
def test_sampling_has_the_distribution_of_transformers_warpers(top_k, top_p, likely_tokens, scores, temperature):
    logits = torch.tensor([scores])
    expected = TemperatureLogitsWarper(temperature)(None, logits.clone())
    if top_k:
        expected = TopKLogitsWarper(top_k)(None, expected)
    if top_p < 1:
        expected = TopPLogitsWarper(top_p)(None, expected)
    request = wanted(temperature=temperature, top_k=top_k, top_p=top_p)
    draws = 100
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_batching, "_LIKELY_TOKENS", likely_tokens)
        tokens = [int(sample_token(logits[0], request, (i + 0.5) / draws)) for i in range(draws)]
    counts = torch.bincount(torch.tensor(tokens), minlength=len(scores)) / draws
    assert counts.tolist() == pytest.approx(torch.softmax(expected[0], dim=-1).tolist(), abs=2 / draws)


def test_the_last_draw_never_takes_an_impossible_token():
    scores = torch.tensor([0.0, 0.0, -torch.inf, -torch.inf])
    assert int(sample_token(scores, wanted(temperature=1.0), 1.0)) == 1


# Batches


def test_waiting_requests_share_batches(local: LocalModel, monkeypatch):
    sizes = []

    def spy(model: LocalModel, batch: list[GenerationRequest]) -> list[Generation | GenerationError]:
        sizes.append(len(batch))
        return generate(model, batch)

    monkeypatch.setattr(local_batching, "generate", spy)

    async def ask() -> list[Generation]:
        batcher = Batcher(local, max_batch_size=4, max_concurrent=10)
        running = asyncio.create_task(batcher.run())
        replies = await asyncio.gather(*(batcher.submit(wanted(input_ids=[10 + i])) for i in range(10)))
        running.cancel()
        return replies

    replies = asyncio.run(ask())
    assert sizes == [4, 4, 2]
    assert [reply.request.input_ids for reply in replies] == [[10 + i] for i in range(10)]


def test_too_many_requests_are_refused_and_abandoned_ones_are_not_run(local: LocalModel, monkeypatch):
    ran = []

    def record(model: LocalModel, batch: list[GenerationRequest]) -> list[Generation | GenerationError]:
        ran.extend(request.input_ids[0] for request in batch)
        return generate(model, batch)

    monkeypatch.setattr(local_batching, "generate", record)

    async def ask() -> None:
        batcher = Batcher(local, max_batch_size=4, max_concurrent=2)
        first = asyncio.create_task(batcher.submit(wanted(input_ids=[11])))
        second = asyncio.create_task(batcher.submit(wanted(input_ids=[12])))
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError, match="at most 2"):
            await batcher.submit(wanted())
        first.cancel()  # its client has gone
        running = asyncio.create_task(batcher.run())
        assert (await second).finish_reason == "length"
        running.cancel()

    asyncio.run(ask())
    assert ran == [12]


def test_a_row_whose_client_has_gone_ends_at_once(local: LocalModel):
    gone, stays = generate(local, [wanted(cancelled=True, max_new_tokens=50), wanted(max_new_tokens=5)])
    assert isinstance(gone, Generation)
    assert isinstance(stays, Generation)
    assert (len(gone.token_ids), len(stays.token_ids)) == (1, 5)


def test_a_bad_request_fails_alone(local: LocalModel):
    class Failing:
        device = "cpu"

        def generate(self, input_ids: torch.Tensor, **rest: Any) -> None:
            if (input_ids == 13).any():
                raise RuntimeError("out\nof memory")
            return local.model.generate(input_ids=input_ids, **rest)

    batch = [wanted(input_ids=[10 + i]) for i in range(5)]
    replies = generate(replace(local, model=Failing()), batch)
    assert [isinstance(reply, Generation) for reply in replies] == [True, True, True, False, True]
    assert str(replies[3]) == "generation failed: RuntimeError: out of memory"
    for reply, alone in zip(replies, [generate(local, [request])[0] for request in batch], strict=True):
        if isinstance(reply, Generation) and isinstance(alone, Generation):
            assert reply.token_ids == alone.token_ids


def test_weights_that_are_not_numbers_fail_the_request(folder: Path):
    broken = LocalModel.load(folder, "broken", "sha", "cpu", "auto")
    with torch.no_grad():
        broken.model.model.norm.weight.fill_(torch.nan)
    (reply,) = generate(broken, [wanted()])
    assert isinstance(reply, GenerationError)
    assert "not a number" in str(reply)


# Errors


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"max_new_tokens": 2.5}, "max_new_tokens"),
        ({"max_new_tokens": WINDOW}, f"at most {WINDOW}; given: 3 `inputs` tokens"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": 0}, "top_k"),
        ({"seed": -1}, "seed"),
        ({"stop": [""]}, "stop"),
        ({"top_n_tokens": 10**6}, "top_n_tokens"),
        ({"best_of": 2}, "best_of"),
        ({"repetition_penalty": 1.2}, "repetition_penalty"),
        ([], "parameters"),
    ],
)
def test_wrong_parameters_are_422(server, parameters, named: str):
    response = post(server, "/generate", {"inputs": "Name the", "parameters": parameters})
    assert response.status_code == 422
    assert response.json()["error_type"] == "validation"
    assert named in response.json()["error"]


def test_neutral_parameters_are_no_error(server):
    assert complete(server, "Name", max_new_tokens=2, best_of=1, repetition_penalty=1.0, watermark=False)


def test_over_long_input_is_422_with_length_and_limit(server):
    response = chat(server, "sea " * WINDOW, max_tokens=1)
    assert response.status_code == 422
    assert f"at most {WINDOW}; given: " in response.json()["error"]


@pytest.mark.parametrize(
    ("route", "body", "status", "error_type"),
    [
        ("/generate", {}, 422, "validation"),
        ("/generate", {"inputs": ""}, 422, "validation"),
        ("/generate", {"inputs": "Name", "stream": True}, 422, "validation"),
        ("/generate", ["Name"], 422, "validation"),
        ("/v1/chat/completions", {"messages": []}, 422, "validation"),
        ("/v1/chat/completions", {"messages": [{"role": "user"}]}, 422, "validation"),
        ("/v1/chat/completions", {"messages": [{"role": "tool", "content": "x"}]}, 422, "template_error"),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], "n": 2}, 422, "validation"),
        ("/nowhere", {}, 404, "http"),
    ],
)
def test_errors_are_in_the_form_of_tgi(server, route: str, body, status: int, error_type: str):
    response = post(server, route, body)
    assert (response.status_code, response.json()["error_type"]) == (status, error_type)
    assert response.json()["error"]


def test_a_body_that_is_not_json_is_422(server):
    response = requests.post(server.url + "/generate", data=b"{", timeout=10)
    assert (response.status_code, response.json()["error_type"]) == (422, "validation")


def test_model_without_chat_template_overload_and_failure_have_their_status(local: LocalModel):
    class NoModel(Batcher):
        async def submit(self, request: GenerationRequest) -> Generation:
            raise GenerationError("the model failed")

    async def statuses() -> list[tuple[int, str]]:
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=local.tokenizer.backend_tokenizer)
        found = []
        for model, batcher in (
            (replace(local, tokenizer=tokenizer), Batcher(local, 1, 1)),
            (local, Batcher(local, 1, 0)),
            (local, NoModel(local, 1, 1)),
        ):
            async with TestClient(TestServer(Routes(model, batcher).app())) as client:
                body = {"messages": [{"role": "user", "content": "Name"}], "max_tokens": 2}
                async with client.post("/v1/chat/completions", json=body) as response:
                    answer = await response.json()
                    found.append((response.status, answer["error_type"], answer["error"]))
        return found

    template, overloaded, failed = asyncio.run(statuses())
    assert template[:2] == (422, "template_error")
    assert "no chat template" in template[2]
    assert overloaded[:2] == (429, "overloaded")
    assert failed == (424, "generation", "the model failed")


# Models that cannot be served


def without(name: str):
    return lambda folder: (folder / name).unlink()


def write(name: str, content: str):
    return lambda folder: (folder / name).write_text(content)


def shard_is_missing(folder: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def adapter(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (without("config.json"), "no config.json"),
        (write("config.json", "{"), "damaged config.json"),
        (write("config.json", "{}"), "without model_type"),
        (without("tokenizer.json"), "no tokenizer"),
        (without("model.safetensors"), "no weights"),
        (shard_is_missing, "no model-00002-of-00002.safetensors, which model.safetensors.index.json lists"),
        (write("model.safetensors", "version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
        (write("model.safetensors", ""), "empty"),
        (adapter, "LoRA adapter"),
    ],
)
def test_damaged_folder_is_refused_before_anything_starts(folder: Path, tmp_path: Path, monkeypatch, damage, said):
    monkeypatch.setattr("subprocess.Popen", None)  # nothing may be started
    copy = Path(shutil.copytree(folder, tmp_path / "damaged"))
    damage(copy)
    with pytest.raises(EndpointError) as caught:
        start_local(str(copy))
    assert str(copy) in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_cut_short_are_reported_on_standard_output(folder: Path, tmp_path: Path, monkeypatch, capsys):
    copy = Path(shutil.copytree(folder, tmp_path / "short"))
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    # Both are for a process of its own.
    monkeypatch.setattr(local_server, "exit_when_stdin_closes", lambda: None)
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    with pytest.raises(SystemExit, match="1"):
        local_server.main(["--model", str(copy), "--device", "cpu"])
    said = json.loads(capsys.readouterr().out)
    assert said["error"].startswith(f"cannot load {copy}: SafetensorError: ")


def test_weights_that_lack_tensors_are_an_error_not_random_numbers(folder: Path, tmp_path: Path):
    copy = Path(shutil.copytree(folder, tmp_path / "lacking"))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(EndpointError, match=r"lack 9 tensors of its config, the first is model\.layers\.2\."):
        LocalModel.load(copy, "lacking", None, "cpu", "auto")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("nobody/no-such-model", "'nobody/no-such-model' is no folder here, not in the Hub's cache"),
        ("/no/such/folder", "neither a folder nor a model id"),
    ],
)
def test_unknown_model_without_a_network(monkeypatch, tmp_path: Path, model: str, said: str):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("subprocess.Popen", None)
    with pytest.raises(EndpointError) as caught:
        start_local(model)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (GatedRepoError, "accept its terms on https://huggingface.co/org/model"),
        (RepositoryNotFoundError, "no model on the Hub that you may read"),
        (ConnectionResetError, "cannot download org/model"),
    ],
)
def test_what_the_hub_refuses_is_explained(monkeypatch, kind: type[Exception], said: str):
    def refuse(model: str, **options: Any) -> str:
        raise kind.__new__(kind)  # the Hub's errors are made from responses

    monkeypatch.setattr("tagsmith.processors.endpoint.local.snapshot_download", refuse)
    with pytest.raises(EndpointError, match=said):
        start_local("org/model")


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_hub_model_is_served_from_its_snapshot_by_commit(folder: Path, tmp_path: Path, monkeypatch, weights: str):
    """Pickled weights are fetched only where there are no safe ones; the server is told name and commit."""
    snapshot = tmp_path / "snapshots" / "0a1b2c3d"
    asked = []

    def download(model: str, revision: str | None, allow_patterns: list[str]) -> str:
        assert revision is None
        asked.append((model, "pytorch_model*.bin" in allow_patterns))
        shutil.copytree(folder, snapshot, dirs_exist_ok=True, ignore=lambda *_: ["model.safetensors"])
        if any(Path(weights).match(pattern) for pattern in allow_patterns):
            (snapshot / weights).write_bytes(b"weights")
        return str(snapshot)

    started = []
    monkeypatch.setattr("tagsmith.processors.endpoint.local.snapshot_download", download)
    monkeypatch.setattr("tagsmith.processors.endpoint.local.ChildServer", lambda command, **_: started.append(command))
    start_local("org/model", device="cuda:0", dtype="bfloat16")
    safe = weights.endswith("safetensors")
    assert asked == [("org/model", False)] + ([] if safe else [("org/model", True)])
    (command,) = started
    options = dict(zip(command[3::2], command[4::2], strict=True))
    assert options == {
        "--model": str(snapshot),
        "--model_id": "org/model",
        "--model_sha": "0a1b2c3d",
        "--dtype": "bfloat16",
        "--device": "cuda:0",
    }


# Its end


@pytest.mark.parametrize("while_loading", [False, True])
def test_server_dies_when_its_parent_is_killed(folder: Path, while_loading: bool):
    code = (
        "import sys, time; from tagsmith.processors.endpoint.local import start_local\n"
        "print(start_local(sys.argv[1], device='cpu').pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) as parent:
        try:
            if while_loading:
                end = time.monotonic() + 30
                while not (children := psutil.Process(parent.pid).children()) and time.monotonic() < end:
                    time.sleep(0.02)
                pid = children[0].pid
            else:
                assert parent.stdout is not None
                pid = int(parent.stdout.readline())
        finally:
            os.kill(parent.pid, signal.SIGKILL)
        wait_until_gone(pid)
