"""Both entry points and all wiring: ``exchanged`` (the daemon) and ``exchangectl`` (the operator).

Thin, and a leaf: nothing imports it. Commands parse, call one function of a lower floor, and render.
"""
