"""All families: a file of this package each, and those of the entry-point group ``parlant_local.profiles``."""

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
_NOT_FAMILIES = frozenset(
    {"base", "detect", "families", "pretrained", "templates"}
)  # modules here that are not families
_warned: set[str] = set()


def _own() -> tuple[Family, ...]:
    names = {module.name for module in iter_modules([str(Path(__file__).parent)])} - _NOT_FAMILIES
    return _sorted([import_module(f"parlant_local.profiles.{name}").FAMILY for name in names])


def _sorted(found: list[Family]) -> tuple[Family, ...]:
    return tuple(sorted(found, key=lambda family: (family.rank, family.name)))


FAMILIES = _own()
for _family in FAMILIES:
    FAMILY_REGISTRY.register(_family.name, _family)


def families() -> tuple[Family, ...]:
    """In matching order. A plug-in that can't be loaded is logged once and skipped: every model is matched against every
    family, and only its own models would miss it."""
    plugin_families = []
    for name in FAMILY_REGISTRY.plugins:
        try:
            plugin_families.append(FAMILY_REGISTRY.get(name))
        except PluginError as error:
            if error.message not in _warned:
                _warned.add(error.message)
                logging.getLogger("parlant_local").warning("%s", error)
    return _sorted([*plugin_families, *FAMILIES]) if plugin_families else FAMILIES
