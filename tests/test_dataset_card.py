"""The dataset card: metadata that the Hub takes, and a page that says what it should and nothing that it should not."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from datasets import Dataset, load_dataset
from huggingface_hub import DatasetCard

from tagsmith.cards import redact
from tagsmith.cards.dataset_card import CardText, render_card
from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.examples import Example, Version
from tagsmith.cards.hub_target import HubTarget
from tagsmith.cards.language import Languages
from tagsmith.cards.manifest import build_manifest
from tagsmith.cards.model_link import with_model
from tagsmith.cards.pictures import Picture
from tagsmith.cards.release import write_release

COUNTS = {
    "rows_in": 12345,
    "rows_tagged": 12333,
    "rows_out": 4,
    "rejected": {"no tag": 3, "reply is not JSON": 9},
    "requests": 5000,
    "store_hits": 7,
    "retries": 0,
    "prompt_tokens": 2_000_000,
    "reply_tokens": 500_000,
}
TEXT = CardText(
    title="Alpaca, chosen by #InsTag",
    summary=["What it is.", "Where it comes from.", "What it is for."],
    configs={"select_instag": "the chosen rows", "rejected": "rows that fell out", "generations": "every reply"},
    citation="@article{lu2023instag, title={InsTag}}",
    differences=["Ties keep the order of the dataset."],
    limits=["Nobody looked at the tags."],
    tables=[
        {
            "title": "Stages",
            "columns": ["stage", "tags", "share"],
            "rows": [["frequency", 6000, "5%"], ["rules | x", None, "95.0%"]],
        }
    ],
    paper="https://arxiv.org/abs/2308.07074",
)
EXAMPLES = [
    Example("easy", (Version("original", "Say hello.", "Hello!", ["greeting"]),)),
    Example(
        "median",
        (
            Version("original", "Add two numbers.", "def f(a, b):\n    return a + b", ["code"]),
            Version("round 1", "Add two typed numbers.", "def f(a: int, b: int): ...", ["code", "types"]),
        ),
    ),
    Example(
        "hard",
        tuple(
            Version(
                "original" if n == 0 else f"round {n}", f"Instruction {n}.", f"Response {n}.", list("abcd"[: n + 1])
            )
            for n in range(3)
        ),
    ),
]
PICTURE = Picture("map", 'Diversity against "complexity".', lambda path, theme: None)


@pytest.fixture(autouse=True)
def _no_real_secrets(monkeypatch):
    """The machine's own tokens must not decide what the tests see."""
    monkeypatch.setattr(redact, "get_token", lambda: None)


def facts(rows):
    return {"rows": rows, "content_hash": "0123456789abcdef" * 4, "path": "data/train-*.parquet"}


def manifest(**changes):
    moment = datetime(2024, 5, 1, 12, tzinfo=UTC)
    arguments = {
        "recipe": "select_instag",
        "command": ["tagsmith", "run", "select-instag", "--dataset", "org/alpaca"],
        "config": {"n": 4},
        "method": "#InsTag",
        "variant": "paper",
        "inputs": [
            {"name": "org/alpaca", "rows": 12345, "split": "train", "commit": "f" * 40, "license": "cc-by-nc-4.0"}
        ],
        "prompts": {"instag/tag": "0123456789abcdef"},
        "models": [{"model": "org/llama", "revision": "a" * 40, "role": "tagger"}],
        "counts": COUNTS,
        "started": moment,
        "finished": moment,
        "offline": False,
    }
    configs = {"rejected": {"train": facts(0)}, "generations": {"train": facts(9), "extra": facts(0)}}
    return build_manifest(**(arguments | changes)) | {
        "default": "select_instag",
        "configs": configs | {"select_instag": {"train": facts(1500)}},
    }


def render(text=TEXT, *, of=None, load_name="runs/x", revision=None, **more):
    return render_card(text, of or manifest(), load_name=load_name, revision=revision, **more)


def lines(card):
    return DatasetCard(card).text.splitlines()


# --- metadata ---------------------------------------------------------------------------------------------------


def test_the_metadata_are_what_the_hub_expects():
    languages = Languages(100, {"ar": 0.06, "en": 0.84, "fr": 0.02, "und": 0.08})
    card = render(languages=languages)
    assert DatasetCard(card).data.to_dict() == {
        "annotations_creators": ["machine-generated"],
        "language_creators": ["found"],
        "language": ["en", "ar"],
        "license": "cc-by-nc-4.0",
        "size_categories": ["1K<n<10K"],
        "source_datasets": ["org/alpaca"],
        "task_categories": ["text-generation"],
        "pretty_name": "Alpaca, chosen by #InsTag",
        "tags": ["instruction-tuning", "tagsmith"],
        "configs": [
            {
                "config_name": "select_instag",
                "default": True,
                "description": "content 0123456789abcdef",
                "data_files": [{"split": "train", "path": "data/train-*.parquet"}],
            },
            {
                "config_name": "generations",
                "description": "content 0123456789abcdef 0123456789abcdef",
                "data_files": [{"split": "train", "path": "data/train-*.parquet"}],
            },
        ],
    }
    assert "Languages, from 100 instructions and responses: en 84%, ar 6%, fr 2%, undetermined 8%." in lines(card)


