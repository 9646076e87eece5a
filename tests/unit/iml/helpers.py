"""Short forms for tests of the expression language."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from runtime.errors import ImlError
from runtime.iml import Environment, Place, compile_document

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def render(source: Any, context: Mapping[str, Any] | None = None, *, marks: bool = False, **environment: Any) -> Any:
    """Render a document."""
    template = compile_document(source, place=Place("module x", "/response"), marks=marks)
    return template.render(context or {}, Environment(**({"now": NOW} | environment)))


def failure(source: Any, context: Mapping[str, Any] | None = None, **environment: Any) -> ImlError:
    """The error that rendering a document raises."""
    with pytest.raises(ImlError) as caught:
        render(source, context, **environment)
    return caught.value
