"""Whether the trainers teach a tag policy: a model of 2 million random weights, by SFT, then by DPO and by GRPO.

Rows are the authors' seeds (tag-instruct/alpaca_5k, short ones); the offline endpoint compresses them to tags and
proposes candidates for a new one, scored by pools of the authors' own utilities (tag_values). For each seed

    SFT    the model learns to complete a new tag: a random valid candidate of each row, no matter how good
    DPO    from there, on preference pairs of the same candidates (recipe: build-tag-preferences, train-dpo)
    GRPO   from there, on the rows alone, rewarded by score_good − score_bad (recipe: train-grpo)

and each of the three samples tags for rows that no training saw. `utility` is the mean score (Eq. 2, 3) of the valid
tags, `valid` the share of completions that are valid (one new tag within the embedding band), `distinct` that of
different tags among the valid ones. A row of the table is the mean over seeds; the gain over SFT has a 95 % interval
over seeds (t). `rises` says that each seed's own interval over rows (bootstrap) lies above 0, `valid_kept` that no
seed's interval of the change in `valid` lies below 0.

What it proves: both trainers move a policy towards what is rewarded, on unseen rows, without unlearning how to say a
tag. What it does not: that data made with such tags is better; anything about large models; or that candidates of a
language model would do the same, since rules proposed these. DPO and GRPO take different amounts of computing here,
so they are not compared with each other. Both also show what the reward does not ask for. `distinct` falls under GRPO:
one good tag fits many rows, and with β 0.02 to 0.05 in place of 0.2 a handful of tags was all that was left (utility
0.056, distinct 0.01 to 0.03). DPO has β 0.3, since at the paper's 0.1 a model this small gained as much but ended its
tags less often (valid 0.42 before, 0.36 after).

    python benchmarks/learn_tag_policy.py --data ../shared/data/tag-instruct
    python benchmarks/learn_tag_policy.py --data ../shared/data/tag-instruct --rows 3000 --seeds 5
"""

import argparse
import json
import random
import resource
import tempfile
import time
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.json
import torch
from datasets import Dataset, disable_progress_bars
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from tagsmith.processors.embedding import TextEmbedder
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import Parameters
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.remembered_embedding import RememberedEmbedder
from tagsmith.processors.rows import to_rows
from tagsmith.processors.tag_instruct.alignment_band import AlignmentBand
from tagsmith.processors.tag_instruct.candidate_choice import is_valid
from tagsmith.processors.tag_instruct.encoder import BASE_TAGS_SCHEMA, TagEncoder
from tagsmith.processors.tag_instruct.expander import TagExpander
from tagsmith.processors.tag_instruct.expansion_prompt import expansion_messages
from tagsmith.processors.tag_instruct.preference_pairs import PreferencePairs
from tagsmith.processors.tag_instruct.tag_pools import POOL_VARIANTS, TagPools, tag_pools
from tagsmith.processors.tag_instruct.utility import TagUtility
from tagsmith.trainers.dpo import train_dpo
from tagsmith.trainers.dpo_settings import DPOSettings
from tagsmith.trainers.grpo import train_grpo
from tagsmith.trainers.grpo_settings import GRPOSettings
from tagsmith.trainers.sft import train_sft
from tagsmith.trainers.sft_settings import SFTSettings
from tagsmith.trainers.tag_reward import JudgedCompletion, TagReward
from tagsmith.trainers.tiny_model import build_tiny_model
from tagsmith.trainers.training import Start

# The shipped prompt is mostly the same words for every row, which a model this small would spend its time on.
PROMPT = PromptTemplate("short.jinja", "{{ tags }} | {{ instruction }}")
LONGEST_INSTRUCTION = 120  # characters
LONGEST_TAG = 12  # tokens
COMMON = {"max_length": 96, "activation_checkpointing": False, "tracker": "none", "evaluation_share": 0.0}
STUDENT_T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # by number of seeds


