"""
From the unwrapped object to frozen models: shapes, aliases and defaults (spec/scenarios.md 1.2 to 1.6).

Whatever cannot be read becomes a finding and is left out, so that the rest of the file is still checked.
"""

from __future__ import annotations

from typing import Any, Final, cast

from runtime.scenario.blueprint import (
    Blueprint,
    Branch,
    Condition,
    Filter,
    Flags,
    MergeOutput,
    Module,
    Route,
    Settings,
)
from runtime.scenario.filters import canonical
from runtime.scenario.findings import BlueprintFinding, severity

#: Deepest nesting of flows (routes, branches, error routes inside each other).
MAX_FLOW_DEPTH: Final = 30
#: Keys that only generated files have (E-SHAPE).
_INVENTED_KEYS: Final = ("config", "handlers", "connections")
_IF_ELSE: Final = "builtin:BasicIfElse"
_MERGE: Final = "builtin:BasicMerge"


class Reader:
    """Reads one unwrapped blueprint; `findings` holds what was wrong."""

    def __init__(self) -> None:
        self.findings: list[BlueprintFinding] = []
        self._ids: set[int] = set()

    def note(self, code: str, message: str, pointer: str = "", module: Any = None, hint: str = "") -> None:
        """Add a finding; `module` is the raw module object that it is about, if any."""
        number, name = None, ""
        if isinstance(module, dict):
            raw = cast("dict[str, Any]", module)
            number = whole(raw.get("id"))
            name = raw["module"] if isinstance(raw.get("module"), str) else ""
        self.findings.append(BlueprintFinding(severity(code), code, message, number, name, pointer, hint))

    def read(self, raw: dict[str, Any], scheduling: dict[str, Any] | None) -> Blueprint:
        """The blueprint's models. Check `findings` before using them."""
        metadata = _collection(raw.get("metadata"))
        version = metadata.get("version", 1)
        if version is not None and (isinstance(version, bool) or version not in (1, "1")):
            self.note("E-VERSION", f"format version {version!r} is not known; only 1 is", "/metadata/version")
        flow = self.flow(raw.get("flow"), "/flow", 0)
        if not raw.get("flow"):
            self.note("E-EMPTY", "the flow holds no module", "/flow")
        inputs, outputs = _specs(raw)
        name = raw.get("name")
        return Blueprint(
            name=name if isinstance(name, str) else "",
            flow=flow,
            settings=_settings(_collection(metadata.get("scenario"))),
            scheduling=scheduling,
            inputs=inputs,
            outputs=outputs,
            raw=raw,
        )

    def flow(self, raw: Any, pointer: str, depth: int) -> tuple[Module, ...]:
        """A list of modules. An entry that is no module is a finding and is left out."""
        if raw is None:
            return ()
        if not isinstance(raw, list) or depth > MAX_FLOW_DEPTH:
            what = (
                f"flows are nested deeper than {MAX_FLOW_DEPTH} levels"
                if isinstance(raw, list)
                else "no list of modules"
            )
            self.note("E-SHAPE", what, pointer)
            return ()
        modules: list[Module] = []
        for index, item in enumerate(cast("list[Any]", raw)):
            module = self.module(item, f"{pointer}/{index}", depth)
            if module is not None:
                if module.name == _MERGE and modules and modules[-1].branches:
                    module = self._merge(module, modules[-1], item)
                modules.append(module)
        return tuple(modules)

    def module(self, raw: Any, pointer: str, depth: int) -> Module | None:
        """One module object, or None when it is none."""
        if not isinstance(raw, dict):
            self.note("E-SHAPE", "an entry of the flow is no module object", pointer)
            return None
        data = cast("dict[str, Any]", raw)
        name, number = data.get("module"), data.get("id")
        invented = [key for key in _INVENTED_KEYS if data.get(key)]
        if invented:
            hint = "export the scenario from the editor; generated files are not read"
            self.note("E-SHAPE", f"a module has no key {invented[0]!r}", pointer, raw, hint)
        if not isinstance(name, str) or not name or number is None:
            missing = "module" if not isinstance(name, str) or not name else "id"
            self.note("E-SHAPE", f"the module object has no usable {missing!r}", pointer, raw)
            return None
        identity = whole(number)
        if identity is None or identity < 1:
            self.note("E-ID", f"the module id {number!r} is no positive whole number", f"{pointer}/id", raw)
            return None
        if not isinstance(number, int):
            self.note("W-ALIAS", f"the module id {number!r} is read as {identity}", f"{pointer}/id", raw)
        if identity in self._ids:
            self.note("E-DUP-ID", f"the module id {identity} is used twice", f"{pointer}/id", raw)
        self._ids.add(identity)
        parameters, mapper = self._settings(raw, "parameters", pointer), self._settings(raw, "mapper", pointer)
        metadata = _collection(data.get("metadata"))
        designer = _collection(metadata.get("designer"))
        restore = designer.get("name")
        fallback = parameters.get("else")
        feeder = parameters.get("feeder", parameters.get("feederModule"))
        version = whole(data.get("version"))
        return Module(
            id=identity,
            name=name,
            version=1 if version is None else version,
            parameters=parameters,
            mapper=mapper,
            filter=self.filter(data.get("filter"), f"{pointer}/filter", raw),
            onerror=self.flow(data.get("onerror"), f"{pointer}/onerror", depth + 1),
            routes=self._routes(raw, pointer, depth),
            fallback=whole(fallback),
            branches=self._branches(raw, pointer, depth),
            outputs=_outputs(data.get("outputs")),
            filters=tuple(
                self.filter(item, f"{pointer}/filters/{index}", raw)
                for index, item in enumerate(_list(data.get("filters")))
            ),
            flags=self._flags(raw, parameters, pointer),
            feeder=whole(feeder),
            label=restore if isinstance(restore, str) else "",
            expect=metadata.get("expect"),
            expect_parameters=metadata.get("parameters"),
            interface=metadata.get("interface"),
            pointer=pointer,
        )

    def filter(self, raw: Any, pointer: str, module: Any) -> Filter | None:
        """A filter, or None when there is none."""
        if raw is None:
            return None
        if not isinstance(raw, dict):
            self.note("E-SHAPE", "the filter is no object", pointer, module)
            return None
        name = raw.get("name")
        conditions = self.conditions(raw.get("conditions"), f"{pointer}/conditions", module)
        return Filter(name=name if isinstance(name, str) else "", conditions=conditions)

    def conditions(self, raw: Any, pointer: str, module: Any) -> tuple[tuple[Condition, ...], ...]:
        """Outer list OR, inner list AND; operator names are made canonical."""
        if raw is None:
            return ()
        if not isinstance(raw, list):
            self.note("E-SHAPE", "conditions are no list of lists", pointer, module)
            return ()
        groups: list[tuple[Condition, ...]] = []
        for outer, group in enumerate(cast("list[Any]", raw)):
            if not isinstance(group, list):
                self.note("E-SHAPE", "conditions are no list of lists", f"{pointer}/{outer}", module)
                continue
            tests = [self._condition(item, f"{pointer}/{outer}/{inner}", module) for inner, item in enumerate(group)]
            groups.append(tuple(test for test in tests if test is not None))
        return tuple(groups)

    def _condition(self, raw: Any, pointer: str, module: Any) -> Condition | None:
        if not isinstance(raw, dict):
            self.note("E-SHAPE", "a condition is no object", pointer, module)
            return None
        given = raw.get("o")
        operator = canonical(given) if isinstance(given, str) and given else "exist" if not given else None
        if operator is None:
            self.note("E-OP", f"there is no filter operator {given!r}", f"{pointer}/o", module)
            operator = "exist"
        elif given and operator != given:
            self.note("W-OFF-OPERATOR", f"the operator {given!r} is read as {operator!r}", f"{pointer}/o", module)
        return Condition(a=raw.get("a"), operator=operator, b=raw.get("b"))

    def _settings(self, raw: dict[str, Any], key: str, pointer: str) -> dict[str, Any]:
        value = raw.get(key)
        # Exports write an empty collection as an empty list here and there.
        if value is None or value == []:
            return {}
        if not isinstance(value, dict):
            self.note("E-SHAPE", f"{key!r} is no collection", f"{pointer}/{key}", raw)
            return {}
        return cast("dict[str, Any]", value)

    def _flags(self, raw: dict[str, Any], parameters: dict[str, Any], pointer: str) -> Flags:
        flags = dict(_collection(raw.get("flags")))
        names = (("groupBy", "groupBy"), ("stopIfEmpty", "stopIfEmpty"), ("stopProcessingOnEmpty", "stopIfEmpty"))
        for alias, name in names:
            if name not in flags and "feeder" in parameters and alias in parameters:
                flags[name] = parameters[alias]
                self.note("W-ALIAS", f"{alias!r} belongs into 'flags'", f"{pointer}/parameters/{alias}", raw)
        stop = flags.get("stopIfEmpty")
        return Flags(group_by=flags.get("groupBy"), stop_if_empty=stop is True or stop == "true")

    def _routes(self, raw: dict[str, Any], pointer: str, depth: int) -> tuple[Route, ...]:
        routes: list[Route] = []
        for index, item in enumerate(_list(raw.get("routes"))):
            place = f"{pointer}/routes/{index}"
            if not isinstance(item, dict):
                self.note("E-SHAPE", "a route is no object", place, raw)
                continue
            flow = self.flow(item.get("flow"), f"{place}/flow", depth + 1)
            if item.get("filter") and flow:
                moved = self.filter(item["filter"], f"{place}/filter", raw)
                self.note("W-ALIAS", "a filter on a route belongs to its first module", f"{place}/filter", raw)
                if flow[0].filter is None:
                    flow = (flow[0].model_copy(update={"filter": moved}), *flow[1:])
            routes.append(Route(flow=flow, disabled=item.get("disabled") is True))
        return tuple(routes)

    def _branches(self, raw: dict[str, Any], pointer: str, depth: int) -> tuple[Branch, ...]:
        branches: list[Branch] = []
        for index, item in enumerate(_list(raw.get("branches"))):
            place = f"{pointer}/branches/{index}"
            if not isinstance(item, dict):
                self.note("E-SHAPE", "a branch is no object", place, raw)
                continue
            is_else = item.get("type") == "else"
            conditions = self.conditions(item.get("conditions", item.get("condition")), f"{place}/conditions", raw)
            flow = self.flow(item.get("flow"), f"{place}/flow", depth + 1)
            if flow and flow[0].filter is not None and flow[0].filter.conditions:
                self.note("W-BRANCH", "the filter on the first module of a branch does not count", place, raw)
            if is_else and any(conditions):
                self.note("E-MERGE", "an else branch has conditions", f"{place}/conditions", raw)
            elif not is_else and not any(conditions):
                self.note("W-BRANCH", "a branch without conditions is never taken", place, raw)
            label = item.get("label")
            branches.append(
                Branch(
                    label=label if isinstance(label, str) else "",
                    is_else=is_else,
                    conditions=() if is_else else conditions,
                    flow=flow,
                    merge=item.get("merge") is True,
                    disabled=item.get("disabled") is True,
                )
            )
        if sum(branch.is_else for branch in branches) > 1:
            self.note("E-MERGE", "an if-else has at most one else branch", f"{pointer}/branches", raw)
        return tuple(branches)

    def _merge(self, merge: Module, if_else: Module, raw: Any) -> Module:
        """Bring `mappings` and `filters` of a merge, counted by merging branches, to an index by branch."""
        every = len(if_else.branches)
        merging = [index for index, branch in enumerate(if_else.branches) if branch.merge]
        outputs: list[MergeOutput] = []
        for output in merge.outputs:
            spread = self._spread(output.mappings, merging, every, raw, merge.pointer)
            outputs.append(MergeOutput(name=output.name, mappings=spread))
        filters: tuple[Filter | None, ...] = ()
        if merge.filters:
            filters = self._spread(merge.filters, merging, every, raw, merge.pointer)
        return merge.model_copy(update={"outputs": tuple(outputs), "filters": filters})

    def _spread(
        self, values: tuple[Any, ...], merging: list[int], every: int, raw: Any, pointer: str
    ) -> tuple[Any, ...]:
        if len(values) == len(merging):
            by_branch = dict(zip(merging, values, strict=True))
            return tuple(by_branch.get(index) for index in range(every))
        if len(values) == every:
            self.note("W-BRANCH", "the merge counts all branches; only merging ones are expected", pointer, raw)
            return values
        message = f"the merge has {len(values)} entries for {len(merging)} merging branches"
        self.note("E-MERGE", message, pointer, raw)
        return tuple([None] * every)


