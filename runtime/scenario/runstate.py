"""
State of the run that modules read and write by effects: scenario variables, outputs, the run's label.

A driver asks `handles` first and sends other effects elsewhere. Values lie behind the operation's bundles in the bundle
store, so the cursor holds none (spec/scenarios.md 2.8, 4.8; design section 10.6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from runtime.effects import Effect, Recall, Remember
from runtime.scenario.cursor import Cursor
from runtime.scenario.steps import Bundles, Change
from runtime.values import Bundle

if TYPE_CHECKING:
    from runtime.scenario.engine import Engine

#: Kinds of `Recall` and `Remember` that stay inside the run.
VARIABLE: Final = "variable"
OUTPUTS: Final = "outputs"
LABEL: Final = "label"


class RunEffects:
    """
    Performs the state effects of one operation.

    A variable is written with `Remember("variable", name, {"scope": "roundtrip" | "execution", "value": ...})` and read
    with `Recall("variable", name)`; outputs with `Remember("outputs", "", {...})`, the label with
    `Remember("label", "", text)`.

    Args:
        engine: The run's engine.
        cursor: Where the run stands with this operation (`step.after`): its cycle has begun.
    """

    def __init__(self, engine: Engine, cursor: Cursor) -> None:
        self._engine = engine
        self._cursor = cursor
        self._written: list[tuple[str, str, Any, bool]] = []

    def handles(self, effect: Effect) -> bool:
        """True for the effects that `perform` knows."""
        return isinstance(effect, (Recall, Remember)) and effect.kind in (VARIABLE, OUTPUTS, LABEL)

    def perform(self, effect: Effect) -> Any:
        """
        Perform a state effect.

        Raises:
            TypeError: It is none; ask `handles` first.
        """
        if isinstance(effect, Recall) and effect.kind == VARIABLE:
            return self._read(effect.key)
        if not isinstance(effect, Remember):
            raise TypeError(f"no state effect: {type(effect).__name__}")
        if effect.kind == VARIABLE:
            scope = "execution" if effect.value["scope"] == "execution" else "roundtrip"
            self._written.append((scope, effect.key, effect.value["value"], False))
        elif effect.kind == LABEL:
            self._written.append((LABEL, str(effect.value), None, False))
        else:
            self._written.append((OUTPUTS, "", effect.value, False))
        return None

    def intend(self, kind: str, key: str, value: Any) -> None:
        """Note a write outside the run: it becomes an intent, applied at the commit (design section 10.5)."""
        self._written.append((kind, key, value, True))

    def _read(self, name: str) -> Any:
        for scope in ("roundtrip", "execution"):
            for kind, key, value, _ in reversed(self._written):
                if (kind, key) == (scope, name):
                    return value
            ref = getattr(self._cursor.state, scope).get(name)
            if ref:
                return self._engine.bundles.get(*ref)["value"]
        return None

    def finish(self, count: int, *, warned: bool = False) -> tuple[Bundles, list[Bundle]]:
        """
        The outcome of an operation with `count` bundles, and the value bundles to write behind them.
        """
        changes: list[Change] = []
        values: list[Bundle] = []
        for kind, key, value, intent in self._written:
            changes.append(Change(kind, key, count + len(values), intent))
            values.append({"value": value})
        return Bundles(count, tuple(changes), warned), values
