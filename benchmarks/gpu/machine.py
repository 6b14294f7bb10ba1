"""What NVIDIA's driver says of the cards."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Card", "architectures", "cards", "parse_cards", "used_mib"]

_FIELDS = "name,compute_cap,memory.total,memory.used,driver_version"
_SECONDS = 30


@dataclass(frozen=True)
class Card:
    name: str
    capability: str
    """Such as ``9.0``."""
    total_mib: int
    used_mib: int
    driver: str


def cards() -> list[Card]:
    """Raises :class:`OSError` or :class:`subprocess.SubprocessError` where there is no driver."""
    command = ["nvidia-smi", f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"]
    return parse_cards(subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SECONDS).stdout)


def parse_cards(text: str) -> list[Card]:
    """Raises :class:`ValueError` for anything but nvidia-smi's lines."""
    found = []
    for line in filter(str.strip, text.splitlines()):
        name, capability, total, used, driver = (part.strip() for part in line.split(","))
        found.append(Card(name, capability, int(total), int(used), driver))
    return found


def architectures(found: Sequence[Card]) -> str:
    """CMake's list for these cards alone: machine code, no intermediate code for others."""
    numbers = sorted({card.capability.replace(".", "") for card in found}, key=int)
    return ";".join(f"{number}-real" for number in numbers)


def used_mib() -> int:
    """On all cards, by any program."""
    return sum(card.used_mib for card in cards())
