"""Flags and YAML to checked settings."""

import os
from dataclasses import dataclass, field, fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from tagsmith.processors.errors import InputError
from tagsmith.recipes.arguments import DataArguments, EndpointArguments, ReleaseArguments
from tagsmith.recipes.parsing import check_types, parse
from tagsmith.recipes.select_instag import SelectArguments

BLOCKS = (DataArguments, EndpointArguments, SelectArguments, ReleaseArguments)
CONFIGS = Path(__file__).parents[1] / "recipes" / "configs"


@dataclass
class Numbers:
    """One field of each kind."""

    whole: int = field(default=1, metadata={"help": "A whole number."})
    share: float = field(default=0.5, metadata={"help": "A number."})
    name: str = field(default="x", metadata={"help": "A text."})
    limit: int | None = field(default=None, metadata={"help": "A whole number or nothing."})
    loud: bool = field(default=False, metadata={"help": "A switch."})


def read(*argv: str) -> Numbers:
    (numbers,) = parse("none", "About.", (Numbers,), argv)
    assert isinstance(numbers, Numbers)
    return numbers


def config(folder: Path, text: str) -> str:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_defaults_without_flags() -> None:
    assert read() == Numbers()


def test_flags_in_all_their_forms() -> None:
    assert read("--whole", "3", "--share=0.25", "--name", "a b", "--limit", "7", "--loud") == Numbers(
        3, 0.25, "a b", 7, True
    )
    assert read("--loud", "false") == Numbers()
    assert read("--limit", "7", "--limit", "null") == Numbers()


def test_names_may_be_written_with_dashes() -> None:
    data, _, own, _ = parse("select_instag", "", BLOCKS, ["--max-rows", "3", "--min-support=2"])
    assert (data.max_rows, own.min_support) == (3, 2)


def test_flags_win_over_the_config_and_the_config_over_defaults(tmp_path: Path) -> None:
    path = config(tmp_path, "whole: 5\nname: from the file\n")
    for flag in (["--config", path], [f"--config={path}"]):
        assert read(*flag) == Numbers(5, 0.5, "from the file")
        assert read("--whole", "6", *flag) == Numbers(6, 0.5, "from the file")
        assert read(*flag, "--whole", "6") == Numbers(6, 0.5, "from the file")


def test_a_config_may_set_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAGSMITH_TEST_VARIABLE", "before")
    read("--config", config(tmp_path, "env:\n  TAGSMITH_TEST_VARIABLE: 5\n"))
    assert os.environ["TAGSMITH_TEST_VARIABLE"] == "5"


@pytest.mark.parametrize("name", ["demo", "paper"])
def test_shipped_configs_are_found_by_name_and_read_in_full(name: str) -> None:
    written = yaml.safe_load((CONFIGS / "select_instag" / f"{name}.yaml").read_text(encoding="utf-8"))
    blocks = parse("select_instag", "", BLOCKS, ["--config", name])
    got = {f.name: getattr(block, f.name) for block in blocks for f in fields(block)}
    assert written
    assert {key: got[key] for key in written} == written


def test_each_shipped_config_belongs_to_a_recipe() -> None:
    found = sorted(CONFIGS.rglob("*.yaml"))
    assert found
    for path in found:
        recipe = import_module(f"tagsmith.recipes.{path.parent.name}")
        parse(path.parent.name, "", recipe.ARGUMENTS, ["--config", str(path)])


def test_a_file_in_the_way_wins_over_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("demo").write_text("n: 3\n", encoding="utf-8")
    _, _, own, _ = parse("select_instag", "", BLOCKS, ["--config", "demo"])
    assert own.n == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("whole: 2.5", "whole is 2.5 (float); give a value of type int"),
        ("whole: true", "whole is True (bool); give a value of type int"),
        ("whole: null", "whole is None (NoneType); give a value of type int"),
        ("limit: 2.5", "limit is 2.5 (float); give a value of type int or null"),
        ("name: 5", "name is 5 (int); give a value of type str"),
        ("name: [a]", "name is ['a'] (list); give a value of type str"),
        ("share: [1]", "share is [1] (list); give a value of type float"),
        ("share: true", "share is True (bool); give a value of type float"),
        ("loud: 1", "loud is 1 (int); give a value of type bool"),
    ],
)
def test_a_value_of_another_type_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read("--config", config(tmp_path, text))
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("share: 1", Numbers(share=1.0)),
        ("limit: 4", Numbers(limit=4)),
        ("limit: null", Numbers()),
        ("whole: '4'", Numbers(whole=4)),  # quoted in YAML: read as a flag's text would be
        ("loud: 'yes'", Numbers(loud=True)),
    ],
)
def test_a_value_that_means_the_same_is_taken(text: str, expected: Numbers, tmp_path: Path) -> None:
    numbers = read("--config", config(tmp_path, text))
    assert numbers == expected
    assert [type(getattr(numbers, f.name)) for f in fields(numbers)] == [
        type(getattr(expected, f.name)) for f in fields(expected)
    ]


def test_check_types_makes_floats_of_whole_numbers() -> None:
    numbers = Numbers(share=2)
    check_types(numbers)
    assert isinstance(numbers.share, float)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--whol", "3"], "unknown flag --whol, did you mean --whole?; `--help` lists all flags"),
        (["--whole", "x"], "argument --whole: invalid int value: 'x'; `--help` lists all flags"),
        (["--no_such"], "unknown flag --no_such; `--help` lists all flags"),
        (["7"], "'7' belongs to no flag; write --name value; `--help` lists all flags"),
        (["--whole", "1", "2"], "'2' belongs to no flag; write --name value; `--help` lists all flags"),
        (["-x"], "'-x' belongs to no flag; write --name value; `--help` lists all flags"),
    ],
)
def test_a_bad_command_line_is_one_line(argv: list[str], said: str) -> None:
    with pytest.raises(InputError) as caught:
        read(*argv)
    assert str(caught.value) == said


def test_help_explains_each_flag_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse("select_instag", "What it does.\n\ntagsmith run select-instag --n 3", BLOCKS, ["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "tagsmith run select-instag [--config FILE] [flags]" in text
    assert "What it does.\n\ntagsmith run select-instag --n 3\n" in text  # an example stays on its line
    lines = [line.split() for line in text.splitlines()]
    for block in BLOCKS:
        for f in fields(block):
            assert sum(words[:1] == [f"--{f.name}"] for words in lines) == 1, f.name
            first_words = " ".join(f.metadata["help"].split()[:3])
            assert first_words in " ".join(text.split()), f.name
    assert "demo, paper" in text
    assert "[offline:]" in text
    assert "None" not in text


def test_no_two_blocks_share_a_name() -> None:
    names: list[str] = [f.name for block in BLOCKS for f in fields(block)]
    assert len(set(names)) == len(names)


def test_settings_reach_the_endpoint_under_their_names() -> None:
    given: dict[str, Any] = {
        "store": "s.sqlite",
        "concurrency": 3,
        "timeout_sec": 1.5,
        "deadline_sec": 9.0,
        "max_repairs": 0,
        "max_tokens_total": 100,
        "max_cost": 2.0,
        "prompt_price": 1.0,
        "reply_price": 4.0,
        "reject_refused": True,
    }
    endpoint = EndpointArguments(endpoint="offline:?seed=1", **given).to_endpoint()
    assert endpoint.uri == "offline:?seed=1"
    assert {name: getattr(endpoint, name) for name in given} == given
