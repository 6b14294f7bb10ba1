"""Settings to be tried, as given on the command line."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from parlant_local.errors import BadRequestError
from parlant_local.settings.lookup import is_secret, key_named

__all__ = ["parsed_trial", "values_of"]


def parsed_trial(text: str) -> dict[str, str]:
    """``KEY=VALUE KEY=VALUE``; a value is what would stand in the settings file. Raises for keys that there are not."""
    try:
        given = [part.partition("=") for part in shlex.split(text)]
    except ValueError as error:
        raise BadRequestError(f"--try {text!r} can't be read: {error}.") from None
    if not given or not all(key and mark for key, mark, _ in given):
        raise BadRequestError(
            f"--try {text!r} is not KEY=VALUE.", hint="Such as --try generation.calls.matching.temperature=0."
        )
    trial = {key_named(key): value for key, _, value in given}
    if secret := next(filter(is_secret, trial), None):
        raise BadRequestError(f"--try can't set {secret}, which is a secret.", hint="Results name what was tried.")
    values_of(trial)
    return trial


def values_of(trial: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    for key, value in trial.items():
        try:
            found[key] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError) as error:
            detail = " ".join(str(error).split())[:200]
            raise BadRequestError(f"--try {key}: its value is not YAML: {detail}.") from None
    return found
