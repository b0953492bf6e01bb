"""The suite: it sees every package, and nothing sees it."""
