"""Averages the weights of two runs of one training: what the second learnt, with less of what it forgot."""

import argparse
from pathlib import Path

import torch

BUILD = Path(__file__).parent / "build"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of the second")
    parser.add_argument("--out", type=Path, default=BUILD / "model.pt")
    arguments = parser.parse_args()
    first, second = torch.load(arguments.first), torch.load(arguments.second)
    weights = {
        name: torch.lerp(first["weights"][name], second["weights"][name], arguments.share) for name in first["weights"]
    }
    torch.save({"shape": first["shape"], "weights": weights}, arguments.out)


if __name__ == "__main__":
    main()
