"""Whether the engine is right and quick on a CUDA card: `make gpu-pack` here, `make gpu-check` there.

The machine with the card needs its compiler, CMake and Python 3.12, and no network. ``pack`` brings what else it takes;
``machine`` asks the driver, ``build`` compiles llama.cpp for the card, ``measures`` and ``workloads`` have the single proofs, each a
process of its own, and ``steps`` runs them within their time and tells of all of them in one table.
"""
