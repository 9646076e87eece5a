"""
Parameters: from field definitions and configured values to what `parameters` holds (spec/modules.md 2, 8.1).

    fields = parse_fields(spec.mappable_params.value, where='module "x"')
    resolved = resolve(fields, config, timezone="UTC", mode="mapped")
"""

from runtime.parameters.fields import Field, Option, RpcReference, parse_fields
from runtime.parameters.resolve import Resolved, merge, resolve, secret_values

__all__ = ["Field", "Option", "Resolved", "RpcReference", "merge", "parse_fields", "resolve", "secret_values"]
