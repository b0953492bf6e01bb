"""What an operator does to packets and links: one place, the same with and without a running daemon.

``rules`` says what is allowed now and what would come of it; ``deeds`` does it, each in one ledger
transaction; ``desk`` takes a request, asks the rules inside that transaction, records who did it and why,
and answers. The daemon's control socket (``exchanged.control``) and a command that holds the node's lock
(``exchanged.acts.opening``) both call ``Desk.handle``.
"""
