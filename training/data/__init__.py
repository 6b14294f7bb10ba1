"""Generators of synthetic conversations: everything the model learns is made here, from fixed seeds."""
