"""Faults built into copies of the program on purpose: the checker must find every one of them by itself."""
