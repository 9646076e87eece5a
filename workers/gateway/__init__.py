"""The gateway: the one process that the outside reaches. A bare ASGI application on uvicorn."""
