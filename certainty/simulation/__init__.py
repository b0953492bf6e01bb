"""Whole provinces in one thread on a virtual disk, clock and network: one seed is one run, bit for bit.

What is real: the ledger, the spool, every station of every role, packets, signatures, schemas and
directories. What is simulated: threads (stations are stepped by hand, in an order that the seed draws),
time, the way between two mailboxes, what a power cut leaves of files that were not flushed, and the people
and programs around the folders. ``python -m certainty.simulation --seed N`` plays one seed and tells what
happened.
"""
