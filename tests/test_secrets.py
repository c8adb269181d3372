"""A canary search: tokens are planted wherever a user has them, and nothing that a run leaves may show them."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from tagsmith.cards import hub_calls
from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.hub_target import HubTarget
from tagsmith.cards.push import push_release
from tagsmith.cards.redact import redact_text
from tagsmith.processors.endpoint.failures import failure_of, server_words
from tagsmith.processors.errors import EndpointError
from tagsmith.recipes.cli import main

API_KEY = "canary-api-key-" + "0123456789" * 2
IN_URL = "hf_" + "UrlOptionCanary" * 2
# Parts are searched for: half a token, cut off at some length, is a leak as well.
CANARIES = {"api key": "canary-api", "URL option": "UrlOption", "Hub login": "AdaMayWrite"}
TEXTS = [
    "Write a poem about the sea at night.",
    "Translate the sentence into French.",
    "Explain how photosynthesis works to a ten-year-old.",
    "Fix the bug in this Python function.",
    "Plan a three-day trip to Lisbon.",
    "Who wrote Pride and Prejudice?",
]
# Pictures take most of a small run's time, and show nothing but tags and numbers.
PROGRAM = """
import sys
from tagsmith.recipes import cli, select_instag
select_instag.pictures = lambda *_: []
sys.exit(cli.main(sys.argv[1:]))
"""
FLAGS = ["--dataset", "rows.jsonl", "--n", "2", "--alpha", "1", "--min_support", "3", "--store", "store.sqlite"]


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    """A user's working folder with the dataset in it."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "rows.jsonl").write_text("".join(json.dumps({"instruction": text}) + "\n" for text in TEXTS))
    return folder


def leaks(**said: bytes | str) -> list[str]:
    """Which canaries are in what was said or left."""
    found = []
    for name, content in said.items():
        content = content.encode() if isinstance(content, str) else content
        found += [f"{canary} in {name}" for canary, text in CANARIES.items() if text.encode() in content]
    return found


def leaks_of_files(files: Iterator[tuple[str, bytes]]) -> list[str]:
    """The same for files; of Parquet also what is in the compressed pages."""
    found = []
    for name, content in files:
        found += leaks(**{name: content})
        if name.endswith(".parquet"):
            found += leaks(
                **{f"rows of {name}": json.dumps(pq.read_table(io.BytesIO(content)).to_pylist(), default=str)}
            )
    return found


def files_below(folder: Path) -> Iterator[tuple[str, bytes]]:
    yield from ((str(path.relative_to(folder)), path.read_bytes()) for path in folder.rglob("*") if path.is_file())


def files_on(hub) -> Iterator[tuple[str, bytes]]:
    """Every file of every commit, and what is said of the commits."""
    for repo in hub.repositories.values():
        for commit in repo.commits():
            yield f"commit {commit.oid}", f"{commit.title} {commit.message}".encode()
            yield from ((path, repo.read(path, commit.oid)) for path in commit.files)


def start(hub, *flags: str) -> subprocess.Popen:
    """The command line in a process of its own, with the canaries in its environment."""
    environment = hub.environment(token=hub.token) | {"TAGSMITH_API_KEY": API_KEY}
    command = [sys.executable, "-c", PROGRAM, "run", "select-instag", *FLAGS, *flags]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_nothing_that_a_run_leaves_shows_a_token(work, hub, scripted_server):
    def quotes_our_headers(seen):
        return (401, {"error": f"no such key: {seen.headers.get('authorization')}"}, {})

    server = scripted_server(quotes_our_headers)
    published = start(hub, "--output", "made", "--push_to_hub", "ada/x", "--release", "v1.0.0", "--allow_offline")
    failing = start(hub, "--output", "failed", "--endpoint", f"{server.url}?note={IN_URL}", "--store", "other.sqlite")
    for process, status in ((published, 0), (failing, 2)):
        out, err = process.communicate(timeout=100)
        assert process.returncode == status, err
        assert leaks(out=out, err=err) == []
    assert "Authorization" not in err
    assert "no such key: Bearer [removed]" in err, "the canary came by, or this test shows nothing"
    assert server.posts[0].headers["authorization"] == f"Bearer {API_KEY}"
    assert {"made/README.md", "made/manifest.json", "store.sqlite", "other.sqlite"} <= dict(files_below(work)).keys()
    assert leaks_of_files(files_below(work)) == []
    assert "v1.0.0" in hub.repo("dataset", "ada/x").tags
    assert leaks_of_files(files_on(hub)) == []


