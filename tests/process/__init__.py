"""The real daemon and the real sshd."""
