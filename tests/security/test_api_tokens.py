"""The API opens to nothing but a token of ours, in its one place, within its time and its scopes (issue S6)."""

from __future__ import annotations

import base64
from datetime import timedelta

import httpx
import pytest

from tests.integration.test_api import returning
from tests.security.conftest import Attacked
from workers.gateway.api.serving import PREFIX


def wrong_headers(token: str) -> dict[str, list[tuple[str, str]]]:
    """Ways to send a token that are none."""
    basic = base64.b64encode(f"user:{token}".encode()).decode()
    changed = token[:-1] + ("A" if token[-1] != "A" else "B")
    return {
        "none": [],
        "empty": [("Authorization", "")],
        "the word only": [("Authorization", "Bearer")],
        "no word": [("Authorization", token)],
        "another word": [("Authorization", f"Token {token}")],
        "basic": [("Authorization", f"Basic {basic}")],
        "basic with the token": [("Authorization", f"Basic {token}")],
        "cut": [("Authorization", f"Bearer {token[:-1]}")],
        "longer": [("Authorization", f"Bearer {token}A")],
        "changed": [("Authorization", f"Bearer {changed}")],
        "lower case": [("Authorization", f"Bearer {token.lower()}")],
        "upper case": [("Authorization", f"Bearer {token.upper()}")],
        "without its mark": [("Authorization", f"Bearer {token.removeprefix('scn_')}")],
        "twice in one": [("Authorization", f"Bearer {token} {token}")],
        "a list": [("Authorization", f"Bearer {token}, Bearer {token}")],
        "quoted": [("Authorization", f'Bearer "{token}"')],
        "very long": [("Authorization", "Bearer scn_" + "x" * 20_000)],
        "a pattern": [("Authorization", "Bearer scn_*")],
        "beyond ASCII": [("Authorization", "Bearer scn_é\u00ff")],
        "two headers, the good one first": [("Authorization", f"Bearer {token}"), ("Authorization", "Bearer scn_x")],
        "two headers, the good one last": [("Authorization", "Bearer scn_x"), ("Authorization", f"Bearer {token}")],
        "a cookie": [("Cookie", f"token={token}; authorization=Bearer {token}")],
        "of a proxy": [("Proxy-Authorization", f"Bearer {token}")],
        "another header": [("X-Api-Key", token), ("X-Authorization", f"Bearer {token}")],
    }


WAYS = tuple(wrong_headers("scn_x"))


@pytest.mark.parametrize("way", WAYS)
def test_a_token_that_is_not_sent_as_it_should_be_opens_nothing(gate: Attacked, way: str) -> None:
    token = gate.token("all", name=f"wrong {WAYS.index(way)}")
    address = ("X-Forwarded-For", f"203.0.113.{WAYS.index(way) + 1}")
    headers = [(name, value.encode("latin-1")) for name, value in (*wrong_headers(token)[way], address)]
    answer = httpx.get(
        f"http://127.0.0.1:{gate.port}{PREFIX}/runs", headers=[(n.encode(), v) for n, v in headers], trust_env=False
    )
    assert answer.status_code == 401, answer.text
    assert token not in answer.text


@pytest.mark.parametrize("name", ["token", "access_token", "authorization", "api_key", "key"])
def test_a_token_in_the_query_or_body_opens_nothing_and_is_not_logged(gate: Attacked, name: str) -> None:
    token = gate.token("all", name=f"query {name}")
    assert gate.ask("GET", "/runs", None, params={name: token}).status_code == 401
    assert gate.ask("POST", "/stores/x", None, json={name: token}).status_code in (401, 405)
    assert token not in gate.log()


def test_the_word_may_be_spelled_in_any_case(gate: Attacked) -> None:
    """RFC 9110 11.1: the scheme has no case; the token has."""
    token = gate.token("runs:read")
    for word in ("Bearer", "bearer", "BEARER"):
        assert gate.ask("GET", "/runs", None, headers={"Authorization": f"{word} {token}"}).status_code == 200


def test_a_token_that_ended_or_was_removed_opens_nothing(gate: Attacked) -> None:
    ended = gate.token("all", name="ended", expires=timedelta(milliseconds=1))
    removed = gate.token("all", name="removed")
    assert gate.ask("GET", "/runs", removed).status_code == 200
    gate.place.service.tokens.remove("removed")
    for token in (ended, removed):
        assert gate.ask("GET", "/runs", token).status_code == 401
    again = gate.token("all", name="removed")
    assert again != removed
    assert gate.ask("GET", "/runs", removed).status_code == 401


def test_wrong_tokens_of_one_do_not_lock_out_another(gate: Attacked) -> None:
    good = gate.token("runs:read")
    for _ in range(25):
        last = gate.ask("GET", "/runs", "scn_wrong", headers={"X-Forwarded-For": "192.0.2.77"})
    assert last.status_code == 429
    assert gate.ask("GET", "/runs", good).status_code == 200


def test_a_key_of_another_token_gives_a_run_of_ones_own(gate: Attacked) -> None:
    """`Idempotency-Key` counts for its token: what another was answered is told to nobody else."""
    one, other = gate.token("scenarios:run", name="one"), gate.token("scenarios:run", name="other")
    scenario = returning(gate)

    def run(token: str, key: str) -> httpx.Response:
        headers = {"Idempotency-Key": key}
        return gate.ask("POST", f"/scenarios/{scenario}/run", token, json={"data": {"n": 1}}, headers=headers)

    key = "k" * 200
    ids = [run(*each).json()["executionId"] for each in ((one, key), (other, key), (one, key))]
    assert ids[0] == ids[2] != ids[1]
    # A longer one is not cut down to the same.
    assert run(one, key + "x").status_code == 400
    assert run(one, "a").json() != run(one, "a b").json()


def test_scopes_are_not_widened_by_the_request(gate: Attacked) -> None:
    token = gate.token("runs:read", name="narrow")
    body = {"scopes": ["all"], "scope": "all"}
    for headers in ({"X-HTTP-Method-Override": "GET"}, {"X-Scope": "all"}, {"X-Original-URL": f"{PREFIX}/runs"}):
        answer = gate.ask("POST", "/stores/x", token, json=body, headers=headers)
        assert answer.status_code in (403, 405)
        assert gate.ask("GET", "/scenarios", token, params={"scope": "all"}, headers=headers).status_code == 403
    for path in ("/runs/../scenarios", "/runs/%2e%2e/scenarios", "//scenarios", "/./scenarios", "/scenarios/"):
        assert gate.ask("GET", path, token).status_code != 200, path
