"""The paragraphs of spec/scenarios.md 3.1 to 3.4 and 3.9: error objects, classes, directives, error routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runtime.errors import (
    DataError,
    ModuleRuntimeError,
    RateLimitError,
    error_from_json,
    module_error,
)
from runtime.scenario.blueprint import Settings
from runtime.scenario.ending import at_end, at_storing
from runtime.scenario.handling import NOT_STORED, NOT_STORED_STRICTLY
from runtime.scenario.incomplete import RETRIED
from runtime.scenario.testing import MemoryRun, MemoryRunner
from tests.conformance.scenario_spec import Place, paragraph, service_in, stored
from tests.unit.scenario.flows import directive, feeder, handled
from tests.unit.scenario.helpers import (
    compose,
    fail,
    imported,
    module,
    performer,
    plan,
    raising,
    router,
    run,
    scenario,
    start,
    when,
)

ROWS = (start({"k": "a"}, {"k": "b"}, {"k": "c"}),)
SECOND = when("{{1.k}}", "text:equal", "b")


@pytest.fixture(name="place", scope="module")
def place_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A ledger of its own."""
    with service_in(tmp_path_factory.mktemp("spec")) as service:
        yield Place(service)


def bad(number: int = 2, **rest: Any) -> dict[str, Any]:
    """Fails for the second of three bundles; gives one bundle for the others."""
    return module(number, "json:ParseJSON", {"json": '{{if(1.k = "b"; "{"; "[{}]")}}'}, **rest)


def ran(*flow: Any, **settings: Any) -> list[int]:
    """Ids of the modules that operated, in order."""
    return [number for number, _ in run(scenario(*flow, **settings)).outputs()]


def shown(number: int, *flow: Any, **settings: Any) -> list[Any]:
    """What a Compose module showed, one value an operation."""
    outputs = run(scenario(*flow, **settings)).outputs()
    return [out[0]["value"] for module_id, out in outputs if module_id == number and isinstance(out[0], dict)]


def raised(name: str, *before: Any, **settings: Any) -> MemoryRun:
    """A run whose module 2 raises this class."""
    error = raising(module_error(name, "x"))
    return run(scenario(start({}, {}), *before, module(2, "test:Do"), **settings), {"test:Do": error})


def ending(result: MemoryRun) -> tuple[str, str, int | None]:
    """(status, class of the run's error, its module)."""
    end = result.finished
    assert end is not None
    return end.status, end.error.name if end.error else "", end.error_module


# -- 3.1 ---------------------------------------------------------------------------------------------------------------


@paragraph("3.1", "An error raised by a module carries")
def test_3_1_what_an_error_carries() -> None:
    """Class, message, delay, suberrors, status code; through the cursor unchanged, and the message with its status."""
    error = RateLimitError("[429] slow", status_code=429, delay_ms=1500, suberrors=("a", "b"))
    result = run(scenario(start({}), module(2, "test:Do")), {"test:Do": raising(error)})

    assert result.finished is not None
    assert result.finished.error == error_from_json(error.to_json()) == error
    assert (error.name, error.delay_ms, error.suberrors, error.status_code) == ("RateLimitError", 1500, ("a", "b"), 429)


# -- 3.2 ---------------------------------------------------------------------------------------------------------------

#: Class -> (stored with `dlq`, retried by itself, counts, switches off): the table.
CLASSES = {
    "UnknownError": (True, False, True, False),
    "RuntimeError": (True, False, True, False),
    "DataError": (True, False, False, False),
    "DuplicateDataError": (True, False, False, False),
    "BundleValidationError": (True, False, False, False),
    "InconsistencyError": (False, False, True, False),
    "RateLimitError": (True, True, False, False),
    "ConnectionError": (True, True, False, False),
    "ModuleTimeoutError": (True, True, False, False),
    "OutOfSpaceError": (True, True, True, False),
    "InvalidConfigurationError": (True, False, False, True),
    "InvalidAccessTokenError": (True, False, False, True),
    "UnexpectedError": (True, False, False, True),
    "MaxResultsExceededError": (True, False, False, True),
    "MaxFileSizeExceededError": (True, False, False, True),
    "IncompleteDataError": (False, False, True, False),
    "ScenarioTimeoutError": (False, False, True, False),
    "OperationsLimitExceededError": (False, False, False, False),
    "DataSizeLimitExceededError": (False, False, False, False),
    "ExecutionInterruptedError": (False, False, False, False),
    "AccountValidationError": (False, False, True, False),
}


