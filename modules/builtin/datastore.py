"""
The app `datastore`: records under keys in a store of the installation (spec/scenarios.md 4.7).

Reads and writes are effects on state of the kind `store`: writes wait for their commit, and a run reads its own first.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final

from modules.builtin.job import PAGE, Builtin, BuiltinJob, field, invalid
from modules.builtin.patterns import MARKER
from modules.builtin.structures import collection, given, nested, structured
from runtime.effects import Emit, Recall, Remember, Steps, Warn
from runtime.errors import DataError, DuplicateDataError, ImlError
from runtime.iml.functions.array import sort_key
from runtime.iml.paths import get_path
from runtime.scenario.filters import OPERATORS, canonical
from runtime.scenario.structures import Structure, refuse_unknown
from runtime.values import ERASE, UNDEFINED, to_text

#: Most records of one search without a limit of its own.
MAX_FOUND: Final = 10_000

_Record = dict[str, Any]


def _store(job: BuiltinJob) -> str:
    return to_text(job.config["datastore"])


def _get(job: BuiltinJob, key: str) -> Steps[_Record | None]:
    return (yield Recall("store", _store(job), {"op": "get", "key": key}))


def _put(job: BuiltinJob, key: str, data: _Record) -> Remember:
    return Remember("store", _store(job), {"op": "put", "key": key, "data": data})


def _switch(job: BuiltinJob, name: str) -> bool:
    return job.config.get(name, UNDEFINED) is True


def _data(job: BuiltinJob, values: dict[str, Any], *, complete: bool) -> Steps[_Record]:
    """
    The values as the store's data structure wants them, else as the blueprint keeps its fields.

    Raises:
        BundleValidationError: One does not fit, or a strict structure does not have it.
    """
    structure: Structure | None = yield Recall("store", _store(job), {"op": "structure"})
    refuse_unknown(structure, given(values))
    fields = structure["spec"] if structure is not None else nested(job, "data")
    return structured(fields, values, job.environment.timezone, others=True, complete=complete)


def add_record(job: BuiltinJob) -> Steps[None]:
    """Add a record, or replace one with `overwrite`; without a key one is made."""
    key = to_text(job.config.get("key", "")) or secrets.token_hex(6)
    data = yield from _data(job, collection(job, "data"), complete=True)
    known = yield from _get(job, key)
    if known is not None and not _switch(job, "overwrite"):
        raise DuplicateDataError(f"The key '{key}' exists already.")
    yield _put(job, key, data)
    yield Emit([{"key": key, "overwritten": known is not None, "data": data}])


def update_record(job: BuiltinJob) -> Steps[None]:
    """Change the mapped fields of a record; arrays are appended unless `overwriteArrays`."""
    key = to_text(job.config["key"])
    known = yield from _get(job, key)
    upsert = known is None
    if upsert and not _switch(job, "upsert"):
        raise DataError(f"There is no record with the key '{key}'.")
    changes = given(collection(job, "data"))
    fresh = yield from _data(job, changes, complete=upsert)
    # `erase` clears a field whatever its type says.
    fresh |= {name: None for name, value in changes.items() if value is ERASE}
    data = dict(known or {})
    for name, value in fresh.items():
        old = data.get(name)
        if isinstance(old, list) and isinstance(value, list) and not _switch(job, "overwriteArrays"):
            data[name] = [*old, *value]
        else:
            data[name] = value
    yield _put(job, key, data)
    yield Emit([{"key": key, "data": data}])


def get_record(job: BuiltinJob) -> Steps[None]:
    """A record's fields, or `{key, data}` with `returnWrapped`; a missing one gives an empty bundle."""
    key = to_text(job.config["key"])
    data = yield from _get(job, key)
    if data is None:
        yield Emit([{}])
    else:
        yield Emit([{"key": key, "data": data} if _switch(job, "returnWrapped") else data])


def exist_record(job: BuiltinJob) -> Steps[None]:
    """Whether there is a record with the key."""
    data = yield from _get(job, to_text(job.config["key"]))
    yield Emit([{"exist": data is not None}])


def delete_record(job: BuiltinJob) -> Steps[None]:
    """Delete a record and give it; a missing one gives an empty bundle."""
    key = to_text(job.config["key"])
    data = yield from _get(job, key)
    if data is None:
        yield Emit([{}])
        return
    yield Remember("store", _store(job), {"op": "delete", "key": key})
    yield Emit([{"key": key, "data": data}])


def delete_all_records(job: BuiltinJob) -> Steps[None]:
    """Empty the whole store."""
    yield Remember("store", _store(job), {"op": "clear"})
    yield Emit([{}])


