"""Requests per second of a whole `Dataset.map` with the store writing, as a share of a raw aiohttp loop.

Both sides send the same requests to the same loopback server (20 ms latency) in turn, several times; the ratio is that
of the medians. The raw loop is what one writes by hand: N workers on one aiohttp session, `json=`, `await r.json()`,
nothing stored, nothing checked. Ours is `map_rows` with `InsTagTagger`: rendering, store, parsing, Arrow included.

    python benchmarks/endpoint_throughput.py --rows 6000 --repeats 3
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
from datasets import Dataset, disable_progress_bars

from tagsmith.processors.endpoint.connect import close_clients
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.wire import Dialect
from tagsmith.processors.instag.tagger import InsTagTagger
from tagsmith.processors.map_rows import map_rows

LOOPBACK = Path(__file__).with_name("loopback.py")
INSTRUCTION = "Suggest vegetarian dinner number {} that is ready within half an hour, and say what to buy for it."


def raw_rate(url: str, bodies: list[dict], concurrency: int) -> float:
    """Requests per second of the loop written by hand."""

    async def run() -> float:
        left = iter(bodies)

        async def worker(session: aiohttp.ClientSession) -> None:
            for body in left:
                async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                    await response.json()

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            started = time.perf_counter()
            await asyncio.gather(*(worker(session) for _ in range(concurrency)))
            return len(bodies) / (time.perf_counter() - started)

    return asyncio.run(run())


def our_rate(url: str, dataset: Dataset, concurrency: int, folder: str) -> float:
    """Rows per second of `map_rows` with an empty store and an empty cache."""
    store = tempfile.mktemp(suffix=".sqlite", dir=folder)
    tagger = InsTagTagger(endpoint=Endpoint(url, store=store, concurrency=concurrency))
    assert tagger.client.server.model  # connected: what is timed below is the map
    started = time.perf_counter()
    tagged = map_rows(dataset, tagger, description="tagging", progress=False)
    rate = len(tagged) / (time.perf_counter() - started)
    if set(tagged["status"]) != {"ok"} or len(tagger.client.store) != len(dataset):
        sys.exit("the run is not whole: its rate would mean nothing")
    close_clients()
    return rate


def compare(concurrency: int, rows: int, repeats: int, slow_share: float) -> tuple[float, float]:
    """Median rates (raw, ours), taken in turn."""
    arguments = [sys.executable, str(LOOPBACK), "--slow_share", str(slow_share)]
    raw, ours = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server,
    ):
        url = json.loads(server.stdout.readline())["url"]
        for repeat in range(repeats):
            texts = [INSTRUCTION.format(f"{repeat}-{number}") for number in range(rows)]
            path = Path(folder) / f"rows-{repeat}.parquet"
            Dataset.from_dict({"id": [str(n) for n in range(rows)], "instruction": texts}).to_parquet(path)
            dataset = Dataset.from_parquet(str(path), cache_dir=folder)
            tagger = InsTagTagger()
            dialect = Dialect(tgi=True, model="benchmark/fixed-reply")
            bodies = [
                json.loads(dialect.encode(request)[1])
                for text in texts
                for request in tagger.render({"instruction": text})
            ]
            raw.append(raw_rate(url, bodies, concurrency))
            ours.append(our_rate(url, dataset, concurrency, folder))
        server.stdin.close()
    return statistics.median(raw), statistics.median(ours)


def main() -> None:
    """Run the three comparisons and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=6000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    disable_progress_bars()
    figures: dict[str, float] = {"rows": given.rows, "repeats": given.repeats}
    for name, concurrency, slow_share in (("64", 64, 0.0), ("256", 256, 0.0), ("slow_tail", 64, 0.01)):
        raw, ours = compare(concurrency, given.rows, given.repeats, slow_share)
        ratio_name = "ratio_slow_tail" if name == "slow_tail" else f"ratio_to_raw_{name}"
        figures |= {f"raw_{name}_rows_per_s": round(raw), f"ours_{name}_rows_per_s": round(ours)}
        figures[ratio_name] = round(ours / raw, 3)
        print(f"{name:>9}: raw {raw:6.0f}/s, ours {ours:6.0f}/s, ratio {ours / raw:.2f}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
