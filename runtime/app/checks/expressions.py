"""
IML in component files: syntax, functions, what `connection.x` and `common.x` can be (spec/iml.md, connections.md 13).

Every string is compiled on its own, so that a finding has the file, the line and the column of the expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from runtime.app.checks.communications import MODULE_KINDS, is_oauth1
from runtime.app.checks.context import Check, Text, may_hold, strings
from runtime.app.checks.variables import KNOWN, fault
from runtime.app.specs import CodeFile, ConnectionSpec
from runtime.errors import ImlTypeError
from runtime.iml import Call, Environment, Template, compile_document, compile_path
from runtime.iml.evaluation import BudgetExceeded, Evaluation, FunctionFailed
from runtime.iml.functions import FUNCTIONS
from runtime.iml.registry import CONVERSIONS, Parameter
from runtime.values import EPOCH, UNDEFINED

#: Keys whose plain text is an expression too (communication.md 0).
_BARE_PATHS = re.compile(r"/iterate(?:/container)?")
#: An expression outside of its quoted texts, for the dialect hints of --strict.
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_SINGLE_EQUALS = re.compile(r"(?<![=!<>])=(?!=)")


#: What the checker compiles in one app: longest text, characters and texts in all. The largest real app has 5,000
#: expressions in 300,000 characters; what is beyond is said (I604) and left to the run.
MAX_TEXT = 100_000
MAX_CHARACTERS = 3_000_000
MAX_TEXTS = 50_000
#: Literal arguments are converted as at run time; no conversion that can fail depends on the moment or the zone.
_ANYWHERE = Environment(now=EPOCH)


@dataclass(slots=True)
class _Scope:
    """What the expressions of one file may name. None = not known, so nothing is said."""

    title: str
    file: CodeFile
    connection: frozenset[str] | None = None
    common: frozenset[str] | None = None
    common_linked: bool = True
    code: bool = True
    #: Column of the directive matrix, for the variables that exist; "" for forms.
    kind: str = ""
    #: Names of the inputs that `parameters` can hold; None when an RPC gives some.
    inputs: frozenset[str] | None = None
    seen: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])


@lru_cache(maxsize=5000)
def _compiled(text: str, *, bare: bool) -> Template:
    return compile_path(text) if bare else compile_document(text)


def check_expressions(check: Check) -> None:
    """All rules about IML."""
    functions = frozenset(check.app.functions)
    missing_common: dict[str, _Scope] = {}
    characters, texts = MAX_CHARACTERS, MAX_TEXTS
    for scope in _scopes(check):
        if not scope.code and not may_hold(scope.file, "{{"):
            continue
        for text in strings(scope.file.value):
            if check.report.full:
                return
            bare = bool(_BARE_PATHS.search(text.pointer)) and not text.key and scope.code
            if text.key and text.text == "{{...}}":
                continue
            if "{{" in text.text or (bare and text.text):
                texts -= 1
                characters -= len(text.text)
                if len(text.text) > MAX_TEXT or characters < 0 or texts < 0:
                    what = "the text is" if len(text.text) > MAX_TEXT else "the texts of this app are"
                    _unread(check, scope, text, f"{what} too long: expressions in it are not checked")
                    break
                _check_text(check, scope, text, functions, bare=bare and "{{" not in text.text, missing=missing_common)
    if check.app.layout == "export" and missing_common:
        names = ", ".join(sorted(missing_common))
        message = f"an export lacks the values of common; the operator has to supply: {names}"
        check.report.add("info", "A405", message, file=check.app.base.file, component="app")


def _unread(check: Check, scope: _Scope, text: Text, message: str) -> None:
    document = scope.file.document
    check.report.add("warning", "I604", message, document=document, pointer=text.pointer, component=scope.title)


def _scopes(check: Check) -> Iterator[_Scope]:
    app = check.app
    common = frozenset(app.common_values)
    every = [produced(connection) for connection in app.connections.values()]
    all_connections = None if None in every else frozenset[str]().union(*[names for names in every if names])

    def linked(*ids: str | None) -> frozenset[str] | None:
        found = [produced(app.connections[name]) for name in ids if name and name in app.connections]
        if not found:
            return all_connections
        return None if None in found else frozenset[str]().union(*[names for names in found if names])

    def scope(
        title: str,
        file: CodeFile,
        connection: frozenset[str] | None,
        code: bool = True,
        kind: str = "",
        inputs: frozenset[str] | None = None,
    ) -> _Scope:
        return _Scope(title, file, connection, common, app.common.linked, code, kind, inputs)

    yield scope("app", app.base, all_connections, kind="BASE")
    for connection in app.connections.values():
        own = frozenset(connection.common.value) if isinstance(connection.common.value, dict) else frozenset[str]()
        names = produced(connection)
        yield _Scope(
            connection.title,
            connection.communication,
            names,
            own | common,
            connection.common.linked,
            kind=_connection_kind(connection),
            inputs=_inputs(connection.params),
        )
        yield _Scope(connection.title, connection.params, code=False)
    for webhook in app.webhooks.values():
        names, inputs = linked(webhook.connection, webhook.alt_connection), _inputs(webhook.params)
        yield scope(webhook.title, webhook.communication, names, kind="WHK", inputs=inputs)
        for file in (webhook.attach, webhook.detach, webhook.update):
            yield scope(webhook.title, file, names, kind="ATT", inputs=inputs)
        yield scope(webhook.title, webhook.params, names, code=False)
    for module in app.modules.values():
        names = linked(module.connection, module.alt_connection)
        forms = [module.static_params, module.mappable_params]
        hook = app.webhooks.get(module.webhook or "")
        inputs = _inputs(*forms, *([hook.params] if hook else []))
        yield scope(module.title, module.communication, names, kind=MODULE_KINDS.get(module.type, ""), inputs=inputs)
        yield scope(module.title, module.epoch, names, kind="EPO", inputs=inputs)
        for file in (*forms, module.interface, module.samples):
            yield scope(module.title, file, names, code=False)
    for rpc in app.rpcs.values():
        names = linked(rpc.connection, rpc.alt_connection)
        yield scope(rpc.title, rpc.communication, names, kind="RPC")
        yield scope(rpc.title, rpc.params, names, code=False)


def _connection_kind(connection: ConnectionSpec) -> str:
    if connection.type == "basic":
        return "CB"
    value: Any = connection.communication.value
    return "O1" if isinstance(value, dict) and is_oauth1(set(value)) else "O2"


def _inputs(*files: CodeFile) -> frozenset[str] | None:
    """The names that `parameters` can hold; None when an RPC gives a part of them."""
    names: set[str] = set()
    for file in files:
        for name in _named(file.value, options=False):
            if name is None:
                return None
            names.add(name)
    return frozenset(names)


def produced(connection: ConnectionSpec) -> frozenset[str] | None:
    """The keys of `connection`: inputs of the form and what `response.data` saves; None when it cannot be known."""
    names: set[str] = set()
    for text in _named(connection.params.value):
        if text is None:
            return None
        names.add(text)
    stack: list[Any] = [connection.communication.value]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack.extend(value)
        elif isinstance(value, dict):
            response = value.get("response")
            data = response.get("data") if isinstance(response, dict) else None
            if isinstance(data, str):
                return None
            if isinstance(data, dict):
                if any("{{" in key for key in data):
                    return None
                names.update(data)
            stack.extend([member for member in value.values() if isinstance(member, (dict, list))])
    return frozenset(names)


def _named(value: Any, *, options: bool = True) -> Iterator[str | None]:
    """
    Names of all parameters in a list, nested ones too; None for a part that an RPC gives. Options that an RPC gives
    count as such a part too (they may open fields) unless `options` is false.
    """
    stack: list[Any] = [value]
    while stack:
        current = stack.pop()
        if isinstance(current, list):
            stack.extend(current)
        elif isinstance(current, dict):
            if isinstance(current.get("name"), str):
                yield current["name"]
            for key in ("nested", "options", "spec", "store", "placeholder"):
                member = current.get(key)
                if not options and key in ("options", "store", "spec") and isinstance(member, str):
                    continue
                if member is not None:
                    stack.append(member)
        elif isinstance(current, str) and current.startswith("rpc://"):
            yield None


def _check_text(
    check: Check, scope: _Scope, text: Text, functions: frozenset[str], *, bare: bool, missing: dict[str, _Scope]
) -> None:
    document = scope.file.document

    def say(severity: Any, code: str, message: str, column: int, hint: str = "") -> None:
        check.report.add(
            severity, code, message, document=document, pointer=text.pointer, key=text.key,
            offset=0 if text.key else column - 1, component=scope.title, hint=hint, excerpt=(text.text, column),
        )  # fmt: skip

    template = _compiled(text.text, bare=bare)
    for error in template.errors:
        # Forms and samples hold prose that only looks like an expression.
        say("error" if scope.code else "warning", "I601", error.message, error.column)
    if not scope.code:
        return
    for call in template.calls:
        _check_call(call, functions, say, check.report.near)
    for reference in template.references:
        if 0 in reference.path:
            say("warning", "M402", "index 0 never exists; the first element is [1] or []", reference.column)
        wrong = fault(scope.kind, text.pointer, reference.root)
        if wrong and ("variable", reference.root) not in scope.seen:
            scope.seen.add(("variable", reference.root))
            near = "" if reference.root in KNOWN else check.report.near(reference.root, KNOWN)
            say("warning", "I605", wrong, reference.column, f'did you mean "{near}"?' if near else "")
        first = reference.path[0] if reference.path else None
        if not isinstance(first, str):
            continue
        if reference.root == "parameters" and scope.inputs is not None and first not in scope.inputs:
            _once(scope, "parameters", first, reference.column, say, check.report.near)
        if reference.root == "connection" and scope.connection is not None and first not in scope.connection:
            _once(scope, "connection", first, reference.column, say, check.report.near)
        if reference.root == "common" and scope.common is not None and first not in scope.common:
            missing.setdefault(first, scope)
            if check.app.layout != "export":
                _once(scope, "common", first, reference.column, say, check.report.near)
    if check.says("M409") and template.references:
        _dialect(text, say)


def _once(scope: _Scope, root: str, name: str, column: int, say: Any, near_name: Any) -> None:
    """C111, C112, I606: one finding for each name and file."""
    if (root, name) in scope.seen:
        return
    scope.seen.add((root, name))
    if root == "parameters":
        near = near_name(name, scope.inputs or ())
        hint = f'did you mean "{near}"?' if near else "add the parameter, or delete the expression"
        say("warning", "I606", f"parameters.{name[:60]} is declared in no list; it is always empty", column, hint)
        return
    if root == "connection":
        near = near_name(name, scope.connection or ())
        hint = f'did you mean "{near}"?' if near else "add an input of that name, or set it in response.data"
        say(
            "warning",
            "C111",
            f"connection.{name} is neither an input of the connection nor set in response.data",
            column,
            hint,
        )
        return
    near = near_name(name, scope.common or ())
    hint = f'did you mean "{near}"?' if near else "add it, or supply it from outside with --common"
    # Public apps leave the file out on purpose: then the values come from the operator.
    severity = "warning" if scope.common_linked else "info"
    say(severity, "C112", f"common.{name} is absent from the common file", column, hint)


def _check_call(call: Call, functions: frozenset[str], say: Any, near_name: Any) -> None:
    """A303, I602: the function exists, has the arguments that it needs, and takes the literal ones."""
    name, given = call.name, call.arguments
    if name in functions:
        return
    function = FUNCTIONS.get(name)
    if function is None:
        near = near_name(name, {*FUNCTIONS, *functions})
        hint = f'did you mean "{near}"?' if near else "add a custom function of that name"
        say("error", "A303", f'unknown function "{name}"', call.column, hint)
        return
    parameters = function.parameters
    needed = [parameter for parameter in parameters if not parameter.optional and not parameter.rest]
    most = None if any(parameter.rest for parameter in parameters) else len(parameters)
    if given < len(needed):
        missing = ", ".join([f'"{parameter.name}"' for parameter in needed[given:]])
        message = f"{name} needs {len(needed)} arguments, found {given}: {missing} is missing"
        say("warning", "I602", message, call.column, function.signature)
    elif most is not None and given > most:
        message = f"{name} takes {most} arguments, found {given}: the others are ignored"
        say("warning", "I602", message, call.column, function.signature)
    for position, value in call.constants:
        if position < len(parameters) and (reason := _refusal(parameters[position], value)):
            message = f'the argument "{parameters[position].name}" of {name}: {reason}'
            say("warning", "I602", message, call.column, function.signature)


def _refusal(parameter: Parameter, value: Any) -> str:
    """Why a literal is no such argument, "" when it may be one."""
    convert = CONVERSIONS.get(parameter.kind)
    if convert is None or parameter.kind == "text" or value is None or value is UNDEFINED:
        return ""
    try:
        convert(value, Evaluation(_ANYWHERE, {}))
    except ImlTypeError as error:
        return error.message
    except (FunctionFailed, BudgetExceeded):
        return ""
    return ""


def _dialect(text: Text, say: Any) -> None:
    """M409: the formula dialect in a communication, which works (said when it is wanted)."""
    for match in re.finditer(r"\{\{(.*?)\}\}", text.text, re.DOTALL):
        plain = _QUOTED.sub(lambda found: " " * len(found[0]), match[1])
        if _SINGLE_EQUALS.search(plain) or ";" in plain:
            say("info", "M409", "formula dialect in a communication; it works", match.start() + 1, "use `==` and `,`")
            return
