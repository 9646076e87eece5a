"""
Speed of the expression language, as ratios in one run: compiled IML against the same mapping written by hand in Python
and against Jinja2's native templates, and what compiling costs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import nativetypes

from runtime.iml import Environment, compile_document
from runtime.iml.document import read_document
from runtime.iml.environment import Place
from runtime.iml.template import Template

#: Compiled IML has to reach this part of the speed of hand-written Python.
TARGET = 0.60
ROUNDS = 100

ENVIRONMENT = Environment(now=datetime(2026, 1, 1, tzinfo=UTC), timezone="Europe/Prague")
RECORD: dict[str, Any] = {
    "id": 4711,
    "name": {"first": "Ada", "last": "Lovelace"},
    "mail": "Ada.Lovelace@Example.com",
    "phone": "",
    "active": True,
    "score": "1 234,50",
    "balance": 99.5,
    "created": datetime(2024, 5, 17, 8, 30, 12, tzinfo=UTC),
    "tags": "red,green,blue",
    "address": {"street": "Main 1", "city": "Prague", "zip": "110 00", "country": {"code": "CZ", "name": "Czechia"}},
    "fields": [{"key": "size", "value": "XL"}, {"key": "color", "value": "teal"}, {"key": "note", "value": "fragile"}],
    "orders": [{"total": 10}, {"total": 20.5}, {"total": 30}],
    "status": "open",
}
CONTEXT = {"1": RECORD}

DOCUMENT: dict[str, Any] = {
    "id": "{{1.id}}",
    "fullName": "{{1.name.first}} {{1.name.last}}",
    "mail": "{{lower(1.mail)}}",
    "phone": '{{ifempty(1.phone; "none")}}',
    "state": '{{if(1.active; "on"; "off")}}',
    "score": '{{parseNumber(1.score; ",")}}',
    "balance": "{{1.balance}}",
    "created": '{{formatDate(1.created; "YYYY-MM-DD HH:mm")}}',
    "tags": '{{split(1.tags; ",")}}',
    "tagLine": '{{join(split(1.tags; ","); " / ")}}',
    "street": "{{1.address.street}}",
    "city": "{{1.address.city}}, {{1.address.zip}}",
    "country": '{{get(1.address; "country.name")}}',
    "code": "{{1.address.country.code}}",
    "custom": '{{toCollection(1.fields; "key"; "value")}}',
    "size": "{{1.fields[1].value}}",
    "vip": '{{contains(1.tags; "green")}}',
    "missing": "{{1.nothing.here}}",
    "kind": '{{switch(1.status; "open"; 1; "closed"; 2; 0)}}',
    "label": "Order {{1.id}} of {{1.name.last}} ({{1.status}})",
}

_PRAGUE = ZoneInfo("Europe/Prague")
_GROUPING = str.maketrans("", "", " .'_\u00a0")


def by_hand(record: dict[str, Any]) -> dict[str, Any]:
    """The same mapping as a careful programmer writes it: every level may be missing, texts are converted."""
    name = record.get("name") or {}
    address = record.get("address") or {}
    country = address.get("country") or {}
    fields = record.get("fields") or []
    status = record.get("status")
    result: dict[str, Any] = {
        "id": record.get("id"),
        "fullName": f"{name.get('first', '')} {name.get('last', '')}",
        "mail": str(record.get("mail", "")).lower(),
        "phone": record.get("phone") or "none",
        "state": "on" if record.get("active") else "off",
        "score": float(str(record.get("score", "")).translate(_GROUPING).replace(",", ".")),
        "balance": record.get("balance"),
        "created": record["created"].astimezone(_PRAGUE).strftime("%Y-%m-%d %H:%M"),
        "tags": str(record.get("tags", "")).split(","),
        "tagLine": " / ".join(str(record.get("tags", "")).split(",")),
        "street": address.get("street"),
        "city": f"{address.get('city', '')}, {address.get('zip', '')}",
        "country": country.get("name"),
        "code": country.get("code"),
        "custom": {str(field.get("key")): field.get("value") for field in fields if field.get("key")},
        "size": fields[0].get("value") if fields else None,
        "vip": "green" in str(record.get("tags", "")),
        "kind": 1 if status == "open" else 2 if status == "closed" else 0,
        "label": f"Order {record.get('id', '')} of {name.get('last', '')} ({record.get('status', '')})",
    }
    nothing = (record.get("nothing") or {}).get("here")
    if nothing is not None:
        result["missing"] = nothing
    return result


def _jinja() -> Callable[[dict[str, Any]], dict[str, Any]]:
    environment = nativetypes.NativeEnvironment()
    environment.filters["day"] = lambda date: date.astimezone(_PRAGUE).strftime("%Y-%m-%d %H:%M")
    environment.filters["number"] = lambda text: float(text.translate(_GROUPING).replace(",", "."))
    environment.filters["pairs"] = lambda fields: {field["key"]: field["value"] for field in fields}
    sources = {
        "id": "{{ r.id }}",
        "fullName": "{{ r.name.first }} {{ r.name.last }}",
        "mail": "{{ r.mail|lower }}",
        "phone": "{{ r.phone or 'none' }}",
        "state": "{{ 'on' if r.active else 'off' }}",
        "score": "{{ r.score|number }}",
        "balance": "{{ r.balance }}",
        "created": "{{ r.created|day }}",
        "tags": "{{ r.tags.split(',') }}",
        "tagLine": "{{ r.tags.split(',')|join(' / ') }}",
        "street": "{{ r.address.street }}",
        "city": "{{ r.address.city }}, {{ r.address.zip }}",
        "country": "{{ r.address.country.name }}",
        "code": "{{ r.address.country.code }}",
        "custom": "{{ r.fields|pairs }}",
        "size": "{{ r.fields[0].value }}",
        "vip": "{{ 'green' in r.tags }}",
        "missing": "{{ r.nothing.here if r.nothing else none }}",
        "kind": "{{ 1 if r.status == 'open' else 2 if r.status == 'closed' else 0 }}",
        "label": "Order {{ r.id }} of {{ r.name.last }} ({{ r.status }})",
    }
    templates = {key: environment.from_string(source) for key, source in sources.items()}
    return lambda record: {key: template.render(r=record) for key, template in templates.items()}


def seconds(*runs: Callable[[], Any], rounds: int) -> list[float]:
    """The best time of each of several functions, measured in turn so that a busy moment does not hit only one."""
    best = [float("inf")] * len(runs)
    for _ in range(60):
        for position, run in enumerate(runs):
            started = time.perf_counter()
            for _ in range(rounds):
                run()
            best[position] = min(best[position], (time.perf_counter() - started) / rounds)
    return best


def run() -> list[tuple[str, str, str]]:
    """Rows of (what, figure, target)."""
    template = compile_document(DOCUMENT)
    expected, given = by_hand(RECORD), template.render(CONTEXT, ENVIRONMENT)
    if expected != given:
        raise AssertionError(f"the mappings differ: {expected} != {given}")
    jinja = _jinja()
    ours, python = seconds(lambda: template.render(CONTEXT, ENVIRONMENT), lambda: by_hand(RECORD), rounds=ROUNDS)
    (native,) = seconds(lambda: jinja(RECORD), rounds=5)
    sources = [f'{{{{if(1.a{n} > {n}; upper(1.b); "x" + 1.c)}}}}' for n in range(200)]

    def compile_all() -> None:
        for source in sources:
            Template(read_document(source), Place(), marks=False)

    compiling = seconds(compile_all, rounds=1)[0] * 5
    return [
        ("mapping 20 fields, speed of hand-written Python", f"{python / ours:.2f}", f">= {TARGET:.2f}"),
        ("mapping 20 fields, compiled IML", f"{ours * 1e6:.1f} us", ""),
        ("mapping 20 fields, hand-written Python", f"{python * 1e6:.1f} us", ""),
        ("mapping 20 fields, times as fast as Jinja2 native templates", f"{native / ours:.1f}", ">= 3"),
        ("compiling 1,000 templates", f"{compiling * 1000:.0f} ms", "<= 1000 ms"),
    ]


if __name__ == "__main__":
    for label, figure, target in run():
        print(f"{label:62} {figure:>10}  {target}")
