"""The generation store: what goes in comes out, from any process, and no mishap loses what it holds."""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.endpoint.request import Completion
from tagsmith.processors.endpoint.store import Generation, GenerationStore
from tagsmith.processors.errors import StoreError

TOP = [[{"text": "a", "logprob": -0.1}, {"text": "ü", "logprob": -2.5}], []]


def generation(number: int, text: str = "reply", **completion: Any) -> Generation:
    key = number.to_bytes(16, "big")
    return Generation(key, "m@1", b'"content"', b'{"temperature":0.0}', 0, Completion(text, **completion), 0.5)


def python(code: str, *args: str) -> list[str]:
    """The command of a Python process with `generation` and the store at hand."""
    head = """
import os, resource, sys
from tagsmith.processors.endpoint.request import Completion
from tagsmith.processors.endpoint.store import Generation, GenerationStore
from tagsmith.processors.errors import StoreError

def generation(number, text):
    return Generation(number.to_bytes(16, "big"), "m@1", b'"content"', b"{}", 0, Completion(text), 0.5)
"""
    return [sys.executable, "-c", head + code, *args]


def test_every_field_comes_back(store_path):
    store = GenerationStore(store_path)
    full = generation(1, "text", finish_reason="stop", prompt_tokens=3, reply_tokens=4, top_tokens=TOP)
    bare = generation(2, "")
    store.add([full, bare])
    again = GenerationStore(store_path)
    assert again.get_many([full.key, bare.key, b"\0" * 16]) == {
        full.key: full.completion,
        bare.key: bare.completion,
    }
    assert len(again) == 2
    assert again.export([bare.key, full.key]).to_pylist() == [
        {
            "key": "00" * 15 + "02",
            "model": "m@1",
            "content": '"content"',
            "parameters": '{"temperature":0.0}',
            "sample": 0,
            "text": "",
            "finish_reason": None,
            "prompt_tokens": None,
            "reply_tokens": None,
            "top_tokens": None,
            "failure": None,
        },
        {
            "key": "00" * 15 + "01",
            "model": "m@1",
            "content": '"content"',
            "parameters": '{"temperature":0.0}',
            "sample": 0,
            "text": "text",
            "finish_reason": "stop",
            "prompt_tokens": 3,
            "reply_tokens": 4,
            "top_tokens": json.dumps(TOP, ensure_ascii=False, separators=(",", ":")),
            "failure": None,
        },
    ]


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
def test_any_text_comes_back_as_it_was(tmp_path_factory, texts):
    store = GenerationStore(tmp_path_factory.mktemp("store") / "s.sqlite")
    texts = [*texts, "nul \0 byte", "\r\n\u2028 x"]
    store.add([generation(number, text) for number, text in enumerate(texts)])
    found = store.get_many([generation(number).key for number in range(len(texts))])
    assert [completion.text for _, completion in sorted(found.items())] == texts
    store.close()


def test_the_first_reply_to_a_key_stays(store_path):
    store = GenerationStore(store_path)
    store.add([generation(1, "first")])
    store.add([generation(1, "second"), generation(2, "other"), generation(2, "late")])
    found = store.get_many([generation(1).key, generation(2).key])
    assert [completion.text for completion in found.values()] == ["first", "other"]
    assert len(store) == 2


def test_export_keeps_the_order_of_the_keys_over_many_queries(store_path):
    store = GenerationStore(store_path)
    store.add([generation(number, str(number)) for number in range(1300)])
    order = [(number * 617) % 1300 for number in range(1300)]  # a permutation
    unknown = b"\xff" * 16
    exported = store.export([*(generation(number).key for number in order), unknown]).to_pylist()
    assert [row["text"] for row in exported] == [str(number) for number in order]


def test_mean_tokens_of_the_latest_replies_of_one_model(store_path):
    store = GenerationStore(store_path)
    assert store.mean_tokens("m@1") == (0.0, 0)
    store.add([generation(number, reply_tokens=tokens) for number, tokens in enumerate([100, 2, 4, None])])
    assert store.mean_tokens("m@1", limit=3) == (3.0, 2)
    assert store.mean_tokens("another") == (0.0, 0)


def test_threads_have_their_own_connections_and_see_each_other(store_path):
    store = GenerationStore(store_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.add([generation(number)]), range(40)))
        sizes = set(pool.map(lambda _: len(store), range(8)))
    assert sizes == {40}
    store.close()
    assert len(store) == 40  # it opens itself again


def test_processes_make_and_fill_one_store_together(store_path):
    code = """
store = GenerationStore(sys.argv[1])
for start in range(0, 200, 10):
    store.add([generation(n, sys.argv[2]) for n in range(start, start + 10)])
"""
    writers = [
        subprocess.Popen(python(code, store_path, str(me)), stderr=subprocess.PIPE, text=True) for me in range(4)
    ]
    assert [writer.communicate(timeout=90)[1] for writer in writers] == [""] * 4
    store = GenerationStore(store_path)
    texts = [completion.text for completion in store.get_many([generation(n).key for n in range(200)]).values()]
    assert len(store) == len(texts) == 200
    assert set(texts) <= {"0", "1", "2", "3"}


