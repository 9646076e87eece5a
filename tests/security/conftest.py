"""A gateway that is attacked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest

from tests.integration.test_api import Api
from tests.integration.test_gateway_intake import free_port
from tests.worker_kit import PATIENCE, installation, peer, until
from workers.gateway.api.serving import PREFIX

_ADDRESSES = count(1)


class Attacked(Api):
    """Its requests come from a new address each, so that those with wrong tokens are heard."""

    #: One for all: making one takes longer than most requests.
    client: httpx.Client

    def ask(self, method: str, path: str, token: str | None, **more: Any) -> httpx.Response:
        number = next(_ADDRESSES)
        headers = {
            "X-Forwarded-For": f"198.51.{number // 250}.{number % 250 + 1}",
            **({"Authorization": f"Bearer {token}"} if token else {}),
            **more.pop("headers", {}),
        }
        return self.client.request(method, f"{self.base}{PREFIX}{path}", headers=headers, **more)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        """What the gateway has logged so far."""
        return self.place.logs[0].read_text()

    def everything(self) -> dict[bytes, bytes | None]:
        """All keys with what they hold, without what changes by itself."""
        client = self.runner.runs.client
        moving = (b":token:", b":process", b":counte", b":workers", b"_kombu")
        return {key: client.dump(key) for key in client.scan_iter() if not any(word in key for word in moving)}


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """A gateway for the tests of one file."""
    port = free_port()
    folder = tmp_path_factory.mktemp("gate")
    settings = {"SCENARIST_GATEWAY_PORT": str(port), "SCENARIST_LOG_FORMAT": "json"}
    with peer() as service, installation(folder, service.port, **settings) as place:
        made = Attacked(place, service)
        made.port = port
        made.client = httpx.Client(trust_env=False, timeout=PATIENCE)
        with place.running("gateway"):
            until(made.answers, "the gateway is ready")
            yield made
        made.client.close()
        assert [line[:2000] for line in made.log().splitlines() if "Traceback" in line] == []
