"""Crash, power and disk: one process is stopped, cut off or told of an error at every single step."""