def whole(value: Any) -> int | None:
    """A whole number, also from numeric text or a float without fraction; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return int(value)
    return None


def _collection(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _outputs(raw: Any) -> tuple[MergeOutput, ...]:
    return tuple(
        MergeOutput(name=str(item.get("name", "")), mappings=tuple(_list(item.get("mappings"))))
        for item in _list(raw)
        if isinstance(item, dict)
    )


def _specs(raw: dict[str, Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    interface, io = _collection(raw.get("interface")), _collection(raw.get("io"))
    inputs = _list(interface.get("input")) or _list(io.get("input_spec"))
    outputs = _list(interface.get("output")) or _list(io.get("output_spec"))
    return tuple(inputs), tuple(outputs)


def _settings(raw: dict[str, Any]) -> Settings:
    def flag(key: str, default: bool) -> bool:
        value = raw.get(key)
        return value if isinstance(value, bool) else default

    def number(key: str, default: int) -> int:
        value = whole(raw.get(key))
        return value if value and value > 0 else default

    slots = whole(raw.get("slots"))
    return Settings(
        roundtrips=number("roundtrips", 1),
        max_errors=number("maxErrors", 3),
        auto_commit=flag("autoCommit", True),
        auto_commit_trigger_last=flag("autoCommitTriggerLast", True),
        sequential=flag("sequential", False),
        confidential=flag("confidential", False),
        dlq=flag("dlq", False),
        dataloss=flag("dataloss", False),
        fresh_variables=flag("freshVariables", False),
        slots=slots if slots and slots > 0 else None,
    )


__all__ = ["MAX_FLOW_DEPTH", "Reader", "whole"]
