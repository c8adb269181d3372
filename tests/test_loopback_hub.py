"""The loopback Hub as the real clients see it: what the Hub promises, and each way of failing."""

import hashlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub
import pytest
from datasets import Dataset, load_dataset
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, HfFileSystem, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import get_session
from loopback_hub import Hub, User

CARD = """---
license: apache-2.0
configs:
- config_name: default
  data_files: data/train.parquet
- config_name: generations
  data_files: generations/train.parquet
---
# Things
"""
PARQUET = Path("data/train.parquet")


@pytest.fixture
def api(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> HfApi:
    """The client of somebody who is logged in as ada."""
    monkeypatch.setenv("HF_TOKEN", hub.token)
    return HfApi()


@pytest.fixture
def push(api: HfApi, tmp_path: Path) -> Callable[..., str]:
    """Commits a release of two configs, with `rows` rows, to lab/things, and tells the commit's name."""

    def commit(rows: int = 3, message: str = "a release", **options: Any) -> str:
        api.create_repo("lab/things", repo_type="dataset", exist_ok=True)
        folder = tmp_path / f"release-{rows}"
        columns = {"default": {"n": list(range(rows))}, "generations": {"text": [f"reply {i}" for i in range(rows)]}}
        for path, config in ((PARQUET, "default"), (Path("generations/train.parquet"), "generations")):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            Dataset.from_dict(columns[config]).to_parquet(str(folder / path))
        (folder / "README.md").write_text(CARD)
        paths = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        operations = [CommitOperationAdd(str(path), folder / path) for path in paths]
        return str(
            api.create_commit("lab/things", operations, commit_message=message, repo_type="dataset", **options).oid
        )

    return commit


def add(api: HfApi, path: str, content: bytes, repo_id: str = "lab/things", **options: Any) -> str:
    operations = [CommitOperationAdd(path, content)]
    return str(api.create_commit(repo_id, operations, commit_message="add", repo_type="dataset", **options).oid)


# What is pushed is what is loaded


def test_a_release_is_loaded_by_its_tag(hub: Hub, api: HfApi, push: Callable[..., str]) -> None:
    first = push(rows=3)
    api.create_tag("lab/things", tag="v1.0.0", revision=first, repo_type="dataset")
    push(rows=5)

    assert load_dataset("lab/things", revision="v1.0.0", split="train")["n"][:] == [0, 1, 2]
    texts = load_dataset("lab/things", "generations", revision="v1.0.0", split="train")["text"][:]
    assert texts == ["reply 0", "reply 1", "reply 2"]
    assert load_dataset("lab/things", split="train").num_rows == 5

    repository = hub.repo("dataset", "lab/things")
    assert repository.tags == {"v1.0.0": first}
    assert [commit.title for commit in repository.commits()] == ["a release", "a release", "initial commit"]
    assert [commit.author for commit in repository.commits()] == ["ada", "ada", "system"]
    files = repository.files("v1.0.0")
    assert {path: file.lfs for path, file in files.items()} == {
        ".gitattributes": False,
        "README.md": False,
        "data/train.parquet": True,
        "generations/train.parquet": True,
    }
    assert hashlib.sha256(repository.read(str(PARQUET), "v1.0.0")).hexdigest() == files[str(PARQUET)].sha256


def test_streaming_reads_the_rows(push: Callable[..., str]) -> None:
    push(rows=4)
    rows = load_dataset("lab/things", "generations", split="train", streaming=True)
    assert [row["text"] for row in rows] == ["reply 0", "reply 1", "reply 2", "reply 3"]


def test_a_snapshot_holds_the_bytes_of_its_revision_and_is_fetched_once(
    hub: Hub, api: HfApi, push: Callable[..., str]
) -> None:
    first = push(rows=3)
    api.create_tag("lab/things", tag="v1", repo_type="dataset")
    push(rows=5)
    folder = Path(snapshot_download("lab/things", repo_type="dataset", revision="v1"))
    assert folder.name == first
    repository = hub.repo("dataset", "lab/things")
    contents = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert contents == {path: repository.read(path, "v1") for path in repository.files("v1")}
    assert hub.count(r"^GET .*/resolve/") == 4
    snapshot_download("lab/things", repo_type="dataset", revision="v1")
    assert hub.count(r"^GET .*/resolve/") == 4


def test_a_model_is_loaded_by_its_tag(hub: Hub, api: HfApi) -> None:
    from transformers import AutoConfig, BertConfig

    for size in (16, 32):
        BertConfig(hidden_size=size, num_attention_heads=2).push_to_hub("lab/tiny")
        api.create_tag("lab/tiny", tag=f"v{size}")
    assert AutoConfig.from_pretrained("lab/tiny", revision="v16").hidden_size == 16
    assert AutoConfig.from_pretrained("lab/tiny").hidden_size == 32
    assert hub.repo("model", "lab/tiny").tags.keys() == {"v16", "v32"}


def test_information_tells_the_commit_the_card_and_the_files(api: HfApi, push: Callable[..., str]) -> None:
    first = push(rows=3)
    second = add(api, "notes.txt", "Füße".encode())
    info = api.dataset_info("lab/things", files_metadata=True)
    assert (info.id, info.sha, info.private, info.tags) == ("lab/things", second, False, ["license:apache-2.0"])
    assert [config["config_name"] for config in info.card_data["configs"]] == ["default", "generations"]
    siblings = {file.rfilename: file for file in info.siblings}
    assert siblings["notes.txt"].size == 6
    assert siblings["notes.txt"].lfs is None
    assert siblings[str(PARQUET)].lfs.size == siblings[str(PARQUET)].size
    assert info.created_at < info.last_modified
    assert api.dataset_info("lab/things", revision=first[:8]).sha == first
    assert api.repo_exists("lab/things", repo_type="dataset")
    assert not api.repo_exists("lab/things", repo_type="model")


@pytest.mark.parametrize("page_size", [2, 1000])
def test_listings_are_complete_whatever_the_page(
    hub: Hub, api: HfApi, push: Callable[..., str], page_size: int
) -> None:
    push()
    add(api, "a folder/deep/ä+b%.txt", b"1")
    hub.page_size = page_size
    files = [".gitattributes", "README.md", "a folder/deep/ä+b%.txt", "data/train.parquet", "generations/train.parquet"]
    assert sorted(api.list_repo_files("lab/things", repo_type="dataset")) == files
    filesystem = HfFileSystem()
    assert filesystem.find("datasets/lab/things") == [f"datasets/lab/things/{path}" for path in files]
    assert filesystem.ls("datasets/lab/things/a folder", detail=False) == ["datasets/lab/things/a folder/deep"]
    assert filesystem.cat("datasets/lab/things/a folder/deep/ä+b%.txt") == b"1"
    titles = [commit.title for commit in api.list_repo_commits("lab/things", repo_type="dataset")]
    assert titles == ["add", "a release", "initial commit"]
    found = api.get_paths_info("lab/things", ["README.md", "data", "none"], repo_type="dataset", expand=True)
    assert [(entry.path, bool(entry.last_commit)) for entry in found] == [("README.md", True), ("data", True)]


# Commits, branches and tags


def test_a_tag_does_not_move(hub: Hub, api: HfApi, push: Callable[..., str]) -> None:
    first = push(rows=3)
    api.create_tag("lab/things", tag="v1", repo_type="dataset")
    push(rows=5)
    with pytest.raises(HfHubHTTPError, match="exists already") as caught:
        api.create_tag("lab/things", tag="v1", repo_type="dataset")
    assert caught.value.response.status_code == 409
    api.create_tag("lab/things", tag="v1", repo_type="dataset", exist_ok=True)
    assert hub.repo("dataset", "lab/things").tags == {"v1": first}
    api.delete_tag("lab/things", tag="v1", repo_type="dataset")
    assert api.list_repo_refs("lab/things", repo_type="dataset").tags == []
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag("lab/things", tag="v1", repo_type="dataset")


def test_a_stale_parent_is_refused(hub: Hub, api: HfApi, push: Callable[..., str]) -> None:
    first = push(rows=3)
    second = push(rows=5, parent_commit=first)
    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as caught:
        push(rows=7, parent_commit=first)
    assert caught.value.response.status_code == 412
    assert hub.repo("dataset", "lab/things").branches == {"main": second}


def test_somebody_may_be_faster(hub: Hub, api: HfApi, push: Callable[..., str]) -> None:
    first = push(rows=3)
    repository = hub.repo("dataset", "lab/things")
    hub.fail("POST .*/commit/", lambda: repository.commit({"bob.txt": b"me first"}, "bob's", author="bob"))
    with pytest.raises(HfHubHTTPError, match="A commit has happened since"):
        push(rows=5, parent_commit=first)
    assert [commit.title for commit in repository.commits()] == ["bob's", "a release", "initial commit"]


def test_one_commit_adds_replaces_and_deletes(hub: Hub, api: HfApi, push: Callable[..., str]) -> None:
    before = push()
    operations = [
        CommitOperationDelete("generations/"),
        CommitOperationDelete(str(PARQUET)),
        CommitOperationAdd("README.md", CARD.replace("Things", "Others").encode()),
        CommitOperationAdd("new.txt", b"new"),
    ]
    api.create_commit("lab/things", operations, commit_message="tidy", repo_type="dataset")
    repository = hub.repo("dataset", "lab/things")
    assert sorted(repository.files()) == [".gitattributes", "README.md", "new.txt"]
    assert b"# Others" in repository.read("README.md")
    assert sorted(repository.files(before))[-1] == "generations/train.parquet", "a commit never changes"
    assert repository.commits()[0].parent == before
    with pytest.raises(EntryNotFoundError, match="doesn't exist"):
        api.delete_file(str(PARQUET), "lab/things", repo_type="dataset")


def test_nothing_changed_is_no_commit_and_no_upload(hub: Hub, push: Callable[..., str]) -> None:
    first = push()
    uploads = hub.count("PUT /lfs/")
    assert push() == first
    assert hub.count("PUT /lfs/") == uploads == 2
    assert hub.count("POST .*/commit/") == 1


def test_a_branch_goes_its_own_way(hub: Hub, api: HfApi, push: Callable[..., str]) -> None:
    first = push()
    api.create_branch("lab/things", branch="next/2", repo_type="dataset")
    second = add(api, "x.txt", b"x", revision="next/2")
    assert hub.repo("dataset", "lab/things").branches == {"main": first, "next/2": second}
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_branch("lab/things", branch="next/2", repo_type="dataset")
    api.delete_branch("lab/things", branch="next/2", repo_type="dataset")
    assert [branch.name for branch in api.list_repo_refs("lab/things", repo_type="dataset").branches] == ["main"]
    with pytest.raises(RevisionNotFoundError):
        add(api, "x.txt", b"x", revision="next/2")


def test_bad_metadata_stops_a_commit_before_any_upload(hub: Hub, api: HfApi) -> None:
    api.create_repo("lab/things", repo_type="dataset")
    for metadata, message in (
        ("license: [", "YAML"),
        ("license: MIT", '"license" must be'),
        ("language: English", "lang"),
    ):
        with pytest.raises(ValueError, match=message):
            add(api, "README.md", f"---\n{metadata}\n---\n".encode())
    with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
        add(api, "README.md", b"# No metadata\n")


def test_repositories_come_and_go(hub: Hub, api: HfApi) -> None:
    for kind in ("model", "dataset", "space"):
        sdk = "static" if kind == "space" else None
        url = api.create_repo("mine", repo_type=kind, space_sdk=sdk)
        assert (url.repo_id, url.repo_type) == ("ada/mine", kind)
        with pytest.raises(HfHubHTTPError, match="already created"):
            api.create_repo("ada/mine", repo_type=kind, space_sdk=sdk)
        assert api.repo_info("ada/mine", repo_type=kind).id == "ada/mine"
        api.delete_repo("ada/mine", repo_type=kind)
        assert not api.repo_exists("ada/mine", repo_type=kind)
    assert hub.repositories == {}


# Who may do what


def test_a_token_that_may_only_read_changes_nothing(hub: Hub, push: Callable[..., str]) -> None:
    push()
    reader = HfApi(token=hub.read_token)
    assert reader.whoami()["auth"]["accessToken"]["role"] == "read"
    refused = [
        lambda: reader.create_repo("lab/other", repo_type="dataset"),
        lambda: add(reader, "x.txt", b"x"),
        lambda: reader.create_tag("lab/things", tag="v1", repo_type="dataset"),
        lambda: reader.create_branch("lab/things", branch="b", repo_type="dataset"),
        lambda: reader.delete_repo("lab/things", repo_type="dataset"),
        lambda: reader.auth_check("lab/things", repo_type="dataset", write=True),
    ]
    before = hub.repo("dataset", "lab/things").commits()[0]
    for act in refused:
        with pytest.raises(HfHubHTTPError) as caught:
            act()
        assert caught.value.response.status_code == 403
    repository = hub.repo("dataset", "lab/things")
    assert (repository.commits()[0], repository.tags, list(repository.branches)) == (before, {}, ["main"])
    assert reader.list_repo_files("lab/things", repo_type="dataset")


def test_an_unknown_token_is_refused_everywhere(hub: Hub) -> None:
    hub.create("dataset", "lab/things")
    stranger = HfApi(token="hf_unknown")
    for act in (stranger.whoami, lambda: stranger.dataset_info("lab/things")):
        with pytest.raises(HfHubHTTPError) as caught:
            act()
        assert caught.value.response.status_code == 401
        assert not isinstance(caught.value, RepositoryNotFoundError)
    with pytest.raises(HfHubHTTPError, match="401"):
        HfApi(token=False).create_repo("lab/other", repo_type="dataset")


def test_a_private_repository_shows_itself_to_its_people_only(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    HfApi(token=hub.token).create_repo("lab/secret", repo_type="dataset", private=True)
    hub.repo("dataset", "lab/secret").commit({"data.csv": b"n\n1\n"})
    for token, status in ((False, 401), (hub.other_token, 404)):
        with pytest.raises(RepositoryNotFoundError) as caught:
            HfApi(token=token).dataset_info("lab/secret")
        assert caught.value.response.status_code == status
        with pytest.raises(DatasetNotFoundError):
            load_dataset("lab/secret", token=token)
    assert HfApi(token=hub.read_token).dataset_info("lab/secret").private is True
    monkeypatch.setenv("HF_TOKEN", hub.read_token)
    assert load_dataset("lab/secret", split="train")["n"][:] == [1]
    HfApi(token=hub.token).update_repo_settings("lab/secret", repo_type="dataset", visibility="public")
    assert HfApi(token=False).dataset_info("lab/secret").private is False


def test_a_gated_repository_is_seen_but_not_read(hub: Hub) -> None:
    hub.create("dataset", "lab/gated", {"data.csv": b"n\n1\n"}).gated = True
    for token, status in ((False, 401), (hub.other_token, 403)):
        assert HfApi(token=token).dataset_info("lab/gated").gated == "manual"
        with pytest.raises(GatedRepoError) as caught:
            HfApi(token=token).auth_check("lab/gated", repo_type="dataset")
        assert caught.value.response.status_code == status
        with pytest.raises(GatedRepoError):
            huggingface_hub.hf_hub_download("lab/gated", "data.csv", repo_type="dataset", token=token)


def test_a_fine_grained_token_reaches_what_it_names(hub: Hub) -> None:
    hub.create("dataset", "lab/mine")
    hub.create("dataset", "lab/other")
    hub.users["hf_fine"] = User("eve", "fineGrained", {"lab": "write"}, scopes=("lab/mine",))
    eve = HfApi(token="hf_fine")
    scoped = eve.whoami()["auth"]["accessToken"]["fineGrained"]["scoped"]
    assert [(scope["entity"]["name"], "repo.write" in scope["permissions"]) for scope in scoped] == [("lab/mine", True)]
    add(eve, "x.txt", b"x", repo_id="lab/mine")
    with pytest.raises(HfHubHTTPError, match="403"):
        add(eve, "x.txt", b"x", repo_id="lab/other")


def test_what_is_missing_is_named_as_the_hub_names_it(api: HfApi, push: Callable[..., str]) -> None:
    push()
    with pytest.raises(RepositoryNotFoundError):
        api.dataset_info("lab/none")
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info("lab/things", revision="v9")
    with pytest.raises(EntryNotFoundError):
        huggingface_hub.hf_hub_download("lab/things", "none.txt", repo_type="dataset")
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree("lab/things", "none", repo_type="dataset"))
    with pytest.raises(DatasetNotFoundError, match="v9"):
        load_dataset("lab/things", revision="v9")


# Failing on purpose


@pytest.mark.parametrize("kind", [500, 503, 429, "drop", "half"])
def test_an_upload_that_fails_once_is_tried_again(hub: Hub, push: Callable[..., str], kind: int | str) -> None:
    hub.fail("PUT /lfs/", kind, after=1)
    push()
    assert hub.count("PUT /lfs/") == 3
    assert hub.waits == [2.0 if kind == 429 else 1]  # Retry-After: 1, and one more second
    ended = [seen.status for seen in hub.seen if str(seen).startswith("PUT")]
    assert ended[1] == (kind if isinstance(kind, int) else None)
    assert sorted(hub.repo("dataset", "lab/things").files())[-1] == "generations/train.parquet"


def test_an_upload_that_keeps_failing_leaves_no_release_and_is_taken_up_again(
    hub: Hub, push: Callable[..., str]
) -> None:
    hub.fail("PUT /lfs/", 500, times=6, after=1)
    with pytest.raises(RuntimeError, match="Error while uploading"):
        push()
    assert hub.waits == [1, 2, 4, 8, 8]
    repository = hub.repo("dataset", "lab/things")
    assert [commit.title for commit in repository.commits()] == ["initial commit"]
    assert len(repository.lfs) == 1
    push()
    assert hub.count("PUT /lfs/") == 1 + 6 + 1, "what had arrived was not sent again"
    assert len(repository.commits()) == 2


@pytest.mark.parametrize("status", [403, 409, 412, 500])
def test_a_commit_that_fails_is_not_made(hub: Hub, push: Callable[..., str], status: int) -> None:
    hub.fail("POST .*/commit/", status)
    with pytest.raises(HfHubHTTPError, match=f"made to fail with {status}") as caught:
        push()
    assert caught.value.response.status_code == status
    assert len(hub.repo("dataset", "lab/things").commits()) == 1


@pytest.mark.parametrize(("kind", "made"), [("drop", 0), ("half", 0), ("drop_after", 1)])
def test_a_dropped_commit_may_have_been_made(hub: Hub, push: Callable[..., str], kind: str, made: int) -> None:
    hub.fail("POST .*/commit/", kind)
    with pytest.raises(Exception, match=r"disconnected|reset|closed"):
        push()
    assert len(hub.repo("dataset", "lab/things").commits()) == 1 + made
    assert (hub.seen[-1].status, hub.seen[-1].fault) == (None, kind)


def test_a_tag_may_have_been_made_when_the_connection_drops(hub: Hub, api: HfApi, push: Callable[..., str]) -> None:
    push()
    hub.fail("POST .*/tag/", "drop_after")
    with pytest.raises(Exception, match=r"disconnected|reset|closed"):
        api.create_tag("lab/things", tag="v1", repo_type="dataset")
    assert hub.repo("dataset", "lab/things").tags.keys() == {"v1"}


def test_half_a_download_is_continued_where_it_stopped(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    content = os.urandom(100_001)
    hub.create("dataset", "lab/things", {"random.bin": content})
    hub.fail("GET .*/resolve/", "half")
    path = huggingface_hub.hf_hub_download("lab/things", "random.bin", repo_type="dataset")
    assert Path(path).read_bytes() == content
    assert [seen.status for seen in hub.seen if seen.method == "GET"] == [None, 206]
    assert hub.waits == [1]


def test_only_the_requests_that_were_named_fail(hub: Hub, api: HfApi) -> None:
    hub.create("dataset", "lab/things")
    hub.fail("GET .*/datasets/lab/things$", 500, times=2, after=1)
    statuses = [get_session().get(f"{hub.url}/api/datasets/lab/things").status_code for _ in range(4)]
    assert statuses == [200, 500, 500, 200]
    assert hub.count("GET") == 4
    with pytest.raises(ValueError, match="'explode'"):
        hub.fail("GET", "explode")


# Transfers


@pytest.mark.parametrize(
    ("asked", "status", "content", "of"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=-4", 206, b"6789", "bytes 6-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        (None, 200, b"0123456789", None),
    ],
)
@pytest.mark.parametrize("in_folder", [False, True])
def test_ranges(
    tmp_path: Path, asked: str | None, status: int, content: bytes | None, of: str | None, in_folder: bool
) -> None:
    hub = Hub(tmp_path if in_folder else None)
    hub.create("dataset", "lab/things", {"digits.bin": b"0123456789"})
    url = f"{hub.url}/datasets/lab/things/resolve/main/digits.bin"
    answer = httpx2.get(url, headers={"Range": asked} if asked else {})
    assert (answer.status_code, answer.headers.get("Content-Range")) == (status, of)
    assert content is None or answer.content == content
    head = httpx2.head(url)
    assert (head.headers["Content-Length"], head.headers["X-Linked-Size"]) == ("10", "10")
    assert head.headers["X-Linked-Etag"] == f'"{hashlib.sha256(b"0123456789").hexdigest()}"'
    assert head.headers["X-Repo-Commit"] == hub.repo("dataset", "lab/things").commits()[0].oid
    hub.stop()


def test_a_large_file_may_come_in_parts(hub: Hub, api: HfApi) -> None:
    hub.part_bytes = 1000
    content = os.urandom(2500)
    api.create_repo("lab/things", repo_type="dataset")
    hub.fail("PUT .*/part/2", 500)
    add(api, "random.bin", content)
    assert hub.count("PUT .*/part/") == 4
    assert hub.repo("dataset", "lab/things").read("random.bin") == content


def test_what_was_not_uploaded_is_not_committed(hub: Hub, api: HfApi) -> None:
    hub.create("dataset", "lab/things")
    missing = hashlib.sha256(b"missing").hexdigest()
    url = f"{hub.url}/lfs/dataset/lab/things/{missing}"
    assert get_session().put(url, content=b"something else").status_code == 400
    lines = b'{"key": "header", "value": {"summary": "x"}}\n'
    lines += b'{"key": "lfsFile", "value": {"path": "a.bin", "oid": "%s", "size": 7}}\n' % missing.encode()
    headers = {"Authorization": f"Bearer {hub.token}"}
    answer = get_session().post(f"{hub.url}/api/datasets/lab/things/commit/main", content=lines, headers=headers)
    assert (answer.status_code, len(hub.repo("dataset", "lab/things").commits())) == (400, 1)


def test_a_client_that_dies_in_mid_upload_leaves_nothing(hub: Hub) -> None:
    hub.create("dataset", "lab/things")
    oid = hashlib.sha256(b"x" * 1000).hexdigest()
    with socket.create_connection(("127.0.0.1", hub.port)) as connection:
        head = f"PUT /lfs/dataset/lab/things/{oid} HTTP/1.1\r\nHost: hub\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 500)
    HfApi().dataset_info("lab/things")  # the server is well
    assert hub.repo("dataset", "lab/things").lfs == {}


# Beyond one process


def test_a_child_process_is_led_to_the_hub(hub: Hub, push: Callable[..., str], tmp_path: Path) -> None:
    push(rows=3)
    program = "from datasets import load_dataset; print(sum(load_dataset('lab/things', split='train')['n']))"
    hub.repo("dataset", "lab/things").private = True
    env = hub.environment(hub.token, home=tmp_path / "elsewhere")
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3"
    assert (tmp_path / "elsewhere" / "hub" / "datasets--lab--things").is_dir()
    assert "HF_TOKEN" not in hub.environment()


def test_alone_it_says_how_to_reach_it_and_keeps_what_it_got(tmp_path: Path) -> None:
    script = Path(__file__).with_name("loopback_hub.py")
    command = [sys.executable, str(script), "--port", "0", "--folder", str(tmp_path / "kept")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(6)]
        env = dict(re.findall(r"export (\w+)=(\S+)", "".join(lines)))
        push = (
            "from huggingface_hub import HfApi; api = HfApi(); api.create_repo('ada/x');"
            "api.upload_file(path_or_fileobj=b'0' * 100, path_in_repo='w.bin', repo_id='ada/x');"
            "api.create_tag('ada/x', tag='v1')"
        )
        child = {**os.environ, **env}
        subprocess.run([sys.executable, "-c", push], env=child, check=True, capture_output=True)
        process.terminate()
    again = Hub(tmp_path / "kept")
    repository = again.repo("model", "ada/x")
    assert repository.read("w.bin", "v1") == b"0" * 100
    assert repository.commits("v1")[0].files["w.bin"].lfs
    again.stop()


def test_without_the_fixture_nothing_is_reached() -> None:
    assert os.environ["HF_ENDPOINT"].startswith("http://127.0.0.1:")
    with pytest.raises(OfflineModeIsEnabled):
        HfApi().whoami(token="hf_x")
    with pytest.raises(ConnectionRefusedError), socket.socket() as connection:
        connection.connect(("127.0.0.1", int(os.environ["HF_ENDPOINT"].rpartition(":")[2])))
