"""
The tables of module implementations: plain name -> function. One file a module type or built-in app.

A module is a generator over effects that gets everything it needs in its job, yields `Emit` with its bundles and
returns. Looking a name up that is not here is an error that lists the known ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from modules.action import run_action
from modules.instant import run_instant
from modules.responder import run_responder
from modules.search import run_search
from modules.trigger import run_trigger
from modules.universal import run_universal
from runtime.effects import Steps
from runtime.module_job import ModuleJob

ModuleRun: TypeAlias = Callable[[ModuleJob], Steps[None]]

#: `moduleType` of an app's manifest -> what runs it (spec/modules.md 1.1).
MODULE_TYPES: dict[str, ModuleRun] = {
    "action": run_action,
    "search": run_search,
    "trigger": run_trigger,
    "instant_trigger": run_instant,
    "responder": run_responder,
    "universal": run_universal,
}
