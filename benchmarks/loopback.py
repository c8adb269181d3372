"""The loopback server of the endpoint benchmarks: a fixed reply after a fixed latency, and a log of what was asked.

Run by them as a process of its own, so that it does not share the client's interpreter lock. Speaks just enough of
TGI: `/info` and `/v1/chat/completions`. Prints its address as one line of JSON; ends when its standard input closes.
"""

import argparse
import asyncio
import json
import sys
import threading
from hashlib import blake2b

import uvloop
from aiohttp import web

REPLY = json.dumps(
    {
        "tags": [
            {"tag": "recipe suggestion", "explanation": "The request asks for something to cook."},
            {"tag": "time limit", "explanation": "It has to be ready within half an hour."},
            {"tag": "vegetarian cooking", "explanation": "The request rules out meat."},
        ]
    }
)
BODY = json.dumps(
    {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": REPLY}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 300, "completion_tokens": 60, "total_tokens": 360},
    }
).encode()


def make_app(latency_sec: float, slow_share: float, slow_factor: float, log: str | None) -> web.Application:
    """Routes of the server. With `log`, each request's hash is written when it comes in and when it is answered."""
    app = web.Application(client_max_size=1 << 26)
    lines = open(log, "a", buffering=1) if log else None  # noqa: SIM115 - lives as long as the server

    async def info(_: web.Request) -> web.Response:
        return web.json_response(
            {"model_id": "benchmark/fixed-reply", "model_sha": "1", "max_concurrent_requests": 512}
        )

    async def chat(request: web.Request) -> web.Response:
        digest = blake2b(await request.read(), digest_size=8)
        if lines:
            lines.write(f"in {digest.hexdigest()}\n")
        # Slow requests are chosen by content, so both sides of a comparison meet the same ones.
        slow = int.from_bytes(digest.digest()[:4], "big") / 2**32 < slow_share
        await asyncio.sleep(latency_sec * (slow_factor if slow else 1))
        if lines:
            lines.write(f"out {digest.hexdigest()}\n")
        return web.Response(body=BODY, content_type="application/json")

    app.add_routes([web.get("/info", info), web.post("/v1/chat/completions", chat)])
    return app


async def serve(app: web.Application) -> None:
    """Listen on a free port until standard input closes."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    port = runner.addresses[0][1]
    print(json.dumps({"url": f"http://127.0.0.1:{port}"}), flush=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait_for_parent() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait_for_parent, daemon=True).start()
    await ended.wait()
    await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency_ms", type=float, default=20)
    parser.add_argument("--slow_share", type=float, default=0)
    parser.add_argument("--slow_factor", type=float, default=50)
    parser.add_argument("--log")
    given = parser.parse_args()
    uvloop.run(serve(make_app(given.latency_ms / 1000, given.slow_share, given.slow_factor, given.log)))