def test_a_new_store_that_another_process_is_writing_to_is_waited_for(store_path):
    other = sqlite3.connect(store_path, check_same_thread=False, isolation_level=None)
    other.execute("CREATE TABLE t (x)")
    other.execute("BEGIN IMMEDIATE")  # SQLite's own waiting does not cover this lock when the journal mode changes
    release = threading.Timer(0.3, other.execute, ["ROLLBACK"])
    release.start()
    GenerationStore(store_path).add([generation(1)])
    release.join()
    assert len(GenerationStore(store_path)) == 1


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"\0" * 8192, b'{"not": "a store"}'])
def test_a_file_that_is_no_store_is_named_and_left_alone(store_path, content):
    Path(store_path).write_bytes(content)
    with pytest.raises(StoreError) as caught:
        GenerationStore(store_path)
    assert str(caught.value) == (
        f"cannot open the generation store {store_path}: file is not a database; the file is damaged or not a store; it"
        " is left as it is: give another --store, and save what it holds with `sqlite3 FILE .recover`"
    )
    assert Path(store_path).read_bytes() == content


def test_a_damaged_header_is_named_and_left_alone(store_path):
    store = GenerationStore(store_path)
    store.add([generation(1)])
    store.close()
    content = b"not the magic word" + Path(store_path).read_bytes()[18:]
    Path(store_path).write_bytes(content)
    with pytest.raises(StoreError, match=f"cannot open the generation store {store_path}: file is not a database"):
        GenerationStore(store_path)
    assert Path(store_path).read_bytes() == content


def test_damaged_pages_are_an_error_when_they_are_read(store_path):
    store = GenerationStore(store_path)
    store.add([generation(number, "x" * 500) for number in range(200)])
    store.close()
    content = bytearray(Path(store_path).read_bytes())
    content[8192:] = os.urandom(len(content) - 8192)
    Path(store_path).write_bytes(content)
    with pytest.raises(StoreError, match=r"cannot read the generation store .*malformed; the file is damaged"):
        GenerationStore(store_path).export([generation(number).key for number in range(200)])
    assert Path(store_path).read_bytes() == content


def test_a_full_disk_is_an_error_and_loses_nothing(store_path):
    store = GenerationStore(store_path)
    store.add([generation(1, "kept")])
    pages = sqlite3.connect(store_path).execute("PRAGMA page_count").fetchone()[0]
    store._connection().execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError) as caught:
        store.add([generation(number, "x" * 5000) for number in range(2, 30)])
    assert str(caught.value) == (
        f"cannot write the generation store {store_path}: database or disk is full; free space on that disk and run the"
        " same command again; what was stored is kept"
    )
    assert store.get_many([generation(1).key])[generation(1).key].text == "kept"
    assert len(store) == 1  # the transaction that did not fit has left nothing behind
    store._connection().execute("PRAGMA max_page_count = 1000000")
    store.add([generation(2, "after space was made")])
    assert len(store) == 2


def test_a_file_that_may_not_grow_is_an_error_and_loses_nothing(store_path):
    code = """
store = GenerationStore(sys.argv[1])
store.add([generation(1, "kept")])
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    for n in range(2, 100):
        store.add([generation(n, "x" * 10_000)])
except StoreError as error:
    print(error)
print(store.get_many([generation(1, "").key])[generation(1, "").key].text, flush=True)
os._exit(0)
"""
    done = subprocess.run(python(code, store_path), capture_output=True, text=True, timeout=90, check=True)
    error, kept = done.stdout.splitlines()
    assert error.startswith(f"cannot write the generation store {store_path}: ")
    assert kept == "kept"
    again = GenerationStore(store_path)
    assert 1 < len(again) < 99
    again.add([generation(200)])  # whole, and fit for use


def test_a_folder_that_cannot_be_made_is_named():
    with pytest.raises(StoreError, match=r"cannot open the generation store /proc/none/s\.sqlite: .*another --store"):
        GenerationStore("/proc/none/s.sqlite")


def test_a_folder_that_cannot_be_written_is_named():
    code = """
if os.geteuid() == 0:
    os.setuid(65534)  # root may write everywhere
try:
    GenerationStore(sys.argv[1])
except StoreError as error:
    print(error)
"""
    with tempfile.TemporaryDirectory() as folder:  # not tmp_path: its parents are closed to that user
        Path(folder).chmod(0o555)
        path = f"{folder}/s.sqlite"
        done = subprocess.run(python(code, path), capture_output=True, text=True, timeout=90, check=False)
        assert (done.stderr, os.listdir(folder)) == ("", [])
    assert done.stdout == (
        f"cannot open the generation store {path}: unable to open database file; check that the folder exists and can"
        " be written, or give another --store\n"
    )


def test_a_store_that_may_only_be_read_says_so_when_it_is_written(store_path):
    store = GenerationStore(store_path)
    store.add([generation(1)])
    store._connection().execute("PRAGMA query_only = 1")
    with pytest.raises(StoreError, match=r"cannot write the generation store .*: attempt to write a readonly database"):
        store.add([generation(2)])
    assert len(store) == 1


def test_a_folder_that_is_missing_is_made(tmp_path):
    store = GenerationStore(tmp_path / "a" / "b" / "s.sqlite")
    store.add([generation(1)])
    assert (tmp_path / "a" / "b" / "s.sqlite").is_file()


def test_a_reader_sees_what_a_killed_writer_had_committed(store_path):
    code = """
store = GenerationStore(sys.argv[1])
for n in range(1000):
    store.add([generation(n, "x" * 100)])
    print(n, flush=True)
"""
    writer = subprocess.Popen(python(code, store_path), stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    said = [int(writer.stdout.readline()) for _ in range(20)]
    writer.kill()
    said += [int(line) for line in writer.stdout if line.endswith("\n")]
    writer.wait(30)
    store = GenerationStore(store_path)
    assert len(store.get_many([generation(n).key for n in said])) == len(said)
    assert sqlite3.connect(store_path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
