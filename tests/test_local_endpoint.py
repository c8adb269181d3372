"""`local:` from end to end: a tiny model with random weights babbles, and no row is lost over it."""

from pathlib import Path

import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import Parameters
from tagsmith.processors.errors import InputError
from tagsmith.processors.explained_tags import TAGS_SCHEMA
from tagsmith.processors.instag.tagger import InsTagTagger
from tagsmith.processors.map_rows import map_rows

WINDOW = 4096


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder; its window holds our prompt and two repairs."""
    path = tmp_path_factory.mktemp("models") / "babbler"
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        ["Name the tags of this request."],
        trainers.BpeTrainer(vocab_size=280, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}</s>{% endfor %}<s>assistant: "
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=WINDOW,
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(path)
    return path


def tagger(folder: Path, store: str) -> InsTagTagger:
    parameters = Parameters(max_new_tokens=16, json_schema=TAGS_SCHEMA)
    return InsTagTagger(endpoint=Endpoint(f"local:{folder}", store=store), parameters=parameters)


def test_babble_is_repaired_in_vain_rejected_and_kept(folder: Path, store_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    texts = ["Write a haiku.", "Add 2 and 2.", "Translate 'tree' into Finnish."]
    rows = Dataset.from_dict({"id": ["a", "b", "c"], "instruction": texts})
    asked = tagger(folder, store_path)
    tagged = map_rows(rows, asked, description="tagging", progress=False)
    assert tagged["id"][:] == ["a", "b", "c"]
    assert tagged["status"][:] == ["rejected"] * 3
    assert all(reason.startswith("unparsed: ") for reason in tagged["reason"])
    assert tagged["raw_tags"][:] == [None] * 3
    assert tagged["attempts"][:] == [3] * 3  # the first reply and two repairs
    stored = asked.client.store.get_many([bytes.fromhex(keys[-1]) for keys in tagged["generation_keys"]])
    assert [completion.text for completion in stored.values()] == tagged["raw_reply"][:]
    assert asked.client.server.model.startswith("babbler@")
    assert asked.client.usage.requests == 9

    again = map_rows(rows, tagger(folder, store_path), description="tagging", progress=False)
    assert again[:] == tagged[:]
    assert asked.client.usage.requests == 9  # the second time everything comes from the store


def test_a_row_beyond_the_models_window_is_named_before_anything_is_sent(folder: Path, store_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    asked = tagger(folder, store_path)
    rows = Dataset.from_dict({"id": ["short", "long"], "instruction": ["Hello.", "qxz " * 4000]})
    with pytest.raises(InputError, match=r"row long: the prompt has [\d,]+ tokens, the server takes 4,09\d"):
        map_rows(rows, asked, description="tagging", progress=False)
    assert asked.client.usage.requests == 0
