"""JSON that comes in, read more strictly than the library does, and JSON that goes out."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from starlette.responses import JSONResponse


class NotJson(ValueError):  # noqa: N818  says what it is
    """The text is no JSON that means one thing; the message says why."""


def read(text: bytes) -> Any:
    """
    The value of a body.

    Numbers beyond every number, halves of characters and names that stand twice in one object are refused: what reads
    them next would take them in another way than what has checked them.

    Raises:
        NotJson: It is none.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_number)
        # Halves of surrogate pairs can be written in JSON, and stored nowhere.
        json.dumps(value, ensure_ascii=False).encode()
    except NotJson:
        raise
    except UnicodeEncodeError:
        raise NotJson("it has half of a surrogate pair") from None
    except RecursionError:
        raise NotJson("it is nested too deeply") from None
    except ValueError:
        raise NotJson("it cannot be read") from None
    return value


class Json(JSONResponse):
    """An answer; values of runs and events may hold what UTF-8 has no form for, which is escaped then."""

    def render(self, content: Any) -> bytes:
        """The bytes of the answer."""
        try:
            return super().render(content)
        except UnicodeEncodeError:
            return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise NotJson("an object has the same name twice")
    return made


def _constant(_: str) -> NoReturn:
    raise NotJson("NaN and Infinity are no numbers")


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise NotJson("a number is too large")
    return value
