"""A budget of tokens or money stops a run cleanly; the same run with a larger one goes on from there."""

import asyncio
from typing import Any

import pytest
from datasets import Dataset

from tagsmith.processors.endpoint.connect import close_clients, connect
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import Parameters, Request, UnparsedReplyError
from tagsmith.processors.endpoint.store import GenerationStore
from tagsmith.processors.errors import BudgetReachedError, InputError
from tagsmith.processors.instag.tagger import InsTagTagger
from tagsmith.processors.map_rows import map_rows

# The scripted server counts 10 prompt tokens and 5 reply tokens for each chat.
REQUESTS = [Request(Parameters(), messages=({"role": "user", "content": str(n)},)) for n in range(6)]


def values(server: Any, store: str, **settings: Any) -> list[str]:
    close_clients(10)
    client = connect(Endpoint(server.url, store=store, **settings))
    return [reply.value for reply in client.submit(REQUESTS, str).result()]


@pytest.mark.parametrize(
    ("budget", "larger", "words"),
    [
        (
            {"max_tokens_total": 40},
            {"max_tokens_total": 46},
            "stopped at 45 tokens: max_tokens_total is 40; all replies are stored: run the same command with a larger"
            " max_tokens_total to continue",
        ),
        (
            {"max_cost": 0.00005, "prompt_price": 1.0, "reply_price": 2.0},  # 20 millionths a reply
            {"max_cost": 0.0001, "prompt_price": 1.0, "reply_price": 2.0},
            "stopped at a cost of 0.0001: max_cost is 5e-05; all replies are stored: run the same command with a larger"
            " max_cost to continue",
        ),
    ],
    ids=["tokens", "cost"],
)
def test_a_run_stops_at_its_budget_and_goes_on_with_a_larger_one(scripted_server, store_path, budget, larger, words):
    server = scripted_server(lambda seen: f"re: {seen.text}")
    with pytest.raises(BudgetReachedError) as caught:
        values(server, store_path, concurrency=1, **budget)
    assert str(caught.value) == words
    assert [seen.text for seen in server.posts] == ["0", "1", "2"]
    assert len(GenerationStore(store_path)) == 3
    # What a run finds in the store costs nothing: three more are within the budget.
    assert values(server, store_path, concurrency=1, **larger) == [f"re: {n}" for n in range(6)]
    assert [seen.text for seen in server.posts] == ["0", "1", "2", "3", "4", "5"]


def test_what_was_in_flight_at_the_end_of_the_budget_is_kept(scripted_server, store_path):
    async def script(seen: Any) -> str:
        await asyncio.sleep(0 if seen.text == "0" else 0.3)
        return seen.text

    server = scripted_server(script)
    with pytest.raises(BudgetReachedError):
        values(server, store_path, concurrency=3, max_tokens_total=15)
    assert close_clients(20) == 0
    assert len(server.posts) == 3
    assert len(GenerationStore(store_path)) == 3


def test_rows_sent_ahead_are_in_the_budget(scripted_server, store_path):
    server = scripted_server(['{"tags": [{"tag": "a"}]}'])
    tagger = InsTagTagger(endpoint=Endpoint(server.url, store=store_path, concurrency=2, max_tokens_total=60))
    rows = Dataset.from_dict({"id": list(map(str, range(900))), "instruction": [f"row {n}" for n in range(900)]})
    with pytest.raises(BudgetReachedError, match="max_tokens_total is 60"):
        map_rows(rows, tagger, description="tagging", batch_size=3, progress=False)
    close_clients(20)
    assert 4 <= len(server.posts) <= 5  # not a new budget for each batch that was to be sent


def test_repairs_are_in_the_budget(scripted_server, store_path):
    def never(_: str) -> None:
        raise UnparsedReplyError("no")

    server = scripted_server(["bad"])
    client = connect(Endpoint(server.url, store=store_path, concurrency=1, max_repairs=9, max_tokens_total=30))
    with pytest.raises(BudgetReachedError):
        client.submit(REQUESTS[:1], never).result()
    assert len(server.posts) == len(GenerationStore(store_path)) == 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_cost": 1.0}, "max_cost needs prompt_price and reply_price"),
        ({"max_tokens_total": 0}, "max_tokens_total must be at least 1, got 0"),
        ({"concurrency": 0}, "concurrency must be at least 1, got 0"),
        ({"timeout_sec": 0}, "timeout_sec must be above 0 seconds, got 0"),
        ({"deadline_sec": -1}, "deadline_sec must be above 0 seconds, got -1"),
        ({"max_repairs": -1}, "max_repairs must be at least 0, got -1"),
    ],
)
def test_bounds_that_make_no_sense(settings, words):
    with pytest.raises(InputError, match=words):
        Endpoint(**settings)


def test_cost_counts_both_prices_for_a_million_tokens():
    assert Endpoint(prompt_price=2, reply_price=10).cost(500_000, 100_000) == 2.0
    assert Endpoint(prompt_price=2).cost(500_000, 100_000) is None
