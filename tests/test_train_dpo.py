"""DPO from pairs to a released policy: a tiny model learns on the CPU, is interrupted, published and served."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from huggingface_hub import HfApi, ModelCard
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

from tagsmith.cards import hub_calls
from tagsmith.cards.dataset_card import CardText
from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.hub_target import HubTarget
from tagsmith.cards.manifest import COUNTS, build_manifest
from tagsmith.cards.model_release import check_model_output
from tagsmith.cards.push import push_release
from tagsmith.cards.release import write_release
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import Parameters
from tagsmith.processors.errors import InputError
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.tag_instruct.expander import TagExpander
from tagsmith.processors.tag_instruct.expansion_prompt import expansion_messages
from tagsmith.recipes import train_dpo as recipe
from tagsmith.recipes.arguments import DataArguments
from tagsmith.recipes.command import run
from tagsmith.recipes.parsing import parse
from tagsmith.recipes.train_card import curves
from tagsmith.recipes.train_dpo_card import PANELS, card_text
from tagsmith.recipes.training_source import load_training_source
from tagsmith.trainers import dpo, training
from tagsmith.trainers.base_model import BaseModel
from tagsmith.trainers.batch import accumulation_steps
from tagsmith.trainers.dpo_settings import DPOSettings
from tagsmith.trainers.tiny_model import build_tiny_model
from tagsmith.trainers.training import Start

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
GOOD, BAD = ("edge cases", "proof", "error analysis"), ("small talk", "greeting", "hello")


def pair(number):
    def said(tag):
        return [{"role": "assistant", "content": tag}]

    prompt = [{"role": "user", "content": f"Task {number}: one more tag."}]
    return {"id": str(number), "prompt": prompt, "chosen": said(GOOD[number % 3]), "rejected": said(BAD[number % 3])}


PAIRS = Dataset.from_list([pair(number) for number in range(40)])


def settings(**changes):
    quick = {
        "learning_rate": 2e-3,
        "batch_size": 8,
        "per_device_batch_size": 8,
        "max_length": 128,
        "evaluation_share": 0.2,
        "activation_checkpointing": False,
        "tracker": "none",
    }
    return DPOSettings(**(quick | changes))


def train(work, pairs=PAIRS, base_model="tiny:", **changes):
    more = {name: changes.pop(name) for name in ("chat_template", "pad_token", "revision") if name in changes}
    return dpo.train_dpo(settings(**changes), pairs, work, Start(base_model, **more), progress=False)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    """Other tests run beside this one; and sums come out in the same order."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A base model's folder."""
    return build_tiny_model(tmp_path_factory.mktemp("base") / "tiny", ["Task 1: one more tag.", *GOOD, *BAD])


# --- the training -------------------------------------------------------------------------------------------------


def test_it_learns_what_can_be_learned(tmp_path):
    trained = train(tmp_path / "work", max_steps=40)
    losses = [entry["loss"] for entry in trained.log if "loss" in entry]
    assert len(losses) == 40
    assert losses[0] == pytest.approx(0.6931, abs=1e-4)  # log 2: policy and reference are the same
    assert losses[-1] < 0.2
    # Prompts that it has not seen; chance is 0.5.
    assert trained.metrics["loss"] < 0.2
    assert trained.metrics["rewards/accuracies"] >= 0.9
    assert trained.metrics["rewards/margins"] > 1
    assert (len(trained.data.train), len(trained.data.evaluation)) == (32, 8)
    assert (trained.steps, trained.resumed_from, trained.accumulation) == (40, 0, 1)
    assert not (trained.folder / "training_args.bin").exists()


def stop_after(step, monkeypatch):
    """Ctrl-C in the step after that one."""

    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == step + 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(training, "watch_loss", lambda trainer: trainer.add_callback(Stop()))


