"""Draws what the eyes are to tell apart: one shape of one colour somewhere on a plain ground."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

COLOURS = {
    "red": (214, 32, 36), "green": (30, 150, 50), "blue": (32, 70, 214), "yellow": (246, 222, 40), "orange": (248, 140, 20),
    "purple": (128, 40, 168), "pink": (250, 140, 192), "brown": (120, 72, 34), "black": (14, 14, 16), "white": (250, 250, 248),
}  # fmt: skip
SHAPES = ("circle", "square", "triangle", "star", "cross", "heart", "ring", "diamond", "arrow", "moon")
_TINT = 12  # how far a colour may be from the one that it is named after
_CLEAR = 110  # how far, at least, the ground is from it
_TURN = 12  # degrees

Colour = tuple[int, int, int]
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Drawn:
    """A picture and what is on it."""

    image: Image.Image
    colour: str
    shape: str


def drawn(dice: np.random.Generator, colour: str | None = None, shape: str | None = None) -> Drawn:
    """A picture of any size, with its shape anywhere."""
    colour = colour or str(dice.choice(list(COLOURS)))
    shape = shape or str(dice.choice(SHAPES))
    ink = _tinted(COLOURS[colour], dice)
    width, height = (int(side) for side in dice.integers(80, 200, 2))
    if dice.random() < 0.6:
        height = width
    ground = _ground(ink, dice)
    image = Image.new("RGB", (width, height), ground)
    room = min(width, height)
    radius = room * dice.uniform(0.26, 0.44)
    x, y = (float(dice.uniform(radius, side - radius)) for side in (width, height))
    _draw(ImageDraw.Draw(image), shape, (x, y), radius, math.radians(dice.uniform(-_TURN, _TURN)), ink, ground)
    return Drawn(image, colour, shape)


def _tinted(colour: Colour, dice: np.random.Generator) -> Colour:
    red, green, blue = (int(np.clip(value + dice.integers(-_TINT, _TINT + 1), 0, 255)) for value in colour)
    return red, green, blue


def _ground(ink: Colour, dice: np.random.Generator) -> Colour:
    """Mostly white, black or grey, sometimes any colour: never one in which the shape is hard to see."""
    while True:
        kind = dice.random()
        if kind < 0.35:
            ground = (255, 255, 255)
        elif kind < 0.45:
            ground = (0, 0, 0)
        elif kind < 0.75:
            ground = (int(dice.integers(40, 240)),) * 3
        else:
            red, green, blue = (int(value) for value in dice.integers(0, 256, 3))
            ground = (red, green, blue)
        if math.dist(ground, ink) > _CLEAR:
            return ground


def _draw(
    draw: ImageDraw.ImageDraw,
    shape: str,
    centre: tuple[float, float],
    radius: float,
    turn: float,
    ink: Colour,
    ground: Colour,
) -> None:
    x, y = centre
    if shape in ("circle", "ring", "moon"):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
        if shape == "ring":
            hole = radius * 0.55
            draw.ellipse((x - hole, y - hole, x + hole, y + hole), fill=ground)
        if shape == "moon":
            inner, aside = radius * 0.82, radius * 0.5
            left, top = x + aside * math.cos(turn) - inner, y + aside * math.sin(turn) - inner
            draw.ellipse((left, top, left + 2 * inner, top + 2 * inner), fill=ground)
        return
    cos, sin = math.cos(turn), math.sin(turn)
    draw.polygon(
        [(x + radius * (px * cos - py * sin), y + radius * (px * sin + py * cos)) for px, py in _points(shape)],
        fill=ink,
    )


def _points(shape: str) -> Points:
    """The outline, in a circle of radius one; downwards is positive."""
    if shape == "square":
        return [(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)]
    if shape == "triangle":
        return [(0.0, -1.0), (0.92, 0.75), (-0.92, 0.75)]
    if shape == "diamond":
        return [(0.0, -1.0), (0.68, 0.0), (0.0, 1.0), (-0.68, 0.0)]
    if shape == "cross":
        a, b = 0.3, 0.95
        return [
            (-a, -b),
            (a, -b),
            (a, -a),
            (b, -a),
            (b, a),
            (a, a),
            (a, b),
            (-a, b),
            (-a, a),
            (-b, a),
            (-b, -a),
            (-a, -a),
        ]
    if shape == "arrow":
        return [(-1.0, -0.25), (0.1, -0.25), (0.1, -0.75), (1.0, 0.0), (0.1, 0.75), (0.1, 0.25), (-1.0, 0.25)]
    if shape == "star":
        return [
            ((1.0 if corner % 2 == 0 else 0.42) * math.sin(corner * math.pi / 5), (-1.0 if corner % 2 == 0 else -0.42) * math.cos(corner * math.pi / 5))
            for corner in range(10)
        ]  # fmt: skip
    assert shape == "heart", shape
    angles = (step * math.tau / 60 for step in range(60))
    return [
        (
            math.sin(a) ** 3 * 0.98,
            -(13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)) / 16.5,
        )
        for a in angles
    ]
