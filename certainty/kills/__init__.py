"""Nodes are killed at random while their agencies send, and nothing may be lost or doubled."""
