"""Expanding `rpc://` in a module's lists (spec/modules.md 2.4, 4.3, 4.4)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from modules.prepare import prepare_job
from modules.rpc_lists import Caller, RpcCache, expand_lists, needs_expansion, split_url
from runtime.app.specs import App, ModuleSpec
from runtime.effects import Effect, HttpRequest, HttpResponse, Warn, drive
from tests.module_apps import app_of, module_spec, rpc_spec
from tests.unit.modules.harness import ENVIRONMENT

#: RPC name -> the path that it asks for; each answers with the list under `body`.
Rows = dict[str, Any]


@dataclass
class World:
    """An app whose RPCs get their rows from a table, with a clock that moves by hand."""

    rows: Rows
    clock: float = 0.0
    asked: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    cache: RpcCache = field(default_factory=RpcCache)

    def app(self, module: ModuleSpec) -> App:
        rpcs = {
            name: rpc_spec({"url": f"/{name}", "qs": "{{parameters}}", "response": {"output": "{{body}}"}}, name=name)
            for name in self.rows
        }
        base = {"baseUrl": "http://s.test"}
        return app_of(module, base=base, content_hash="h").model_copy(update={"rpcs": rpcs})

    def expand(self, module: ModuleSpec, values: dict[str, Any] | None = None, **stored: Any) -> Any:
        caller = Caller(self.app(module), values or {}, ENVIRONMENT, clock=lambda: self.clock)

        def perform(effect: Effect) -> Any:
            if isinstance(effect, Warn):
                self.warnings.append(effect.message)
                return None
            assert isinstance(effect, HttpRequest)
            parts = urlsplit(effect.url)
            self.asked.append(f"{parts.path}?{parts.query}".rstrip("?"))
            answer = self.rows[parts.path.strip("/")]
            if isinstance(answer, Callable):
                answer = answer(effect)
            status = 500 if answer is None else 200
            return HttpResponse(
                status, (("content-type", "application/json"),), json.dumps(answer).encode(), effect.url
            )

        return drive(expand_lists(module, caller, cache=self.cache, **stored), perform)


def names(fields: list[Any]) -> list[Any]:
    """Names of fields, other entries as they are."""
    return [item["name"] if isinstance(item, dict) else item for item in fields]


def test_rows_stand_in_the_place_of_the_rpc() -> None:
    """An entry of a list, in the order of the file; the address's query goes over the form's values."""
    world = World({"fields": [{"name": "b", "type": "number"}]})
    module = module_spec(
        "action", {"url": "/"}, mappable=[{"name": "a"}, "rpc://fields?t={{parameters.a}}&k=x", {"name": "c"}]
    )
    lists = world.expand(module, {"a": "v", "k": "old"})

    assert names(lists.mappable) == ["a", "b", "c"]
    assert world.asked == ["/fields?a=v&k=x&t=v"]
    prepared = prepare_job(world.app(module), "case", environment=ENVIRONMENT, mapped={"b": "5", "zz": 1}, lists=lists)
    assert prepared.job.parameters == {"b": 5}
    assert names(prepared.job.expect) == ["a", "b", "c"]


def test_a_failure_lets_unknown_values_pass() -> None:
    """What an RPC could not tell is no error: values without a field pass untyped, and the log says why."""
    world = World({"fields": None})
    module = module_spec("action", {"url": "/"}, mappable=["rpc://fields", "rpc://absent"], interface="rpc://fields")
    lists = world.expand(module)
    prepared = prepare_job(world.app(module), "case", environment=ENVIRONMENT, mapped={"zz": "1"}, lists=lists)

    assert prepared.job.parameters == {"zz": "1"}
    assert [text.partition(":")[2].partition(":")[0] for text in world.warnings][:2] == ["//fields", "//absent"]
    assert lists.interface == []


def test_rows_are_kept_for_a_minute_and_errors_are_not() -> None:
    """The same call within 60 s is not made again; another value or a failure is."""
    world = World({"fields": [{"name": "b"}]})
    module = module_spec("action", {"url": "/"}, static=["rpc://fields"])
    for _ in range(2):
        world.expand(module, {"x": 1})
    world.expand(module, {"x": 2})
    world.clock = 61
    world.expand(module, {"x": 1})
    assert world.asked == ["/fields?x=1", "/fields?x=2", "/fields?x=1"]

    broken = World({"fields": None})
    for _ in range(2):
        broken.expand(module)
    assert len(broken.asked) == 2


def test_rpcs_inside_rows_are_followed_five_deep() -> None:
    """A list that an RPC gives may name another one; the sixth stays as it is."""
    world = World({f"r{n}": [{"name": f"f{n}"}, f"rpc://r{n + 1}"] for n in range(9)})
    lists = world.expand(module_spec("action", {"url": "/"}, mappable="rpc://r0"))

    assert names(lists.mappable) == ["f0", "f1", "f2", "f3", "f4", "rpc://r5"]


def test_nested_lists_are_expanded_where_they_are_active() -> None:
    """Only the branch of the chosen option is asked for; a field without a value has none."""
    options = [
        {"label": "A", "value": "a", "nested": "rpc://of_a"},
        {"label": "B", "value": "b", "nested": "rpc://of_b"},
    ]
    module = module_spec(
        "action",
        {"url": "/"},
        mappable=[
            {"name": "kind", "type": "select", "options": options},
            {"name": "off", "type": "boolean", "nested": ["rpc://of_off"]},
            {"name": "rows", "type": "array", "spec": ["rpc://of_rows"]},
        ],
    )
    world = World({name: [{"name": name, "type": "number"}] for name in ("of_a", "of_b", "of_off", "of_rows")})
    lists = world.expand(module, {"kind": "b"})
    prepared = prepare_job(
        world.app(module), "case", environment=ENVIRONMENT, lists=lists,
        mapped={"kind": "b", "of_b": "1", "of_a": "2", "rows": [{"of_rows": "3"}]},
    )  # fmt: skip

    assert sorted(world.asked) == ["/of_b?kind=b", "/of_rows?kind=b"]
    assert prepared.job.parameters == {"kind": "b", "of_b": 1, "rows": [{"of_rows": 3}]}


def test_all_calls_of_a_module_share_forty_seconds() -> None:
    """The deadline is one for all; what is left of it is the time-out of the next request."""
    timeouts: list[float] = []
    world = World({})

    def slow(request: HttpRequest) -> Any:
        timeouts.append(request.timeout.total_seconds())
        assert request.safe, "an RPC only reads, so it may be repeated after a crash"
        world.clock += 25
        return [{"name": f"f{len(timeouts)}"}]

    world.rows = {"a": slow, "b": slow, "c": slow}
    lists = world.expand(module_spec("action", {"url": "/"}, mappable=["rpc://a", "rpc://b", "rpc://c"]))

    assert timeouts == [40, 15]
    assert names(lists.mappable) == ["f1", "f2", "rpc://c"]


def test_what_is_stored_is_not_asked_for() -> None:
    """A blueprint's stored lists need no call; an interface is worth one only to a module that reads it."""
    module = module_spec("action", {"url": "/"}, mappable=["rpc://a"], interface=["rpc://a"])
    reading = module_spec("action", {"url": "/", "body": "{{metadata.interface}}"}, interface=["rpc://a"])

    assert needs_expansion(module)
    assert not needs_expansion(module, expect=[{"name": "x"}])
    assert needs_expansion(reading)
    assert not needs_expansion(reading, interface=[{"name": "x"}])


def test_an_rpc_of_another_connection_is_not_called() -> None:
    """It would get the wrong credentials."""
    world = World({"fields": [{"name": "b"}]})
    module = module_spec("action", {"url": "/"}, mappable=["rpc://fields"])
    app = world.app(module)
    other = app.rpcs["fields"].model_copy(update={"connection": "oauth"})
    caller = Caller(app.model_copy(update={"rpcs": {"fields": other}}), {}, ENVIRONMENT, {"k": 1}, "basic")
    told: list[str] = []

    def perform(effect: Effect) -> Any:
        assert isinstance(effect, Warn)
        told.append(effect.message)

    assert drive(expand_lists(module, caller, cache=RpcCache()), perform).mappable == ["rpc://fields"]
    assert "another connection" in told[0]
    assert replace(caller, component="oauth").component == "oauth"


def test_names_and_queries_are_told_apart() -> None:
    """The scheme in any case, a query behind the name."""
    assert split_url(" RPC://list?a=1&b=?") == ("list", "a=1&b=?")
    assert split_url("list") == ("list", "")
