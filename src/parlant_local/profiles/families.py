"""Every family there is: a file of this package each, and those of the entry-point group ``parlant_local.profiles``."""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from parlant_local.errors import PluginError
from parlant_local.profiles.base import Family
from parlant_local.registry import Registry

__all__ = ["FAMILIES", "FAMILY_REGISTRY", "families"]

FAMILY_REGISTRY: Registry[Family] = Registry(
    "family",
    group="parlant_local.profiles",
    fits=lambda thing: isinstance(thing, Family),
    wanted="a parlant_local.profiles.Family",
)
_OTHERS = frozenset({"base", "detect", "families", "pretrained", "templates"})  # files here that are no family
_told: set[str] = set()


def _own() -> tuple[Family, ...]:
    names = {module.name for module in iter_modules([str(Path(__file__).parent)])} - _OTHERS
    return _sorted([import_module(f"parlant_local.profiles.{name}").FAMILY for name in names])


def _sorted(found: list[Family]) -> tuple[Family, ...]:
    return tuple(sorted(found, key=lambda family: (family.rank, family.name)))


FAMILIES = _own()
for _family in FAMILIES:
    FAMILY_REGISTRY.register(_family.name, _family)


def families() -> tuple[Family, ...]:
    """In the order in which they are asked. A plug-in that can't be had is told once, and left out: every model is held
    against every family, and only its own would miss it."""
    brought = []
    for name in FAMILY_REGISTRY.plugins:
        try:
            brought.append(FAMILY_REGISTRY.get(name))
        except PluginError as error:
            if error.message not in _told:
                _told.add(error.message)
                logging.getLogger("parlant_local").warning("%s", error)
    return _sorted([*brought, *FAMILIES]) if brought else FAMILIES
