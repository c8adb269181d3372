"""Kill -9 a run again and again, let it finish, and count what was asked twice and what was lost.

A child process tags `--rows` rows through a loopback server; it is killed `--kills` times at random moments and started
again with the same store. The output must equal that of a run which nobody disturbed. A request may be asked twice only
if a kill found it in flight: sent, and not yet on disk.

    python benchmarks/store_kill.py --rows 5000 --kills 20
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from hashlib import blake2b
from pathlib import Path

from datasets import Dataset, disable_progress_bars

from tagsmith.processors.endpoint.connect import close_clients
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import KeyMaker
from tagsmith.processors.endpoint.store import GenerationStore
from tagsmith.processors.endpoint.wire import Dialect
from tagsmith.processors.instag.tagger import InsTagTagger
from tagsmith.processors.map_rows import map_rows

LOOPBACK = Path(__file__).with_name("loopback.py")
MODEL = "benchmark/fixed-reply@1"


def life(url: str, store: Path, texts: list[str], concurrency: int, output: Path) -> int:
    """Fork a process that tags all rows and writes the result; returns its id."""
    if child := os.fork():
        return child
    try:
        tagger = InsTagTagger(endpoint=Endpoint(url, store=str(store), concurrency=concurrency))
        dataset = Dataset.from_dict({"id": [str(n) for n in range(len(texts))], "instruction": texts})
        tagged = map_rows(dataset, tagger, description="tagging", progress=False)
        part = output.with_suffix(".part")
        part.write_text(json.dumps(tagged.to_dict()))
        part.rename(output)
        close_clients()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def asked(log: Path) -> Counter[str]:
    """How often each request came in at the server."""
    return Counter(line.split()[1] for line in log.read_text().splitlines() if line.startswith("in "))


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    disable_progress_bars()
    chance = random.Random(given.seed)
    texts = [f"Plan a walk of {n} steps through the old town and name what to look at." for n in range(given.rows)]
    tagger, dialect, key = InsTagTagger(), Dialect(tgi=True, model="benchmark/fixed-reply"), KeyMaker(MODEL)
    key_of_body = {}
    for text in texts:
        (request,) = tagger.render({"instruction": text})
        body = dialect.encode(request)[1]
        key_of_body[blake2b(body, digest_size=8).hexdigest()] = key(request, request.content)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log, store, output, undisturbed = (folder / n for n in ("log", "killed.sqlite", "killed.json", "calm.json"))
        log.touch()
        command = [sys.executable, str(LOOPBACK), "--log", str(log)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            url = json.loads(server.stdout.readline())["url"]
            in_flight: list[set[str]] = []
            started = time.perf_counter()
            for kill in range(given.kills):
                # Each life gets its share of the rows done; the moment within is left to chance.
                goal = (kill + chance.random()) * given.rows / (given.kills + 1)
                child = life(url, store, texts, given.concurrency, output)
                while len(asked(log)) < goal:
                    if os.waitpid(child, os.WNOHANG) != (0, 0):
                        sys.exit(f"life {kill} ended before it was killed")
                    time.sleep(0.002)
                time.sleep(chance.random() * 0.03)
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                time.sleep(0.1)  # what is in the sockets still reaches the log
                stored = GenerationStore(store).get_many(list(key_of_body.values()))
                in_flight.append({b for b in asked(log) if key_of_body[b] not in stored})
            if os.waitpid(life(url, store, texts, given.concurrency, output), 0)[1] != 0:
                sys.exit("the last life failed")
            seconds = time.perf_counter() - started
            twice = {body for body, times in asked(log).items() if times > 1}
            os.waitpid(life(url, folder / "calm.sqlite", texts, given.concurrency, undisturbed), 0)
            server.stdin.close()
        figures = {
            "rows": given.rows,
            "kills": given.kills,
            "output_equal": json.loads(output.read_text()) == json.loads(undisturbed.read_text()),
            "stored": len(GenerationStore(store)),
            "requested_twice": len(twice),
            "requested_twice_but_not_in_flight": len(twice - set().union(*in_flight)),
            "in_flight_at_kills": [len(bodies) for bodies in in_flight],
            "seconds": round(seconds, 1),
        }
    print(json.dumps(figures))
    sys.exit(not figures["output_equal"] or figures["requested_twice_but_not_in_flight"] > 0)


if __name__ == "__main__":
    main()
