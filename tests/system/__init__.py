"""Tests that need root: real accounts, mounts, network namespaces, a booted systemd. ``./run system``."""
