"""Rows per second of a replay: opening the record, and a `map_rows` over it, beside the same from the SQLite store.

python benchmarks/replay.py --rows 20000
python benchmarks/replay.py --dataset alpaca.jsonl.gz
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from datasets import Dataset, disable_progress_bars, load_dataset
from loopback import REPLY

from tagsmith.processors.endpoint.connect import close_clients
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import Completion
from tagsmith.processors.endpoint.store import Generation
from tagsmith.processors.generation_processor import rows_of
from tagsmith.processors.instag.tagger import InsTagTagger
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.rows import to_rows
from tagsmith.recipes.generations import collect_generations


def main() -> None:
    """Make a store and a release with a reply for each row, read both back in turns, print the best of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000, help="made rows")
    parser.add_argument("--dataset", help="a JSON Lines file of single-turn rows, in place of made ones")
    parser.add_argument("--turns", type=int, default=3, help="measurements of each; the best one counts")
    given = parser.parse_args()
    disable_progress_bars()
    rows = _rows(given.dataset, given.rows)
    with tempfile.TemporaryDirectory() as folder:
        stored = InsTagTagger(endpoint=Endpoint("offline:", store=str(Path(folder) / "store.sqlite")))
        _fill(stored, rows)
        tagged, _ = _tag(stored, rows)
        _release(Path(folder) / "release", collect_generations(stored.client.store, tagged))
        replayed = InsTagTagger(endpoint=f"replay:{folder}/release")
        store_sec, open_sec, replay_sec = [], [], []
        for _ in range(given.turns):
            close_clients()
            store_sec.append(_tag(stored, rows)[1])
            close_clients()
            started = time.perf_counter()
            client = replayed.client
            open_sec.append(time.perf_counter() - started)
            again, seconds = _tag(replayed, rows)
            replay_sec.append(seconds)
            if client.usage.store_hits != len(rows) or again["generation_keys"][:] != tagged["generation_keys"][:]:
                sys.exit("the replay did not give the rows of the store: the rates would mean nothing")
        close_clients()
    figures = {
        "rows": len(rows),
        "open_rows_per_s": round(len(rows) / min(open_sec)),
        "replay_rows_per_s": round(len(rows) / min(replay_sec)),
        "store_rows_per_s": round(len(rows) / min(store_sec)),
        "replay_to_store": round(min(store_sec) / min(replay_sec), 2),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(figures))


def _rows(file: str | None, number: int) -> Dataset:
    if file is not None:
        return to_rows(load_dataset("json", data_files=file, split="train"))
    texts = [f"Suggest vegetarian dinner number {n} and what to buy for it." for n in range(number)]
    return to_rows(Dataset.from_dict({"instruction": texts}))


def _fill(tagger: InsTagTagger, rows: Dataset) -> None:
    """Store a reply to each row's request, as if it had been paid for."""
    client = tagger.client
    for batch in rows.iter(batch_size=10_000):
        requests = [request for row in rows_of(batch) for request in tagger.render(row)]
        reply = Completion(REPLY, "stop", 300, 60)
        client.store.add(
            Generation(
                client.key_of(each),
                client.server.model,
                each.content,
                each.parameters.as_json,
                each.sample,
                reply,
                0.02,
            )
            for each in requests
        )


def _tag(tagger: InsTagTagger, rows: Dataset) -> tuple[Dataset, float]:
    tagger.client  # noqa: B018 - opened before the clock starts
    started = time.perf_counter()
    tagged = map_rows(rows, tagger, description="reading back", progress=False)
    seconds = time.perf_counter() - started
    if set(tagged["status"]) != {"ok"} or tagger.client.usage.requests:
        sys.exit("not everything was there already: the rates would mean nothing")
    return tagged, seconds


def _release(folder: Path, generations: Dataset) -> None:
    """As much of a release as a replay reads."""
    (folder / "generations").mkdir(parents=True)
    generations.to_parquet(folder / "generations" / "train-00000-of-00001.parquet")
    facts = {"train": {"rows": len(generations), "path": "generations/train-*.parquet"}}
    (folder / "manifest.json").write_text(json.dumps({"configs": {"generations": facts}}))


if __name__ == "__main__":
    main()
