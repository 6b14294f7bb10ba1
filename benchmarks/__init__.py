"""Benchmarks: every figure a ratio in one interleaved run against peers on the same work."""