def test_an_interrupted_run_ends_as_an_undisturbed_one(tmp_path, monkeypatch):
    changes = {"max_steps": 6, "save_steps": 2, "per_device_batch_size": 4}
    whole = train(tmp_path / "whole", **changes)
    with monkeypatch.context() as interrupted:
        stop_after(4, interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "cut", **changes)
    # A run that was killed while it saved leaves a folder with half of what belongs there.
    half = tmp_path / "cut/checkpoint-5"
    shutil.copytree(tmp_path / "cut/checkpoint-4", half)
    (half / "trainer_state.json").write_text('{"global_step": 5, "log_hist')
    went_on = train(tmp_path / "cut", **changes)
    assert (went_on.resumed_from, went_on.steps) == (4, 6)
    assert went_on.metrics == whole.metrics
    losses = [[entry["loss"] for entry in run.log if "loss" in entry] for run in (whole, went_on)]
    assert losses[0] == losses[1]
    weights = [load_file(run.folder / "model.safetensors") for run in (whole, went_on)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])

    another = train(tmp_path / "cut", **(changes | {"beta": 0.2}))  # not the same run: from the start
    assert (another.resumed_from, another.steps) == (0, 6)


def test_a_loss_that_is_no_number_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(dpo.DPOTrainer, "_compute_loss", lambda self, model, *_: lost(model))
    with pytest.raises(InputError, match=r"^loss became nan at step 1, so the weights are lost; give a smaller"):
        train(tmp_path / "work", max_steps=3, evaluation_share=0.0)


def lost(model):
    return next(model.parameters()).sum() * float("nan")


# --- the batch ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "per_device", "world", "steps"), [(128, 8, 1, 16), (128, 8, 4, 4), (128, 4, 32, 1), (6, 3, 2, 1)]
)
def test_the_batch_is_what_was_asked_for(batch, per_device, world, steps):
    assert accumulation_steps(batch, per_device, world) == steps
    assert per_device * world * steps == batch


@pytest.mark.parametrize(
    ("batch", "per_device", "world", "remedy"),
    [
        (128, 12, 1, "--per_device_batch_size 8"),
        (128, 8, 3, "--batch_size 144"),
        (4, 8, 1, "--per_device_batch_size 4"),
    ],
)
def test_a_batch_that_cannot_be_made(batch, per_device, world, remedy):
    with pytest.raises(InputError, match=f"a batch of {batch} cannot be made of {per_device} .*; give {remedy}$"):
        accumulation_steps(batch, per_device, world)


def test_a_launcher_that_the_trainer_does_not_see_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(dpo, "DPOConfig", lambda **_: SimpleNamespace(world_size=1))
    with pytest.raises(InputError, match="the launcher started 2 processes, but the trainer sees 1"):
        train(tmp_path / "work", batch_size=16)


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.fixture
def no_step(monkeypatch):
    """Fails where a trainer is made."""

    def trainer(*_, **__):
        raise AssertionError("training began")

    monkeypatch.setattr(dpo, "DPOTrainer", trainer)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"beta": 0.0}, "beta is 0.0; expected above 0 and at most 10"),
        ({"beta": float("nan")}, "beta is nan"),
        ({"learning_rate": -1e-5}, "learning_rate is -1e-05; expected above 0"),
        ({"learning_rate": 5.0}, "learning_rate is 5.0; expected above 0 and at most 0.1"),
        ({"epochs": 0.0}, "epochs is 0.0"),
        ({"max_steps": 0}, "max_steps is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": 12}, "a batch of 12 cannot be made of 8 per device on 1 device"),
        ({"max_length": 4096}, "max_length is 4,096 tokens, but .* takes at most 2,048; give a smaller --max_length"),
        ({"warmup": -1.0}, "warmup is -1.0; expected 0 or more"),
        ({"save_steps": 0.0}, "save_steps is 0.0"),
        ({"evaluation_share": 1.0}, "evaluation_share is 1.0"),
        ({"precision": "fp8"}, "precision 'fp8' is unknown; expected one of auto, bf16, fp32"),
        ({"tracker": "notes"}, "tracker 'notes' is unknown"),
        ({"scheduler": "steep"}, "scheduler 'steep' is unknown"),
        ({"pairs": PAIRS.select([])}, r"there are no pairs \(0 rows\)"),
        ({"pairs": PAIRS.rename_column("chosen", "good")}, "the pairs have no column 'chosen'"),
        ({"base_model": "org"}, "base model 'org' is no folder here, not in the Hub's cache"),
        ({"base_model": "a/b/c"}, "base model 'a/b/c' is neither a folder nor a name on the Hub"),
        ({"pad_token": "<nope>"}, "pad_token '<nope>' is no token of"),
        ({"chat_template": "none.jinja"}, "chat template none.jinja cannot be read"),
    ],
)
def test_bad_settings(changes, said, tmp_path, tiny, no_step):
    changes = {"base_model": str(tiny)} | changes
    with pytest.raises(InputError, match=said) as raised:
        train(tmp_path / "work", **changes)
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is a GPU here")
def test_bf16_needs_a_gpu(tmp_path, tiny, no_step):
    with pytest.raises(InputError, match="precision is bf16, but there is no GPU here; give --precision fp32"):
        train(tmp_path / "work", base_model=str(tiny), precision="bf16")


