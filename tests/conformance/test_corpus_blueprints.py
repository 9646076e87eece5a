"""
Every blueprint of the corpus is imported, or refused with a code that was looked at and found true.

The corpus lies beside the checkout; real exports and generated files are mixed in it.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from modules.builtin import BUILTIN_MODULES, builtin_catalog
from runtime.scenario.catalog import Catalog, ModuleInfo, Role
from runtime.scenario.importer import Imported, import_blueprint
from runtime.scenario.plan import compile_plan
from tests.paths import SHARED

FILES = sorted((SHARED / "corpus" / "blueprints").rglob("*.json")) if SHARED.is_dir() else []

#: Files that are refused although every module is known: path below the corpus -> codes, each judged true by reading.
REFUSED: dict[str, set[str]] = {
    # back-slashes in front of the quotes of an expression
    "Alessiobaggiani+vendiamonoi-make-automations/scenarios__sellrapido-supabase-ordini__blueprint.json": {"E-IML"},
    # a lone back-slash in an expression
    "J-Ride+Make.com--AI-Proposal-Generator/AI_Proposal_Generator.blueprint.json": {"E-IML"},
    # routers without routes, modules behind them
    "anirudhatalmale6-alt+makecom-brightdata-social-scraper/brightdata-social-scraper-blueprint.json": {
        "E-AFTER-ROUTER",
        "E-REF",
        "E-ROUTES",
    },
    "anirudhatalmale6-alt+makecom-brightdata-social-scraper/brightdata-social-scraper-v2.json": {
        "E-AFTER-ROUTER",
        "E-ROUTES",
    },
    "anirudhatalmale6-alt+makecom-brightdata-social-scraper/brightdata-social-scraper-v3-sheets-input.json": {
        "E-AFTER-ROUTER",
        "E-ROUTES",
    },
    "anirudhatalmale6-alt+makecom-brightdata-social-scraper/brightdata-social-scraper-v4-fixed.json": {"E-ROUTES"},
    # a placeholder without an id as the first module
    "bicced+make-integromat-crypto-workflows/workflows__send_sol_and_eth_every_week_to_address.json": {"E-SHAPE"},
    # keys that no export has, modules behind a router
    "cognizonline+make-automation-toolkit/src__blueprints__ecommerce_order_processing.json": {
        "E-AFTER-ROUTER",
        "E-SHAPE",
    },
    # a sleep without its duration (the file says `timeout`)
    "futuresearch+everyrow-make/templates__everyrow-agent-map.json": {"E-REQ"},
    "futuresearch+everyrow-make/templates__everyrow-dedupe.json": {"E-REQ"},
    "futuresearch+everyrow-make/templates__everyrow-merge.json": {"E-REQ"},
    "futuresearch+everyrow-make/templates__everyrow-screen.json": {"E-REQ"},
    # an unfinished scenario: Parse JSON without a text
    "integromat+make-typescript-sdk/test__mocks__blueprints__get.json": {"E-REQ"},
    # JavaScript calls or escaped quotes in expressions, routers without routes
    "johnrippy1980+god-mode-make-blueprints/competitive-intel-monitor.json": {"E-AFTER-ROUTER", "E-ROUTES"},
    "johnrippy1980+god-mode-make-blueprints/full-prospect-pipeline-notion.json": {
        "E-AFTER-ROUTER",
        "E-IML",
        "E-ROUTES",
    },
    "johnrippy1980+god-mode-make-blueprints/full-prospect-pipeline-postgres.json": {
        "E-AFTER-ROUTER",
        "E-IML",
        "E-ROUTES",
    },
    "johnrippy1980+god-mode-make-blueprints/full-prospect-pipeline-supabase.json": {
        "E-AFTER-ROUTER",
        "E-IML",
        "E-ROUTES",
    },
    "johnrippy1980+god-mode-make-blueprints/full-prospect-pipeline.json": {
        "E-AFTER-ROUTER",
        "E-FEEDER",
        "E-IML",
        "E-ROUTES",
    },
    "johnrippy1980+god-mode-make-blueprints/god-mode-full-pipeline-final.json": {"E-IML"},
    "johnrippy1980+god-mode-make-blueprints/god-mode-full-pipeline-fixed.json": {"E-IML"},
    "johnrippy1980+god-mode-make-blueprints/god-mode-full-pipeline-httpv4.json": {"E-IML"},
    "johnrippy1980+god-mode-make-blueprints/god-mode-full-pipeline-v4.json": {"E-IML"},
    "johnrippy1980+god-mode-make-blueprints/god-mode-full-pipeline-v5.json": {"E-IML"},
    "johnrippy1980+god-mode-make-blueprints/god-mode-intel-site__make-blueprints__lead-enrichment-pipeline.json": {
        "E-IML"
    },
    "johnrippy1980+god-mode-make-blueprints/god-mode-intel-site__make-blueprints__outreach-resend-email.json": {
        "E-AFTER-ROUTER",
        "E-ROUTES",
    },
}


class Permissive:
    """Knows every module: built-ins as they are, anything else as an action, triggers by what their names say."""

    def __init__(self, start: str) -> None:
        self._known = builtin_catalog()
        self._start = start

    def lookup(self, module: str, version: int | None) -> ModuleInfo:
        """See `Catalog.lookup`."""
        if module in BUILTIN_MODULES:
            return self._known.lookup(module, None)
        name = module.lower()
        if module == "gateway:WebhookRespond":
            return ModuleInfo(module, Role.RESPONDER)
        if "webhook" in name or "mailhook" in name:
            return ModuleInfo(module, Role.INSTANT)
        if "aggregat" in name:
            return ModuleInfo(module, Role.AGGREGATOR)
        if module == self._start and ("watch" in name or "trigger" in name):
            return ModuleInfo(module, Role.POLLING)
        return ModuleInfo(module)


def _import(path: Path, catalog: Catalog) -> Imported:
    return import_blueprint(path.read_bytes(), catalog)


def _start(path: Path) -> str:
    """The name of the start module, found without the importer."""
    text = path.read_text("utf-8-sig", "replace")
    try:
        value = json.loads(text)
    except ValueError:
        return ""
    while isinstance(value, dict) and "flow" not in value:
        value = value.get("blueprint") or value.get("response") or next(iter(value.get("subflows") or []), None)
        if isinstance(value, str):
            value = json.loads(value)
    flow = value.get("flow") if isinstance(value, dict) else None
    return str(flow[0].get("module", "")) if isinstance(flow, list) and flow and isinstance(flow[0], dict) else ""


def _name(path: Path) -> str:
    return str(path.relative_to(SHARED / "corpus" / "blueprints"))


@pytest.mark.parametrize("path", [pytest.param(path, id=_name(path)) for path in FILES])
def test_a_blueprint_imports_when_its_modules_are_known(path: Path) -> None:
    """It compiles to a plan and comes back unchanged, or it is on the list of files refused with reason."""
    catalog = Permissive(_start(path))

    result = _import(path, catalog)

    codes = {finding.code for finding in result.findings if finding.severity == "error"}
    assert codes == REFUSED.get(_name(path), set()), [finding.text() for finding in result.findings]
    if result.blueprint is not None:
        plan = compile_plan(result.blueprint, catalog)
        assert len(plan.nodes) == len(list(result.blueprint.modules()))
        again = import_blueprint(json.dumps(result.blueprint.raw), catalog)
        assert again.blueprint is not None
        assert again.blueprint.hash == result.blueprint.hash


@pytest.mark.parametrize("path", [pytest.param(path, id=_name(path)) for path in FILES if _name(path) not in REFUSED])
def test_the_real_catalog_names_exactly_the_modules_that_are_not_there(path: Path) -> None:
    """Each unknown module once per use, by id and name; what is there is not named."""
    permissive = _import(path, Permissive(_start(path)))
    assert permissive.blueprint is not None

    result = _import(path, builtin_catalog())

    named = Counter(
        (finding.module, finding.name)
        for finding in result.findings
        if finding.code in ("E-UNKNOWN-APP", "E-UNKNOWN-MODULE")
    )
    absent = Counter(
        (module.id, module.name) for module in permissive.blueprint.modules() if module.name not in BUILTIN_MODULES
    )
    assert named == absent


def test_the_corpus_is_there(shared: Path) -> None:
    """With the shared folder present, there are files to import."""
    assert (shared / "corpus").is_dir()
    assert FILES