@paragraph("3.2", "The public type package has 19 classes")
def test_3_2_every_class_of_the_table_is_known() -> None:
    """An app's unknown class name is a `RuntimeError`."""
    assert {module_error(name, "x").name for name in CLASSES} == CLASSES.keys()
    assert module_error("NoSuchError", "x").name == "RuntimeError"


@paragraph("3.2", "| class | meaning | DLQ | retry | count | off |")
@pytest.mark.parametrize("name", CLASSES)
def test_3_2_what_each_class_does(name: str) -> None:
    """Its four columns: an unhandled error with `dlq`, the schedule of its record, the end of a run."""
    stores, retried, counts, off = CLASSES[name]
    result = raised(name, dlq=True)
    word = {"count": (True, False), "off": (False, True)}
    found = at_end("error", module_error(name, "x"), Settings())

    assert bool(result.incomplete) is stores
    assert (name in RETRIED) is retried
    assert word.get(found.word if found else "", (False, False)) == (counts, off)


@paragraph("3.2", "| class | meaning | DLQ | retry | count | off |")
def test_3_2_a_file_that_is_too_large_is_dropped_with_dataloss() -> None:
    """A warning; the run goes on."""
    result = raised("MaxFileSizeExceededError", dataloss=True)

    assert (result.status, [number for number, _ in result.outputs()]) == ("warning", [1, 2, 2])


@paragraph("3.2", "Two more names appear in the help")
def test_3_2_a_validation_error_is_treated_as_a_data_error() -> None:
    """Handlers apply, it is stored, it does not count."""
    assert CLASSES["BundleValidationError"] == CLASSES["DataError"]
    assert run(scenario(*ROWS, bad(**handled(directive(9, "Ignore"))))).status == "success"


@paragraph("3.2", "BundleValidationError: mapped values of a module fail")
def test_3_2_a_validation_error_names_each_field() -> None:
    """One suberror a field; Parse JSON raises it while it runs."""
    missing = module(2, "regexp:AdvancedParser", {"pattern": "{{1.a}}", "text": "{{1.b}}"})
    result = run(scenario(start({}), missing))
    broken = run(scenario(start({}), module(2, "json:ParseJSON", {"json": "{"})))

    assert result.finished is not None and result.finished.error is not None
    assert result.finished.error.message.startswith("Validation failed for 2 parameter(s).")
    assert list(result.finished.error.suberrors) == [
        "Missing value of required parameter 'pattern'.",
        "Missing value of required parameter 'text'.",
    ]
    assert broken.finished is not None and broken.finished.error is not None
    assert broken.finished.error.message == "Source is not valid JSON."


@paragraph("3.2", "AccountValidationError: connection check fails")
def test_3_2_a_failing_connection_check_cannot_be_handled(place: Place) -> None:
    """It ends the run in its initialization, whatever error route there is; it is stored nowhere, and counts."""
    from dataclasses import replace

    service = place.service
    made = service.connections.add("http", "basicauth", name="keys", parameters={"username": "u", "password": "p"})
    vault = service.runner.vault
    vault.update(replace(vault.find(made.name, app="http"), state="needs_reauthorization"))
    call = module(
        2, "http:ActionSendDataBasicAuth", {"url": "http://127.0.0.1:9/", "method": "get"}, version=3,
        parameters={"handleErrors": True, "key": 5}, **handled(directive(9, "Ignore")),
    )  # fmt: skip
    target = place.scenario(scenario(start({}), call, dlq=True, maxErrors=1), bindings={"5": made.name})

    report = place.auto(target)

    assert report.error is not None
    assert (report.status, report.error["type"], report.steps) == ("error", "AccountValidationError", ())
    assert (service.incompletes.list(scenario=target), service.scenarios.show(target).active) == ([], False)


@paragraph("3.2", "Vendor documents differ on whether class decides storage")
def test_3_2_the_older_table_is_a_setting(tmp_path: Any) -> None:
    """By default a `RuntimeError` is stored; with `dlq_classes` = strict it is not."""
    flow = scenario(start({}), fail(2), dlq=True)

    assert {"RuntimeError", "UnknownError"} == NOT_STORED_STRICTLY - NOT_STORED
    assert run(flow).status == "warning"
    with service_in(tmp_path, SCENARIST_DLQ_CLASSES="strict") as service:
        assert Place(service).inline(flow)["status"] == "error"


