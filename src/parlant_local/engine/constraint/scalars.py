"""String and number schemas made bounded."""

from __future__ import annotations

import math
from fractions import Fraction

from parlant_local.engine.constraint.impossible import Impossible
from parlant_local.engine.constraint.keywords import Schema
from parlant_local.engine.constraint.reading import Reading
from parlant_local.engine.constraint.values import exact
from parlant_local.engine.pattern_syntax import translated
from parlant_local.engine.patterns import AllPatterns, problem_of
from parlant_local.engine.requests import Limits
from parlant_local.errors import SchemaError

__all__ = ["bounded_number", "bounded_text", "key_rule", "upper"]

_DECIMALS = 9  # llguidance counts multiples exactly up to here
_MAX_NUMBER = 10**18  # llguidance's numbers
_MAX_DECIMALS = 20  # decimals of a bound: each is a nesting level in llguidance's pattern, whose depth is limited

# What llguidance enforces. The standard makes format an annotation, so all others are left to the model.
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"})
# RFC 3339 does not limit the fraction of a second.
_FORMAT_LENGTHS = {"date-time": 35, "time": 24, "duration": 40}


def upper(schema: Schema, key: str, default: int, reading: Reading) -> int:
    """An upper bound, never above the limit on lower bounds."""
    return min(int(schema.get(key, default)), reading.bounds.max_count)


def bounded_text(schema: Schema, limits: Limits, reading: Reading) -> Schema:
    closed: Schema = {"type": "string"}
    if "minLength" in schema:
        closed["minLength"] = schema["minLength"]
    label = str(schema.get("format", ""))
    label = "uuid" if label.startswith("uuid") else label  # Pydantic's uuid1 to uuid8
    most = _FORMAT_LENGTHS.get(label, limits.max_string)
    closed["maxLength"] = upper(schema, "maxLength", max(schema.get("minLength", 0), most), reading)
    if closed.get("minLength", 0) > closed["maxLength"]:
        raise Impossible(
            "minLength", f"it needs {closed['minLength']} characters, and has room for {closed['maxLength']}."
        )
    if "pattern" in schema:
        closed |= key_rule(schema["pattern"], reading)
    if label in _FORMATS and not (closed.keys() & {"minLength", "pattern"} and problem_of({**closed, "format": label})):
        closed["format"] = label
    return closed


def key_rule(pattern: str, reading: Reading) -> Schema:
    """The keywords that enforce a pattern, or several."""
    patterns: dict[str, None] = {}
    for part in AllPatterns.within(pattern):
        rule = translated(part, reading.bounds)
        patterns |= dict.fromkeys((rule.pattern, *rule.also))
        if rule.never:
            reading.unbound.add("pattern")
    first, *others = patterns
    bound: Schema = {"pattern": first}
    if others:
        bound["allOf"] = [{"type": "string", "pattern": other} for other in others]
    return bound


def bounded_number(schema: Schema, limits: Limits, reading: Reading) -> Schema:
    closed: Schema = {"type": schema["type"]}
    lows = {key: schema[key] for key in ("minimum", "exclusiveMinimum") if key in schema}
    highs = {key: schema[key] for key in ("maximum", "exclusiveMaximum") if key in schema}
    for key, low in lows.items():
        if low > _MAX_NUMBER:
            raise _out_of_range(key)
        closed[key] = max(low, -_MAX_NUMBER)
    for key, high in highs.items():
        if high < -_MAX_NUMBER:
            raise _out_of_range(key)
        closed[key] = min(high, _MAX_NUMBER)
    bound = 10**limits.max_digits - 1
    if not lows:
        closed["minimum"] = max(-_MAX_NUMBER, min(-bound, *(2 * -abs(high) - 1 for high in highs.values()), 0))
    if not highs:
        closed["maximum"] = min(_MAX_NUMBER, max(bound, *(2 * abs(low) + 1 for low in lows.values()), 0))
    _check_satisfiable(closed, schema)
    _round_bounds(closed)
    step = _multiple_of(schema, closed, limits, reading)
    if step is not None:
        closed["multipleOf"] = step
    _check_satisfiable(closed, schema)
    if closed["type"] == "number":
        _step_within(closed)
    return closed


