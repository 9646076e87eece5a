"""The seam between modules and the world: `drive`."""

from datetime import timedelta

import pytest

from runtime.effects import Effect, Emit, HttpRequest, Parked, Sleep, Steps, Warn, drive
from runtime.errors import DataError, ModuleError, ServiceConnectionError


def test_results_of_effects_are_sent_back_in_order() -> None:
    """Each effect is performed once, its result comes back at its place, the last value is the result."""
    seen: list[Effect] = []

    def steps() -> Steps[str]:
        first = yield Warn("a")
        second = yield Emit([{"n": 1}])
        return f"{first}{second}"

    def perform(effect: Effect) -> str:
        seen.append(effect)
        return str(len(seen))

    assert drive(steps(), perform) == "12"
    assert seen == [Warn("a"), Emit([{"n": 1}])]


def test_an_error_of_an_effect_is_thrown_into_the_steps() -> None:
    """A module may handle what an effect raised and go on."""

    def steps() -> Steps[str]:
        try:
            yield HttpRequest("GET", "http://service.test/")
        except ServiceConnectionError as error:
            return error.message
        return "no error"

    def perform(effect: Effect) -> None:
        raise ServiceConnectionError("Connection failed: refused")

    assert drive(steps(), perform) == "Connection failed: refused"


def test_an_unhandled_error_leaves_the_drive() -> None:
    """What the steps do not handle is the result of the operation."""

    def steps() -> Steps[None]:
        yield Warn("a")

    def perform(effect: Effect) -> None:
        raise DataError("bad")

    with pytest.raises(ModuleError, match="bad"):
        drive(steps(), perform)


def test_parking_closes_the_generator() -> None:
    """A generator cannot be stored: parking drops it, and its clean-up runs."""
    closed: list[bool] = []

    def steps() -> Steps[None]:
        try:
            yield Sleep(timedelta(hours=1), resume={"request": 1})
        finally:
            closed.append(True)

    def perform(effect: Effect) -> None:
        assert isinstance(effect, Sleep)
        raise Parked(effect)

    with pytest.raises(Parked) as parked:
        drive(steps(), perform)

    assert parked.value.sleep.resume == {"request": 1}
    assert closed == [True]


@pytest.mark.parametrize(("method", "safe"), [("GET", True), ("HEAD", True), ("OPTIONS", True), ("POST", False)])
def test_safe_methods_are_those_that_may_be_repeated(method: str, safe: bool) -> None:
    """Design section 10.4 names GET, HEAD and OPTIONS."""
    assert HttpRequest(method, "http://service.test/").safe is safe
