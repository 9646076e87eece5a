"""The HTTP API under `/api/v1`: one table of endpoints, from which the routes and the OpenAPI document are made."""
