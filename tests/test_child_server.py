"""A child server: found by its first JSON line, explained when it fails, and never left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tagsmith.processors.endpoint import child
from tagsmith.processors.endpoint.child import ChildServer
from tagsmith.processors.errors import EndpointError

ANNOUNCE = "import json, os, sys, time; print(json.dumps({'url': 'http://127.0.0.1:1'}), flush=True); "
OBEDIENT = ANNOUNCE + "sys.stdin.read()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + ANNOUNCE + "time.sleep(600)"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def wait_until_gone(pid: int, timeout_sec: float = 15) -> None:
    """An orphan that nobody reaps stays as a zombie: gone for our purpose."""
    end = time.monotonic() + timeout_sec
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} still runs after {timeout_sec} s")


def run_parent(code: str) -> "subprocess.Popen[str]":
    """A parent that starts servers and prints pids. It is ours to kill."""
    head = (
        f"import os, sys, time\nfrom tagsmith.processors.endpoint.child import ChildServer\nOBEDIENT = {OBEDIENT!r}\n"
    )
    return subprocess.Popen(python(head + code), stdout=subprocess.PIPE, text=True)


def next_pid(parent: "subprocess.Popen[str]") -> int:
    assert parent.stdout is not None
    return int(parent.stdout.readline())


def test_url_comes_from_the_first_json_line_and_stop_is_idempotent():
    code = "print('loading 50%'); print('[1, 2]'); print('{\"progress\": 1}'); " + OBEDIENT
    server = ChildServer(python(code))
    assert server.url == "http://127.0.0.1:1"
    assert server.failure() is None
    server.stop()
    wait_until_gone(server.pid)
    server.stop()


def test_env_is_added_for_the_server_only(monkeypatch):
    monkeypatch.setenv("TAGSMITH_TEST_OURS", "ours")
    code = (
        "import json, os, sys;"
        "print(json.dumps({'url': os.environ['TAGSMITH_TEST_OURS'] + os.environ['TAGSMITH_TEST_ADDED']}), flush=True);"
        "sys.stdin.read()"
    )
    server = ChildServer(python(code), env={"TAGSMITH_TEST_ADDED": "+added"})
    assert server.url == "ours+added"
    assert "TAGSMITH_TEST_ADDED" not in os.environ
    server.stop()


def test_error_that_the_server_reports_is_raised_as_it_stands():
    code = "import json, sys; print(json.dumps({'error': 'no weights; download them'}), flush=True); sys.exit(1)"
    with pytest.raises(EndpointError, match=r"^no weights; download them$"):
        ChildServer(python(code))


def test_early_end_quotes_command_status_and_last_stderr_lines_in_one_line():
    code = "import sys; [print('line', i, file=sys.stderr) for i in range(100)]; sys.exit(3)"
    with pytest.raises(EndpointError) as caught:
        ChildServer(python(code))
    message = str(caught.value)
    assert "exit status 3" in message
    assert "line 95 | line 96 | line 97 | line 98 | line 99" in message
    assert "line 94" not in message
    assert sys.executable in message
    assert "by hand" in message
    assert "\n" not in message


def test_unknown_command():
    with pytest.raises(EndpointError, match=r"cannot run no-such-program .*check that it is installed"):
        ChildServer(["no-such-program", "--flag"])


def test_not_up_in_time_is_an_error_and_the_server_is_stopped(tmp_path: Path):
    pid_file = tmp_path / "pid"
    with pytest.raises(EndpointError, match=r"not up within 1 s; raise the start-up timeout"):
        ChildServer(["sh", "-c", f"echo $$ > '{pid_file}'; exec sleep 600"], startup_timeout_sec=1)
    wait_until_gone(int(pid_file.read_text()))


def test_server_without_address_that_closes_its_output(monkeypatch):
    monkeypatch.setattr(child, "GRACE_SEC", 0.2)
    with pytest.raises(EndpointError, match="without giving its address"):
        ChildServer(python("import os, time; os.close(1); time.sleep(600)"))


def test_server_that_ignores_stdin_and_sigterm_is_killed(monkeypatch):
    monkeypatch.setattr(child, "GRACE_SEC", 0.2)
    server = ChildServer(python(STUBBORN))
    server.stop()
    wait_until_gone(server.pid)
    assert "SIGKILL" in (server.failure() or "")


def test_failure_names_the_signal_that_ended_a_running_server():
    server = ChildServer(python(OBEDIENT))
    os.kill(server.pid, signal.SIGKILL)
    wait_until_gone(server.pid)
    assert "was killed by SIGKILL" in (server.failure() or "")
    server.stop()


def test_much_output_never_blocks_the_server(tmp_path: Path):
    done = tmp_path / "done"
    flood = (
        f"[print('x' * 1000) or print('y' * 1000, file=sys.stderr) for _ in range(2000)]; open({str(done)!r}, 'w'); "
    )
    server = ChildServer(python(ANNOUNCE + flood + "sys.stdin.read()"))
    end = time.monotonic() + 15
    while not done.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert done.exists()
    server.stop()


def test_ctrl_c_does_not_reach_the_server():
    server = ChildServer(python(OBEDIENT))
    assert os.getpgid(server.pid) == server.pid != os.getpgid(0)
    server.stop()


def test_a_fork_can_neither_stop_nor_keep_the_server():
    server = ChildServer(python(OBEDIENT))
    worker = os.fork()
    if worker == 0:
        server.stop()
        os._exit(0 if server.url and server._stdin.closed and server.failure() is None else 1)
    assert os.waitpid(worker, 0)[1] == 0
    assert server.failure() is None
    server.stop()


def test_server_dies_with_a_parent_killed_by_sigkill_even_if_its_forked_worker_lives():
    code = (
        "server = ChildServer([sys.executable, '-c', OBEDIENT]); print(server.pid, flush=True)\n"
        "worker = os.fork()\n"
        "if worker == 0: time.sleep(600)\n"
        "print(worker, flush=True); time.sleep(600)"
    )
    with run_parent(code) as parent:
        server, worker = next_pid(parent), next_pid(parent)
        try:
            os.kill(parent.pid, signal.SIGKILL)
            wait_until_gone(server)
            assert psutil.pid_exists(worker)
        finally:
            os.kill(worker, signal.SIGKILL)


def test_server_is_stopped_when_the_interpreter_exits():
    code = (
        "server = ChildServer([sys.executable, '-c', OBEDIENT.replace('sys.stdin.read()', 'time.sleep(600)')])\n"
        "print(server.pid, flush=True)"
    )
    with run_parent(code) as parent:
        server = next_pid(parent)
    assert parent.returncode == 0
    wait_until_gone(server)


def test_exit_when_stdin_closes_ends_a_busy_process():
    code = "from tagsmith.processors.endpoint.child import exit_when_stdin_closes; exit_when_stdin_closes(); "
    server = ChildServer(python(code + ANNOUNCE + "\nwhile True: pass"))
    server._stdin.close()
    wait_until_gone(server.pid)
    assert server._process.wait() == 0
    server.stop()