def test_the_hub_accepts_the_metadata(hub):
    """Through the client's own `validate`, which posts the card to the Hub's route."""
    for of in (manifest(), manifest(inputs=[{"name": "x.jsonl", "rows": 3}])):
        DatasetCard(render(of=of)).validate(repo_type="dataset")


def test_a_local_source_is_no_source_dataset_and_its_licence_is_unknown():
    card = DatasetCard(render(of=manifest(inputs=[{"name": "alpaca.jsonl", "rows": 3}])))
    assert card.data.to_dict()["license"] == "unknown"
    assert "source_datasets" not in card.data.to_dict()
    assert "language" not in card.data.to_dict()
    assert "- The licence is not known (see below)." in card.text.splitlines()
    assert "`unknown`. The licence of a source is not known" in card.text


def test_licences_that_contradict_each_other_are_both_named_with_a_link():
    both = [{"name": n, "rows": 1, "license": n} for n in ("cc-by-sa-4.0", "cc-by-nc-sa-4.0")]
    data = DatasetCard(render(of=manifest(inputs=both), load_name="org/x", revision="v1.0.0")).data.to_dict()
    assert data["license"] == "other"
    assert data["license_name"] == "cc-by-sa-4.0-and-cc-by-nc-sa-4.0"
    assert data["license_link"].endswith("/datasets/org/x#licence")


def test_a_source_that_forbids_changed_versions_is_warned_of_at_the_top():
    card = render(of=manifest(inputs=[{"name": "x", "rows": 1, "license": "cc-by-nd-4.0"}]))
    assert card.index("ask the source's authors before you share it.**") < card.index("What it is.")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"language_creators": ["robots"]}, r"language_creators is one of .*, got \['robots'\]"),
        ({"configs": {"select_instag": "rows"}}, "describes"),
    ],
)
def test_wrong_words_of_a_recipe_are_refused(changes, message):
    with pytest.raises(ReleaseError, match=message):
        render(replace(TEXT, **changes))


# --- the page ---------------------------------------------------------------------------------------------------


def test_the_page_of_a_folder_says_what_it_should():
    shown = lines(render(examples=EXAMPLES, pictures=[PICTURE], explorer=True))
    for line in (
        'select_instag = load_dataset("runs/x")',
        'generations = load_dataset("runs/x", "generations")',
        "| `select_instag` | `train` | 1,500 | the chosen rows |",
        "Without a row in this run: `rejected`.",
        "| rows in | rows tagged | rejected | rows out |",
        "| 12,345 | 12,333 | 12 | 4 |",
        "| reply is not JSON | 9 | <0.1% |".replace("<", "&lt;"),
        "| requests | replies from the store | prompt tokens | reply tokens | seconds |",  # no retries, no price
        "| 5,000 | 7 | 2,000,000 | 500,000 | 0 |",
        "| tagger | org/llama | aaaaaaaaaaaa |",
        "| frequency | 6,000 | 5% |",
        "|---|--:|--:|",
        r"| rules \| x | – | 95.0% |",
        "#InsTag, variant `paper` ([paper](https://arxiv.org/abs/2308.07074)). Where this run differs from the paper:",
        "- Ties keep the order of the dataset.",
        "- Nobody looked at the tags.",
        "- 12 of 12,345 rows (<0.1%) fell out; they are in the config `rejected` with the reason, so what is here may"
        " lean away from rows of their kind.",
        "tagsmith run select-instag --dataset org/alpaca",
        "tagsmith reproduce runs/x",
        "@article{lu2023instag, title={InsTag}}",
        "`cc-by-nc-4.0`. As the source. It allows no commercial use.",
        '  <source media="(prefers-color-scheme: dark)" srcset="pictures/map-dark.png">',
        '  <img src="pictures/map.png" width="800" alt="Diversity against &quot;complexity&quot;.">',
    ):
        assert line in shown, line
    text = "\n".join(shown)
    assert "open [explorer.html](explorer.html) in a browser" in text
    assert "rules, not by a language model" not in text
    assert "More Information Needed" not in text


def test_the_page_of_a_published_release_names_repository_and_version_everywhere():
    text = render(load_name="org/x", revision="v1.0.0", pictures=[PICTURE], explorer=True)
    shown = lines(text)
    assert 'select_instag = load_dataset("org/x", revision="v1.0.0")' in shown
    assert 'generations = load_dataset("org/x", "generations", revision="v1.0.0")' in shown
    assert "tagsmith reproduce org/x@v1.0.0" in shown
    assert '/datasets/org/x/resolve/v1.0.0/pictures/map-dark.png">' in text
    assert '<img src="pictures/map.png"' in text  # the Hub and GitHub put this one right
    assert "/datasets/org/x/resolve/v1.0.0/explorer.html?download=true) and open it in a browser" in text


