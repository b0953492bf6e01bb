"""The scripts by which root makes and removes the jail of a dialling neighbour's account (C2)."""
