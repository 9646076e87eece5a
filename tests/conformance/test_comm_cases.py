"""
The cases of `comm-cases.json` through the real engine, performer and loopback servers.

A case that we believe wrong stands in `DISPUTED` with what we do instead and a comment with the reason. There is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.http import HttpPerformer
from tests.conformance.comm_runner import POLICY, Servers, differences, run_case
from tests.paths import SHARED

FILE = SHARED / "spec" / "comm-cases.json"
CASES: list[dict[str, Any]] = json.loads(FILE.read_text("utf-8")) if FILE.is_file() else []
#: Case id -> the one difference that we make instead, as `differences` words it.
DISPUTED: dict[str, list[str]] = {}


@pytest.fixture(name="servers", scope="module")
def servers_fixture() -> Iterator[Servers]:
    """The two servers of all cases."""
    with Servers() as servers:
        yield servers


@pytest.fixture(name="http", scope="module")
def http_fixture() -> Iterator[HttpPerformer]:
    """One performer for all cases, as a worker process has one for all runs."""
    with HttpPerformer(POLICY) as http:
        yield http


@pytest.mark.skipif(not CASES, reason="the folder `shared` does not lie beside this checkout")
@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES])
def test_case(case: dict[str, Any], servers: Servers, http: HttpPerformer) -> None:
    """The case's requests, bundles, error, state and log come out as it says."""
    filled = json.loads(servers.fill(json.dumps(case)))

    if any(answer.get("close") for answer in filled.get("responses", [])):
        # A connection kept from another case and closed without a byte would be retried, rightly.
        with HttpPerformer(POLICY) as fresh:
            outcome = run_case(filled, servers, fresh)
    else:
        outcome = run_case(filled, servers, http)

    assert DISPUTED.get(case["id"], []) == differences(filled, outcome), case["about"]
