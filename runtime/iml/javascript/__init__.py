"""
Custom JavaScript functions of an app, and regular expressions in the real JavaScript dialect.

Both run in warm, locked-down child processes: no file, network, environment or process access, with limits of time,
memory and output (spec/iml.md 10, design section 10.7). `function_host()` is the pool of this process; everything else
here uses it unless another host is passed.
"""

from __future__ import annotations

from runtime.iml.javascript.function_tests import FunctionTest, TestReport, run_function_tests
from runtime.iml.javascript.host import FunctionHost, FunctionLimits, function_host, functions_for
from runtime.iml.javascript.regex import JsMatch, RegexRefused, RegexTimedOut, js_matches, js_replace

__all__ = [
    "FunctionHost",
    "FunctionLimits",
    "FunctionTest",
    "JsMatch",
    "RegexRefused",
    "RegexTimedOut",
    "TestReport",
    "function_host",
    "functions_for",
    "js_matches",
    "js_replace",
    "run_function_tests",
]
