"""SFT from rows to released models: a tiny one learns on the CPU, is killed, launched twice, published and served."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser
from datasets import Dataset
from huggingface_hub import HfApi, ModelCard
from safetensors.torch import load_file
from transformers import AutoTokenizer, GenerationConfig

from tagsmith.cards import hub_calls
from tagsmith.cards.dataset_card import CardText
from tagsmith.cards.manifest import COUNTS, build_manifest
from tagsmith.cards.release import write_release
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import Parameters
from tagsmith.processors.errors import InputError
from tagsmith.processors.instag.tagger import InsTagTagger
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.tag_instruct.encoder import TagEncoder
from tagsmith.recipes import diff, push, reproduce
from tagsmith.recipes import train_sft as recipe
from tagsmith.recipes.command import run
from tagsmith.recipes.parsing import parse
from tagsmith.recipes.train_sft_card import card_text
from tagsmith.trainers import sft
from tagsmith.trainers.batch import accumulation_steps
from tagsmith.trainers.sft_settings import SFTSettings
from tagsmith.trainers.tiny_model import build_tiny_model
from tagsmith.trainers.training import Start

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
ANSWERS = ("four", "seven", "nine")


def turns(question, answer):
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


EXAMPLES = Dataset.from_list([{"messages": turns(f"Case {n}?", ANSWERS[n % 3])} for n in range(40)])


def settings(**changes):
    quick = {
        "learning_rate": 3e-3,
        "batch_size": 8,
        "per_device_batch_size": 8,
        "max_length": 128,
        "evaluation_share": 0.2,
        "activation_checkpointing": False,
        "tracker": "none",
    }
    return SFTSettings(**(quick | changes))


def train(work, examples=EXAMPLES, base_model="tiny:", chat_template=None, **changes):
    return sft.train_sft(settings(**changes), examples, work, Start(base_model, None, chat_template), progress=False)


def losses(trained):
    return [entry["loss"] for entry in trained.log if "loss" in entry]


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
    return build_tiny_model(tmp_path_factory.mktemp("base") / "tiny", ["Case 1?", *ANSWERS])


# --- the training -------------------------------------------------------------------------------------------------


def test_it_learns_the_answers_and_not_the_questions(tmp_path):
    rows = Dataset.from_list([{"messages": turns(f"Case {n}?", "four")} for n in range(40)])
    trained = train(tmp_path / "work", rows, max_steps=25)
    assert losses(trained)[0] > 5  # a random guess among some hundred tokens
    assert trained.metrics.keys() == {"loss", "mean_token_accuracy"}
    assert trained.metrics["loss"] < 0.2
    assert trained.metrics["mean_token_accuracy"] == 1
    assert (len(trained.data.train), len(trained.data.evaluation), trained.steps) == (32, 8, 25)
    assert not (trained.folder / "training_args.bin").exists()


def test_packing_changes_how_many_fit_and_not_what_is_learned(tmp_path, tiny):
    """All examples in one step: packed into one sequence they have the same loss and weights as side by side."""
    base = {"base_model": str(tiny), "max_steps": 2, "evaluation_share": 0.0}
    apart = train(tmp_path / "apart", batch_size=40, per_device_batch_size=40, **base)
    packed = train(tmp_path / "packed", batch_size=1, per_device_batch_size=1, max_length=2048, packing=True, **base)
    assert losses(packed) == pytest.approx(losses(apart), abs=1e-5)
    assert losses(packed)[1] < losses(packed)[0] - 0.5


def test_the_model_stops_where_answers_end(tmp_path, tiny):
    """An instruct template may end answers with another token than the base model's own end token."""
    template = tmp_path / "chat.jinja"
    template.write_text("{% for m in messages %}{{ m.content }}<|pad|>{% endfor %}")
    trained = train(tmp_path / "work", base_model=str(tiny), chat_template=str(template), max_steps=1)
    tokenizer = AutoTokenizer.from_pretrained(trained.folder)
    ends = GenerationConfig.from_pretrained(trained.folder).eos_token_id
    assert sorted(tokenizer.convert_ids_to_tokens(ends)) == ["<|end|>", "<|pad|>"]
    assert tokenizer.chat_template == template.read_text()


