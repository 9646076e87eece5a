"""What the host decides before any process is started."""

from __future__ import annotations

import pytest

from runtime.errors import ImlFunctionError, ImlFunctionNotFound
from runtime.iml.javascript import FunctionHost, FunctionTest, TestReport, functions_for
from runtime.iml.javascript.host import reason


def test_a_function_without_a_body_fails_when_it_is_called():
    """
    An app whose files lack a body loads; only a call of that function is an error, which says so.
    """
    host = FunctionHost()

    functions = functions_for("hash", {"present": "() => 1", "absent": None}, host=host)

    with pytest.raises(ImlFunctionError, match="Function 'absent' finished with error! The app's files hold no code"):
        functions["absent"]()
    assert host.pool.pids() == []


def test_an_unknown_function_is_not_found():
    """
    A name that the app does not have is the language's own error.
    """
    with pytest.raises(ImlFunctionNotFound, match="Function 'nope' not found!"):
        FunctionHost().call("hash", {}, "nope", [], timezone="UTC")


def test_arguments_nested_without_end_are_refused():
    """
    Arguments deeper than the interpreter can follow end in an error of the function.
    """
    deep: list[object] = []
    deep.append(deep)

    with pytest.raises(ImlFunctionError, match="nested too deeply"):
        FunctionHost().call("hash", {"f": "() => 1"}, "f", [deep], timezone="UTC")


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({"kind": "thrown", "error": "no such id"}, "no such id"),
        ({"kind": "promise", "error": "a Promise"}, "Function 'f' returned a Promise."),
        ({"kind": "memory", "error": "x"}, "The function needs more memory than the limit of 64 MiB."),
    ],
)
def test_each_kind_of_failure_has_its_text(meta: dict[str, str], expected: str):
    """
    The reason is the script's own message, or a sentence about the limit that it met.
    """
    assert reason(meta, name="f") == expected


@pytest.mark.parametrize(
    ("threads", "children"), [(1, 1), (4, 1), (5, 2), (8, 2), (32, 8)], ids=lambda value: str(value)
)
def test_there_is_one_child_for_four_threads(threads: int, children: int):
    """
    The pool's size follows the threads of the worker process, and is never zero.
    """
    host = FunctionHost(threads=threads)

    assert host.pool.size == children


def test_a_report_of_tests_reads_as_lines_and_totals():
    """
    A report has one line a test and the totals; a critical failure fails it as well.
    """
    report = TestReport("f", (FunctionTest("adds"), FunctionTest("drops", "1 != 2")), critical="boom")

    assert report.text().splitlines() == [
        "ok    adds",
        "FAIL  drops: 1 != 2",
        "critical failure: boom",
        "f: 1 passed, 1 failed",
    ]
    assert not report.passed
