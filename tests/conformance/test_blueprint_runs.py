"""
The table of the corpus' blueprints, and golden run trees of those made of built-ins only (issue point 1).

What every file is refused for stands in `blueprints.json`; nothing may be missing that is among the 46 built-ins.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modules.builtin import BUILTIN_MODULES
from tests.conformance.blueprint_runs import FILES, FORMS, GOLDEN, imported, name, place, row, tree
from workers.service import Service

KEPT: dict[str, Any] = json.loads(GOLDEN.read_text("utf-8"))
#: spec/scenarios.md 4.1: the ranked ones and those named "once each"; a mail hook needs a mail gateway.
BUILT_IN = """
builtin:BasicRouter http:ActionSendData gateway:CustomWebHook json:ParseJSON util:SetVariables builtin:BasicFeeder
builtin:BasicAggregator util:SetVariable2 builtin:Ignore gateway:WebhookRespond http:ActionSendDataAPIKeyAuth
http:MakeRequest util:TextAggregator regexp:HTMLToText builtin:Break util:GetVariable2 regexp:Replace
util:FunctionSleep builtin:BasicRepeater regexp:Parser builtin:Resume scenario-service:ReturnData
email:ActionSendEmail util:ComposeTransformer datastore:GetRecord http:ActionGetFile regexp:AdvancedParser
builtin:BasicIfElse util:GetVariables builtin:Commit json:CreateJSON scenario-service:StartSubscenario
scenario-service:CallSubscenario util:FunctionIncrement util:BasicTrigger util:Switcher http:ActionSendDataBasicAuth
http:ActionSendDataOAuth rss:ActionReadArticles datastore:SearchRecord datastore:AddRecord datastore:UpdateRecord
markdown:Compile builtin:Rollback builtin:BasicMerge
""".split()  # noqa: SIM905  a list of 45 names

pytestmark = pytest.mark.skipif(not FILES, reason="the folder `shared` does not lie beside this checkout")


@pytest.fixture(name="service", scope="module")
def service_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A ledger whose runs reach no service."""
    with place(tmp_path_factory.mktemp("blueprints")) as service:
        yield service


def test_every_built_in_of_the_specification_is_there() -> None:
    """All 46 but the mail hook."""
    assert len(BUILT_IN) == 45
    assert set(BUILT_IN) <= BUILTIN_MODULES.keys()


def test_the_table_names_every_file_of_the_corpus() -> None:
    """A new file needs a row."""
    assert KEPT["table"].keys() == {name(path) for path in FILES}


@pytest.mark.parametrize("path", [pytest.param(path, id=name(path)) for path in FILES])
def test_row_of_the_table(path: Path) -> None:
    """It imports, or is refused naming exactly what is not there, none of it a built-in."""
    found = row(path)

    assert found == KEPT["table"][name(path)]
    assert not set(found.get("missing", ())) & set(BUILT_IN)
    assert found["imports"] is not bool(found.get("missing") or found.get("codes"))


_RUNS = [
    pytest.param(path, form, id=f"{form} {name(path)}") for path in FILES for form in KEPT["runs"].get(name(path), ())
]


@pytest.mark.parametrize(("path", "form"), _RUNS)
def test_run_tree(path: Path, form: str, service: Service) -> None:
    """A blueprint of built-ins only runs to its end: the same steps, statuses and numbers of bundles as before."""
    assert tree(service, path, form) == KEPT["runs"][name(path)][form]


def test_every_blueprint_that_imports_has_its_trees() -> None:
    """In all forms, and each of them ends well in one, unless a part of it cannot be had here."""
    there = {name(path) for path in FILES if imported(path).blueprint is not None}
    good = {file for file, trees in KEPT["runs"].items() if any(tree["status"] == "success" for tree in trees.values())}

    assert KEPT["runs"].keys() == there == good
    assert all(tuple(trees) == FORMS for trees in KEPT["runs"].values())
