"""A small file of cases, and its parts to be changed."""

from __future__ import annotations

from pathlib import Path

CASES = """\
agent:
  name: Pia
  language: en
  description: You sell tickets.
  tools:
    price_of:
      description: What a ticket costs.
      parameters:
        zone: {type: string, enum: [A, B]}
      results:
        - when: {zone: A}
          data: 2 pounds
        - data: 3 pounds
  guidelines:
    price:
      when: the customer asks what a ticket costs
      do: tell them the price
      tools: [price_of]
    dogs:
      when: the customer asks about dogs
      do: say that dogs travel free
cases:
  - id: asks-the-price
    quick: true
    conversation:
      - customer: What is a ticket for zone A?
    expect:
      apply: [price]
      calls:
        - {tool: price_of, with: {zone: A}}
  - id: asks-about-dogs
    conversation:
      - customer: May my dog come along?
    expect:
      apply: [dogs]
      says: [free]
"""


def case_file(folder: Path, text: str = CASES, name: str = "tickets.yml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path
