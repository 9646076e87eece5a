"""
The search of `bench/communication.py` with other tools, for comparison only. Runs in an environment of its own in which
they are installed: `communication.py dlt|airbyte URL` prints records per CPU second.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

PAGE, RECORDS, ROUNDS = 100, 20_000, 2


def mapped(item: dict[str, Any]) -> dict[str, Any]:
    """The same mapping as everywhere in this comparison, by hand."""
    return {
        "id": item["id"],
        "name": f"{item['first']} {item['last']}",
        "mail": item["mail"].lower(),
        "total": item["price"] * item["quantity"],
        "city": item["address"]["city"],
        "kind": "bulk" if item["quantity"] > 2 else "single",
    }


def with_dlt(url: str) -> Iterator[dict[str, Any]]:
    """dlt's REST source; only extraction, no load."""
    from dlt.sources.rest_api import rest_api_source  # type: ignore[import-not-found]  # in another environment

    paginator = {"type": "page_number", "base_page": 1, "page_param": "page", "maximum_page": RECORDS // PAGE + 1}
    config = {
        "client": {"base_url": url, "paginator": {**paginator, "total_path": None}},
        "resources": [
            {
                "name": "records",
                "endpoint": {"path": "records", "data_selector": "items", "params": {"total": RECORDS}},
                "processing_steps": [{"map": mapped}],
            }
        ],
    }
    yield from rest_api_source(config)  # pyright: ignore[reportUnknownVariableType]  # as above


def with_airbyte(url: str) -> Iterator[dict[str, Any]]:
    """Airbyte's declarative source, with its field transformations."""
    from airbyte_cdk.models import (  # type: ignore[import-not-found]  # in another environment
        AirbyteStream,
        ConfiguredAirbyteCatalog,
        ConfiguredAirbyteStream,
        DestinationSyncMode,
        SyncMode,
    )
    from airbyte_cdk.sources.declarative.concurrent_declarative_source import (  # type: ignore[import-not-found]
        ConcurrentDeclarativeSource,
    )

    def added(name: str, value: str) -> dict[str, Any]:
        return {"type": "AddedFieldDefinition", "path": [name], "value": value}

    fields = [
        added("name", "{{ record['first'] }} {{ record['last'] }}"),
        added("mail", "{{ record['mail'].lower() }}"),
        added("sum", "{{ record['price'] * record['quantity'] }}"),
        added("city", "{{ record['address']['city'] }}"),
        added("kind", "{{ 'bulk' if record['quantity'] > 2 else 'single' }}"),
    ]
    stream = {
        "type": "DeclarativeStream",
        "name": "records",
        "primary_key": [],
        "schema_loader": {"type": "InlineSchemaLoader", "schema": {"type": "object", "properties": {}}},
        "retriever": {
            "type": "SimpleRetriever",
            "requester": {
                "type": "HttpRequester",
                "url_base": url,
                "path": "/records",
                "http_method": "GET",
                "request_parameters": {"total": str(RECORDS)},
            },
            "record_selector": {
                "type": "RecordSelector",
                "extractor": {"type": "DpathExtractor", "field_path": ["items"]},
            },
            "paginator": {
                "type": "DefaultPaginator",
                "page_token_option": {
                    "type": "RequestOption",
                    "inject_into": "request_parameter",
                    "field_name": "page",
                },
                "pagination_strategy": {
                    "type": "PageIncrement",
                    "page_size": PAGE,
                    "start_from_page": 1,
                    "inject_on_first_request": True,
                },
            },
        },
        "transformations": [{"type": "AddFields", "fields": fields}],
    }
    manifest = {
        "version": "6.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": ["records"]},
        "streams": [stream],
    }
    wanted = AirbyteStream(name="records", json_schema={}, supported_sync_modes=[SyncMode.full_refresh])
    catalog = ConfiguredAirbyteCatalog(
        streams=[
            ConfiguredAirbyteStream(
                stream=wanted, sync_mode=SyncMode.full_refresh, destination_sync_mode=DestinationSyncMode.append
            )
        ]
    )
    source = ConcurrentDeclarativeSource(catalog=catalog, config={}, state=[], source_config=manifest)
    import logging

    for message in source.read(logging.getLogger("bench"), {}, catalog, []):
        if message.record is not None:
            yield message.record.data


def main(name: str, url: str) -> None:
    """Print the best of some rounds."""
    read = {"dlt": with_dlt, "airbyte": with_airbyte}[name]
    best = 0.0
    for _ in range(ROUNDS):
        began = time.process_time()
        found = sum(1 for _ in read(url))
        assert found == RECORDS, found
        best = max(best, RECORDS / (time.process_time() - began))
    print(best)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