def test_a_lora_is_merged(tmp_path, tiny):
    pytest.importorskip("peft", reason="a LoRA needs peft")
    trained = train(tmp_path / "work", base_model=str(tiny), max_steps=10, learning_rate=1e-2, lora_rank=4)
    assert losses(trained)[-1] < losses(trained)[0] - 1
    before, after = (load_file(folder / "model.safetensors") for folder in (tiny, trained.folder))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys()
    assert changed == {name for name in before if "_proj" in name}


# What runs in another process: a training that is killed, or one of two ranks.
PROGRAM = """
import json, os, signal, sys
from datasets import Dataset
from transformers import TrainerCallback
from tagsmith.trainers import sft, training
from tagsmith.trainers.sft_settings import SFTSettings

work, rows, settings, dies_at = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4])
watch = training.watch_loss

class Die(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

training.watch_loss = lambda trainer: (watch(trainer), trainer.add_callback(Die()))
trained = sft.train_sft(SFTSettings(**settings), Dataset.from_list(rows), work, training.Start("tiny:"), progress=False)
if trained.first:
    curve = [entry["loss"] for entry in trained.log if "loss" in entry]
    print(json.dumps([trained.world, curve, dict(trained.metrics)]))
"""


def elsewhere(tmp_path, launcher, work, dies_at, **changes):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    words = [str(work), json.dumps(EXAMPLES.to_list()), json.dumps(vars(settings(**changes))), str(dies_at)]
    return subprocess.run(
        [sys.executable, *launcher, str(program), *words], capture_output=True, text=True, timeout=300, check=False
    )