@paragraph("3.2", "First module: an error in the start module")
def test_3_2_an_error_of_the_start_module_is_never_stored() -> None:
    """The execution ends with a rollback."""
    result = run(scenario(module(1, "json:ParseJSON", {"json": "{"}), compose(2, "x"), dlq=True))

    assert (ending(result), result.phases, result.incomplete) == (
        ("error", "BundleValidationError", 1),
        ["rollback"],
        [],
    )


@paragraph("3.2", "Decision table for an unhandled error E in module M, cycle c:")
@pytest.mark.parametrize(
    ("name", "settings", "status"),
    [
        pytest.param("DataError", {"dlq": True}, "warning", id="2: stored"),
        pytest.param("DataError", {}, "error", id="3: nothing is stored"),
        pytest.param("IncompleteDataError", {"dlq": True}, "error", id="3: not storable"),
    ],
)
def test_3_2_the_decision_table(name: str, settings: Any, status: str) -> None:
    """Which rule is taken."""
    assert raised(name, **settings).status == status


@paragraph("3.2", "M = start module → run status error")
def test_3_2_rule_1_the_start_module() -> None:
    """Status error, rollback, no further cycle."""
    result = run(scenario(module(1, "json:ParseJSON", {"json": "{"}), roundtrips=3, dlq=True))

    assert result.finished is not None
    assert (result.status, result.finished.cycles, result.phases) == ("error", 1, ["rollback"])


@paragraph("3.2", "dlq:true and E storable → store incomplete execution (3.5)")
def test_3_2_rule_2_the_bundle_is_stored_and_its_siblings_go_on() -> None:
    """The cycle commits, status warning. No room: `dataloss` drops with a warning, else the run fails."""
    flow = scenario(*ROWS, bad(), compose(3, "{{1.k}}"), dlq=True)
    result = run(flow)

    def without_room(**settings: Any) -> tuple[str, list[str]]:
        full = scenario(*ROWS, bad(), compose(3, "x"), dlq=True, **settings)
        done = MemoryRunner(plan(full), performer(), refuse="full").run()
        return done.status, done.phases

    assert (result.status, result.phases, len(result.incomplete)) == ("warning", ["commit"], 1)
    assert shown(3, *flow["flow"], dlq=True) == ["a", "c"]
    assert without_room(dataloss=True) == ("warning", ["commit"])
    assert without_room() == ("error", ["rollback"])


@paragraph("3.2", "dlq:true and E storable → store incomplete execution (3.5)")
def test_3_2_rule_2_a_full_store_switches_the_scenario_off(tmp_path: Any) -> None:
    """Its scheduling rests until a person has made room and switched it on again."""
    with service_in(tmp_path, SCENARIST_INCOMPLETE_MAX_RECORDS="1") as service:
        place = Place(service)
        target = place.scenario(scenario(start({}, {}), fail(2), dlq=True))

        assert place.auto(target).status == "error"
        row = service.scenarios.show(target)
        assert (row.active, row.stop_reason) == (False, "DLQ limit per scenario has been exceeded")


@paragraph("3.2", "else → rollback c")
@pytest.mark.parametrize(("auto", "keys"), [(True, ["a", "b"]), (False, [])])
def test_3_2_rule_3_rolls_back_what_is_not_committed(place: Place, auto: bool, keys: list[str]) -> None:
    """With auto commit the records before stay; no further cycle."""
    flow = scenario(*ROWS, stored(2, "{{1.k}}"), fail(3, filter=SECOND), autoCommit=auto, roundtrips=2)

    assert place.rows(flow) == ("error", keys)


@paragraph("3.2", "Class marked off → deactivate after 2 or 3")
def test_3_2_rule_4_a_fatal_class_switches_off_stored_or_not(place: Place) -> None:
    """A call of a scenario that is bound to none: `InvalidConfigurationError`."""
    assert at_storing(module_error("InvalidConfigurationError", "x")) is not None
    found = at_end("error", module_error("InvalidConfigurationError", "x"), Settings())
    assert found is not None and found.word == "off"
    assert at_storing(DataError("x")) is None


# -- 3.3 ---------------------------------------------------------------------------------------------------------------


