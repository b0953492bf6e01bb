"""Measurements. Not part of the installed program."""