@pytest.mark.parametrize("package", ["peft", "trackio"])
def test_packages_that_are_not_there(package, tmp_path, no_step, monkeypatch):
    monkeypatch.setattr("tagsmith.trainers.training_settings.find_spec", lambda name: None)
    changes = {"lora_rank": 8} if package == "peft" else {"tracker": "trackio"}
    with pytest.raises(InputError, match=f"{package}.* not installed; `pip install {package}`"):
        train(tmp_path / "work", **changes)


def broken(tiny, folder, how):
    """A copy of the model with something wrong."""
    shutil.copytree(tiny, folder)
    weights = folder / "model.safetensors"
    if how == "no weights":
        weights.unlink()
    elif how == "half of the weights":
        weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    elif how == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    elif how == "half a config":
        (folder / "config.json").write_text('{"model_type": "lla')
    elif how == "a layer more":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3, "layer_types": None}))
    else:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        if how == "no chat template":
            (folder / "chat_template.jinja").unlink()
            tokenizer.chat_template = None
        elif how == "no pad token":
            tokenizer.pad_token = None
        elif how == "more tokens than embeddings":
            tokenizer.add_tokens([f"<extra {n}>" for n in range(3000)])
        tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("no weights", "base model .* cannot be trained: it has no weights"),
        ("half of the weights", "cannot be loaded .*if it was saved or copied only in part, do that again"),
        ("no tokenizer", "cannot be trained: it has no tokenizer"),
        ("half a config", "cannot be trained: it has a damaged config.json"),
        ("a layer more", r"lacks \d+ tensors of its config, the first is model.layers.2"),
        (
            "no chat template",
            "has no chat template, .*take its instruct version, or give a Jinja file with --chat_temp",
        ),
        (
            "no pad token",
            r"has no pad token; name one of its tokens with --pad_token, such as its end token '<\|end\|>'",
        ),
        ("more tokens than embeddings", "its tokenizer has 3,.*: they do not belong together"),
    ],
)
def test_bad_base_models(how, said, tmp_path, tiny, no_step):
    with pytest.raises(InputError, match=said) as raised:
        train(tmp_path / "work", base_model=str(broken(tiny, tmp_path / "model", how)))
    assert "\n" not in str(raised.value)


def test_what_the_errors_advise_works(tmp_path, tiny):
    template = tmp_path / "chat.jinja"
    template.write_text("{% for m in messages %}{{ m.content }}<|end|>{% endfor %}")
    folder = str(broken(tiny, tmp_path / "bare", "no chat template"))
    assert BaseModel.open(folder, chat_template=str(template)).tokenizer.chat_template == template.read_text()
    folder = str(broken(tiny, tmp_path / "padless", "no pad token"))
    assert BaseModel.open(folder, pad_token="<|end|>").tokenizer.pad_token == "<|end|>"


def test_a_tiny_model_is_the_same_each_time(tmp_path):
    folders = [build_tiny_model(tmp_path / name, ["some text", "some more"]) for name in ("a", "b")]
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    other = build_tiny_model(tmp_path / "c", ["some text", "some more"], seed=1)
    assert (other / "model.safetensors").read_bytes() != (folders[0] / "model.safetensors").read_bytes()


# --- the release --------------------------------------------------------------------------------------------------

