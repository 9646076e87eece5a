"""The error tree: every class keeps its data through JSON, and its name is the specification's."""

import pytest

from runtime.errors import (
    APP_ERROR_NAMES,
    MODULE_ERRORS,
    InvalidAccessTokenError,
    InvalidConfigurationError,
    ModuleRuntimeError,
    error_from_json,
    module_error,
)


@pytest.mark.parametrize("name", sorted(MODULE_ERRORS))
def test_an_error_survives_a_process_boundary(name: str) -> None:
    """`error_from_json(to_json(error))` gives an equal error of the same class, for each class of the tree."""
    error = module_error(
        name, "text", status_code=429, delay_ms=7000, suberrors=("a", "b"), external={"body": {"code": 1}}
    )

    copy = error_from_json(error.to_json())

    assert type(copy) is MODULE_ERRORS[name]
    assert copy == error


def test_an_unknown_name_is_a_runtime_error() -> None:
    """spec/communication.md 15: an unknown type name gives `RuntimeError`."""
    assert type(module_error("NoSuchError", "m")) is ModuleRuntimeError


def test_the_names_are_those_of_the_specification() -> None:
    """spec/communication.md 15: nineteen names for apps, two more raised around the engine."""
    assert len(APP_ERROR_NAMES) == 19
    assert set(MODULE_ERRORS) - APP_ERROR_NAMES == {"BundleValidationError", "AccountValidationError"}


def test_an_access_token_error_is_a_configuration_error() -> None:
    """spec/modules.md 1.3."""
    assert issubclass(InvalidAccessTokenError, InvalidConfigurationError)
