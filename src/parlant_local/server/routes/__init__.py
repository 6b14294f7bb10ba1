"""One file per concern; each makes a router."""
