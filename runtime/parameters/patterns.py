"""
`validate.pattern`: a JavaScript regular expression over one value (spec/modules.md 2.2).

Translated where the translation is exact, else run in the JavaScript child (design section 4). A pattern that is no
regular expression, or runs out of its time, never fails a value.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from runtime.errors import ImlError
from runtime.iml.evaluation import FunctionFailed
from runtime.iml.javascript.regex import js_matches
from runtime.iml.regexps import compile_literal, to_units

#: Longest time one match may take: the pattern is the app's, the value the user's.
MATCH_TIME: Final = timedelta(seconds=0.5)


def is_pattern(pattern: str) -> bool:
    """True for a regular expression that can be used."""
    try:
        compile_literal(pattern, "")
    except FunctionFailed:
        try:
            js_matches("", pattern)
        except ImlError:
            return False
    return True


def matches(pattern: str, text: str) -> bool:
    """True when the unanchored pattern is found in the text, or cannot be used."""
    try:
        expression = compile_literal(pattern, "").pattern
    except FunctionFailed:
        return _matches_in_child(pattern, text)
    try:
        return expression.search(to_units(text), timeout=MATCH_TIME.total_seconds()) is not None
    except TimeoutError:
        return True


def _matches_in_child(pattern: str, text: str) -> bool:
    try:
        return bool(js_matches(text, pattern))
    except ImlError:
        return True