def stats(job: BuiltinJob) -> Steps[None]:
    """Number of records and their size in bytes."""
    found = yield Recall("store", _store(job), {"op": "stats"})
    yield Emit([{"count": found["count"], "size": found["size"]}])


def search_record(job: BuiltinJob) -> Steps[None]:
    """Records that a filter over columns takes, sorted, always wrapped as `{key, data}`."""
    test = _filter(job)
    records = yield Recall("store", _store(job), {"op": "all"})
    found = [(key, data) for key, data in records if test({**data, "key": key})]
    for rule in reversed(job.config.get("sort", UNDEFINED) or []):
        found = _sorted(found, rule)
    limit = job.config.get("limit", UNDEFINED)
    if limit is UNDEFINED or limit is None:
        if len(found) > MAX_FOUND:
            yield Warn(f"The search found {len(found)} records; the first {MAX_FOUND} are given.", "limit")
        limit = MAX_FOUND
    found = found[: int(limit)]
    for start in range(0, len(found), PAGE):
        yield Emit([{"key": key, "data": data} for key, data in found[start : start + PAGE]])
    if not found and _switch(job, "continueWhenNoRes"):
        yield Emit([MARKER])


def _column(row: _Record, name: str) -> Any:
    return row[name] if name in row else get_path(row, name)


def _sorted(found: list[tuple[str, _Record]], rule: Any) -> list[tuple[str, _Record]]:
    if not isinstance(rule, dict) or not rule.get("key"):
        return found
    name, order = to_text(rule["key"]), to_text(rule.get("order", "asc"))
    rows = [(_column({**data, "key": key}, name), (key, data)) for key, data in found]
    present = [row for row in rows if row[0] is not None and row[0] is not UNDEFINED]
    absent = [record for value, record in rows if value is None or value is UNDEFINED]
    present.sort(key=lambda row: sort_key(row[0]), reverse=order.lower() == "desc")
    return [record for _, record in present] + absent


def _filter(job: BuiltinJob) -> Callable[[_Record], bool]:
    groups = job.config.get("filter", UNDEFINED)
    if groups is UNDEFINED or groups is None or groups == "":
        groups = []
    if not isinstance(groups, list) or not all(isinstance(group, list) for group in groups):
        raise invalid("Invalid filter in parameter 'filter'.")
    tests = [[_condition(item, job.environment.timezone) for item in group] for group in groups if group]

    def test(row: _Record) -> bool:
        try:
            return not tests or any(all(passes(row) for passes in group) for group in tests)
        except ImlError as error:
            raise invalid(f"Invalid filter in parameter 'filter': {error.message}") from None

    return test


def _condition(item: Any, timezone: str) -> Callable[[_Record], bool]:
    if not isinstance(item, dict):
        raise invalid("Invalid filter in parameter 'filter'.")
    operator = canonical(to_text(item.get("o", "") or "exist"))
    if operator is None:
        raise invalid(f"Invalid filter in parameter 'filter': there is no operator {to_text(item['o'])!r}.")
    name, b, apply = to_text(item.get("a", "")), item.get("b", UNDEFINED), OPERATORS[operator]
    return lambda row: apply(_column(row, name), b, timezone)


_STORE: Final = field("datastore", "any", required=True)
_KEY: Final = field("key", required=True)
_DATA: Final = field("data", "any")


def _flag(name: str) -> dict[str, Any]:
    return field(name, "boolean", required=True, default=False)


_COUNT_NAMES: Final = ("datastore:Stats", "datastore:CountRecord", "datastore:CountRecords")

ENTRIES: Final = (
    Builtin("datastore:AddRecord", run=add_record, static=[_STORE], mappable=[field("key"), _flag("overwrite"), _DATA]),
    Builtin(
        "datastore:UpdateRecord",
        run=update_record,
        static=[_STORE],
        mappable=[_KEY, _flag("upsert"), _flag("overwriteArrays"), _DATA],
    ),
    Builtin("datastore:GetRecord", run=get_record, static=[_STORE], mappable=[_KEY, _flag("returnWrapped")]),
    Builtin(
        "datastore:SearchRecord",
        run=search_record,
        static=[_STORE, field("limit", "uinteger"), field("continueWhenNoRes", "boolean")],
        mappable=[
            field("filter", "any"),
            field("sort", "array", spec=[field("key"), field("order")]),
        ],
        multi_bundle=True,
    ),
    Builtin("datastore:ExistRecord", run=exist_record, static=[_STORE], mappable=[_KEY]),
    Builtin("datastore:DeleteRecord", run=delete_record, static=[_STORE], mappable=[_KEY]),
    Builtin("datastore:DeleteAllRecords", run=delete_all_records, static=[_STORE]),
    *(Builtin(name, run=stats, static=[_STORE]) for name in _COUNT_NAMES),
)
