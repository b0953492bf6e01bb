"""A province on one machine, for the demo, tests, benchmarks and a vendor's rehearsal."""