@dataclass
class Data:
    """Encoded rows with scored candidates and their policy's prompt, and the reward of a completion."""

    train: Dataset
    held_out: Dataset
    reward: TagReward


@dataclass
class Sampled:
    """Completions of the held-out rows, judged: one list a row."""

    judged: list[list[JudgedCompletion]]

    def figures(self) -> dict[str, float]:
        """Mean utility of valid tags, share of valid completions, share of different tags among the valid."""
        every = [one for row in self.judged for one in row]
        valid = [one for one in every if one.utility is not None]
        utility = float(np.mean([one.utility for one in valid])) if valid else float("nan")
        distinct = len({one.tag for one in valid}) / max(len(valid), 1)
        return {"utility": utility, "valid": len(valid) / len(every), "distinct": distinct}

    def sums(self) -> np.ndarray:
        """(rows, 3): sum of utilities, number of valid tags, and number of completions, of each row."""
        of_rows = [[one.utility for one in row if one.utility is not None] for row in self.judged]
        return np.array([[sum(row), len(row), len(all_)] for row, all_ in zip(of_rows, self.judged, strict=True)])


def read_pools(folder: Path) -> TagPools:
    """The authors' pools: 1,000 tags each, of those in more than two rows."""
    table = pyarrow.json.read_json(folder / "tag_values.jsonl").rename_columns(["tag", "count", "total", "mean"])
    return tag_pools(TagUtility.from_table(table).fitted, **POOL_VARIANTS["official"])


def make_data(folder: Path, rows: int, held_out: int, candidates: int, work: Path) -> Data:
    """Encode, sample candidates, leave out those outside the band, score: what build-tag-preferences does."""
    source = Dataset.from_json(str(folder / "alpaca_5k.jsonl")).filter(
        lambda row: len(row["instruction"]) <= LONGEST_INSTRUCTION and row["response"]
    )
    chosen = source.shuffle(seed=0).select(range(min(rows + held_out, len(source))))
    endpoint = Endpoint("offline:", store=str(work / "store.sqlite"))
    encoder = TagEncoder(endpoint=endpoint, parameters=Parameters(64, json_schema=BASE_TAGS_SCHEMA))
    encoded = map_rows(to_rows(chosen), encoder, description="encode", progress=False)
    expander = TagExpander(endpoint=endpoint, n=candidates)
    expanded = map_rows(encoded, expander, description="expand", progress=False)
    embedder = RememberedEmbedder(TextEmbedder())
    reward = TagReward(read_pools(folder), embedder, AlignmentBand(embedder=embedder))
    assert reward.band is not None
    banded = expanded.map(reward.band, batched=True, features=reward.band.features(expanded.features))
    scored = reward.scorer.score_rows(banded)
    good = scored.filter(lambda row: row["status"] == "ok" and len(_valid(row)) >= 2)
    asked = good.map(lambda row: {"prompt": expansion_messages(row["instruction"], row["base_tags"], prompt=PROMPT)})
    split = max(1, len(asked) - held_out)
    return Data(asked.select(range(split)), asked.select(range(split, len(asked))), reward)