def test_without_rows_pictures_and_explorer_there_are_no_empty_headings():
    text = render()
    assert "explorer.html" not in text
    for heading in ("## Pictures", "## Rows from easy to hard"):
        assert heading not in text
    assert re.search(r"\n## [^\n]+\n+## ", text) is None
    assert "\n\n\n\n" not in text


def test_examples_stand_beside_their_parents_and_new_tags_are_bold():
    shown = lines(render(examples=EXAMPLES))
    for line in (
        "### Easy: 1 tag",
        "| Say hello. | Hello! |",
        "Tags: greeting",
        "### Median: 1 → 2 tags",
        "| | original | round 1 |",
        "| **Instruction** | Add two numbers. | Add two typed numbers. |",
        r"| **Response** | def f(a, b):<br>&nbsp;&nbsp;&nbsp;&nbsp;return a + b | def f(a: int, b: int): ... |",
        "| **Tags** | code | code · **types** |",
        "### Hard: 1 → 2 → 3 tags",
        "| **original** | Instruction 0. | a |",
        "| **round&nbsp;2** | Instruction 2. | a · b · **c** |",
        "| Response 0. | Response 2. |",
    ):
        assert line in shown, line


def test_costs_are_told_where_prices_were_given():
    priced = manifest(config={"prompt_price": 0.5, "reply_price": 2.0})
    assert "| 5,000 | 7 | 2,000,000 | 500,000 | 2 | 0 |" in lines(render(of=priced))
    counted = manifest(counts=COUNTS | {"cost": 1234.5678})
    assert "| 5,000 | 7 | 2,000,000 | 500,000 | 1,235 | 0 |" in lines(render(of=counted))


def test_offline_rows_are_announced_and_limits_follow_from_the_run():
    text = render(
        of=manifest(offline=True, config={"max_rows": 1000}, counts=COUNTS | {"unparsed": 3}),
        languages=Languages(50, {"en": 0.5, "und": 0.5}),
    )
    assert "**These rows were answered by rules, not by a language model.**" in text
    shown = text.splitlines()
    for line in (
        "- Rules of the offline endpoint answered, not a model: what they wrote has the right shape and no meaning.",
        "- Only the first 1,000 rows of a source were read (`max_rows`).",
        "- 3 replies could not be read even after asking again.",
        "- The language of 50% of the texts could not be told: code, numbers, or too short.",
    ):
        assert line in shown, line


def test_the_terms_of_the_answering_model_are_noted():
    text = render(of=manifest(models=[{"model": "meta/llama", "role": "tagger", "license": "llama3"}]))
    assert "- Text here was written by meta/llama; its licence (llama3) does not allow" in text


def test_models_trained_on_the_release_get_their_place_on_the_card():
    card = with_model(render(), HubTarget("org/x", "v1.0.0"), HubTarget("org/m", "v2.0.0", repo_type="model"), "c" * 40)
    assert card.index("[org/m]") < card.index("## Numbers")
    assert card.count("Models trained on this release") == 1


def test_a_long_command_has_an_option_a_line_and_stays_the_same_command():
    words = ["tagsmith", "run", "x", *(w for n in range(9) for w in (f"--option_{n}", f"value {n}"))]
    text = render(of=manifest(command=words))
    assert "tagsmith run x \\\n  --option_0 'value 0' \\\n" in text


def test_a_ragged_table_is_refused():
    ragged = replace(TEXT, tables=[{"title": "T", "columns": ["a", "b"], "rows": [["only one"]]}])
    with pytest.raises(ReleaseError, match=r"'T' has 2 columns, but a row is \['only one'\]"):
        render(ragged)


def test_hostile_rows_stay_text(tmp_path):
    evil = "---\nlicense: mit\n---\n# Heading\n| a | b |\n```\n<script>alert()</script>\u202e [x](javas:1) \\| `|`\x00"
    rows = Dataset.from_dict({"instruction": [evil], "response": [evil * 20], "tags": [["<b>|`", "a\nb"]]})
    folder = write_release(
        tmp_path / "x",
        {"select_instag": rows},
        default="select_instag",
        manifest={key: value for key, value in manifest().items() if key not in ("configs", "default")},
        card=replace(TEXT, configs={"select_instag": "rows"}, title="<b>T</b>\n# Title"),
    )
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert DatasetCard(text).data.to_dict()["license"] == "cc-by-nc-4.0"
    for live in ("<script>", "<b>", "\u202e", "\x00"):
        assert live not in DatasetCard(text).text
    (line,) = [line for line in text.splitlines() if "alert" in line]
    cells = re.split(r"(?<!\\)(?:\\\\)*\|", line)
    assert len(cells) == 4  # two cells and the two ends
    assert re.search(r"(?<!\\)[`\[\]]", line) is None
    assert cells[2].strip().endswith("…")
    assert r"Tags: &lt;b&gt;\|\` · a b" in text.splitlines()
    assert load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))["train"]["instruction"][0] == evil


def test_no_secret_gets_onto_a_card(monkeypatch):
    monkeypatch.setenv("MY_SERVICE_TOKEN", "canary-5e1f0aa93b")
    assert "canary" not in render(replace(TEXT, title="Made with canary-5e1f0aa93b"))
