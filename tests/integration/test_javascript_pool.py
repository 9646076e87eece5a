"""The pool of children: concurrency, children that are killed, forks, the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime.iml.javascript import FunctionHost, child, pool
from runtime.iml.javascript.process import ROOT, SCRIPT
from tests.integration.javascript_calls import PATIENT, SHORT, call, failure

DOUBLE = "(n) => n * 2"
#: Busy for some tenths of a second, so that it can be met in the middle.
BUSY = "(n) => { debug('begun'); const end = Date.now() + 300; while (Date.now() < end); return n }"

#: Newer interpreters warn of a fork beside threads; that is what these tests are about.
FORKS = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture
def host() -> Iterator[FunctionHost]:
    """A pool of two children and a spare."""
    host = FunctionHost(threads=8)
    yield host
    host.close()


def state(pid: int) -> str:
    """The state letter of a process; Z when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def gone(pid: int) -> bool:
    """True when there is no such process, or only its entry is left."""
    return state(pid) == "Z"


def wait_until_gone(pid: int) -> None:
    """Return when the process has ended."""
    while not gone(pid):
        threading.Event().wait(0.005)


def test_eight_threads_share_two_children(host: FunctionHost):
    """
    Calls of many threads all get their own answers from at most two children and a spare.
    """
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda n: call(DOUBLE, n, host=host), range(400)))

    assert results == [n * 2 for n in range(400)]
    assert len(host.pool.pids()) <= 3


def test_threads_and_endless_functions_do_not_block_each_other(host: FunctionHost):
    """
    Time-outs, errors and answers mix freely; each call gets what is its own.
    """

    def one(n: int) -> object:
        if n % 8 == 0:
            return failure("() => { for (;;); }", host=host, timeout=SHORT)
        if n % 8 == 1:
            return failure("(n) => { throw n }", n, host=host)
        return call(DOUBLE, n, host=host)

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(one, range(64)))

    timed_out = "Script execution timed out."
    assert results == [timed_out if n % 8 == 0 else str(n) if n % 8 == 1 else n * 2 for n in range(64)]


def test_a_child_killed_between_calls_is_not_noticed(host: FunctionHost):
    """
    Children that vanish while idle are replaced; the caller sees nothing of it.
    """
    call(DOUBLE, 1, host=host)
    for pid in host.pool.pids():
        os.kill(pid, signal.SIGKILL)
        wait_until_gone(pid)

    assert call(DOUBLE, 2, host=host) == 4


def test_many_children_killed_between_calls_are_not_noticed(host: FunctionHost):
    """All that wait for work are gone, and the next calls take new ones instead of meeting one dead child each."""
    for _ in range(3):
        assert call(DOUBLE, 2, host=host) == 4
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda n: call(BUSY, n, host=host), range(2)))
        for pid in host.pool.pids():
            os.kill(pid, signal.SIGKILL)
            wait_until_gone(pid)


def test_a_child_killed_during_a_call_costs_only_time(host: FunctionHost):
    """
    A call has no effects, so one whose child was killed from outside is made again; its log comes once.
    """
    lines: list[str] = []
    call(DOUBLE, 1, host=host)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(call, BUSY, 7, host=host, debug=lines.append)
        while not (busy := list(host.pool._busy)):
            threading.Event().wait(0.005)
        os.kill(busy[0].pid, signal.SIGKILL)
        result = running.result()

    assert (result, lines) == (7, ["begun"])


def test_a_stopped_child_meets_the_deadline(host: FunctionHost):
    """
    A child that does not even read is given up at the deadline, and replaced.
    """
    call(DOUBLE, 1, host=host)
    [pid] = [c.pid for c in host.pool._idle if c.keys]
    os.kill(pid, signal.SIGSTOP)
    while state(pid) != "T":
        threading.Event().wait(0.005)

    assert failure(DOUBLE, 1, host=host, timeout=SHORT) == "Script execution timed out."
    assert gone(pid)
    assert call(DOUBLE, 2, host=host) == 4


def test_a_child_that_always_dies_is_an_error(host: FunctionHost, monkeypatch: pytest.MonkeyPatch):
    """
    After two children the call gives up with an error of the function.
    """

    def die(self: object, *_: object) -> None:
        raise pool.ChildDied("as arranged")

    monkeypatch.setattr("runtime.iml.javascript.process.Child.exchange", die)

    assert failure(DOUBLE, 1, host=host) == "The JavaScript process ended unexpectedly."


