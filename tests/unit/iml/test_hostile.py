"""Templates written by somebody who wants out: none reaches Python's objects, none fails other than with ImlError."""

from __future__ import annotations

import contextlib
import time
import types
from datetime import UTC, datetime
from typing import Any

import pytest

from runtime.errors import ImlError
from runtime.iml import Environment, compile_document
from runtime.values import ERASE, UNDEFINED, Buffer

ENVIRONMENT = Environment(now=datetime(2026, 1, 1, tzinfo=UTC))
CONTEXT: dict[str, Any] = {
    "o": {"a": 1, "s": "text", "l": [1, 2, {"k": "v"}]},
    "s": "text",
    "n": 5,
    "l": [1, 2, 3],
    "d": datetime(2020, 1, 1, tzinfo=UTC),
    "b": Buffer(b"bytes"),
    "t": True,
}
DUNDERS = [
    "__class__",
    "__mro__",
    "__subclasses__",
    "__globals__",
    "__builtins__",
    "__init__",
    "__dict__",
    "__import__",
    "__getattribute__",
    "__reduce__",
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "valueOf",
    "hasOwnProperty",
    "__defineGetter__",
    "func_globals",
    "gi_frame",
    "f_locals",
    "mro",
    "get",
    "items",
    "keys",
    "append",
    "tzinfo",
    "data",
    "name",
]
ROOTS = ["o", "s", "n", "l", "d", "b", "t"]
ATTRIBUTES = [f"{{{{{root}.{name}}}}}" for root in ROOTS for name in DUNDERS if (root, name) != ("o", "keys")]
INDEXES = [f'{{{{{root}["{name}"]}}}}' for root in ("o", "s", "l", "b") for name in DUNDERS[:12]]
PATHS = [f'{{{{get({root}; "{name}.{name}")}}}}' for root in ROOTS for name in DUNDERS[:6]]
GLOBALS = [
    f"{{{{{name}}}}}"
    for name in [
        "G",
        "E",
        "U",
        "K1",
        "t1",
        "g0",
        "v",
        "TRUTHY",
        "PRINT",
        "CUSTOM",
        "type",
        "str",
        "__builtins__",
        "self",
        "exec",
        "eval",
    ]
]
CALLS = [
    f"{{{{{name}(1)}}}}"
    for name in [
        "exec",
        "eval",
        "open",
        "__import__",
        "compile",
        "getattr",
        "type",
        "str",
        "len",
        "dict",
        "F_lower",
        "PRINT",
        "CUSTOM",
        "GETTER",
        "print",
    ]
]
NASTY = [
    "{{" + "(" * 5000 + ")" * 5000 + "}}",
    "{{" + "[" * 5000 + "}}",
    "{{" + "-" * 5000 + "1}}",
    "{{" + "!" * 5000 + "1}}",
    "{{" + "upper(" * 500 + '"a"' + ")" * 500 + "}}",
    "{{" + "{a:" * 500 + "1" + "}" * 500 + "}}",
    "{{" + "x." * 30000 + "x}}",
    "{{l" + "[1]" * 20000 + "}}",
    "{{" + "1 + " * 20000 + "1}}",
    "{{" + '"a" + ' * 20000 + "1}}",
    "{{" + "n & " * 15000 + "n}}",
    "{{switch(n" + ";0;0" * 20000 + ";7)}}",
    "{{sum(" + "1;" * 40000 + "1)}}",
    "{{" + " " * 200_000 + "}}",
    "{{" * 10000,
    "}}" * 10000,
    "{{1}}" * 20000,
    '{{"' + "a" * 100_001 + '"}}',
    "{{" + "9" * 5000 + "}}",
    "{{1e999999}}",
    "{{-1e999999 * 0}}",
    "{{9e307 * 9e307 % 7}}",
    "{{addYears(d; 1e300)}}",
    "{{addDays(d; 99999999999)}}",
    "{{setMonth(d; 1e18)}}",
    "{{addSeconds(d; 0/0)}}",
    "{{setYear(d; 0)}}",
    "{{formatNumber(1e308; 1e308)}}",
    "{{formatNumber(0/0; 0/0)}}",
    "{{trunc(1.5; 1e308)}}",
    "{{round(1e308*10)}}",
    "{{substring(s; 0/0; 1e308)}}",
    "{{slice(l; -1e308; 1e308)}}",
    "{{flatten(l; 1e308)}}",
    "{{l[1e308]}}",
    "{{l[0/0]}}",
    '{{formatDate(d; "%s%s%n{0}{d.__class__}")}}',
    '{{formatDate(d; "[unclosed")}}',
    '{{formatDate(d; "YYYY"; "../../etc/passwd")}}',
    '{{formatDate(d; "YYYY"; "/etc/localtime")}}',
    '{{parseDate("1"; "' + "D" * 5000 + '")}}',
    '{{parseDate("99999999999999999999"; "x")}}',
    '{{parseDate("' + "9" * 4000 + '"; "X")}}',
    '{{replace(s; "/(?P<x>a)/"; "b")}}',
    '{{replace(s; "/(?R)/"; "b")}}',
    '{{replace(s; "/(?0)/"; "b")}}',
    '{{replace(s; "/\\p{L}{e<=5}/"; "b")}}',
    '{{replace(s; "/(?{1})/"; "b")}}',
    '{{replace(s; "/a{99999999999}/"; "b")}}',
    '{{replace(s; "/[[:alpha:]]/g"; "\\g<0>$1$99")}}',
    '{{replace(s; "/\\L<x>/"; "b")}}',
    '{{replace(s; "/(((((((((((a)))))))))))/"; "$11$12")}}',
    '{{replace(s; "/' + "(" * 2000 + '/"; "b")}}',
    '{{replace(s; "/' + "(" * 900 + ")" * 900 + '/"; "b")}}',
    '{{replace(s; "/\\/"; "b")}}',
    '{{parseJSON("' + "[" * 50000 + '")}}',
    '{{parseJSON(\'{"__proto__": {"x": 1}}\').x}}',
    '{{parseJSON("1e999")}}',
    '{{parseJSON("' + "1" * 5000 + '")}}',
    '{{jwt(o; "x"; "RS256")}}',
    '{{jwt(o; "x"; "none")}}',
    '{{jwt("__import__"; "x")}}',
    '{{toBinary(s; "pickle")}}',
    '{{toBinary("zz"; "hex")}}',
    '{{toString(toBinary("____"; "base64"))}}',
    '{{sha1(s; "os")}}',
    '{{decodeURL("%ff")}}',
    '{{encodeURL("\ud800")}}',
    '{{base64("\udc00")}}',
    '{{upper("\ud83d")}}',
    '{{length("\ud83d\ude00")}}',
    '{{"{0.__class__}" + "%(x)s" + "${x}"}}',
    "{{`__class__`.`__mro__`}}",
    "{{`\u0000`}}",
    "{{o.``}}",
    "{{map(l; '__class__')}}",
    "{{sort(l; '__len__')}}",
    "{{toCollection(l; '__class__'; '__doc__')}}",
    "{{pick(o; '__dict__')}}",
    "{{keys(d)}}",
    "{{lambda: 1}}",
    "{{[x for x in y]}}",
    "{{(1).__class__}}",
    '{{("").join}}',
    "{{1 if 2 else 3}}",
    "{{x := 1}}",
    "{{import os}}",
    "{{o.a = 5; o.b}}",
    "{{'\n'}}\u2028{{}}",
]
TEMPLATES = [*ATTRIBUTES, *INDEXES, *PATHS, *GLOBALS, *CALLS, *NASTY]
ALLOWED = (str, int, float, bool, datetime, Buffer, list, dict, type(None), type(UNDEFINED), type(ERASE))


