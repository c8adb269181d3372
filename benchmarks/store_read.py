"""Rows per second when every reply is in the store already: the store alone, and a whole `map_rows` over it.

No server runs: a run that finds everything in the store starts none.

    python benchmarks/store_read.py --rows 100000
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from datasets import Dataset
from loopback import REPLY

from tagsmith.processors.endpoint.connect import close_clients
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import Completion
from tagsmith.processors.endpoint.store import Generation
from tagsmith.processors.instag.tagger import InsTagTagger
from tagsmith.processors.map_rows import map_rows


def main() -> None:
    """Fill a store, read it back in both ways, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tagger = InsTagTagger(endpoint=Endpoint("offline:", store=str(Path(folder) / "store.sqlite")))
        client = tagger.client
        texts = [f"Suggest vegetarian dinner number {number} and what to buy for it." for number in range(given.rows)]
        requests = [tagger.render({"instruction": text})[0] for text in texts]
        keys = [client.key_of(request) for request in requests]
        for start in range(0, given.rows, 10_000):
            part = zip(keys[start : start + 10_000], requests[start : start + 10_000], strict=True)
            model = client.server.model
            client.store.add(
                Generation(key, model, r.content, r.parameters.as_json, 0, Completion(REPLY, "stop", 300, 60), 0.02)
                for key, r in part
            )
        started = time.perf_counter()
        found = client.store.get_many(keys)
        store_sec = time.perf_counter() - started
        dataset = Dataset.from_dict({"id": [str(n) for n in range(given.rows)], "instruction": texts})
        started = time.perf_counter()
        tagged = map_rows(dataset, tagger, description="reading back", progress=False)
        map_sec = time.perf_counter() - started
        if len(found) != given.rows or set(tagged["status"]) != {"ok"} or client.usage.requests:
            sys.exit("not everything came from the store: the rates would mean nothing")
        close_clients()
    figures = {
        "rows": given.rows,
        "store_rows_per_s": round(given.rows / store_sec),
        "map_rows_per_s": round(given.rows / map_sec),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
