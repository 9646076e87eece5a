"""Blueprints in `scenarist check`: known are the built-ins and the apps that were named in the same call."""

from __future__ import annotations

import json

from runtime.app.loader import load_app
from tests.paths import EXAMPLES
from workers.cli.blueprints import check_blueprint

APP = load_app(EXAMPLES / "apps/helpdesk").app
BLUEPRINT = EXAMPLES / "blueprints/answer-urgent-tickets.json"


def test_a_finding_has_the_line_of_its_module() -> None:
    """The unknown module is found where its name stands; the hint says what to do about an app that is not given."""
    raw = BLUEPRINT.read_bytes().replace(b"helpdesk:getCustomer", b"helpdesk:getCustomr")
    assert APP is not None
    errors = [item for item in check_blueprint(raw, file="b.json", apps=[APP]) if item.severity == "error"]

    (finding,) = errors
    assert finding.code == "E-UNKNOWN-MODULE"
    assert "getCustomr" in raw.decode().splitlines()[finding.line - 1]
    unknown = [item for item in check_blueprint(raw, file="b.json", apps=[]) if item.code == "E-UNKNOWN-APP"]
    assert unknown
    assert "scenarist check FOLDER BLUEPRINT" in unknown[0].hint


def test_what_is_no_blueprint_is_an_error() -> None:
    """Anything else gives E-JSON and no exception."""
    for raw in (b"", b"\xff", json.dumps([1]).encode(), b'{"flow": 5}'):
        assert {item.severity for item in check_blueprint(raw, file="b.json", apps=[])} == {"error"}