def only_data(value: Any) -> bool:
    """Whether a value holds nothing but data."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and only_data(member) for key, member in value.items())
    if isinstance(value, list):
        return all(map(only_data, value))
    return isinstance(value, ALLOWED) and not isinstance(value, (type, types.ModuleType, types.FunctionType))


def test_there_are_many() -> None:
    """The collection does not shrink unnoticed."""
    assert len(TEMPLATES) > 400


@pytest.mark.parametrize("template", [pytest.param(t, id=f"{i}: {t[:40]!a}") for i, t in enumerate(TEMPLATES)])
def test_hostile_template_stays_inside(template: str) -> None:
    """A hostile template renders to plain data or raises an ImlError; nothing else."""
    try:
        result = compile_document({"v": template}).render(CONTEXT, ENVIRONMENT)
    except ImlError as error:
        assert str(error)
        assert error.place
        return

    assert only_data(result)


@pytest.mark.parametrize("template", ATTRIBUTES + INDEXES + PATHS)
def test_attributes_are_missing_keys(template: str) -> None:
    """A name that no data has is undefined, whatever Python objects have."""
    assert compile_document(template).render(CONTEXT, ENVIRONMENT) is UNDEFINED


#: A regular expression may take a second; everything else is counted in steps that take less (spec/iml.md 13).
TIME_BUDGET = 1.0


def test_no_hostile_template_takes_longer_than_its_budget() -> None:
    """No template takes 100 ms of processor time more than its budget to render; for compiling see test_budgets."""
    slow: list[tuple[float, str]] = []
    for source in TEMPLATES:
        template = compile_document({"v": source})
        started = time.process_time()
        with contextlib.suppress(ImlError):
            template.render(CONTEXT, ENVIRONMENT)
        took = time.process_time() - started
        if took > (TIME_BUDGET if "/" in source else 0) + 0.1:
            slow.append((took, source[:60]))

    assert slow == []


def test_data_is_never_rendered() -> None:
    """An expression inside data stays text."""
    result = compile_document({"{{...}}": "{{o}}", "x": "{{v}}!"}).render(
        {"o": {"a": "{{s}}", "{{k}}": 1}, "v": "{{s}}", "s": 1}, ENVIRONMENT
    )

    assert result == {"a": "{{s}}", "{{k}}": 1, "x": "{{s}}!"}


def test_generated_code_sees_no_builtins() -> None:
    """The names that generated code may use are helpers; Python's own are not among them."""
    template = compile_document('{{upper(o.s)}} {{if(n > 1; "a"; custom(1))}}')
    names = template.render.__self__._plain.run.__globals__  # type: ignore[attr-defined]  looking inside on purpose

    assert names["__builtins__"] == {}
    assert not {"eval", "exec", "open", "getattr", "__import__"} & names.keys()
