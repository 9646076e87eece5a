"""Small blueprints that together use every construct of the engine, for tests that interrupt them anywhere."""

from __future__ import annotations

from typing import Any

from tests.unit.scenario.helpers import compose, fail, module, router, scenario, start, when

THREE = ({"n": 1, "l": ["a", "b"]}, {"n": 2, "l": []}, {"n": 3, "l": ["c"]})


def feeder(number: int, array: str = "{{1.l}}", **rest: Any) -> dict[str, Any]:
    """An iterator."""
    return module(number, "builtin:BasicFeeder", {"array": array}, **rest)


def gather(number: int, source: int, mapper: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """An array aggregator."""
    return module(number, "builtin:BasicAggregator", mapper, parameters={"feeder": source}, **rest)


def remember(number: int, name: str, value: str, scope: str = "roundtrip", **rest: Any) -> dict[str, Any]:
    """Sets a variable."""
    return module(number, "util:SetVariable2", {"name": name, "scope": scope, "value": value}, **rest)


def recall(number: int, name: str) -> dict[str, Any]:
    """Reads a variable."""
    return module(number, "util:GetVariable2", {"name": name})


def only(number: int, module_id: int = 1) -> dict[str, Any]:
    """Lets one of the three bundles in."""
    return when(f"{{{{{module_id}.n}}}}", "number:equal", str(number), name=f"only {number}")


def handled(*route: dict[str, Any]) -> dict[str, Any]:
    """An error route."""
    return {"onerror": list(route)}


def directive(number: int, name: str, mapper: dict[str, Any] | None = None) -> dict[str, Any]:
    """A directive."""
    return module(number, f"builtin:{name}", mapper)


def choice(number: int, *branches: dict[str, Any]) -> dict[str, Any]:
    """An if-else."""
    return {"id": number, "module": "builtin:BasicIfElse", "version": 1, "mapper": None, "branches": list(branches)}


def branch(flow: list[Any], n: str | None, *, merge: bool = False) -> dict[str, Any]:
    """A branch that is taken for this `n`, or the else branch."""
    if n is None:
        return {"type": "else", "label": "else", "flow": flow, "merge": merge}
    test = [[{"a": "{{1.n}}", "o": "number:equal", "b": n}]]
    return {"type": "condition", "label": n, "conditions": test, "flow": flow, "merge": merge}


def merge(number: int, *mappings: str) -> dict[str, Any]:
    """A merge with one output."""
    outputs = [{"name": "r", "mappings": list(mappings)}] if mappings else []
    return {"id": number, "module": "builtin:BasicMerge", "version": 1, "mapper": None, "outputs": outputs}


def sleep(number: int, seconds: int = 60) -> dict[str, Any]:
    """A sleep, which parks the run."""
    return module(number, "util:FunctionSleep", {"duration": seconds})


def text(number: int, source: int, value: str, **rest: Any) -> dict[str, Any]:
    """A text aggregator."""
    return module(number, "util:TextAggregator", {"value": value}, parameters={"feeder": source}, **rest)


def bad(number: int, **rest: Any) -> dict[str, Any]:
    """Fails for the second bundle only."""
    return module(number, "json:ParseJSON", {"json": '{{if(1.n = 2; "{"; "[{}]")}}'}, **rest)


def put(number: int, key: str, **rest: Any) -> dict[str, Any]:
    """Writes a record into a data store, which is an intent."""
    mapper = {"key": key, "overwrite": True, "data": {"v": key}}
    return module(number, "datastore:AddRecord", mapper, parameters={"datastore": 1}, **rest)


S = start(*THREE)

#: Name -> blueprint.
FLOWS: dict[str, dict[str, Any]] = {
    "straight line": scenario(S, compose(2, "{{1.n}}"), compose(3, "{{2.value}}!")),
    "filter": scenario(S, compose(2, "{{1.n}}", filter=only(2)), compose(3, "{{2.value}}")),
    "iterator": scenario(S, feeder(2), compose(3, "{{2.value}}{{2.`__IMTINDEX__`}}/{{2.`__IMTLENGTH__`}}")),
    "nested iterators": scenario(S, feeder(2), feeder(3, "{{1.l}}"), compose(4, "{{2.value}}{{3.value}}")),
    "repeater": scenario(
        S, module(2, "builtin:BasicRepeater", {"start": 1, "repeats": 2, "step": 1}), compose(3, "{{2.i}}")
    ),
    "router": scenario(S, router(2, [compose(3, "a{{1.n}}")], [compose(4, "b{{1.n}}"), compose(5, "{{4.value}}")])),
    "router with filters and fallback": scenario(
        S, router(2, [compose(3, "f")], [compose(4, "{{1.n}}", filter=only(1))], parameters={"else": 0})
    ),
    "disabled and empty routes": scenario(
        S, router(2, {"flow": [compose(3, "x")], "disabled": True}, [], [compose(4, "y")])
    ),
    "nested routers": scenario(
        S,
        router(
            2,
            [compose(3, "{{1.n}}"), router(4, [compose(5, "{{3.value}}")], [compose(6, "z", filter=only(3))])],
            [compose(7, "q")],
        ),
    ),
    "filtered router": scenario(S, router(2, [compose(3, "x")], filter=only(2))),
    "array aggregator": scenario(S, feeder(2), gather(3, 2, {"v": "{{2.value}}"}), compose(4, "{{length(3.array)}}")),
    "aggregator with groups": scenario(
        S, gather(2, 1, {"n": "{{1.n}}"}, flags={"groupBy": "{{1.n % 2}}"}), compose(3, "{{2.`__IMTKEY__`}}")
    ),
    "stop when empty": scenario(
        S, feeder(2), gather(3, 2, {"v": "{{2.value}}"}, flags={"stopIfEmpty": True}), compose(4, "{{1.n}}")
    ),
    "nested aggregations": scenario(
        S,
        feeder(2),
        compose(3, "{{2.value}}"),
        gather(4, 2, {"v": "{{3.value}}"}),
        text(5, 1, "{{length(4.array)}}"),
        compose(6, "{{5.text}}"),
    ),
    "aggregators in routes": scenario(
        S,
        feeder(2),
        router(
            3,
            [text(4, 2, "{{2.value}}"), compose(5, "{{4.text}}")],
            [gather(6, 2, {"v": "{{2.value}}"}), compose(7, "{{length(6.array)}}")],
        ),
    ),
    "JSON aggregator": scenario(
        S, module(2, "json:AggregateToJSON", {"n": "{{1.n}}"}, parameters={"feeder": 1}), compose(3, "{{2.json}}")
    ),
    "numeric aggregator": scenario(
        S,
        module(2, "util:FunctionAggregator2", {"value": "{{1.n}}"}, parameters={"feeder": 1, "fn": "sum"}),
        compose(3, "{{2.result}}"),
    ),
    "table aggregator": scenario(
        S,
        feeder(2),
        module(
            3,
            "util:AggregateAggregator",
            {"a": "{{2.value}}", "b": "{{1.n}}"},
            parameters={"feeder": 2, "columnSeparator": ",", "rowSeparator": "\n"},
        ),
        compose(4, "{{3.text}}"),
    ),
    "archive aggregator": scenario(
        S,
        module(
            2,
            "archive:PackAggregator",
            {"archiveName": "a", "fileName": "{{1.n}}.txt", "data": "x"},
            parameters={"feeder": 1, "type": "zip"},
        ),
        compose(3, "{{2.fileName}}"),
    ),
    "CSV aggregator": scenario(
        S, module(2, "csv:CreateCSV", {"n": "{{1.n}}"}, parameters={"feeder": 1}), compose(3, "{{2.csv}}")
    ),
    "writes with auto commit": scenario(S, put(2, "{{1.n}}"), bad(3), put(4, "late")),
    "writes with one commit": scenario(
        S, put(2, "{{1.n}}"), bad(3, **handled(directive(9, "Ignore"))), put(4, "x{{1.n}}"), autoCommit=False
    ),
    "writes rolled back": scenario(S, put(2, "{{1.n}}"), bad(3), autoCommit=False, roundtrips=2),
    "filters everywhere": scenario(
        S,
        feeder(2, filter=when("{{1.n}}", "number:less", "3")),
        gather(3, 2, {"v": "{{2.value}}"}, filter=when("{{2.value}}", "text:equal", "a")),
        compose(4, "{{length(3.array)}}", filter=when("{{length(3.array)}}", "number:greater", "0")),
    ),
    "outputs and label": {
        **scenario(
            S,
            module(2, "scenario-service:NameExecution", {"executionName": "n{{1.n}}"}, version=2),
            module(3, "scenario-service:ReturnData", {"r": "{{1.n}}"}, version=2),
        ),
        "io": {"input_spec": [], "output_spec": [{"name": "r", "type": "text"}]},
    },
    "whole lists behind a basic trigger": scenario(
        module(1, "util:BasicTrigger", parameters={"values": [{"spec": [{"name": "n", "value": "1"}]}] * 2}),
        compose(2, "{{1.n}}"),
        text(3, 1, "{{2.value}}"),
    ),
    "if-else and merge": scenario(
        S,
        choice(2, branch([feeder(3)], "1", merge=True), branch([compose(4, "x")], "2"), branch([], None, merge=True)),
        merge(5, "{{3.value}}", "none"),
        compose(6, "{{5.r}}{{1.n}}"),
    ),
    "merge without outputs": scenario(
        S,
        choice(2, branch([compose(3, "a")], "1", merge=True), branch([], None, merge=True)),
        merge(4),
        compose(5, "[{{4.value}}]"),
    ),
    "placeholder": scenario(S, {"id": 2, "module": "placeholder:Placeholder", "version": 1}, compose(3, "{{1.n}}")),
    "cycle variables": scenario(S, remember(2, "v", "{{1.n}}"), recall(3, "v"), compose(4, "{{3.v}}"), roundtrips=2),
    "execution variables": scenario(
        recall(1, "v"), compose(2, "{{1.v}}"), remember(3, "v", "{{2.value}}x", "execution"), roundtrips=3
    ),
    "variables across routes": scenario(
        S, router(2, [remember(3, "v", "{{1.n}}")], [recall(4, "v"), compose(5, "{{4.v}}")])
    ),
    "sleep": scenario(S, sleep(2), compose(3, "{{1.n}}")),
    "sleep in an open span": scenario(
        S, feeder(2), sleep(3), gather(4, 2, {"v": "{{2.value}}"}), compose(5, "{{length(4.array)}}")
    ),
    "warning": scenario(S, module(2, "builtin:ThrowWarning", {"message": "w{{1.n}}"}), compose(3, "{{1.n}}")),
    "unhandled error": scenario(S, bad(2), compose(3, "{{1.n}}")),
    "unhandled error, one commit": scenario(S, remember(2, "a", "1"), bad(3), autoCommit=False, roundtrips=2),
    "ignore": scenario(S, bad(2, **handled(directive(9, "Ignore"))), compose(3, "{{1.n}}")),
    "resume": scenario(
        S,
        bad(2, **handled(compose(8, "{{2.error.type}}"), directive(9, "Resume", {"r": "{{8.value}}"}))),
        compose(3, "{{2.r}}"),
    ),
    "commit": scenario(S, bad(2, **handled(directive(9, "Commit"))), compose(3, "{{1.n}}"), roundtrips=2),
    "rollback": scenario(
        S, compose(3, "x"), bad(2, **handled(compose(8, "{{2.error.message}}"), directive(9, "Rollback")))
    ),
    "break": scenario(
        S,
        bad(2, **handled(directive(9, "Break", {"retry": True, "count": 2, "interval": 1}))),
        compose(3, "{{1.n}}"),
        dlq=True,
    ),
    "stored without a handler": scenario(S, bad(2), compose(3, "{{1.n}}"), dlq=True),
    "blocked error route": scenario(
        S, bad(2, **handled(compose(8, "x", filter=only(1)), directive(9, "Ignore"))), compose(3, "{{1.n}}")
    ),
    "router in an error route": scenario(
        S,
        bad(
            2,
            **handled(
                router(
                    7, [compose(8, "a", filter=only(1)), directive(9, "Ignore")], [directive(10, "Resume", {"r": 1})]
                )
            ),
        ),
        compose(3, "{{2.r}}"),
    ),
    "error in an error route": scenario(
        S,
        bad(2, **handled(fail(8, "inner", **handled(directive(9, "Ignore"))), directive(10, "Rollback"))),
        compose(3, "{{1.n}}"),
    ),
    "handler on a router": scenario(S, router(2, [bad(3)], [compose(4, "{{1.n}}")], **handled(directive(9, "Resume")))),
    "resume into a span": scenario(
        S,
        bad(2, **handled(directive(9, "Resume", {"r": "s"}))),
        gather(3, 1, {"r": "{{2.r}}"}),
        compose(4, "{{length(3.array)}}"),
    ),
    "filter that fails": scenario(
        S, compose(2, "x", filter=when("{{parseNumber(1.l; 5; 6; 7)}}", "exist"), **handled(directive(9, "Ignore")))
    ),
    "aggregator that fails": scenario(
        S,
        gather(2, 1, {"v": '{{if(1.n = 2; parseDate("no"; "YYYY"); 1)}}'}, **handled(directive(9, "Resume", {"v": 0}))),
        compose(3, "{{length(2.array)}}"),
    ),
    "everything at once": scenario(
        S,
        feeder(2, "{{1.l}}"),
        router(
            3,
            [
                remember(4, "last", "{{2.value}}"),
                gather(5, 2, {"v": "{{2.value}}"}, flags={"groupBy": "{{1.n}}"}),
                compose(6, "{{5.`__IMTKEY__`}}"),
            ],
            [
                sleep(7),
                bad(8, **handled(directive(9, "Resume", {"r": 1}))),
                recall(10, "last"),
                compose(11, "{{10.last}}", filter=when("{{2.value}}", "exist")),
            ],
            parameters={"else": 1},
        ),
        dlq=True,
        roundtrips=2,
    ),
}
