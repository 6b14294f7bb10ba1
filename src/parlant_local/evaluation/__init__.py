"""The examination: does a model follow an agent's rules, and which of its decisions go wrong?

Each case is a small agent, a conversation and what must be true of the agent's next turn. The turn is made by Parlant's own
engine over the model under test; the report says which decisions were right, by family.
"""

from __future__ import annotations