@paragraph("3.3", "| | Resume | Ignore | Break | Commit | Rollback |")
@pytest.mark.parametrize(
    ("name", "later", "cycles", "status", "counts"),
    [
        ("Resume", ["a", "b", "c"], 2, "success", "reset"),
        ("Ignore", ["a", "c"], 2, "success", "reset"),
        ("Break", ["a", "c"], 2, "success", "reset"),
        ("Commit", ["a"], 1, "success", "reset"),
        ("Rollback", ["a"], 1, "error", "count"),
    ],
)
def test_3_3_what_each_directive_does(name: str, later: list[str], cycles: int, status: str, counts: str) -> None:
    """Bundle 2 of 3 fails: what goes on, how many cycles there are, status, what the scenario counts."""
    route = handled(directive(9, name, {"v": 1} if name == "Resume" else None))
    result = run(scenario(*ROWS, bad(**route), compose(3, "{{1.k}}"), roundtrips=2, dlq=True))
    end = result.finished
    assert end is not None
    values = [out[0]["value"] for number, out in result.outputs() if number == 3 and isinstance(out[0], dict)]
    found = at_end(end.status, end.error, Settings(), directed=name == "Rollback")

    assert (values, end.cycles, end.status) == (later * cycles, cycles, status)
    assert found is not None and found.word == counts
    assert result.phases == (["rollback"] if name == "Rollback" else ["commit"] * cycles)
    assert len(result.incomplete) == (2 if name == "Break" else 0)


@paragraph("3.3", "| | Resume | Ignore | Break | Commit | Rollback |")
@pytest.mark.parametrize(
    ("name", "keys"),
    [("Resume", ["a", "b", "c"]), ("Ignore", ["a", "b", "c"]), ("Break", ["a", "b", "c"]), ("Commit", ["a", "b"]),
     ("Rollback", [])],
)  # fmt: skip
def test_3_3_what_is_committed_at_each_end_of_a_cycle(place: Place, name: str, keys: list[str]) -> None:
    """Without auto commit, of records written before the module that fails for `b`."""
    flow = scenario(*ROWS, stored(2, "{{1.k}}"), bad(3, **handled(directive(9, name))), autoCommit=False, dlq=True)

    assert place.rows(flow)[1] == keys


@paragraph("3.3", "| | Resume | Ignore | Break | Commit | Rollback |")
def test_3_3_a_break_without_retry_is_a_warning() -> None:
    """It waits for a person."""
    result = run(
        scenario(*ROWS, bad(**handled(directive(9, "Break", {"retry": False, "count": 1, "interval": 1}))), dlq=True)
    )

    assert (result.status, result.incomplete[0].retry) == ("warning", None)


@paragraph("3.3", "Resume: its mapper is the output bundle")
def test_3_3_resume_puts_its_mapper_in_place_of_the_output() -> None:
    """Absent keys stay absent, empty texts empty; it sees the error; the only bundle of a module of many."""
    mapper = {"v": "{{1.k}}{{2.error.type}}", "e": ""}
    seen = compose(3, "{{2.v}}|{{2.e}}|{{2.`__IMTLENGTH__`}}|{{2.error.type}}", filter=SECOND)
    kept = compose(4, "{{if(2.e = emptystring; 1; 0)}}", filter=SECOND)

    assert shown(3, *ROWS, bad(**handled(directive(9, "Resume", mapper))), seen) == ["bBundleValidationError||1|"]
    assert shown(4, *ROWS, bad(**handled(directive(9, "Resume", mapper))), kept) == ["1"]


@paragraph("3.3", "Break: editor defaults count 3")
def test_3_3_break_evaluates_its_values_and_needs_the_store() -> None:
    """Without `dlq`, and on the start module, it acts as Rollback."""
    mapper = {"retry": True, "count": "{{1.n}}", "interval": "{{1.n * 2}}"}
    flow = (start({"n": 2}), fail(2, **handled(directive(9, "Break", mapper))))
    first = module(1, "json:ParseJSON", {"json": "{"}, **handled(directive(9, "Break")))

    assert run(scenario(*flow, dlq=True)).incomplete[0].retry == (2, 4)
    assert ending(run(scenario(*flow))) == ("error", "RuntimeError", 2)
    assert ending(run(scenario(first, dlq=True))) == ("error", "BundleValidationError", 1)


@paragraph("3.3", "Break: editor defaults count 3")
def test_3_3_break_without_the_store_is_named_at_import() -> None:
    """W-UNUSED-DLQ."""
    codes = [item.code for item in imported(scenario(start({}), fail(2, **handled(directive(9, "Break"))))).findings]

    assert codes == ["W-UNUSED-DLQ"]