SHORT = {"max_steps": 6, "save_steps": 2, "per_device_batch_size": 4}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An undisturbed run of one process."""
    torch.set_num_threads(1)
    return train(tmp_path_factory.mktemp("whole"), **SHORT)


def test_a_killed_run_ends_as_an_undisturbed_one(tmp_path, whole):
    killed = elsewhere(tmp_path, [], tmp_path / "cut", 5, **SHORT)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    went_on = train(tmp_path / "cut", **SHORT)
    assert (went_on.resumed_from, went_on.steps) == (4, 6)
    assert losses(went_on) == losses(whole)
    assert went_on.metrics == whole.metrics
    weights = [load_file(run.folder / "model.safetensors") for run in (whole, went_on)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    other = train(tmp_path / "cut", **(SHORT | {"answers": "last", "max_steps": 2}))  # not the same run: anew
    assert (other.resumed_from, other.steps) == (0, 2)


def test_two_ranks_have_the_loss_curve_of_one(tmp_path, whole):
    launcher = ["-m", "accelerate.commands.launch", "--config_file", str(RECIPES / "accelerate/ddp.yaml")]
    launched = elsewhere(tmp_path, launcher, tmp_path / "two", -1, **SHORT)
    assert launched.returncode == 0, launched.stderr
    world, curve, metrics = json.loads(launched.stdout.splitlines()[-1])
    assert (world, whole.world) == (2, 1)
    assert curve == pytest.approx(losses(whole), abs=1e-3)
    assert metrics["loss"] == pytest.approx(whole.metrics["loss"], abs=1e-2)


# --- launching ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "own"),
    [("cpu", "NO", None), ("ddp", "MULTI_GPU", None), ("fsdp", "FSDP", "fsdp"), ("zero3", "DEEPSPEED", "deepspeed")],
)
def test_the_launchers_settings_are_ones_that_accelerate_has(name, kind, own):
    path = RECIPES / f"accelerate/{name}.yaml"
    config = load_config_from_file(str(path))  # raises where a key is unknown
    assert config.distributed_type.value == kind
    assert path.read_text().startswith("# ")  # what it needs
    if own is None:
        return
    assert config.mixed_precision == "bf16"
    # Below these accelerate looks at nothing: a misspelt one would have no effect.
    nested = getattr(config, f"{own}_config")
    known = {action.dest for action in launch_command_parser()._actions}
    assert {key for key in nested if key not in known} == set()
    assert nested.get("zero_stage", 3) == 3
    assert nested.get("fsdp_version", 2) == 2


# --- trackers -----------------------------------------------------------------------------------------------------


def test_trackio_keeps_its_curve_on_this_machine(tmp_path, tiny, monkeypatch, capsys):
    pytest.importorskip("trackio", reason="an extra: pip install tagsmith[track]")
    from trackio import utils

    connect, reached = socket.socket.connect, []

    def noted(self, address):
        reached.append(address)
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noted)
    monkeypatch.chdir(tmp_path)
    trained = train(tmp_path / "work", base_model=str(tiny), max_steps=2, evaluation_share=0.0, tracker="trackio")
    assert reached == []
    assert {path.name for path in tmp_path.iterdir()} == {"work"}
    assert utils.TRACKIO_DIR.is_relative_to(os.environ["HF_HOME"])
    with sqlite3.connect(utils.TRACKIO_DIR / "tagsmith.db") as database:
        logged = [json.loads(row[0]) for row in database.execute("SELECT metrics FROM metrics ORDER BY step")]
        names = {row[0] for row in database.execute("SELECT run_name FROM metrics")}
    database.close()
    assert [entry["train/loss"] for entry in logged if "train/loss" in entry] == pytest.approx(losses(trained))
    assert [name.startswith("work-") for name in names] == [True]


# --- the release --------------------------------------------------------------------------------------------------

QUICK = ["--learning_rate", "0.003", "--batch_size", "8", "--max_length", "256", "--evaluation_share", "0.2"]
QUICK += ["--no_activation_checkpointing", "--tracker", "none"]


def tagged_release(folder, **changes):
    """As select-instag makes it, in small: every query has the same canonical tag."""
    rows = [
        {
            "id": str(number),
            "instruction": f"Sort list {number}.",
            "response": "Done.",
            "raw_tags": ["Sorting", "odd"],
            "tag_explanations": ["It sorts.", "It is odd."],
            "tags": ["sort"],
        }
        for number in range(40)
    ]
    moment = recipe.datetime.now(recipe.UTC)
    facts = {
        "recipe": "select_instag",
        "command": ["tagsmith", "run", "select-instag"],
        "config": {},
        "method": "#InsTag",
        "variant": "paper",
        "inputs": [{"name": "seeds", "rows": 40, "license": "apache-2.0"}],
        "prompts": {},
        "models": [],
        "counts": {**dict.fromkeys(COUNTS, 0), "rejected": {}},
        "started": moment,
        "finished": moment,
        "offline": False,
    }
    configs = {
        "default": Dataset.from_list(rows),
        "tagged": Dataset.from_list(rows),
        "vocabulary": Dataset.from_dict({"raw": ["Sorting", "odd"], "canonical": ["sort", None]}),
    }
    card = CardText(title="Rows", summary=("Rows.",), configs=dict.fromkeys(configs, "rows"), citation="@misc{x}")
    return write_release(folder, configs, default="default", manifest=build_manifest(**(facts | changes)), card=card)


def test_an_instagger_is_distilled_released_and_tags(tmp_path, store_path, capsys):
    output = tmp_path / "instagger"
    words = ["--task", "instagger", "--dataset", str(tagged_release(tmp_path / "tagged")), "--dataset_config", "tagged"]
    words += ["--max_steps", "45"]
    assert run(recipe.main, [*QUICK, *words, "--output", str(output)]) == 0
    assert "token accuracy  1.0000" in capsys.readouterr().out

    manifest = json.loads((output / "manifest.json").read_text())
    assert (manifest["method"], manifest["variant"], manifest["offline"]) == ("#InsTag", "instagger", False)
    assert (manifest["inputs"][0]["name"], manifest["inputs"][0]["config"]) == ("tagged", "tagged")
    assert (manifest["counts"]["rows_in"], manifest["counts"]["rows_out"]) == (40, 32)
    card = ModelCard((output / "README.md").read_text())
    assert card.data.tags == ["tagsmith", "trl", "sft", "instag"]
    assert card.data.eval_results[0].metric_value == 1
    assert "| examples a step | 8 | 512 |" in card.text
    assert "return_full_text=False" in card.text  # raw text: it has no use for messages
    assert "--tagger_format instagger \\\n  --endpoint local:" in card.text
    assert 'srcset="pictures/training-dark.png"' in card.text

    # The tagger and Tag-Instruct's encoder ask it in the form that it was trained in.
    rows = Dataset.from_list([{"id": "a", "instruction": "Sort list 7."}])
    endpoint = Endpoint(f"local:{output}", store=store_path, max_repairs=0)
    short = Parameters(max_new_tokens=48)
    tagger = InsTagTagger(endpoint=endpoint, format="instagger", parameters=short)
    tagged = map_rows(rows, tagger, description="tagging", progress=False)[0]
    assert (tagged["raw_tags"], tagged["tag_explanations"]) == (["sort"], ["It sorts."])
    assert tagged["model"].startswith("instagger@")
    encoder = TagEncoder(endpoint=endpoint, variant="model", parameters=short)
    assert map_rows(rows, encoder, description="encoding", progress=False)["base_tags"][:] == [["sort"]]


@pytest.fixture
def logged_in(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    monkeypatch.setattr(hub_calls, "time", SimpleNamespace(sleep=lambda _: None))
    return hub


def test_a_student_is_pushed_with_a_tag(tmp_path, logged_in):
    words = [*QUICK, "--dataset", "seeds", "--max_rows", "30", "--chat_template", "alpaca", "--max_steps", "1"]
    words += ["--push_to_hub", "lab/student", "--release", "v1.0.0", "--output", str(tmp_path / "student")]
    assert run(recipe.main, words) == 0
    api = HfApi()
    there = api.list_repo_refs("lab/student").tags[0]
    assert (there.name, there.target_commit) == ("v1.0.0", api.model_info("lab/student").sha)
    card = ModelCard((tmp_path / "student/README.md").read_text())
    assert 'revision="v1.0.0"' in card.text
    assert "**Method:** SFT, variant `student`" in card.text
    assert "local:" not in card.text  # a student is no endpoint of any recipe
    assert "### Response:" in (tmp_path / "student/chat_template.jinja").read_text()


def test_a_models_folder_is_pushed_later_and_is_no_dataset(tmp_path, tiny, logged_in, capsys):
    output = tmp_path / "student"
    (tmp_path / "rows.jsonl").write_text('{"prompt": "Case 1?", "completion": "four"}\n' * 9)
    words = ["--dataset", str(tmp_path / "rows.jsonl"), "--evaluation_share", "0", "--max_steps", "1"]
    assert run(recipe.main, [*QUICK, *words, "--base_model", str(tiny), "--output", str(output)]) == 0
    assert run(push.main, [str(output), "lab/later", "--release", "v1.0.0"]) == 0
    assert run(push.main, [str(output), "lab/later", "--release", "v1.0.0"]) == 0
    assert "Published already" in capsys.readouterr().out
    api = HfApi()
    card = ModelCard(Path(api.hf_hub_download("lab/later", "README.md", revision="v1.0.0")).read_text())
    assert 'model="lab/later", revision="v1.0.0"' in card.text
    assert "| learning rate | 0.003 |" in card.text

    for command, arguments in ((reproduce, [str(output)]), (diff, [str(output), str(output)])):
        assert run(command.main, arguments) == 2
        assert f"{output.name} is a trained model, and not a release of rows" in capsys.readouterr().err
    (output / "model.safetensors").unlink()
    assert run(push.main, [str(output), "lab/later", "--release", "v1.1.0"]) == 2
    assert "is not published: it has no weights" in capsys.readouterr().err


@pytest.fixture
def no_step(monkeypatch):
    """Fails where a trainer is made."""

    def trainer(*_, **__):
        raise AssertionError("training began")

    monkeypatch.setattr(sft, "SFTTrainer", trainer)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--task poet", "task 'poet' is unknown; expected one of student, instagger, instagger_paper, knowledge"),
        ("--tags odd", "tags 'odd' is unknown; expected one of canonical, raw"),
        ("--answers first", "answers 'first' is unknown; expected one of all, last"),
        ("--learning_rate 3", "learning_rate is 3.0; expected above 0 and at most 0.1"),
        ("--batch_size 12", "a batch of 12 cannot be made of 8 per device on 1 device"),
        ("--max_length 4096", "max_length is 4,096 tokens, but"),
        ("--max_length 8", "all 40 examples are longer than max_length = 8 tokens (the shortest has"),
        ("--chat_template none.jinja", "chat template none.jinja cannot be read"),
        ("--pad_token <nope>", "pad_token '<nope>' is no token of"),
        ("--dataset nothing.jsonl", "nothing.jsonl does not exist"),
        ("--dataset_config nope", "has no config 'nope', it has default, tagged, vocabulary"),
        ("--dataset_config vocabulary", "no known shape in the columns raw, canonical; expected one of"),
        ("--split test", "has no split 'test', it has train (--split NAME)"),
        ("--max_rows 0", "max_rows must be at least 1, got 0"),
        ("--task instagger --dataset seeds", "seeds has no vocabulary that says which tags are canonical; give a"),
        ("--task instagger --tags raw --dataset seeds", "the rows have no column 'raw_tags', they have"),
        ("--link_dataset", "--link_dataset needs data on the Hub"),
        ("--evaluation_share 0.99", "evaluation_share 0.99 of 40 distinct prompts leaves none to train on; give more"),
    ],
)
def test_bad_commands(words, said, tmp_path, tiny, no_step, capsys):
    data = tagged_release(tmp_path / "rows")
    command = [*QUICK, "--dataset", str(data), "--base_model", str(tiny), "--output", str(tmp_path / "model")]
    assert run(recipe.main, [*command, *words.split()]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "model").exists()


def test_empty_data(tmp_path, no_step, capsys):
    (tmp_path / "empty.jsonl").write_text("")
    assert run(recipe.main, ["--dataset", str(tmp_path / "empty.jsonl"), "--output", str(tmp_path / "model")]) == 2
    assert "empty.jsonl is empty (0 bytes)" in capsys.readouterr().err


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is a GPU here")
def test_bf16_needs_a_gpu(tmp_path, no_step):
    with pytest.raises(InputError, match="precision is bf16, but there is no GPU here; give --precision fp32"):
        train(tmp_path / "work", precision="bf16")


# --- the shipped configs ------------------------------------------------------------------------------------------

CONFIGS = sorted((RECIPES / "configs/train_sft").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_shipped_configs(path):
    task, data, base, training_settings, release = parse("train_sft", "", recipe.ARGUMENTS, ["--config", path.stem])
    assert task.task in recipe.TASKS
    training_settings.check()
    devices = 8 if path.stem.startswith("paper") else 1
    assert accumulation_steps(training_settings.batch_size, training_settings.per_device_batch_size, devices) >= 1
    assert release.target() is None
    assert data.dataset == "seeds" or data.dataset.startswith("runs/")
    assert (base.base_model == "tiny:") == path.stem.startswith("demo")
    if path.stem.startswith("paper"):  # each value with its source
        about = {"task", "dataset", "dataset_config", "output"}
        lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
        unsaid = [line for line in lines if line.partition(":")[0] not in about and "  #" not in line]
        assert unsaid == []


def test_the_papers_values():
    read = {path.stem: yaml.safe_load(path.read_text()) for path in CONFIGS}
    asked = ("learning_rate", "batch_size", "epochs", "max_length", "scheduler", "warmup")
    values = {name: tuple(read[name].get(key) for key in asked) for name in read}
    assert values["paper_student"] == (2e-5, 128, 3.0, 2048, "cosine", 0.0)  # Tag-Instruct, App. B.2
    assert values["paper_taglm"][:3] == (2e-5, 128, 5.0)  # #InsTag, 4.1
    assert values["paper_instagger"][:3] == (2e-5, 512, 1.0)  # #InsTag, App. I
    assert (values["paper_tags_student"][:2], values["paper_tags_student"][3]) == ((5e-6, 128), 8192)  # TAGS, A.2.3
    assert values["paper_tags_student"][5] == 0.03


@pytest.mark.parametrize(
    ("made_by", "paper", "cites"),
    [
        ("Tag-Instruct", {"epochs": 3, "scheduler": "cosine"}, "zhu2025taginstruct"),
        ("#InsTag", {"epochs": 5}, "lu2024instag"),
        (None, {}, "vonwerra2020trl"),
    ],
)
def test_a_students_card_quotes_the_paper_of_its_data(made_by, paper, cites):
    text = card_text("student", settings(packing=True), untrained(), {"name": "rows"}, "org/base", made_by=made_by)
    assert paper.items() <= text.paper_hyperparameters.items()
    assert bool(text.paper_hyperparameters) == bool(paper)
    assert cites in text.citation
    assert text.hyperparameters["sequences a step"] == 8
    assert text.differences == ["3 of 40 examples were left out: longer than the longest sequence."]
    assert (text.evaluations, text.tables, text.measured) == ([], (), {"hardware": "CPU"})


def untrained():
    """As if all steps had been done in an earlier session."""
    rows = SimpleNamespace(train=EXAMPLES, evaluation=[], rows=40, left_out={"too_long": 3})
    done = {"steps": 5, "resumed_from": 5, "epochs": 1.0, "world": 1, "accumulation": 1, "hardware": "CPU"}
    return SimpleNamespace(data=rows, metrics={}, arguments={}, log=[], **done)
