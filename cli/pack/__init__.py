"""Packs at a desk: built from a folder of rows and schemas, put to the test, compared."""
