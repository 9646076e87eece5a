"""From configured values to a job (spec/modules.md 1.3, 2.4)."""

from __future__ import annotations

import pytest

from modules.plans import PlanCache
from modules.prepare import prepare_job
from runtime.communication import Kind
from runtime.errors import BundleValidationError, InvalidConfigurationError
from runtime.module_job import ModuleJob
from runtime.values import ERASE, FORCED_EMPTY
from tests.module_apps import app_of, module_spec
from tests.unit.modules.harness import ENVIRONMENT

STATIC = [{"name": "box", "type": "text"}, {"name": "both", "type": "text"}]
MAPPABLE = [
    {"name": "n", "type": "number", "required": True},
    {"name": "both", "type": "text"},
    {"name": "limit", "type": "uinteger", "default": 10},
    {"name": "secret", "type": "password"},
]


def prepared(static=None, mapped=None, **fields):
    module = module_spec("action", {}, static=STATIC, mappable=fields.pop("mappable", MAPPABLE))
    return prepare_job(app_of(module), "case", environment=ENVIRONMENT, static=static, mapped=mapped, **fields)


def test_static_and_mapped_values_are_one_collection():
    """Coerced, defaults added; a mapped value wins over a static one of its name unless there is none."""
    first = prepared({"box": "b", "both": "s", "__IMTCONN__": 5}, {"n": "7", "both": "m"}).job.parameters
    second = prepared({"both": "s"}, {"n": 1, "both": ""}).job.parameters

    assert first == {"box": "b", "both": "m", "n": 7, "limit": 10}
    assert second["both"] == "s"


def test_marks_of_the_mapper_are_understood():
    """Erase gives null, a forced empty text stays."""
    mappable = [{"name": "a", "type": "text"}, {"name": "b", "type": "text"}]

    job = prepared({}, {"a": ERASE, "b": FORCED_EMPTY}, mappable=mappable).job

    assert job.parameters == {"a": None, "b": ""}


def test_all_failures_are_told_at_once():
    """Static ones first, one suberror each."""
    with pytest.raises(BundleValidationError) as caught:
        prepared({"box": {"a": 1}}, {"limit": "x"})

    assert caught.value.suberrors == (
        "Invalid text in parameter 'box'.",
        "Missing value of required parameter 'n'.",
        "Invalid number in parameter 'limit'.",
    )
    assert caught.value.message.startswith("Validation failed for 3 parameter(s).")


def test_secret_values_are_named():
    """Values of password fields and the app's common data go to the redactor, what steers the engine does not."""
    module = module_spec("action", {}, mappable=MAPPABLE)
    app = app_of(module, common={"salt": "pepper99", "deep": [{"k": "v"}], "timeout": "5000"})

    found = prepare_job(app, "case", environment=ENVIRONMENT, mapped={"n": 1, "secret": "hunter22"}).secrets

    assert found == {"hunter22", "pepper99", "v"}


def test_values_of_unresolved_lists_pass_untyped():
    """An RPC that nothing has stored for lets unknown values through."""
    mappable = [{"name": "a", "type": "number"}, "rpc://fields"]

    job = prepared({}, {"a": "1", "x": "2"}, mappable=mappable).job

    assert job.parameters == {"a": 1, "x": "2"}


def test_a_stored_list_stands_in_for_its_rpc():
    """What the blueprint has stored types the values."""
    expect = [{"name": "a", "type": "number"}, {"name": "x", "type": "number"}]

    job = prepared(
        {}, {"a": "1", "x": "2", "y": 3}, mappable=[{"name": "a", "type": "number"}, "rpc://f"], expect=expect
    ).job

    assert job.parameters == {"a": 1, "x": 2}
    assert job.expect == expect


def test_a_static_choice_may_show_mapped_fields():
    """Nested fields of the domain `expect` belong to the mappable list."""
    nested = {"store": [{"name": "m", "type": "number"}], "domain": "expect"}
    static = [{"name": "how", "type": "boolean", "nested": nested}]
    module = module_spec("action", {}, static=static)

    job = prepare_job(app_of(module), "case", environment=ENVIRONMENT, static={"how": True}, mapped={"m": "5"}).job

    assert job.parameters == {"how": True, "m": 5}


def test_an_unknown_module_lists_the_known_ones():
    """The message says what there is."""
    with pytest.raises(InvalidConfigurationError, match=r'has no module "nope". Known modules: case\.'):
        prepare_job(app_of(module_spec("action", {})), "nope", environment=ENVIRONMENT)


def test_plans_are_made_once_per_content():
    """The same hash gives the same plan; an app without one is never kept; the table is bounded."""
    cache = PlanCache(size=2)

    def plan(content_hash: str, kind: Kind = Kind.ACTION):
        module = module_spec("action", {"url": "/"})
        job = ModuleJob(app_of(module, content_hash=content_hash), module, {}, ENVIRONMENT)
        return cache.plan(job, kind)

    first = plan("h1")
    assert plan("h1") is first
    assert plan("h1", Kind.UNIVERSAL) is not first
    assert plan("") is not plan("")
    plan("h2")
    plan("h3")
    assert plan("h1") is not first
