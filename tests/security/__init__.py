"""Attacks: what untrusted input may try, and what must not happen then."""
