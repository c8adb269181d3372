"""The dataset card: a page that people want to read, from the recipe's words, the manifest and the rows themselves."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from huggingface_hub import DatasetCardData, constants

from tagsmith.cards import markdown
from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.examples import Example
from tagsmith.cards.language import Languages
from tagsmith.cards.licence import Licence, combine_licences, output_terms
from tagsmith.cards.limits import known_limits
from tagsmith.cards.metadata import checked, on_the_hub, size_category
from tagsmith.cards.numbers import number_tables
from tagsmith.cards.pictures import Picture
from tagsmith.cards.redact import redact_text
from tagsmith.cards.template import Table, aligned, known_columns, render_template

_LONGEST_TEXT = 400  # characters of a row's text on the card
_MODELS = "<!-- models: begin -->\n<!-- models: end -->\n"  # where `model_link` puts the models trained on the release


@dataclass(frozen=True)
class CardText:
    """What only the recipe knows about its release. Lines may be Markdown, so no text of a row belongs in them.

    Args:
        title: heading of the page.
        summary: what the dataset is, in one to three lines.
        configs: for each config of the release, what its rows are, in a few words.
        citation: BibTeX of the method's paper.
        differences: where the run differs from the paper, one a line.
        limits: what a user should know before trusting the rows, one a line; what every release has to say of itself
            (offline rows, rejected rows, languages, licence) is added.
        tables: further results, such as the stages of a tag normaliser.
        paper: address of the method's paper.
        language_creators: `found` where instructions and responses are the sources', `machine-generated` where a model
            wrote them, or both.
        tags: keywords on the Hub, beside those that every release has.
    """

    title: str
    summary: Sequence[str]
    configs: Mapping[str, str]
    citation: str
    differences: Sequence[str] = ()
    limits: Sequence[str] = ()
    tables: Sequence[Table] = ()
    paper: str | None = None
    language_creators: Sequence[str] = ("found",)
    tags: Sequence[str] = ()


def render_card(
    text: CardText,
    manifest: Mapping[str, Any],
    *,
    load_name: str,
    revision: str | None,
    examples: Sequence[Example] = (),
    pictures: Sequence[Picture] = (),
    languages: Languages | None = None,
    explorer: bool = False,
) -> str:
    """The whole `README.md`: metadata for the Hub and `load_dataset`, then the page.

    Args:
        text: the recipe's words.
        manifest: as `build_manifest` made it, with `default` and `configs` as `write_release` adds them. The licence is
            combined from the `license` of its `inputs`.
        load_name: what a reader passes to `load_dataset`: a folder, or a repository.
        revision: the version that will be published there; None for a folder.
        examples: rows to show.
        pictures: to show, in this order.
        languages: of the default config's rows, if they were looked at.
        explorer: whether `explorer.html` lies beside the card.

    Raises:
        ReleaseError: the manifest, the texts or the template lack a name or have one that nothing uses; or the metadata
            are not what the Hub accepts.
    """
    configs = manifest["configs"]
    if set(text.configs) != set(configs):
        raise ReleaseError(
            f"card: `configs` describes {sorted(text.configs)}, the release has {sorted(configs)}; describe each"
        )
    configs = _ordered(configs, manifest["default"])
    opened = {name: splits for name, splits in configs.items() if any(split["rows"] for split in splits.values())}
    # An image's own address is put right by the Hub and by GitHub where it is relative; that of a <source> may not be.
    files = f"{_page(load_name)}/resolve/{quote(revision, safe='')}/" if revision else ""
    licence = combine_licences([source.get("license") for source in manifest["inputs"]])
    page = render_template(
        "dataset_card.md.jinja",
        title=text.title,
        summary=text.summary,
        offline=manifest["offline"],
        licence=licence,
        loading=_loading(load_name, revision, manifest["default"], opened),
        configs=[
            {"name": name, "split": split, "rows": facts["rows"], "note": text.configs[name]}
            for name, splits in configs.items()
            for split, facts in splits.items()
        ],
        empty_configs=[name for name in configs if name not in opened],
        published=revision is not None,
        explorer=explorer and (f"{files}explorer.html?download=true" if revision else "explorer.html"),
        models_section=_MODELS,
        examples=[_shown(example) for example in examples],
        measure="number of tags" if _tagged(examples) else "length of the instruction",
        chained=_tagged(examples) and any(len(example.versions) > 1 for example in examples),
        longest_text=_LONGEST_TEXT,
        pictures=[
            {"light": of.files()["light"], "dark": files + of.files()["dark"], "caption": of.caption} for of in pictures
        ],
        tables=[aligned(table) for table in (*number_tables(manifest), *_origins(manifest), *text.tables)],
        languages=languages and {"texts": languages.texts, "shares": languages.words()},
        method=manifest["method"],
        variant=manifest["variant"],
        paper=text.paper,
        differences=text.differences,
        limits=[*text.limits, *known_limits(manifest, licence, languages)],
        command=markdown.shell_lines(manifest["command"]),
        reproduce=f"tagsmith reproduce {shlex.quote(f'{load_name}@{revision}' if revision else load_name)}",
        packages=manifest["packages"],
        python=manifest["python"],
        started=manifest["started"],
        finished=manifest["finished"],
        output_terms=output_terms(manifest["models"]),
        citation=text.citation,
    )
    metadata = _metadata(
        text, manifest, opened, licence, languages, f"{_page(load_name)}#licence" if revision else None
    )
    return redact_text(checked(f"---\n{metadata.to_yaml()}\n---\n\n{page}\n", metadata))


def _metadata(
    text: CardText,
    manifest: Mapping[str, Any],
    opened: Mapping[str, Any],
    licence: Licence,
    languages: Languages | None,
    licence_link: str | None,
) -> DatasetCardData:
    configs = [
        {
            "config_name": name,
            **({"default": True} if name == manifest["default"] else {}),
            # Part of the key under which `load_dataset` caches. Without it a release that was replaced at the same
            # path loads with the rows of the old one: for a local folder neither file times nor sizes count.
            "description": "content " + " ".join(facts["content_hash"][:16] for facts in opened[name].values()),
            # An empty split stays out: `load_dataset` would fail for the whole config.
            "data_files": [
                {"split": split, "path": facts["path"]} for split, facts in opened[name].items() if facts["rows"]
            ],
        }
        for name in opened
    ]
    rows = sum(facts["rows"] for facts in opened[manifest["default"]].values())
    return DatasetCardData(
        pretty_name=" ".join(text.title.split()),
        **licence.metadata(licence_link),
        language=(languages.codes if languages else None) or None,
        annotations_creators=["machine-generated"],
        language_creators=list(text.language_creators),
        source_datasets=[of["name"] for of in manifest["inputs"] if on_the_hub(of["name"], of)] or None,
        size_categories=[size_category(rows)],
        task_categories=["text-generation"],
        tags=list(dict.fromkeys(["instruction-tuning", "tagsmith", *text.tags])),
        configs=configs,
    )


def _ordered(configs: Mapping[str, Any], default: str) -> dict[str, Any]:
    """The default config first: `load_dataset` looks at the first one's files to learn the format. What the rows were
    made from stands last."""
    behind = ("source", "rejected", "generations")
    return {
        name: configs[name]
        for name in sorted(configs, key=lambda name: (name != default, (name in behind) and 1 + behind.index(name)))
    }


def _page(repository: str) -> str:
    return f"{constants.ENDPOINT}/datasets/{repository}"


def _loading(load_name: str, revision: str | None, default: str, opened: Mapping[str, Any]) -> str:
    lines = ["from datasets import load_dataset", ""]
    for name in opened:
        config = "" if name == default else f", {json.dumps(name)}"
        version = f", revision={json.dumps(revision)}" if revision else ""
        variable = re.sub(r"\W", "_", "rows" if name == "default" else name)
        lines.append(f"{variable} = load_dataset({json.dumps(load_name)}{config}{version})")
    return "\n".join(lines)


def _origins(manifest: Mapping[str, Any]) -> list[Table]:
    """What went in: the datasets and the models."""
    return [
        *known_columns(
            "Sources", manifest["inputs"], ("name", "config", "split", "revision", "commit", "rows", "license")
        ),
        *known_columns("Models", manifest["models"], ("role", "model", "revision", "server", "license")),
    ]


def _tagged(examples: Sequence[Example]) -> bool:
    return any(version.tags for example in examples for version in example.versions)


def _shown(example: Example) -> dict[str, Any]:
    """An example for the template: how many tags each version has, and those that the one before had not in bold."""
    counts = [len(version.tags) for version in example.versions]
    title = example.level.capitalize() + (f": {' → '.join(map(str, counts))} tags" if any(counts) else "")
    before = [example.versions[0].tags, *(version.tags for version in example.versions)]
    return {
        "title": title.replace(": 1 tags", ": 1 tag"),
        "versions": [
            {
                "made": version.made,
                "instruction": version.instruction,
                "response": version.response,
                "tags": " · ".join(_tag(tag, new=tag not in old) for tag in version.tags),
            }
            for version, old in zip(example.versions, before, strict=False)
        ],
    }


def _tag(tag: str, *, new: bool) -> str:
    shown = markdown.inline(tag, 60)
    return f"**{shown}**" if new and shown else shown
