"""Replicas and conversations on paper: what a router's choice does to prefix hits, balance and tail."""
