"""Benchmarks: ours against hand-written code and peers, in one run."""