def test_the_reasons_of_rejected_rows_show_no_token(work, monkeypatch, scripted_server):
    """A server that quotes the request's headers, and whose words become a column of the release."""
    monkeypatch.setenv("TAGSMITH_API_KEY", API_KEY)
    monkeypatch.setenv("HF_TOKEN", IN_URL)

    def answer(seen):
        if "Lisbon" in seen.text:
            return (422, {"error": f"cannot take {seen.headers['authorization']}", "error_type": "validation"}, {})
        if "Prejudice" in seen.text:
            return (429, f"busy: {seen.headers['authorization']} {IN_URL}", {"Retry-After": "86400"})
        return json.dumps({"tags": [{"tag": seen.text.split()[-1], "explanation": "x"}]})

    server = scripted_server(answer)
    flags = ["--output", "made", "--endpoint", f"{server.url}?key={IN_URL}&api=chat", "--reject_refused"]
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr("tagsmith.recipes.select_instag.pictures", lambda *_: [])
    with redirect_stdout(out), redirect_stderr(err):
        status = main(["run", "select-instag", *FLAGS, *flags])
    assert status == 0, err.getvalue()
    rejected = pq.read_table(next(work.glob("made/rejected/*.parquet")))["reason"].to_pylist()
    assert sorted(reason.partition(":")[0] for reason in rejected) == ["endpoint", "refused"]
    assert all("[removed]" in reason for reason in rejected)
    assert leaks(out=out.getvalue(), err=err.getvalue()) == []
    assert leaks_of_files(files_below(work)) == []
    assert "?key=[removed]" in (work / "made" / "manifest.json").read_text()


def test_a_server_that_quotes_our_headers_in_its_error(monkeypatch):
    monkeypatch.setenv("TAGSMITH_API_KEY", f"{API_KEY}\n")  # as read from a file
    monkeypatch.setenv("HF_TOKEN", IN_URL)
    for body in (f"bad {API_KEY}", json.dumps({"error": {"message": f"x {IN_URL}"}}), f"{'x' * 290} {API_KEY}"):
        assert leaks(words=server_words(body.encode())) == []
        for status in (400, 401, 404, 422, 424, 429, 500):
            error = failure_of("http://h", status, {}, body.encode())
            assert isinstance(error, EndpointError)
            assert leaks(error=str(error)) == []
    assert leaks(error=str(failure_of("http://h", 302, {"Location": f"/login?key={API_KEY}"}, b""))) == []
    monkeypatch.setenv("TAGSMITH_API_KEY", "none")
    assert server_words(b"there is none") == "there is none"


def test_a_hub_that_quotes_our_headers_in_its_error(monkeypatch, hub, scripted_server, tmp_path, caplog, capfd):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    monkeypatch.setattr(hub_calls, "time", SimpleNamespace(sleep=lambda seconds: None))

    def answer(seen):
        quoted = f"you sent {seen.headers.get('authorization')}"
        if seen.method == "GET":
            return (404, {"error": quoted}, {"X-Error-Code": "RepoNotFound", "X-Error-Message": quoted})
        return (500, {"error": quoted}, {"X-HF-Warning": f"token; {quoted}"})

    monkeypatch.setattr(constants, "ENDPOINT", scripted_server(answer).url)
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "README.md").write_text("# Rows")
    with pytest.raises(ReleaseError, match=r"HTTP 500: you sent Bearer \[removed\]") as caught:
        push_release(tmp_path / "made", HubTarget("ada/x", "v1.0.0"))
    assert caught.value.__cause__ is caught.value.__context__ is None
    out, err = capfd.readouterr()
    assert leaks(error=str(caught.value), log=caplog.text, out=out, err=err) == []


def test_text_without_the_login(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", IN_URL + "\n")
    assert redact_text(f"x {IN_URL} y") == "x [removed] y"
