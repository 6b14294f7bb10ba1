"""Real packages, built and installed without network, and used."""