PROMPT = PromptTemplate("short.jinja", "{{ tags }}: {{ instruction }}")
QUICK = ["--learning_rate", "0.003", "--batch_size", "8", "--max_length", "192", "--evaluation_share", "0.2"]
QUICK += ["--no_activation_checkpointing", "--tracker", "none"]


def release_pairs(folder, target=None, **changes):
    """A release of preference pairs, as build-tag-preferences makes it, but for the prompt: a short one is quicker."""
    rows = [
        pair(number)
        | {"prompt": expansion_messages(f"Do task {number}.", ["python", f"topic {number % 5}"], prompt=PROMPT)}
        for number in range(40)
    ]
    moment = recipe.datetime.now(recipe.UTC)
    facts = {
        "recipe": "build_tag_preferences",
        "command": ["tagsmith", "run", "build-tag-preferences"],
        "config": {"explain": False},
        "method": "Tag-Instruct",
        "variant": "rejected random",
        "inputs": [{"name": "seeds", "rows": 40, "license": "apache-2.0"}],
        "prompts": {},
        "models": [],
        "counts": {**dict.fromkeys(COUNTS, 0), "rejected": {}},
        "started": moment,
        "finished": moment,
        "offline": False,
    }
    card = recipe_card()
    manifest = build_manifest(**(facts | changes))
    return write_release(
        folder, {"default": Dataset.from_list(rows)}, default="default", manifest=manifest, card=card, target=target
    )


def recipe_card():
    return CardText(title="Pairs", summary=("Pairs.",), configs={"default": "the pairs"}, citation="@misc{x}")


