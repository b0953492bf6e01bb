"""The agency's role: outbox intake, inbox delivery, status files and feedback for the case software.

Builds on ``exchanged`` (the engine) and ``packet_spec`` (the standard); only ``cli`` builds on it.
"""
