"""Helpers of the tests: clocks, builders, networks in memory, crash points, servers."""