def train_all(data: Data, seed: int, work: Path, options: argparse.Namespace) -> dict[str, Path]:
    """A model by each way, of this seed."""
    draw = random.Random(seed)
    answers = [draw.choice(_valid(row))["tag"] for row in data.train]
    texts = [row["prompt"][0]["content"] for row in data.train]
    examples = Dataset.from_list(
        [
            {"messages": [*row["prompt"], {"role": "assistant", "content": tag}]}
            for row, tag in zip(data.train, answers, strict=True)
        ]
    )
    sizes = {"vocabulary": options.vocabulary, "width": options.width, "layers": options.layers}
    blank = build_tiny_model(work / "blank", [*texts, *answers], seed=seed, **sizes)
    common = COMMON | {"seed": seed, "save_steps": 1_000_000.0}
    learned = train_sft(
        SFTSettings(
            **common,
            learning_rate=2e-3,
            batch_size=32,
            per_device_batch_size=32,
            epochs=options.sft_epochs,
            warmup=20.0,
        ),
        examples,
        work / "sft",
        Start(str(blank)),
        progress=False,
    )
    start = Start(str(learned.folder))
    pairs, unpaired = PreferencePairs(seed=seed, prompt=PROMPT), data.train.remove_columns("prompt")
    paired = unpaired.map(pairs, batched=True, features=pairs.features(unpaired.features))
    preferred = train_dpo(
        DPOSettings(
            **common, learning_rate=2e-4, batch_size=32, per_device_batch_size=32, epochs=options.dpo_epochs, beta=0.3
        ),
        paired.filter(lambda row: row["status"] == "ok"),
        work / "dpo",
        start,
        progress=False,
    )
    rewarded = train_grpo(
        GRPOSettings(
            **common,
            learning_rate=5e-4,
            batch_size=64,
            per_device_batch_size=64,
            max_steps=options.grpo_steps,
            beta=0.2,
            max_completion_length=LONGEST_TAG,
        ),
        data.train,
        data.reward,
        work / "grpo",
        start,
        progress=False,
    )
    return {"sft": learned.folder, "dpo": preferred.folder, "grpo": rewarded.folder}


