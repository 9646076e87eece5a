"""
Scenarios: from a blueprint file to a run.

`importer` reads and checks a file, `plan` compiles it once, `engine` walks it as a pure machine over a `cursor`; what
the engine asks of its driver stands in `steps`. Sources: spec/scenarios.md; design sections 2 and 10.
"""
