"""
The custom JavaScript functions of an app for its own expressions (spec/iml.md 10, design section 10.7).

Functions are called while an expression is evaluated, so they belong to the `Environment` and are no effect: a call
has no side effect that could be repeated, and an expression cannot be stopped half-way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from runtime.app.specs import App
from runtime.iml import Environment
from runtime.iml.javascript import FunctionLimits, functions_for


def sources_of(app: App) -> dict[str, str | None]:
    """Source text of every custom function by name; None where the app's files hold no code for it."""
    return {name: spec.code for name, spec in app.functions.items()}


def context_key(app: App, sources: Mapping[str, str | None]) -> str:
    """What warm contexts are kept by: the app's content hash, so that a changed app gets new ones."""
    if app.hash:
        return app.hash
    return "sources " + hashlib.sha256(json.dumps(sorted(sources.items())).encode()).hexdigest()


def app_environment(
    environment: Environment,
    app: App,
    *,
    limits: FunctionLimits | None = None,
    debug: Callable[[str], None] | None = None,
) -> Environment:
    """
    The environment in which the app's own expressions are evaluated: its custom functions, and all built-in ones.

    A scenario's mapper lacks `createJSON`, `parseJSON`, `jwt` and `base64url` and knows no custom function; a
    communication has both (spec/iml.md 7.1). Starts nothing: the first call of a function does.

    Args:
        environment: That of the scenario. Functions that it names already win: a test may stand in for the code.
        limits: Time and memory of one call; the documented ones without it.
        debug: Gets each line that a function logs. It is raw: who shows it redacts it first.
    """
    sources = sources_of(app)
    functions = (
        functions_for(
            context_key(app, sources),
            sources,
            timezone=environment.timezone,
            debug=debug,
            limits=limits or FunctionLimits(),
        )
        if sources
        else {}
    )
    if environment.functions:
        functions = {**functions, **environment.functions}
    return replace(environment, functions=functions, strict_functions=False)
