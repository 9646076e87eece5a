"""The parameter cases of the communication cases, where the request body is `parameters` itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import BundleValidationError
from runtime.parameters import parse_fields, resolve
from runtime.values import ERASE, FORCED_EMPTY, compact_json
from tests.paths import SHARED

CASES_FILE = SHARED / "spec" / "comm-cases.json"
MARKS = {"{{erase}}": ERASE, "{{emptystring}}": FORCED_EMPTY}


def _cases() -> list[Any]:
    if not CASES_FILE.is_file():
        return []
    return [
        pytest.param(case, id=case["id"])
        for case in json.loads(CASES_FILE.read_text("utf-8"))
        if case["kind"] == "action" and "params" in case and case["communication"].get("body") == "{{parameters}}"
    ]


def _marked(value: Any) -> Any:
    if isinstance(value, str):
        return MARKS.get(value, value)
    if isinstance(value, list):
        return [_marked(item) for item in value]
    if isinstance(value, dict):
        return {key: _marked(item) for key, item in value.items()}
    return value


@pytest.mark.parametrize("case", _cases())
def test_parameters_of_the_case_reach_the_request_body(case: dict[str, Any], shared: Path) -> None:
    """What the case expects as the body of its request is what `parameters` resolve to; an error has its words."""
    fields = parse_fields(case["params"])
    expect = case["expect"]
    timezone = case.get("timezone", "UTC")

    if "error" in expect:
        with pytest.raises(BundleValidationError) as raised:
            resolve(fields, _marked(case["parameters"]), timezone=timezone, mode="mapped")

        assert expect["error"]["type"] == raised.value.name
        assert expect["error"]["message"] in raised.value.message
        return

    text = compact_json(resolve(fields, _marked(case["parameters"]), timezone=timezone, mode="mapped").values)
    body = expect["requests"][0]["body"]

    if isinstance(body, dict) and "$text" in body:
        assert body["$text"] == text
    else:
        assert body == json.loads(text)


def test_there_are_cases(shared: Path) -> None:
    """The table above is not empty by mistake."""
    assert len(_cases()) >= 35
