"""
The table of built-in modules: `app:Module` -> entry. One file a built-in app; each lists its entries.

What is not here is refused when a blueprint is imported, by name.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from modules.builtin import (
    archive,
    builtin,
    csv_app,
    datastore,
    email_app,
    gateway,
    http_app,
    json_app,
    markdown,
    math_app,
    placeholder,
    regexp,
    rss,
    scenario_service,
    tools,
    xml_app,
)
from modules.builtin.job import Builtin, BuiltinJob
from modules.builtin.run import run_builtin
from runtime.scenario.catalog import ModuleInfo, TableCatalog

#: Every built-in that can run, by its name in a blueprint.
BUILTIN_MODULES: Final[dict[str, Builtin]] = {
    entry.name: entry
    for entries in (
        builtin.ENTRIES,
        tools.ENTRIES,
        json_app.ENTRIES,
        regexp.ENTRIES,
        csv_app.ENTRIES,
        xml_app.ENTRIES,
        datastore.ENTRIES,
        http_app.ENTRIES,
        gateway.ENTRIES,
        markdown.ENTRIES,
        math_app.ENTRIES,
        archive.ENTRIES,
        email_app.ENTRIES,
        rss.ENTRIES,
        scenario_service.ENTRIES,
        placeholder.ENTRIES,
    )
    for entry in entries
}


@cache
def builtin_catalog() -> TableCatalog:
    """The catalog of all built-ins; nothing in it changes, so a process has one."""
    table: dict[str, dict[int, ModuleInfo]] = {
        name: {version: entry.info(version) for version in entry.versions} for name, entry in BUILTIN_MODULES.items()
    }
    return TableCatalog(table)


__all__ = ["BUILTIN_MODULES", "Builtin", "BuiltinJob", "builtin_catalog", "run_builtin"]
