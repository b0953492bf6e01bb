"""Complete, valid packets about people and cases that do not exist, for demo, tests and rehearsals.

The catalogue drives it: any of its business types can be written as a real drop with all its fields and
documents. The same request gives the same bytes. Everything is marked 虚构 FICTIONAL.
"""