def read(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_policy_is_trained_released_served_and_expands_tags(tmp_path, store_path, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_API_KEY", "not-for-the-public-1234")
    pairs = release_pairs(tmp_path / "secret-place/pairs")
    output = tmp_path / "secret-place/policy"
    words = [*QUICK, "--pairs", str(pairs), "--output", str(output), "--max_steps", "40"]
    assert run(recipe.main, words) == 0
    assert "reward accuracy  1.0000" in capsys.readouterr().out

    # A checkpoint that Transformers opens, with all that belongs to it, and nothing else.
    files = read(output)
    manifest = json.loads(files["manifest.json"])
    assert sorted(files) == [
        "README.md",
        "card.json",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "manifest.json",
        "model.safetensors",
        "pictures/training-dark.png",
        "pictures/training.png",
        "tokenizer.json",
        "tokenizer_config.json",
        "training_args.json",
    ]
    assert manifest["files"] == sorted({name.partition("/")[0] for name in files})
    assert [path.name for path in output.parent.iterdir() if path.name.startswith(".")] == []  # no work is left
    model = AutoModelForCausalLM.from_pretrained(output)
    assert len(AutoTokenizer.from_pretrained(output)) == model.config.vocab_size
    for name, content in files.items():
        for private in (b"secret-place", str(tmp_path).encode(), b"not-for-the-public-1234"):
            assert private not in content, name

    # What the manifest and the card say.
    assert manifest["inputs"][0]["name"] == "pairs"
    assert manifest["inputs"][0]["license"] == "apache-2.0"
    assert manifest["models"][0]["model"] == "tiny:"
    assert (manifest["counts"]["rows_in"], manifest["counts"]["rows_out"]) == (40, 32)
    assert manifest["counts"]["rows_evaluation"] == 8
    assert manifest["evaluation"]["rewards/accuracies"] == 1
    assert json.loads(files["training_args.json"])["learning_rate"] == 0.003
    card = ModelCard(files["README.md"].decode())
    assert card.data.license == "apache-2.0"
    assert card.data.eval_results[0].metric_value == 1
    assert "| learning rate | 0.003 | 5e-05 |" in card.text
    assert "| pairs a step | 8 | 128 |" in card.text
    assert "| steps timed | 40 |" in card.text
    assert 'srcset="pictures/training-dark.png"' in card.text

    # It serves, and what it was taught to prefer is what it begins to answer. (Where a tag ends, DPO does not teach.)
    rows = Dataset.from_list([{"id": "a", "instruction": "Do task 7.", "base_tags": ["python", "topic 2"]}])
    expander = TagExpander(
        endpoint=Endpoint(f"local:{output}", store=store_path, max_repairs=0),
        n=1,
        format="policy",
        prompt=PROMPT,
        parameters=Parameters(max_new_tokens=8, temperature=0.0),
    )
    expanded = map_rows(rows, expander, description="expanding", progress=False)
    assert expander.client.server.model.startswith("policy@")
    said = expanded["candidates"][0][0]
    assert (said["tag"] or said["raw_reply"]).split()[0] in {tag.split()[0] for tag in GOOD}

    # A second run may replace it, since nothing else is in there.
    check_model_output(output)
    (output / "notes.txt").write_text("mine")
    with pytest.raises(ReleaseError, match=r"holds what no release of a model put there \(notes.txt\)"):
        check_model_output(output)


def arguments(*words):
    return parse("train_dpo", "", recipe.ARGUMENTS, [*QUICK, *words])


@pytest.fixture
def logged_in(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    monkeypatch.setattr(hub_calls, "time", SimpleNamespace(sleep=lambda _: None))
    return hub


def test_a_policy_is_pushed_and_its_pairs_say_so(tmp_path, logged_in):
    data = HubTarget("lab/pairs", "v1.0.0")
    pushed = push_release(release_pairs(tmp_path / "pairs", data), data)
    words = ["--pairs", "lab/pairs@v1.0.0", "--max_steps", "2"]
    words += ["--push_to_hub", "lab/policy", "--release", "v0.1.0", "--link_dataset"]
    output = tmp_path / "policy"
    command = ["tagsmith", "run", "train-dpo", *words]
    assert recipe.train(*arguments(*words, "--output", str(output)), command=command, progress=False) == output

    api = HfApi()
    there = api.list_repo_refs("lab/policy").tags[0]
    assert (there.name, there.target_commit) == ("v0.1.0", api.model_info("lab/policy").sha)
    assert set(api.list_repo_files("lab/policy", revision="v0.1.0")) - {".gitattributes"} == set(read(output))
    card = ModelCard((output / "README.md").read_text())
    assert card.data.datasets == ["lab/pairs"]
    assert pushed.commit[:12] in card.text
    assert 'revision="v0.1.0"' in card.text
    source = json.loads((output / "manifest.json").read_text())["inputs"][0]
    assert (source["name"], source["revision"], source["commit"]) == ("lab/pairs", "v1.0.0", pushed.commit)
    dataset_card = Path(api.hf_hub_download("lab/pairs", "README.md", repo_type="dataset")).read_text()
    assert f"lab/policy) v0.1.0, commit [`{there.target_commit[:12]}`]" in dataset_card


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--push_to_hub lab/policy", "--push_to_hub org/name and --release v1.0.0 belong together"),
        ("--release v1.0.0", "--push_to_hub org/name and --release v1.0.0 belong together"),
        ("--link_dataset", "--link_dataset needs data on the Hub"),
        ("--beta 0", "beta is 0.0; expected above 0 and at most 10"),
        ("--batch_size many", "invalid int value: 'many'"),
        ("--leaning_rate 1e-4", "unknown flag --leaning_rate, did you mean --learning_rate?"),
        ("--pairs nothing.jsonl", "nothing.jsonl does not exist"),
    ],
)
def test_bad_commands(words, said, tmp_path, no_step, capsys):
    pairs = release_pairs(tmp_path / "pairs")
    command = [*QUICK, "--pairs", str(pairs), "--output", str(tmp_path / "policy"), *words.split()]
    assert run(recipe.main, command) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "policy").exists()


def test_what_rules_made_is_not_published_unasked(tmp_path, no_step, logged_in, capsys):
    pairs = release_pairs(tmp_path / "pairs", offline=True)
    words = f"--pairs {pairs} --push_to_hub lab/policy --release v1.0.0 --output {tmp_path / 'policy'}".split()
    assert run(recipe.main, words) == 2
    assert "are not published unasked" in capsys.readouterr().err


def test_a_folder_of_something_else_is_left_alone(tmp_path, no_step, capsys):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/thesis.tex").write_text("important")
    assert run(recipe.main, ["--pairs", "seeds", "--output", str(tmp_path / "home")]) == 2
    assert "thesis.tex" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["demo", "paper"])
