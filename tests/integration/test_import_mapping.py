"""Connections of a blueprint and ours: by id, by name, the only one that fits, or the one that a person chooses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connections.record import Grant
from runtime.errors import UsageError
from tests.ledger_kit import settings_in
from workers.imports import Open
from workers.service import Service, open_service


def app(folder: Path) -> Path:
    """An app whose modules take a key or OAuth, only the key, or only OAuth."""
    link = {"codeFiles": {"communication": "x.json", "staticParams": "y.json", "mappableParams": "y.json",
                          "interface": "y.json", "samples": "y.json"}}  # fmt: skip
    module = {"label": "M", "moduleType": "action", **link}
    connection = {"label": "C", "codeFiles": {"communication": "x.json", "params": "y.json"}}
    manifest = {
        "fileVersion": 1,
        "generalCodeFiles": {},
        "components": {
            "connection": {
                "apikey": {**connection, "connectionType": "basic"},
                "oauth": {
                    "label": "O",
                    "connectionType": "oauth",
                    "codeFiles": {"communication": "o.json", "params": "y.json"},
                },
            },
            "module": {
                "either": {**module, "connection": "apikey", "altConnection": "oauth"},
                "onlyKey": {**module, "connection": "apikey"},
                "onlyOauth": {**module, "connection": "oauth"},
            },
        },
        "origins": [{"label": "h", "baseUrl": "https://example.com/api", "appId": "two", "appVersion": 1}],
    }
    folder.mkdir()
    for name, content in {
        "makecomapp.json": manifest, "x.json": {}, "y.json": [], "o.json": {"token": {"url": "https://example.com/t"}},
    }.items():  # fmt: skip
        (folder / name).write_text(json.dumps(content))
    return folder


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with open_service(settings_in(tmp_path / "home")) as opened:
        added = opened.apps.add(app(tmp_path / "app"))
        assert added.row is not None, added.findings
        yield opened


def keep(service: Service, component: str, *names: str) -> None:
    for name in names:
        kind = "basic" if component == "apikey" else "oauth"
        service.runner.vault.create(app="two", component=component, type=kind, name=name, grant=Grant({}, {}))


def blueprint(*modules: tuple[str, int], label: str = "") -> bytes:
    flow = [
        {
            "id": number, "module": f"two:{name}", "version": 1, "parameters": {"__IMTCONN__": foreign}, "mapper": {},
            "metadata": {"restore": {"parameters": {"__IMTCONN__": {"label": label}}}},
        }
        for number, (name, foreign) in enumerate(modules, start=1)
    ]  # fmt: skip
    return json.dumps({"name": "S", "flow": flow, "metadata": {"version": 1}}).encode()


def bound(service: Service, raw: bytes, **options: Any) -> list[str | None]:
    imported = service.scenarios.import_(raw, new=True, **options)
    assert imported.row is not None, imported.findings
    return [binding.bound for binding in imported.row.bindings]


def test_only_fitting_connection_is_taken(service: Service) -> None:
    """What every module with this id accepts, of this app; a connection of another component is none."""
    keep(service, "oauth", "o")
    assert bound(service, blueprint(("onlyKey", 1))) == [None]
    keep(service, "apikey", "k")
    assert bound(service, blueprint(("onlyKey", 1))) == ["k"]
    assert bound(service, blueprint(("either", 1), ("onlyOauth", 1))) == ["o"]
    assert bound(service, blueprint(("onlyKey", 1), ("onlyOauth", 1))) == [None]


def test_name_decides_among_several(service: Service) -> None:
    """The label of the blueprint, else a person, else nothing."""
    keep(service, "apikey", "k1", "k2")
    raw = blueprint(("either", 7))
    asked: list[Open] = []

    def choose(item: Open) -> str | None:
        asked.append(item)
        return item.candidates[1].id

    assert bound(service, blueprint(("either", 7), label="k2")) == ["k2"]
    assert bound(service, raw) == [None]
    assert bound(service, raw, choose=choose) == ["k2"]
    assert [record.name for record in asked[0].candidates] == ["k1", "k2"]
    assert bound(service, raw, bindings={"7": "k1"}, choose=choose) == ["k1"]
    assert len(asked) == 1


def test_alternative_connection_runs(service: Service) -> None:
    """A step with a record of either component runs; one of a third kind is refused by name."""
    keep(service, "apikey", "k")
    keep(service, "oauth", "o")
    for name in ("k", "o"):
        imported = service.scenarios.import_(blueprint(("either", 1)), name=name, bindings={"1": name})
        assert imported.row is not None
        assert service.runs.inline(imported.row.id).status == "success"
    with pytest.raises(UsageError, match="needs apikey"):
        service.scenarios.import_(blueprint(("onlyKey", 1)), bindings={"1": "o"})
