"""Trains the few-megabyte model that comes with parlant-local. Never imported by the package."""