def test_a_child_that_cannot_start_is_an_error(host: FunctionHost, monkeypatch: pytest.MonkeyPatch):
    """
    A machine that cannot start the process gets a text that says so, not a hang.
    """
    monkeypatch.setattr("sys.executable", "/nonexistent/python")

    assert failure(DOUBLE, 1, host=host).startswith("The JavaScript process does not start (")


def test_an_answer_without_end_or_sense_ends_the_child(host: FunctionHost, monkeypatch: pytest.MonkeyPatch):
    """
    Whatever a broken child sends, the parent neither believes nor stores it.
    """
    call(DOUBLE, 1, host=host)
    [idle] = [c for c in host.pool._idle if c.keys]
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.write(write, child.HEADER.pack(2**31, 2**31))
    os.dup2(read, idle._read)
    os.close(read)
    os.close(write)

    assert call(DOUBLE, 2, host=host) == 4


def test_a_child_ends_after_its_number_of_calls(host: FunctionHost, monkeypatch: pytest.MonkeyPatch):
    """
    A child that says that this was its last answer is replaced before the next call.
    """
    call(DOUBLE, 1, host=host)
    [idle] = [c for c in host.pool._idle if c.keys]
    original = idle.exchange

    def last(*arguments: object) -> object:
        answer = original(*arguments)  # type: ignore[arg-type]  passed through
        idle.retired = True
        return answer

    monkeypatch.setattr(idle, "exchange", last)

    assert call(DOUBLE, 2, host=host) == 4
    assert gone(idle.pid)
    assert call(DOUBLE, 3, host=host) == 6


def test_only_so_many_contexts_are_kept(host: FunctionHost):
    """
    More apps than a child keeps contexts for: the oldest is made anew when it is needed.
    """
    sources = [f"() => {n}" for n in range(child.MAX_CONTEXTS + 3)]

    assert [call(source, host=host) for source in sources] == list(range(len(sources)))
    assert [call(source, host=host) for source in sources] == list(range(len(sources)))


def test_close_ends_all_children_and_the_next_call_starts_anew(host: FunctionHost):
    """
    Nothing is left running after `close`, and the pool is not spoilt by it.
    """
    call(DOUBLE, 1, host=host)
    pids = host.pool.pids()

    host.close()

    assert pids
    assert all(gone(pid) for pid in pids)
    assert call(DOUBLE, 2, host=host) == 4


@FORKS
def test_a_forked_process_starts_children_of_its_own(host: FunctionHost):
    """
    A worker process that is forked after first use neither shares nor disturbs its parent's children.
    """
    call(DOUBLE, 1, host=host)
    before = set(host.pool.pids())
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        # Only os._exit from here: this copy of the test process must not run on.
        try:
            answer = f"{call(DOUBLE, 21, host=host)} {len(before & set(host.pool.pids()))}"
        except BaseException as error:
            answer = repr(error)
        os.write(write, answer.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answers:
        answer = answers.read()
    os.waitpid(pid, 0)

    assert answer == "42 0"
    assert call(DOUBLE, 2, host=host) == 4
    assert before <= set(host.pool.pids())


@FORKS
def test_children_end_with_a_parent_that_is_killed():
    """
    A worker process that gets SIGKILL leaves no child behind, not even one that is busy.
    """
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            own = FunctionHost(threads=8)
            call(DOUBLE, 1, host=own)
            thread = threading.Thread(
                target=call, args=("() => { for (;;); }",), kwargs={"host": own, "timeout": PATIENT}
            )
            thread.daemon = True
            thread.start()
            while not own.pool._busy:
                threading.Event().wait(0.005)
            os.write(write, " ".join(map(str, own.pool.pids())).encode() + b"\n")
            signal.pause()
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read) as answers:
        children = [int(text) for text in answers.readline().split()]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

    assert children
    for one in children:
        wait_until_gone(one)


def test_a_child_whose_parent_died_before_it_was_ready_ends():
    """
    A process that finds itself orphaned at its start does not wait for requests that nobody will send.
    """
    someone_else = os.getppid()
    arguments = [sys.executable, "-I", "-B", str(SCRIPT), str(ROOT), str(someone_else)]

    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}) as process:
        assert process.wait(PATIENT.total_seconds()) == 0
