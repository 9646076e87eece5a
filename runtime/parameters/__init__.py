"""
Parameters: from field definitions and configured values to what `parameters` holds (spec/modules.md 2, 8.1).

    fields = parse_fields(spec.mappable_params.value, where='module "x"')
    resolved = resolve(fields, config, timezone="UTC", mode="mapped")
"""

from runtime.parameters.expressions import Expressions, expressions_of
from runtime.parameters.failures import joined
from runtime.parameters.fields import Field, Option, RpcReference, parse_fields
from runtime.parameters.resolve import Resolved, merge, resolve, secret_values

__all__ = [
    "Expressions",
    "Field",
    "Option",
    "Resolved",
    "RpcReference",
    "expressions_of",
    "joined",
    "merge",
    "parse_fields",
    "resolve",
    "secret_values",
]