@paragraph("3.3", "Commit: with auto commit off, commits all modules of the cycle")
def test_3_3_commit_commits_the_cycle_and_ends_the_run(place: Place) -> None:
    """Everything written so far, nothing later."""
    broken = bad(3, **handled(directive(9, "Commit")))
    flow = scenario(*ROWS, stored(2, "{{1.k}}"), broken, autoCommit=False, roundtrips=3)

    assert place.rows(flow) == ("success", ["a", "b"])


@paragraph("3.3", "Rollback is what happens with no handler and no DLQ")
def test_3_3_rollback_is_the_same_as_no_handler() -> None:
    """The run's error is that of the failed module, also where Break acts as Rollback."""
    ends = [
        ending(run(scenario(*ROWS, bad(**rest))))
        for rest in ({}, handled(directive(9, "Rollback")), handled(directive(9, "Break")))
    ]

    assert ends == [("error", "BundleValidationError", 2)] * 3


@paragraph("3.3", "Error route without directive at its end = Ignore")
def test_3_3_an_error_route_without_a_directive() -> None:
    """Ignore; also when a later filter drops the bundle; unhandled when the first module is blocked."""
    no = {"filter": when("{{1.no}}", "exist")}

    def status(*route: Any) -> str:
        return run(scenario(*ROWS, bad(onerror=list(route)))).status

    assert status(compose(8, "x")) == "success"
    assert status(compose(8, "x"), directive(9, "Rollback") | no) == "success"
    assert status(compose(8, "x", **no), directive(9, "Ignore")) == "error"
    assert status(router(7, [directive(8, "Ignore") | no])) == "error"
    assert (
        status(router(7, [directive(8, "Ignore") | no], [directive(9, "Ignore")], parameters={"else": 1})) == "success"
    )
    assert status(router(7, [directive(8, "Ignore")], **no)) == "error"


@paragraph("3.3", "Missing or empty mapper on Break")
@pytest.mark.parametrize("mapper", [{}, None, {"retry": True, "count": "", "interval": ""}])
def test_3_3_break_without_values_retries_three_times_every_15_minutes(mapper: Any) -> None:
    """Its defaults."""
    result = run(scenario(start({}), fail(2, **handled(directive(9, "Break", mapper))), dlq=True))

    assert result.incomplete[0].retry == (3, 15)


@paragraph("3.3", "A directive is executed when a bundle reaches it")
def test_3_3_the_first_bundle_at_a_directive_decides() -> None:
    """The error route iterates over two values: the second is not processed."""
    route = [
        feeder(7, '{{split("x,y"; ",")}}'),
        compose(8, "{{7.value}}"),
        directive(9, "Resume", {"v": "{{8.value}}"}),
    ]

    assert ran(start({}), fail(2, onerror=route), compose(3, "{{2.v}}")) == [1, 2, 7, 8, 3]
    assert shown(3, start({}), fail(2, onerror=route), compose(3, "{{2.v}}")) == ["x"]


@paragraph("3.3", "Usage in the sample, by last module")
def test_3_3_all_five_directives_and_no_directive_import() -> None:
    """As last modules of error routes; elsewhere a directive is refused."""
    for name in ("Resume", "Ignore", "Break", "Commit", "Rollback"):
        flow = scenario(start({}), fail(2, **handled(directive(9, name))), dlq=True)
        assert not [item for item in imported(flow).findings if item.severity == "error"], name
    misplaced = imported(scenario(start({}), directive(2, "Ignore")))

    assert "E-DIRECTIVE" in [item.code for item in misplaced.findings]


# -- 3.4 ---------------------------------------------------------------------------------------------------------------


@paragraph("3.4", "onerror:[…] is an ordinary flow")
def test_3_4_what_an_error_route_sees() -> None:
    """The input's modules and the error: message, type, name, detail, statusCode; not the failed module's fields."""
    error = RateLimitError("[429] slow", status_code=429, suberrors=["one"])
    names = "1.k 2.error.message 2.error.type 2.error.name 2.error.statusCode 2.error.detail[1].message 2.k"
    value = "|".join(f"{{{{{name}}}}}" for name in names.split())
    flow = scenario(start({"k": "a"}), module(2, "test:Do", onerror=[compose(8, value), compose(9, "x{{2.error}}")]))

    result = run(flow, {"test:Do": raising(error)})

    assert result.outputs()[-2] == (8, [{"value": "a|[429] slow|RateLimitError|RateLimitError|429|one|"}])
    whole = result.outputs()[-1][1]
    assert not isinstance(whole, str)
    assert '"type":"RateLimitError"' in whole[0]["value"]


