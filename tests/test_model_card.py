"""The model card: where a checkpoint comes from, how it was trained, how well it does, how to use it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from huggingface_hub import ModelCard, constants

from tagsmith.cards import redact
from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.manifest import COUNTS, build_manifest
from tagsmith.cards.model_card import Evaluation, ModelCardText, render_model_card
from tagsmith.cards.pictures import Picture

HUB = constants.ENDPOINT
TEXT = ModelCardText(
    title="Llama 8B, trained on harder Alpaca",
    summary=["A chat model.", "Made to see what the data is worth."],
    prompt='Say "hello".',
    endpoint_command=["tagsmith", "run", "select-instag"],
    citation="@article{x, title={Tag-Instruct}}",
    hyperparameters={"learning rate": 2e-5, "epochs": 3, "packing": True},
    paper_hyperparameters={"learning rate": 5e-5, "beta": 0.1},
    evaluations=[
        Evaluation("IFEval", "google/IFEval", "accuracy", 0.4123, "strict accuracy", "train", "abc"),
        Evaluation("MMLU", "cais/mmlu", "accuracy", 0.655),
    ],
    measured={"hardware": "1 × H100", "training (s)": 41.25},
    differences=["One epoch more."],
    limits=["English only."],
    language=["en"],
    tags=["sft"],
)
BASE = {"model": "meta/llama", "revision": "a" * 40, "role": "base model", "license": "apache-2.0"}
DATA = {"name": "org/data", "rows": 1234, "revision": "v1.0.0", "commit": "b" * 40, "license": "cc-by-nc-4.0"}
PICTURE = Picture("training", "Loss by step.", lambda path, theme: None)


@pytest.fixture(autouse=True)
def _no_real_secrets(monkeypatch):
    monkeypatch.setattr(redact, "get_token", lambda: None)


def manifest(**changes):
    moment = datetime(2024, 5, 1, 12, tzinfo=UTC)
    arguments = {
        "recipe": "train_sft",
        "command": ["accelerate", "launch", "recipes/train_sft.py"],
        "config": {},
        "method": "Supervised fine-tuning",
        "variant": "paper",
        "inputs": [DATA],
        "prompts": {},
        "models": [BASE],
        "counts": {**dict.fromkeys(COUNTS, 0), "rejected": {}},
        "started": moment,
        "finished": moment,
        "offline": False,
    }
    return build_manifest(**(arguments | changes))


def render(text=TEXT, *, of=None, load_name="org/model", revision="v2.0.0", **more):
    return render_model_card(text, of or manifest(), load_name=load_name, revision=revision, **more)


def test_the_metadata_are_what_the_hub_expects():
    card = ModelCard(render())
    written = card.data.to_dict()
    assert written.pop("model-index") == [
        {
            "name": "model",
            "results": [
                {
                    "task": {"type": "text-generation"},
                    "dataset": {"name": "IFEval", "type": "google/IFEval", "split": "train", "revision": "abc"},
                    "metrics": [{"type": "accuracy", "value": 0.4123, "name": "strict accuracy"}],
                },
                {
                    "task": {"type": "text-generation"},
                    "dataset": {"name": "MMLU", "type": "cais/mmlu"},
                    "metrics": [{"type": "accuracy", "value": 0.655}],
                },
            ],
        }
    ]
    assert written == {
        "base_model": "meta/llama",
        "datasets": ["org/data"],
        "language": ["en"],
        "library_name": "transformers",
        "license": "cc-by-nc-4.0",
        "pipeline_tag": "text-generation",
        "tags": ["tagsmith", "trl", "sft"],
    }


def test_the_hub_accepts_the_metadata(hub):
    local = {"model": "my-llama", "role": "base model"}
    for of in (manifest(), manifest(models=[local]), manifest(models=[BASE | {"license": "llama3.1"}])):
        ModelCard(render(of=of)).validate(repo_type="model")


def test_the_page_says_what_it_should():
    text = render(pictures=[PICTURE])
    shown = ModelCard(text).text.splitlines()
    for line in (
        "# Llama 8B, trained on harder Alpaca",
        "- Made to see what the data is worth.",
        f"**Base model:** [meta/llama]({HUB}/meta/llama/tree/{'a' * 40}) `aaaaaaaaaaaa`\\",
        f"**Data:** [org/data]({HUB}/datasets/org/data/tree/v1.0.0) `v1.0.0`, commit"
        f" [`bbbbbbbbbbbb`]({HUB}/datasets/org/data/commit/{'b' * 40}), 1,234 rows\\",
        "**Method:** Supervised fine-tuning, variant `paper`",
        'generate = pipeline("text-generation", model="org/model", revision="v2.0.0")',
        'messages = [{"role": "user", "content": "Say \\"hello\\"."}]',
        "tagsmith run select-instag --endpoint local:org/model",
        "| IFEval | train | strict accuracy | 0.4123 |",
        "| MMLU | – | accuracy | 0.655 |",
        "| Hyperparameter | Here | Paper |",
        "| learning rate | 2e-05 | 5e-05 |",
        "| epochs | 3 | – |",
        "| packing | yes | – |",
        "| beta | – | 0.1 |",
        "| hardware | 1 × H100 |",
        "| training (s) | 41.25 |",
        "- One epoch more.",
        "- English only.",
        "accelerate launch recipes/train_sft.py",
        "`cc-by-nc-4.0`. The strictest of the sources' licences, which allows no commercial use. It covers apache-2.0,"
        " whose notices stay with the parts that came under them.",
        "@article{x, title={Tag-Instruct}}",
    ):
        assert line in shown, line
    assert f'srcset="{HUB}/org/model/resolve/v2.0.0/pictures/training-dark.png"' in text
    assert "rules, not by a language model" not in text
    assert "More Information Needed" not in text
    assert "Nothing was measured" not in text


def test_what_is_not_known_is_not_shown():
    bare = replace(
        TEXT, evaluations=(), measured={}, paper_hyperparameters={}, hyperparameters={}, differences=(), language=()
    )
    text = render(bare, load_name="runs/model", revision=None)
    for absent in ("## Evaluation", "### Hyperparameters", "### Hardware", "model-index", "language:", "revision"):
        assert absent not in text
    assert 'model="runs/model")' in text
    assert "- Nothing was measured of how well it does." in text.splitlines()
    assert "\n\n\n" not in text


def test_a_local_base_model_is_named_and_is_no_repository():
    text = render(of=manifest(models=[{"model": "/home/someone/my-llama", "role": "base model"}]))
    assert "**Base model:** `my-llama` (a folder)\\" in text.splitlines()
    data = ModelCard(text).data.to_dict()
    assert "base_model" not in data
    assert data["license"] == "unknown"


def test_terms_of_base_model_and_data_that_contradict_each_other_are_both_named():
    data = ModelCard(render(of=manifest(models=[BASE | {"license": "llama3.1"}]))).data.to_dict()
    assert data["license"] == "other"
    assert data["license_name"] == "llama3.1-and-cc-by-nc-4.0"
    assert data["license_link"] == f"{HUB}/org/model#licence"


def test_two_open_licences_become_one_named_licence_of_a_model():
    of = manifest(inputs=[DATA | {"license": "mit"}])
    data = ModelCard(render(of=of)).data.to_dict()
    assert (data["license"], data["license_name"]) == ("other", "apache-2.0-and-mit")


def test_a_model_of_offline_rows_says_so():
    text = render(of=manifest(offline=True))
    assert "was answered by rules, not by a language model.**" in text
    assert text.index("answered by rules") < text.index("A chat model.")


@pytest.mark.parametrize(
    ("changes", "models", "message"),
    [
        ({}, [], "must name one model with role 'base model', got 0"),
        ({}, [BASE, BASE], "got 2"),
        ({"evaluations": [Evaluation("MMLU", "cais/mmlu", "accuracy", float("nan"))]}, [BASE], "MMLU has accuracy nan"),
        ({"language": ["English"]}, [BASE], r"ISO 639 codes such as en, got \['English'\]"),
    ],
)
def test_what_cannot_be_a_card_is_refused(changes, models, message):
    with pytest.raises(ReleaseError, match=message):
        render(replace(TEXT, **changes), of=manifest(models=models))