def _step_within(closed: Schema) -> None:
    """A whole number that is excluded is written all the same by llguidance where the other bound is less than one away:
    the bound becomes the next number within."""
    low = max((exact(closed[key]), key) for key in ("minimum", "exclusiveMinimum") if key in closed)
    high = min((exact(closed[key]), key) for key in ("maximum", "exclusiveMaximum") if key in closed)
    span = high[0] - low[0]
    if not 0 < span < 1:
        return
    step = (
        exact(closed["multipleOf"]) if "multipleOf" in closed else Fraction(10) ** max(_order(span) - 3, -_MAX_DECIMALS)
    )
    for (bound, key), inner, sign in ((low, "minimum", 1), (high, "maximum", -1)):
        if key != inner and bound.denominator == 1:
            del closed[key]
            nearest = math.nextafter(float(bound), sign * math.inf) if bound else sign * 10.0**-_MAX_DECIMALS
            within = float((bound // step + sign) * step if sign > 0 else (-(-bound // step) + sign) * step)
            closed[inner] = max(within, nearest) if sign > 0 else min(within, nearest)


def _order(size: Fraction) -> int:
    """The power of ten that is next below."""
    return math.floor(math.log10(size))


def _check_satisfiable(closed: Schema, original: Schema) -> None:
    """Raises :class:`Impossible` where no number lies between the bounds."""
    low, low_open, low_key = max(
        (exact(closed[key]), key != "minimum", key) for key in ("minimum", "exclusiveMinimum") if key in closed
    )
    high, high_closed, high_key = min(
        (exact(closed[key]), key == "maximum", key) for key in ("maximum", "exclusiveMaximum") if key in closed
    )
    step = closed.get("multipleOf", 1 if closed["type"] == "integer" else None)
    if step is None or ("multipleOf" in closed and "multipleOf" not in original):
        fits = low < high or (low == high and high_closed and not low_open)
        suffix = ""
    else:
        size = exact(step)
        first, last = math.ceil(low / size), math.floor(high / size)
        first += low_open and first * size == low
        last -= not high_closed and last * size == high
        fits = first <= last
        suffix = f" that is a multiple of {step}" if "multipleOf" in closed else ""
    if not fits:
        raise Impossible(
            "multipleOf" if suffix else low_key,
            f"no {closed['type']} lies between its {low_key} {closed[low_key]} and its {high_key} {closed[high_key]}{suffix}.",
        )


def _round_bounds(closed: Schema) -> None:
    """Rounds bounds that have too many decimals to the next ones inside the range."""
    for key, inner, rounding in (
        ("exclusiveMinimum", "minimum", math.ceil),
        ("minimum", "minimum", math.ceil),
        ("exclusiveMaximum", "maximum", math.floor),
        ("maximum", "maximum", math.floor),
    ):
        scaled = exact(closed.get(key, 0)) * 10**_MAX_DECIMALS
        if scaled.denominator == 1:
            continue
        del closed[key]
        rounded = float(Fraction(rounding(scaled), 10**_MAX_DECIMALS))
        tighter = max if inner == "minimum" else min
        closed[inner] = tighter(closed.get(inner, rounded), rounded)
        if closed.get("minimum", -math.inf) > closed.get("maximum", math.inf):
            raise SchemaError(
                f"The schema's {key} leaves only numbers of more than {_MAX_DECIMALS} decimals, which the decoder can't write.",
                keyword=key,
                hint="Use a larger unit, or a string of digits (type string with a pattern).",
            )


def _out_of_range(key: str) -> SchemaError:
    return SchemaError(
        f"The schema's {key} leaves only numbers beyond 10^18, which the decoder can't write.",
        keyword=key,
        hint="Use a string of digits (type string with a pattern).",
    )


def _multiple_of(schema: Schema, closed: Schema, limits: Limits, reading: Reading) -> float | None:
    """The ``multipleOf`` to enforce: without one, a fraction could go on for ever."""
    decimals = min(_DECIMALS, limits.max_digits)
    if "multipleOf" in schema:
        multiple = exact(schema["multipleOf"])
        if closed["type"] == "integer" and multiple.numerator == 1:
            return None
        if not reading.reserve_multiple(multiple.numerator):
            reading.unbound.add("multipleOf")
            return None if closed["type"] == "integer" else 10.0**-decimals
        if isinstance(schema["multipleOf"], int) or not problem_of(
            {"type": "number", "multipleOf": schema["multipleOf"]}
        ):
            return float(schema["multipleOf"]) if multiple.denominator > 1 else multiple.numerator
        reading.unbound.add("multipleOf")
        if closed["type"] == "integer":
            return None
        digits = next((digits for digits in range(decimals) if 10**digits % multiple.denominator == 0), decimals)
        return 10.0**-digits
    if closed["type"] == "integer":
        return None
    lows = [closed[key] for key in ("minimum", "exclusiveMinimum") if key in closed]
    highs = [closed[key] for key in ("maximum", "exclusiveMaximum") if key in closed]
    return 10.0**-decimals if min(highs) - max(lows) >= 10.0 ** (1 - decimals) else None
