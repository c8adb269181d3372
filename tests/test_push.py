"""Publishing a folder: one commit and one tag or nothing, whatever the Hub does in between."""

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from huggingface_hub import constants

from tagsmith.cards import hub_calls
from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.hub_target import HubTarget
from tagsmith.cards.model_link import link_model, with_model
from tagsmith.cards.push import push_release

V1, V2 = HubTarget("lab/x", "v1.0.0"), HubTarget("lab/x", "v1.1.0")


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Seconds that were waited between tries; waiting takes no time here."""
    waited = []
    monkeypatch.setattr(hub_calls, "time", SimpleNamespace(sleep=waited.append))
    return waited


@pytest.fixture
def hub(hub, monkeypatch):
    """Logged in."""
    monkeypatch.setenv("HF_TOKEN", hub.token)
    return hub


def write(folder: Path, configs: dict[str, list[str]], note: str = "") -> Path:
    """A folder as a release is: a card that lists the configs, Parquet files, a manifest, what a Mac leaves behind."""
    lines = ["---", "configs:"]
    for name, texts in configs.items():
        path = folder / name / "train-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"text": texts}), path)
        data_files = f"  data_files: [{{split: train, path: {name}/train-*.parquet}}]"
        lines += [f"- config_name: {name}", data_files, *(["  default: true"] if name == "data" else [])]
    (folder / "README.md").write_text("\n".join([*lines, "---", "", f"# Rows {note}", ""]))
    (folder / "manifest.json").write_text(json.dumps({"tagsmith_format": 1, "configs": list(configs)}))
    (folder / ".DS_Store").write_bytes(b"\0")
    return folder


@pytest.fixture
def first(tmp_path):
    return write(tmp_path / "first", {"data": ["a", "b"], "generations": ["one"], "tree": ["root"]})


@pytest.fixture
def second(tmp_path):
    """The next release: other rows, the same generations, no tree."""
    return write(tmp_path / "second", {"data": ["a", "b", "c"], "generations": ["one"]}, "again")


def of_folder(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def of_hub(hub, revision="main", kind="dataset", repo_id="lab/x") -> dict[str, bytes]:
    repo = hub.repo(kind, repo_id)
    return {path: repo.read(path, revision) for path in repo.files(revision) if path != ".gitattributes"}


def rows(config=None, revision=None):
    return load_dataset("lab/x", config, revision=revision, split="train")["text"][:]


# --- round trip -------------------------------------------------------------------------------------------------


def test_a_folder_becomes_one_commit_and_one_tag_that_load_dataset_opens(hub, first):
    pushed = push_release(first, V1)
    repo = hub.repo("dataset", "lab/x")
    assert of_hub(hub) == of_folder(first)
    assert [commit.title for commit in repo.commits("main")] == ["Release v1.0.0", "initial commit"]
    assert repo.tags == {"v1.0.0": pushed.commit} == {"v1.0.0": repo.commits("main")[0].oid}
    assert pushed.load_line == 'load_dataset("lab/x", revision="v1.0.0")'
    assert load_dataset("lab/x", revision="v1.0.0")["train"]["text"][:] == ["a", "b"]
    assert rows("generations", "v1.0.0") == ["one"]
    assert pushed.url == f"{constants.ENDPOINT}/datasets/lab/x/tree/v1.0.0"
    assert (pushed.files, pushed.bytes) == (5, sum(map(len, of_folder(first).values())))
    assert pushed.already is False
    assert repo.private is False


def test_the_same_folder_again_sends_nothing(hub, first):
    once = push_release(first, V1)
    before = len(hub.seen)
    again = push_release(first, V1)
    assert (again.already, again.commit, again.files) == (True, once.commit, 5)
    assert {seen.method for seen in hub.seen[before:]} == {"GET"}
    assert len(hub.repo("dataset", "lab/x").commits("main")) == 2


def test_an_unchanged_folder_under_the_next_version_is_only_tagged(hub, first):
    once = push_release(first, V1)
    before = len(hub.seen)
    again = push_release(first, V2)
    assert again.commit == once.commit
    assert [str(seen).split("/")[-2:] for seen in hub.seen[before:] if seen.method != "GET"] == [["tag", once.commit]]
    assert hub.repo("dataset", "lab/x").tags == {"v1.0.0": once.commit, "v1.1.0": once.commit}


def test_the_next_release_sends_what_changed_and_the_old_tag_loads_the_old(hub, first, second):
    push_release(first, V1)
    uploads = hub.count("PUT /lfs/")
    push_release(second, V2)
    assert hub.count("PUT /lfs/") - uploads == 1, "the generations are the same file"
    assert of_hub(hub, "v1.0.0") == of_folder(first)
    assert of_hub(hub, "v1.1.0") == of_hub(hub) == of_folder(second)
    assert rows(revision="v1.0.0") == ["a", "b"]
    assert rows("tree", "v1.0.0") == ["root"]
    assert rows(revision="v1.1.0") == rows() == ["a", "b", "c"]
    with pytest.raises(ValueError, match="tree"):
        rows("tree", "v1.1.0")


def test_a_published_tag_does_not_move(hub, first, second):
    push_release(first, V1)
    before = hub.repo("dataset", "lab/x").commits("main")
    with pytest.raises(ReleaseError, match=r"v1.0.0 is published already, with other files \(README.md, .*higher"):
        push_release(second, V1)
    assert hub.repo("dataset", "lab/x").commits("main") == before
    assert of_hub(hub, "v1.0.0") == of_folder(first)


def test_large_files_go_in_parts_and_listings_come_in_pages(hub, first):
    hub.part_bytes, hub.page_size = 300, 2
    push_release(first, V1)
    assert hub.count(r"PUT /lfs/.*/part/") > 3
    assert of_hub(hub) == of_folder(first)
    assert push_release(first, V1).already


def test_a_private_model_with_its_message(hub, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "README.md").write_text("---\nlicense: apache-2.0\n---\nA model.\n")
    (tmp_path / "m" / "model.safetensors").write_bytes(b"\0" * 1000)
    target = HubTarget("ada/tagger", "v0.1.0-rc.1", private=True, repo_type="model")
    pushed = push_release(tmp_path / "m", target, message="Two epochs")
    repo = hub.repo("model", "ada/tagger")
    assert repo.private
    assert repo.commits("main")[0].title == "Two epochs"
    assert pushed.url == f"{constants.ENDPOINT}/ada/tagger/tree/v0.1.0-rc.1"
    assert pushed.load_line == 'AutoModelForCausalLM.from_pretrained("ada/tagger", revision="v0.1.0-rc.1")'


def test_what_others_put_beside_a_release_stays_and_what_they_put_into_it_goes(hub, first):
    hub.create("dataset", "lab/x", {"reproductions/v1.md": b"same", "data/old.parquet": b"x", ".gitignore": b"x\n"})
    push_release(first, V1)
    assert of_hub(hub) == of_folder(first) | {"reproductions/v1.md": b"same"}
    assert len(hub.repo("dataset", "lab/x").commits("main")) == 3
    assert push_release(first, V1).already


@pytest.mark.parametrize("what", ["nothing", "a file", "only hidden files"])
def test_a_folder_without_files(hub, tmp_path, what):
    folder = tmp_path / "f"
    if what == "a file":
        folder.write_text("x")
    elif what == "only hidden files":
        folder.mkdir()
        (folder / ".env").write_text("x")
    with pytest.raises(ReleaseError, match=r"is no folder|has no files"):
        push_release(folder, V1)
    assert hub.seen == []


# --- what goes wrong --------------------------------------------------------------------------------------------

STAGES = {
    "look": r"GET /api/datasets/lab/x\d+$",
    "refs": "GET .*/refs",
    "tree": "GET .*/tree/",
    "create": "POST /api/repos/create",
    "preupload": "/preupload/",
    "batch": "objects/batch",
    "upload": "PUT /lfs/",
    "verify": "/verify",
    "card": "/validate-yaml",
    "commit": "POST .*/commit/",
    "tag": "POST .*/tag/",
}
KINDS = [500, 429, 409, 412, 403, "drop", "drop_after", "half"]
_numbers = count()


def push_through(hub, stage, kind, times, first, second):
    """Publish v1.1.0 upon a v1.0.0 with faults, then again without; what the faulty push said, "" for success."""
    target = HubTarget(f"lab/x{next(_numbers)}", "v1.1.0")
    whole = {"v1.1.0": of_folder(second)}
    if stage != "create":
        whole["v1.0.0"] = of_folder(first)
        repo = hub.create("dataset", target.repo_id, whole["v1.0.0"])
        repo.tags["v1.0.0"] = repo.commits()[0].oid
    hub.fail(STAGES[stage], kind, times=times)
    said, chained = "", (None, None)
    try:
        push_release(second, target)
    except ReleaseError as error:
        said = str(error)
        assert "\n" not in said
        assert f"the same command continues (or only `tagsmith push {second} {target.repo_id} --release v1.1.0`" in said
        chained = error.__cause__, error.__context__
    assert chained == (None, None), "the library's exception holds the token"
    hub._faults.clear()
    there, uploads = set(), hub.count("PUT /lfs/")
    if ("dataset", target.repo_id) in hub.repositories:
        repo = hub.repo("dataset", target.repo_id)
        there = set(repo.lfs)
        for commit in repo.commits()[:-1]:
            assert of_hub(hub, commit.oid, repo_id=target.repo_id) in whole.values(), "main has only whole releases"
        for tag in repo.tags:
            assert of_hub(hub, tag, repo_id=target.repo_id) == whole[tag], "a tag stands for its release"
        assert said or "v1.1.0" in repo.tags
    push_release(second, target)
    repo = hub.repo("dataset", target.repo_id)
    assert hub.count("PUT /lfs/") - uploads == len(set(repo.lfs) - there), "what has arrived is not sent again"
    assert {tag: of_hub(hub, tag, repo_id=target.repo_id) for tag in repo.tags} == whole
    assert of_hub(hub, repo_id=target.repo_id) == whole["v1.1.0"]
    assert [commit.title for commit in repo.commits()].count("Release v1.1.0") == 1
    return said


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_at_any_stage_leaves_no_half_release_and_the_repeat_succeeds(hub, first, second, kind):
    for stage in STAGES:
        said = push_through(hub, stage, kind, 1, first, second)
        # The library does not upload again after a conflict, which no upload should meet.
        final = kind == 403 or (kind in (409, 412) and stage in ("preupload", "batch", "upload", "verify"))
        assert bool(said) == final, f"one {kind} at {stage}: {said}"
    assert sum(seen.fault is not None for seen in hub.seen) == len(STAGES)


@pytest.mark.parametrize("kind", [500, "drop", "drop_after"])
def test_a_fault_that_stays_is_one_line_and_the_repeat_succeeds(hub, first, second, kind):
    for stage in STAGES:
        said = push_through(hub, stage, kind, 1000, first, second)
        if kind == "drop_after" and stage in ("create", "commit", "tag"):
            assert said == "", "it was done, and looking again shows it"
        else:
            assert ("HTTP 500" if kind == 500 else "no answer from http://127.0.0.1") in said, stage
    assert sum(seen.fault is not None for seen in hub.seen) > 3 * len(STAGES)


def test_waiting_grows_and_honours_the_hub(hub, first, waits):
    hub.fail(STAGES["commit"], 500, times=2)
    push_release(first, V1)
    assert waits == list(hub_calls.WAITS_SEC[:2])
    waits.clear()
    hub.fail(STAGES["tag"], 429)  # says Retry-After: 1
    push_release(first, V2)
    assert waits == [hub_calls.WAITS_SEC[0]]


def test_somebody_elses_commit_in_between_is_built_upon(hub, first, second):
    push_release(first, V1)
    repo = hub.repo("dataset", "lab/x")
    # The stray file goes; what they changed of ours comes back, though it had been compared before.
    theirs = {"stray.txt": b"x", "generations/train-00000-of-00001.parquet": b"other"}
    hub.fail(STAGES["commit"], lambda: repo.commit(theirs, "theirs", author="bob"))
    pushed = push_release(second, V2)
    assert [commit.title for commit in repo.commits("main")][:3] == ["Release v1.1.0", "theirs", "Release v1.0.0"]
    assert of_hub(hub) == of_hub(hub, pushed.commit) == of_folder(second)


def test_two_who_push_the_same_at_the_same_time(hub, first):
    with ThreadPoolExecutor(2) as pool:
        pushed = list(pool.map(lambda folder: push_release(folder, V1), [first, first]))
    repo = hub.repo("dataset", "lab/x")
    assert {one.commit for one in pushed} == {repo.tags["v1.0.0"]}
    assert [commit.title for commit in repo.commits("main")] == ["Release v1.0.0", "initial commit"]


def test_a_commit_of_others_is_not_taken_for_ours(hub, first):
    """They commit what we are about to, and more: the library finds nothing to do and names their commit."""
    push_release(first, V1)
    repo = hub.repo("dataset", "lab/x")
    (first / "README.md").write_text("# Changed\n")
    theirs = {"README.md": b"# Changed\n", "manifest.json": b"theirs"}
    hub.fail(STAGES["preupload"], lambda: repo.commit(theirs, "theirs", author="bob"))
    pushed = push_release(first, V2)
    assert of_hub(hub, pushed.commit) == of_hub(hub, "v1.1.0") == of_folder(first)


@pytest.mark.parametrize("name", ["README.md", "data/train-00000-of-00001.parquet"])
def test_a_change_that_keeps_the_size_is_seen(hub, first, name):
    push_release(first, V1)
    content = (first / name).read_bytes()
    (first / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ReleaseError, match=rf"with other files \({name}\)"):
        push_release(first, V1)
    assert push_release(first, V2).commit == hub.repo("dataset", "lab/x").tags["v1.1.0"]
    assert of_hub(hub, "v1.1.0") == of_folder(first) != of_hub(hub, "v1.0.0")


def test_somebody_who_commits_all_the_time_wins_without_harm(hub, first):
    push_release(first, V1)
    numbers = count()
    repo = hub.repo("dataset", "lab/x")
    hub.fail(STAGES["commit"], lambda: repo.commit({f"{next(numbers)}.txt": b"x"}, "theirs"), times=99)
    (first / "new.txt").write_text("new")
    with pytest.raises(ReleaseError, match=r"lab/x@v1.1.0 was not committed: the Hub answered HTTP 412") as caught:
        push_release(first, V2)
    assert "\n" not in str(caught.value)
    assert hub.count(STAGES["commit"]) == 1 + 1 + len(hub_calls.WAITS_SEC)
    assert list(repo.tags) == ["v1.0.0"]


def test_somebody_elses_tag_in_between_is_not_moved(hub, first):
    def tag_theirs():
        repo = hub.repo("dataset", "lab/x")
        repo.tags["v1.0.0"] = repo.commits("main")[-1].oid

    hub.fail(STAGES["tag"], tag_theirs)
    with pytest.raises(ReleaseError, match="published already, with other files"):
        push_release(first, V1)


def test_an_interrupted_upload_continues(hub, first):
    hub.fail(STAGES["upload"], 403, times=1000, after=1)  # one of three arrives
    with pytest.raises(ReleaseError, match=r"not uploaded: Error while uploading '\w+/train-0.*HTTP 403"):
        push_release(first, V1)
    assert len(hub.repo("dataset", "lab/x").lfs) == 1
    hub._faults.clear()
    before = hub.count("PUT /lfs/")
    push_release(first, V1)
    assert hub.count("PUT /lfs/") - before == 2


def test_the_librarys_lines_about_retries_show_no_signature(hub, first, caplog):
    hub.fail(STAGES["upload"], 500)
    signed = hub_calls._URL_QUERY
    push_release(first, V1)
    lines = [record.getMessage() for record in caplog.records if "PUT" in record.getMessage()]
    assert lines
    assert signed.sub(r"\1", "PUT https://s3/x?X-Amz-Signature=abc 500") == "PUT https://s3/x 500"


def test_the_hub_is_gone(hub, first):
    hub.stop()
    with pytest.raises(ReleaseError, match=r"lab/x could not be made: no answer from http://127.*the same command"):
        push_release(first, V1)


def test_something_else_answers(scripted_server, first, monkeypatch):
    server = scripted_server(lambda seen: (200, "<html>Please log in</html>", {"Content-Type": "text/html"}))
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(constants, "is_offline_mode", lambda: False)
    with pytest.raises(ReleaseError, match="is not JSON: is that the Hub"):
        push_release(first, V1)


# --- models that were trained on it -----------------------------------------------------------------------------

MODEL = HubTarget("ada/tagger", "v1.0.0", repo_type="model")


def test_a_model_is_linked_once_and_the_tag_stays(hub, first):
    push_release(first, V1)
    linked = link_model(V1, MODEL, "a" * 40)
    repo = hub.repo("dataset", "lab/x")
    card = repo.read("README.md").decode()
    assert repo.commits("main")[0].oid == linked
    assert card.startswith((first / "README.md").read_text().rstrip())
    assert card.count("## Models trained on this release") == 1
    assert f"- [ada/tagger]({constants.ENDPOINT}/ada/tagger) v1.0.0, commit [`aaaaaaaaaaaa`]" in card
    assert link_model(V1, MODEL, "a" * 40) == linked
    assert len(repo.commits("main")) == 3
    assert of_hub(hub, "v1.0.0") == of_folder(first)
    assert push_release(first, V1).already


def test_links_of_several_models_and_versions():
    card = "# Rows\n"
    card = with_model(card, V1, MODEL, "a" * 40)
    card = with_model(card, V1, HubTarget("ada/tagger", "v1.0.0-rc1", repo_type="model"), "b" * 40)
    card = with_model(card + "\nMore text.\n", V1, HubTarget("lab/other", "v2.0.0", repo_type="model"), "c" * 40)
    card = with_model(card, V1, MODEL, "d" * 40)
    lines = [line for line in card.splitlines() if line.startswith("- [")]
    assert [line.split("`")[1][0] for line in lines] == ["d", "b", "c"]
    assert card.count("## Models trained on this release") == 1
    assert card.endswith("-->\n\nMore text.\n")
    assert with_model(card, V1, MODEL, "d" * 40) == card


@pytest.mark.parametrize("kind", [409, 500, "drop", "drop_after", "race"])
def test_linking_survives_faults_and_races(hub, first, kind):
    push_release(first, V1)
    repo = hub.repo("dataset", "lab/x")

    def race():
        repo.commit({"README.md": repo.read("README.md") + b"\nTheirs.\n"}, "theirs")

    hub.fail(STAGES["commit"], race if kind == "race" else kind)
    link_model(V1, MODEL, "a" * 40)
    card = repo.read("README.md").decode()
    assert card.count("ada/tagger](") == 1
    assert ("Theirs." in card) == (kind == "race")
    assert [commit.title for commit in repo.commits("main")].count("Trained on v1.0.0: ada/tagger v1.0.0") == 1


def test_linking_to_a_dataset_that_is_not_there(hub):
    with pytest.raises(ReleaseError, match=r"ada/tagger@v1.0.0 is not linked from lab/x: there is no such dataset"):
        link_model(V1, MODEL, "a" * 40)