def sample(folder: Path, data: Data, samples: int, seed: int) -> Sampled:
    """Tags for the held-out rows, at temperature 1."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    tokenizer.padding_side = "left"
    torch.manual_seed(seed)
    texts: list[str] = []
    for start in range(0, len(data.held_out), 64):
        batch = tokenizer.apply_chat_template(
            data.held_out[start : start + 64]["prompt"],
            add_generation_prompt=True,
            padding=True,
            return_tensors="pt",
            return_dict=True,
        )
        with torch.inference_mode():
            said = model.generate(
                **batch,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                max_new_tokens=LONGEST_TAG,
                num_return_sequences=samples,
            )
        texts += tokenizer.batch_decode(said[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    rows = [row for row in data.held_out.select_columns(["instruction", "base_tags"]) for _ in range(samples)]
    judged = data.reward.judge(texts, rows)
    return Sampled([judged[start : start + samples] for start in range(0, len(judged), samples)])


def change_intervals(before: Sampled, after: Sampled) -> tuple[list[float], list[float]]:
    """95 % of the change in mean utility and in the valid share when the held-out rows are drawn again, for both."""
    sums = np.stack([before.sums(), after.sums()])  # (2, rows, 3)
    drawn = np.random.default_rng(0).integers(0, sums.shape[1], (2_000, sums.shape[1]))
    utility, valid, completions = np.moveaxis(sums[:, drawn].sum(axis=2), -1, 0)  # (2, draws) each
    changes = ((of[1] - of[0]) for of in (utility / valid, valid / completions))
    first, second = ([round(float(end), 4) for end in np.quantile(change, [0.025, 0.975])] for change in changes)
    return first, second


def summarise(runs: Sequence[dict[str, Sampled]], data: Data) -> dict[str, Any]:
    """Means over seeds, and the gains over SFT with their intervals."""
    found: dict[str, Any] = {}
    for way in ("sft", "dpo", "grpo"):
        figures = [run[way].figures() for run in runs]
        for name in ("utility", "valid", "distinct"):
            found[f"{way}_{name}"] = round(float(np.mean([one[name] for one in figures])), 4)
        if way != "sft":
            base = [run["sft"].figures() for run in runs]
            gains = np.array(
                [after["utility"] - before["utility"] for before, after in zip(base, figures, strict=True)]
            )
            half = STUDENT_T_95[len(runs)] * gains.std(ddof=1) / np.sqrt(len(runs))
            utility, valid = zip(*(change_intervals(run["sft"], run[way]) for run in runs), strict=True)
            found |= {
                f"{way}_gain": round(float(gains.mean()), 4),
                f"{way}_gain_95_over_seeds": [round(float(gains.mean() + end), 4) for end in (-half, half)],
                f"{way}_gain_95_over_rows": list(utility),
                f"{way}_rises": all(low > 0 for low, _ in utility),
                f"{way}_valid_change_95_over_rows": list(valid),
                f"{way}_valid_kept": all(high >= 0 for _, high in valid),
            }
    scores = [[candidate["score"] for candidate in _valid(row)] for row in data.held_out]
    found["teacher_utility"] = round(float(np.mean([np.mean(row) for row in scores])), 4)
    found["teacher_best_utility"] = round(float(np.mean([max(row) for row in scores])), 4)
    return found


def _valid(row: Any) -> list[Any]:
    return [candidate for candidate in row["candidates"] or () if is_valid(candidate)]


def show(found: dict[str, Any]) -> None:
    """The table."""
    print(f"{'':6} {'utility':>9} {'valid':>7} {'distinct':>9}   gain over SFT (95 % over seeds)")
    for way in ("sft", "dpo", "grpo"):
        line = f"{way:6} {found[f'{way}_utility']:9.4f} {found[f'{way}_valid']:7.3f} {found[f'{way}_distinct']:9.3f}"
        if way != "sft":
            low, high = found[f"{way}_gain_95_over_seeds"]
            line += f"   {found[f'{way}_gain']:+.4f} ({low:+.4f} to {high:+.4f})"
            line += ", rises" if found[f"{way}_rises"] else ", does not rise in every seed"
            line += ", valid kept" if found[f"{way}_valid_kept"] else ", VALID FALLS"
        print(line)
    print(
        f"the rules' candidates: mean {found['teacher_utility']:.4f}, best of a row {found['teacher_best_utility']:.4f}"
    )


@contextmanager
def working_folder(given: str | None) -> Any:
    """The folder given, which stays, or one that goes."""
    if given is not None:
        Path(given).mkdir(parents=True, exist_ok=True)
        yield Path(given)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def main() -> None:
    """Make the data, train, sample, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with alpaca_5k.jsonl and tag_values.jsonl")
    parser.add_argument("--rows", type=int, default=1_000, help="to train on, less those without two valid candidates")
    parser.add_argument("--held_out", type=int, default=150, help="rows to sample tags for")
    parser.add_argument("--candidates", type=int, default=8, help="of each row (paper: 20)")
    parser.add_argument("--seeds", type=int, default=3, choices=range(2, 6))
    parser.add_argument("--samples", type=int, default=4, help="tags of each held-out row")
    parser.add_argument("--sft_epochs", type=float, default=6.0)
    parser.add_argument("--dpo_epochs", type=float, default=1.0)
    parser.add_argument("--grpo_steps", type=int, default=45)
    parser.add_argument("--width", type=int, default=192, help="of the model, in steps of 32")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--vocabulary", type=int, default=4_096)
    parser.add_argument("--work", help="keep models and generations in this folder")
    options = parser.parse_args()
    disable_progress_bars()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    started = time.perf_counter()
    with working_folder(options.work) as work:
        data = make_data(options.data, options.rows, options.held_out, options.candidates, work)
        made = time.perf_counter() - started
        print(
            f"{len(data.train):,} rows to train on, {len(data.held_out):,} held out, made in {made:.0f} s", flush=True
        )
        runs = []
        for seed in range(options.seeds):
            folders = train_all(data, seed, work / f"seed-{seed}", options)
            runs.append({way: sample(folder, data, options.samples, seed) for way, folder in folders.items()})
            shown = {way: {n: round(v, 4) for n, v in one.figures().items()} for way, one in runs[-1].items()}
            print(f"seed {seed}: {json.dumps(shown)}", flush=True)
        parameters = sum(p.numel() for p in AutoModelForCausalLM.from_pretrained(folders["sft"]).parameters())
    found = summarise(runs, data)
    show(found)
    found |= {
        "parameters": parameters,
        "train_rows": len(data.train),
        "held_out_rows": len(data.held_out),
        "seeds": options.seeds,
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]), 1),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