def test_the_shipped_configs(name):
    data, _, training, release = parse("train_dpo", "", recipe.ARGUMENTS, ["--config", name])
    training.check()
    assert accumulation_steps(training.batch_size, training.per_device_batch_size, 1) > 1
    assert release.target() is None
    assert data.pairs.startswith("runs/")
    if name == "paper":  # App. D.4
        asked = (training.beta, training.learning_rate, training.batch_size, training.epochs, training.max_steps)
        assert asked == (0.1, 5e-5, 128, 1.0, None)


def test_what_a_release_says_of_its_pairs(tmp_path):
    pairs = release_pairs(tmp_path / "pairs", config={"explain": True}, offline=True)
    source = load_training_source(DataArguments(dataset=str(pairs)))
    assert (len(source.rows), source.settings, source.offline, source.target) == (40, {"explain": True}, True, None)
    assert source.facts.keys() == {"name", "rows", "content_hash", "license"}
    text = card_text(settings(), untrained(), {"name": "pairs"}, "org/base", explain=True)
    assert text.endpoint_command[-2:] == ("--policy_format", "policy_explained")
    assert text.endpoint_flag == "--policy_endpoint"
    assert "explain" in text.prompt.lower()
    assert text.differences[1:] == [
        "The paper trains its teacher model itself; this started from `org/base`.",
        "3 of 40 pairs were left out: longer than the longest sequence.",
    ]
    assert (text.evaluations, text.tables, text.measured) == ([], (), {"hardware": "CPU"})


def untrained():
    """As if all steps had been done in an earlier session."""
    rows = SimpleNamespace(train=PAIRS, evaluation=[], rows=40, left_out={"too_long": 3})
    done = {"steps": 5, "resumed_from": 5, "epochs": 1.0, "world": 1, "accumulation": 1, "hardware": "CPU"}
    return SimpleNamespace(data=rows, metrics={}, arguments={}, log=[], **done)


def test_curves_take_the_last_value_of_a_step():
    log = [
        {"step": 1, "loss": 0.69, "rewards/margins": 0.0},
        {"step": 2, "loss": 0.5, "rewards/margins": 0.2},
        {"step": 2, "eval_loss": 0.6},
        {"step": 2, "eval_loss": 0.55, "train_runtime": 3.0},
    ]
    assert curves(log, PANELS) == {
        "Loss": {"training": [(1, 0.69), (2, 0.5)], "evaluation": [(2, 0.55)]},
        "Margin of the rewards": {"training": [(1, 0.0), (2, 0.2)]},
    }


def test_a_lora_is_merged(tmp_path, tiny):
    pytest.importorskip("peft", reason="a LoRA needs peft")
    trained = train(tmp_path / "work", base_model=str(tiny), max_steps=10, learning_rate=1e-2, lora_rank=4)
    assert trained.metrics["rewards/margins"] > 0
    before, after = (load_file(folder / "model.safetensors") for folder in (tiny, trained.folder))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys()
    assert changed == {name for name in before if "_proj" in name}


# --- two ranks ----------------------------------------------------------------------------------------------------


def test_two_ranks_train_as_one_does(tmp_path):
    pairs = release_pairs(tmp_path / "pairs")
    words = [*QUICK, "--pairs", str(pairs), "--max_steps", "3", "--per_device_batch_size", "4"]
    assert run(recipe.main, [*words, "--output", str(tmp_path / "one")]) == 0
    launcher = ["--config_file", str(RECIPES / "accelerate/ddp.yaml"), str(RECIPES / "train_dpo.py")]
    launched = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *launcher, *words, "--output", str(tmp_path / "two")],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert launched.returncode == 0, launched.stderr
    assert launched.stdout.count("Done") == 1  # one rank publishes
    cards = [(tmp_path / name / "README.md").read_text() for name in ("one", "two")]
    assert "| devices × pairs × accumulation | 1 × 4 × 2 |" in cards[0]
    assert "| devices × pairs × accumulation | 2 × 4 × 1 |" in cards[1]
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("one", "two")]
    for name, tensor in weights[0].items():  # gradients are summed in another order, and AdamW makes steps of the signs
        assert torch.allclose(tensor, weights[1][name], atol=1e-4), name