@paragraph("3.4", "onerror:[…] is an ordinary flow")
def test_3_4_an_error_route_may_have_routers_filters_and_handlers() -> None:
    """It runs for the failing bundle only."""
    inner = fail(7, "inner", **handled(directive(8, "Resume", {"ok": "yes"})))
    route = [inner, router(10, [compose(11, "{{7.ok}}"), directive(12, "Ignore")], [compose(13, "x")])]

    assert ran(*ROWS, bad(onerror=route)) == [1, 2, 2, 7, 11, 2]


@paragraph("3.4", "Operations in it count. An error inside the error route")
def test_3_4_an_unhandled_error_in_an_error_route_is_the_new_cause() -> None:
    """The first one among its suberrors; stored, its failed module is the one in the route, with the first error."""
    flow = (start({}), fail(2, "first", onerror=[fail(8, "second"), directive(9, "Ignore")]))
    plain, dlq = run(scenario(*flow)), run(scenario(*flow, dlq=True))
    assert plain.finished is not None and plain.finished.error is not None

    assert (plain.finished.error.message, plain.finished.error.suberrors) == ("second", ("first",))
    assert (plain.finished.error_module, plain.finished.operations) == (8, 3)
    assert [(item.module_id, sorted(item.inputs)) for item in dlq.incomplete] == [(8, [1, 2])]


@paragraph("3.4", "onerror: [] = handler absent")
def test_3_4_an_empty_error_route_is_none() -> None:
    """The default applies."""
    assert run(scenario(*ROWS, bad(onerror=[]))).status == "error"


@paragraph("3.4", "Handler on a router (licensed build only")
def test_3_4_a_handler_on_a_router_covers_its_routes() -> None:
    """Nested routers too, a module's own handler first. Resume lets later routes run, Ignore ends the router for the
    bundle that entered it, Break stores the failing bundle."""

    def through(name: str, **settings: Any) -> list[int]:
        return ran(*ROWS, router(2, [bad(4)], [compose(5, "x")], **handled(directive(9, name))), **settings)

    nested = router(2, [router(3, [bad(4)], [compose(6, "y")])], [compose(5, "x")], **handled(directive(9, "Resume")))
    own = router(2, [bad(4, **handled(directive(8, "Ignore")))], [compose(5, "x")], **handled(directive(9, "Rollback")))
    assert through("Resume") == [1, 4, 5, 4, 5, 4, 5]
    assert through("Ignore") == [1, 4, 5, 4, 4, 5]
    assert through("Break", dlq=True) == [1, 4, 5, 4, 5, 4, 5]
    assert ran(*ROWS, nested) == [1, 4, 6, 5, 4, 6, 5, 4, 6, 5]
    assert ran(*ROWS, own) == [1, 4, 5, 4, 5, 4, 5]


@paragraph("3.4", "Handler on a router (licensed build only")
def test_3_4_ignore_on_a_router_drops_sibling_bundles_of_the_route() -> None:
    """The iterator in the route gave three; the second failed: the third and the later route are dropped."""
    item = module(4, "json:ParseJSON", {"json": '{{if(3.value = 2; "{"; "[{}]")}}'})
    routes = ([feeder(3, "{{1.l}}"), item], [compose(5, "x")])
    flow = (start({"l": [1, 2, 3]}, {"l": [1]}), router(2, *routes, **handled(directive(9, "Ignore"))))

    assert ran(*flow) == [1, 3, 4, 4, 3, 4, 5]


# -- 3.9 ---------------------------------------------------------------------------------------------------------------


@paragraph("3.9", "builtin:ThrowError v1")
def test_3_9_errors_and_warnings_on_purpose() -> None:
    """A `RuntimeError` with its message that handlers take; a warning gives `{}` and goes on."""
    warn = module(2, "builtin:ThrowWarning", {"message": "look"})
    warned = run(scenario(start({"k": "a"}), warn, compose(3, "{{1.k}}")))
    taken = run(scenario(start({}), fail(2, "stop here", **handled(compose(8, "{{2.error.message}}")))))

    assert (warned.status, warned.outputs()[1:]) == ("warning", [(2, [{}]), (3, [{"value": "a"}])])
    assert taken.outputs()[-1] == (8, [{"value": "stop here"}])
    assert ending(run(scenario(start({}), fail(2, "stop here")))) == ("error", ModuleRuntimeError.name, 2)
