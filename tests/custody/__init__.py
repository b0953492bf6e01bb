"""The rules by which packets change hands, each proved by a test that bears its number."""
