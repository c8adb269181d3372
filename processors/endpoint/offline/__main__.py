"""Run the offline endpoint: `python -m tagsmith.processors.endpoint.offline --query "latency_ms=20&fail=0.01"`.

Prints one line, `{"url": "http://127.0.0.1:PORT"}`, once it listens, and nothing else. It ends when its standard input
does, so it goes with the process that started it, however that one ends.
"""

import argparse
import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any

import orjson
from aiohttp import web

from tagsmith.processors.endpoint.child import exit_when_stdin_closes
from tagsmith.processors.endpoint.offline.answers import instag
from tagsmith.processors.endpoint.offline.draw import Draw
from tagsmith.processors.endpoint.offline.server import OfflineServer
from tagsmith.processors.endpoint.offline.settings import OfflineSettings
from tagsmith.processors.errors import InputError


def main() -> None:
    """Parse the command line and serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m tagsmith.processors.endpoint.offline", description=__doc__)
    parser.add_argument("--query", default="", help="settings, e.g. malformed=0.05&latency_ms=20&fail=0.01&seed=1")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    arguments = parser.parse_args()
    exit_when_stdin_closes()
    try:
        settings = OfflineSettings.from_query(arguments.query)
        instag.tags_of("Write a poem.", Draw(0))  # reads the tables before the first request does
        _run(_serve(settings, arguments.host, arguments.port))
    except (InputError, OSError) as error:
        print(orjson.dumps({"error": f"offline endpoint: {error}"}).decode(), flush=True)
        os._exit(2)
    # Not a return: the thread that waits for standard input would disturb the interpreter's own end.
    os._exit(0)


async def _serve(settings: OfflineSettings, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    runner = web.AppRunner(OfflineServer(settings).app(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=1024).start()
    url = f"http://{host}:{runner.addresses[0][1]}"
    print(orjson.dumps({"url": url}).decode(), flush=True)
    await stop.wait()
    await runner.cleanup()


def _run(server: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(server)
    else:
        uvloop.run(server)


if __name__ == "__main__":
    main()
