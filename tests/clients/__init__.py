"""Clients that people use, each in its own packages, against a real server. Evidence: their environment is large."""
