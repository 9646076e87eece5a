"""
How a connection authorizes, its record, the key ring and the vault (spec/connections.md).

`connections.types` has the table of types. Nothing is imported here: whoever opens the ledger needs the key ring, not
the types with all that builds their requests.
"""
