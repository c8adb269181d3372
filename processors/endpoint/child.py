"""Start a server of our own as a child process, learn its address, and make sure that it never outlives us."""

import atexit
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections import deque
from queue import Empty, SimpleQueue
from typing import IO, Any

from tagsmith.processors.errors import EndpointError

GRACE_SEC = 5.0  # between a polite signal and SIGKILL
_STDERR_LINES = 40
_running: set["ChildServer"] = set()


class ChildServer:
    """A server that runs as long as we do.

    The command must print one JSON line on its standard output: `{"url": "http://127.0.0.1:PORT"}` once it
    answers requests, or `{"error": "what is wrong, what to change"}` when it cannot start. It must exit when its
    standard input closes (`exit_when_stdin_closes`): the kernel closes our end of that pipe however we end,
    `kill -9` included, so no server is left behind on Linux or macOS. It gets a session of its own, so that Ctrl-C
    reaches us alone and requests in flight can still be answered.

    A forked process (`Dataset.map(num_proc=…)`) may use `url`; its `stop` does nothing, and its copy of the pipe
    is closed, so that it does not keep the server alive.

    Args:
        command: program and arguments.
        env: additions to our environment, for the server only.
        startup_timeout_sec: longest wait for the line with the address.

    Raises:
        EndpointError: the command does not exist, reported an error, ended, or was not up in time.
    """

    def __init__(
        self, command: list[str], *, env: dict[str, str] | None = None, startup_timeout_sec: float = 60
    ) -> None:
        self.command = command
        self._owner_pid = os.getpid()
        self._stopped = False
        self._stderr_tail: deque[str] = deque(maxlen=_STDERR_LINES)
        self._announcements: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,  # also makes the "\r" of progress bars a line end
                encoding="utf-8",
                errors="replace",
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        except OSError as error:
            raise EndpointError(f"cannot run {shlex.join(command)}: {error}; check that it is installed") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._stdin = self._process.stdin
        # Both pipes are read to their end: a full pipe would block the server.
        self._readers = [
            threading.Thread(target=self._read_stdout, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._read_stderr, args=(self._process.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        _running.add(self)
        atexit.register(self.stop)
        try:
            self.url: str = self._wait_until_up(startup_timeout_sec)
        except BaseException:  # Ctrl-C while waiting, too, must not leave it running
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """Process id of the server, which is also its session's and process group's."""
        return self._process.pid

    def failure(self) -> str | None:
        """Command, exit status, last lines of stderr of a server that has ended. None while it runs, or in a fork."""
        if os.getpid() != self._owner_pid:
            return None  # only a parent can ask for a process's status
        status = self._process.poll()
        if status is None:
            return None
        self._readers[1].join(timeout=1)
        lines = [line for line in self._stderr_tail if line.strip()]
        said = " | ".join(line.strip() for line in lines[-5:]) or "(nothing)"
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"
        return f"{shlex.join(self.command)} {how}; its last words on stderr: {said}"

    def stop(self) -> None:
        """End the server: close its input, SIGTERM, then SIGKILL. Does nothing when it is gone, or in a fork."""
        if os.getpid() != self._owner_pid or self._stopped:
            return
        self._stopped = True
        atexit.unregister(self.stop)
        _running.discard(self)
        self._stdin.close()
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(GRACE_SEC)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()
        for reader in self._readers:
            reader.join(timeout=1)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _wait_until_up(self, timeout_sec: float) -> str:
        try:
            announcement = self._announcements.get(timeout=timeout_sec)
        except Empty:
            raise EndpointError(
                f"{shlex.join(self.command)} was not up within {timeout_sec:g} s; raise the start-up timeout, or"
                " run it by hand to see what it waits for"
            ) from None
        if announcement is None:  # it closed its output: it is ending
            self._stdin.close()
            try:
                self._process.wait(GRACE_SEC)
            except subprocess.TimeoutExpired:
                raise EndpointError(
                    f"{shlex.join(self.command)} closed its output without giving its address; it must print"
                    ' one JSON line {"url": …}'
                ) from None
            raise EndpointError(f"{self.failure()}; run the command by hand to see all of it")
        if "error" in announcement:
            raise EndpointError(str(announcement["error"]))
        return str(announcement["url"])

    def _read_stdout(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                try:
                    said = json.loads(line)
                except ValueError:
                    continue
                if isinstance(said, dict) and said.keys() & {"url", "error"}:
                    self._announcements.put(said)
        self._announcements.put(None)

    def _read_stderr(self, stream: IO[str]) -> None:
        with stream:
            self._stderr_tail.extend(stream)


def exit_when_stdin_closes() -> None:
    """For the server's side: end this process, whatever it is doing, as soon as its parent is gone."""

    def wait() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def _leave_to_parent() -> None:
    for server in _running:
        server._stdin.close()
    _running.clear()


os.register_at_fork(after_in_child=_leave_to_parent)
