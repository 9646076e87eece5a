"""
The import checker: what makes a blueprint impossible or doubtful to run (spec/scenarios.md 1.7).

Walks the flows in order of the file with the path of each module: what was executed before it, what of that it can see,
and which aggregation spans are closed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from runtime.app.report import nearest
from runtime.iml import Call, Template, compile_document
from runtime.iml.functions import APP_ONLY, FUNCTIONS
from runtime.scenario.blueprint import Blueprint, Condition, Module
from runtime.scenario.catalog import (
    DIRECTIVES,
    NEVER_FIRST,
    TRIGGERS,
    Catalog,
    ModuleInfo,
    Role,
    UnknownApp,
    UnknownModule,
    UnknownVersion,
)
from runtime.scenario.doubts import resume_fields, secrets, unknown_field, wrong_types
from runtime.scenario.fields import check_fields
from runtime.scenario.findings import BlueprintFinding, severity
from runtime.scenario.names import INVENTED

#: More modules than this only warn (spec/scenarios.md 1.1).
MANY_MODULES: Final = 150

_INFOS: Final[dict[str, Role]] = {
    "builtin:BasicRouter": Role.ROUTER,
    "builtin:BasicIfElse": Role.IF_ELSE,
    "builtin:BasicMerge": Role.MERGE,
}


@dataclass(frozen=True, slots=True)
class _Path:
    """
    What lies before a module. `before`: ids executed before it, in order; `seen`: those it can address;
    `reach`: for each id on the path what was visible before it; `closed`: id -> feeder of the closed span around it.
    """

    before: tuple[int, ...] = ()
    seen: frozenset[int] = frozenset()
    reach: dict[int, frozenset[int]] | None = None
    closed: dict[int, int] | None = None
    in_error: bool = False
    main: bool = False

    def then(self, module: int) -> _Path:
        reach = {**(self.reach or {}), module: self.seen}
        return replace(self, before=(*self.before, module), seen=self.seen | {module}, reach=reach)


class Checker:
    """Checks one blueprint against a catalog; `findings` holds what was found, `infos` the modules that are known."""

    def __init__(self, blueprint: Blueprint, catalog: Catalog, orphans: frozenset[int] = frozenset()) -> None:
        self.findings: list[BlueprintFinding] = []
        self._blueprint = blueprint
        self._catalog = catalog
        self._modules = {module.id: module for module in blueprint.modules()}
        self._ids = frozenset(self._modules)
        self._orphans = orphans
        self._webhook = False

    def check(self) -> list[BlueprintFinding]:
        """All findings, in order of the file."""
        blueprint = self._blueprint
        if blueprint.flow:
            info = self._lookup_quietly(blueprint.flow[0])
            self._webhook = info is not None and info.role is Role.INSTANT
            self._flow(blueprint.flow, _Path(main=True))
        count = len(list(blueprint.modules()))
        if count > MANY_MODULES:
            self._add("W-SIZE", f"the scenario has {count} modules", None)
        return self.findings

    def _add(
        self,
        code: str,
        message: str,
        module: Module | None,
        place: str = "",
        hint: str = "",
        excerpt: tuple[str, int] | None = None,
    ) -> None:
        number, name, pointer = (module.id, module.name, module.pointer + place) if module else (None, "", place)
        self.findings.append(BlueprintFinding(severity(code), code, message, number, name, pointer, hint, excerpt))

    def _lookup_quietly(self, module: Module) -> ModuleInfo | None:
        try:
            return self._catalog.lookup(module.name, module.version)
        except LookupError:
            return None

    def _info(self, module: Module) -> ModuleInfo | None:
        hint = INVENTED.get(module.name, "")
        try:
            return self._catalog.lookup(module.name, module.version)
        except UnknownApp as unknown:
            names = hint or ", ".join(unknown.near)
            self._add(
                "E-UNKNOWN-APP",
                f"module {module.id} ({module.name}) needs the app {unknown.app!r}, which is not here",
                module,
                "/module",
                f"did you mean {names}?" if names else "add the app with `scenarist app add`",
            )
        except UnknownModule as unknown:
            names = hint or ", ".join(unknown.near)
            self._add(
                "E-UNKNOWN-MODULE",
                f"there is no module {module.name} (module {module.id})",
                module,
                "/module",
                f"did you mean {names}?" if names else "",
            )
        except UnknownVersion as unknown:
            known = ", ".join(str(version) for version in unknown.known)
            self._add(
                "E-VERSION-APP",
                f"{module.name} does not exist in version {module.version} (module {module.id})",
                module,
                "/version",
                f"known versions: {known}",
            )
        # A module that shapes the flow is still checked as such.
        role = _INFOS.get(module.name)
        return ModuleInfo(module.name, role) if role else None

    def _flow(self, flow: tuple[Module, ...], path: _Path) -> None:
        previous: Module | None = None
        router: Module | None = None
        dead: Module | None = None
        for position, module in enumerate(flow):
            info = self._info(module)
            first = path.main and position == 0
            if router is not None:
                self._add("E-AFTER-ROUTER", f"module {module.id} stands behind the router {router.id}", module)
            if dead is not None:
                self._add("W-UNREACHED", f"module {dead.id} before it never gives a bundle", module)
            follows = flow[position + 1] if position + 1 < len(flow) else None
            if info is not None:
                self._place(module, info, path, first, last=follows is None, previous=previous, following=follows)
                self._fields(module, info)
            self._expressions(module, info, path)
            if info is not None and info.role is Role.AGGREGATOR and not first:
                after = self._span(module, path)
            else:
                after = path.then(module.id)
            self._inside(module, path)
            if info is not None and info.role is Role.IF_ELSE:
                after = path  # the if-else itself has no bundle, and its branches are not addressable behind it
            router = module if info is not None and info.role is Role.ROUTER else router
            dead = module if info is not None and info.role is Role.RETURNER else dead
            path, previous = after, module

    def _inside(self, module: Module, path: _Path) -> None:
        inner = replace(path, main=False)
        for route in module.routes:
            self._flow(route.flow, inner)
        for branch in module.branches:
            self._flow(branch.flow, inner)
        if module.onerror:
            failed = inner.then(module.id)
            for last in module.onerror[-1:]:
                if last.name == "builtin:Resume":
                    for code, message, place in resume_fields(last, module):
                        self._add(code, message, last, place)
            self._flow(module.onerror, replace(failed, in_error=True))

    def _place(
        self,
        module: Module,
        info: ModuleInfo,
        path: _Path,
        first: bool,
        *,
        last: bool,
        previous: Module | None,
        following: Module | None,
    ) -> None:
        role = info.role
        if first and role in NEVER_FIRST:
            self._add("E-START", f"{module.name} cannot be the start module", module)
        if first and module.filter is not None and any(module.filter.conditions):
            self._add("E-FILTER-START", "the start module has a filter", module, "/filter")
        if role in TRIGGERS and not first:
            self._add("E-TRIGGER-POS", f"the trigger {module.name} is not the first module", module)
        if role in DIRECTIVES:
            if not path.in_error or not last:
                where = "is not the last one of its list" if path.in_error else "stands outside an error route"
                self._add("E-DIRECTIVE", f"the directive {module.name} {where}", module)
            if module.onerror:
                self._add("E-ONERROR-PLACE", "a directive has no error route", module, "/onerror")
            if role is Role.BREAK and not self._blueprint.settings.dlq:
                message = "Break stores nothing while incomplete executions are off: it acts as Rollback"
                self._add("W-UNUSED-DLQ", message, module)
        elif role is Role.ROUTER:
            self._router(module)
        elif role is Role.IF_ELSE:
            if any(branch.merge for branch in module.branches) and (following is None or "Merge" not in following.name):
                self._add("E-MERGE", "branches merge, but no merge follows", module, "/branches")
        elif role is Role.MERGE:
            if previous is None or not previous.name.endswith(":BasicIfElse"):
                self._add("E-MERGE", "a merge stands directly behind an if-else", module)
        elif role is Role.RESPONDER and not self._webhook:
            self._add("E-RESPOND", "no webhook waits for an answer: the module does nothing", module)

    def _router(self, module: Module) -> None:
        if not module.routes:
            self._add("E-ROUTES", "the router has no routes", module, "/routes")
        elif module.fallback is not None and not 0 <= module.fallback < len(module.routes):
            message = f"the fallback route {module.fallback} does not exist; there are {len(module.routes)}"
            self._add("E-ROUTES", message, module, "/parameters/else")
        open_routes = [
            index
            for index, route in enumerate(module.routes)
            if not (route.flow and route.flow[0].filter and any(route.flow[0].filter.conditions))
            and index != module.fallback
        ]
        if len(open_routes) > 1:
            self._add(
                "W-NOFILTER-ROUTES", f"{len(open_routes)} routes have no filter and always run", module, "/routes"
            )
        for index, route in enumerate(module.routes):
            if not route.flow:
                self._add("W-BRANCH", f"route {index} is empty", module, f"/routes/{index}")

    def _span(self, module: Module, path: _Path) -> _Path:
        """Check an aggregator's feeder, and close its span: only what was visible before the feeder stays visible."""
        feeder = module.feeder
        if feeder is None or feeder not in path.before:
            message = (
                f"the source module {feeder} is not on the path" if feeder else "the aggregator names no source module"
            )
            self._add("E-FEEDER", message, module, "/parameters/feeder")
            return path.then(module.id)
        closed = dict(path.closed or {})
        if feeder in closed:
            if closed[feeder] == feeder:
                message = (
                    f"the span of module {feeder} is closed already: this collects what the first aggregator gives"
                )
                self._add("W-CLOSED", message, module, "/parameters/feeder")
            else:
                message = f"the source module {feeder} lies inside the span of an earlier aggregator: the spans cross"
                self._add("E-CROSS", message, module, "/parameters/feeder")
        for inner in path.before[path.before.index(feeder) :]:
            closed[inner] = feeder
        seen = (path.reach or {}).get(feeder, frozenset())
        after = replace(path, seen=seen, closed=closed)
        return after.then(module.id)

    # -- expressions and values ---------------------------------------------------------------------------------------

    def _expressions(self, module: Module, info: ModuleInfo | None, path: _Path) -> None:
        def look(source: Any, place: str, seen: frozenset[int]) -> None:
            self._template(compile_document(source), module, place, seen)

        look(module.mapper, "/mapper", path.seen)
        if module.filter is not None:
            self._conditions(module.filter.conditions, "/filter/conditions", path.seen, look)
        if module.flags.group_by not in (None, ""):
            look(module.flags.group_by, "/flags/groupBy", path.seen)
        for index, branch in enumerate(module.branches):
            self._conditions(branch.conditions, f"/branches/{index}/conditions", path.seen, look)
        if info is not None and info.evaluates_parameters:
            look(module.parameters, "/parameters", frozenset())
        # A merge sees the branch that led to it; which one is decided at run time.
        for index, output in enumerate(module.outputs):
            look(list(output.mappings), f"/outputs/{index}/mappings", self._ids)

    def _conditions(
        self, groups: tuple[tuple[Condition, ...], ...], place: str, seen: frozenset[int], look: Callable[..., None]
    ) -> None:
        for outer, group in enumerate(groups):
            for inner, condition in enumerate(group):
                look(condition.a, f"{place}/{outer}/{inner}/a", seen)
                look(condition.b, f"{place}/{outer}/{inner}/b", seen)

    def _template(self, template: Template, module: Module, place: str, seen: frozenset[int]) -> None:
        for error in template.errors:
            excerpt = (error.template, error.column)
            self._add("E-IML", error.message, module, place + error.pointer, excerpt=excerpt)
        for call in template.calls:
            self._call(call, module, place)
        reported: set[int] = set()
        for reference in template.references:
            if not (reference.root.isascii() and reference.root.isdigit()):
                continue
            target = int(reference.root[:15])
            if target in seen and target in self._modules:
                problem = unknown_field(self._modules[target], reference.path)
                if problem:
                    self._add("W-REF", problem, module, place + reference.pointer)
            if target in reported or target in seen:
                continue
            reported.add(target)
            where = place + reference.pointer
            if target not in self._ids and target not in self._orphans:
                self._add("E-REF", f"there is no module {target}", module, where)
            elif target != module.id or "error" not in reference.path[:1]:
                message = f"module {target} is not on the path of module {module.id}: its value is empty"
                self._add("W-REF", message, module, where)

    def _call(self, call: Call, module: Module, place: str) -> None:
        """W-IML: a function that no mapper knows; the run fails when it gets there, which it may never do."""
        if call.name in FUNCTIONS and call.name not in APP_ONLY:
            return
        near = nearest(call.name, FUNCTIONS.keys() - APP_ONLY)
        hint = f"did you mean {near}?" if near else "scenarist iml --functions lists the functions"
        if call.name in APP_ONLY:
            hint = "only the files of custom apps know it"
        self._add("W-IML", f'unknown function "{call.name}"', module, place + call.pointer, hint)

    def _fields(self, module: Module, info: ModuleInfo) -> None:
        doubts = (*check_fields(module, info), *wrong_types(module, self._modules), *secrets(module))
        for code, message, place in doubts:
            self._add(code, message, module, place)
