"""Seven booleans, and how sure the model was of each."""

from __future__ import annotations

import pytest

from parlant_local.errors import InvalidOutputError
from parlant_local.messages import ChatReply, TokenLogprob
from parlant_local.moderation.prompted import tag_probabilities

from .answers import verdict


def test_probabilities_are_read_from_the_first_token_of_each_value() -> None:
    found = tag_probabilities(verdict(violence=0.7, self_harm=0.3))
    assert found["violence"] == pytest.approx(0.7)
    assert found["self-harm"] == pytest.approx(0.3)
    assert found["hate"] == pytest.approx(0.01)


def test_a_value_token_may_also_hold_what_stands_before_it() -> None:
    reply = verdict(jailbreak=0.9)
    assert reply.logprobs is not None
    first, second, *rest = reply.logprobs
    merged = TokenLogprob(
        first.token + second.token,
        second.logprob,
        top=tuple((first.token + text, logprob) for text, logprob in second.top),
    )
    assert tag_probabilities(ChatReply(reply.content, logprobs=(merged, *rest)))["jailbreak"] == pytest.approx(0.9)


def test_without_log_probs_the_verdict_itself_counts() -> None:
    found = tag_probabilities(ChatReply(verdict(hate=0.8).content))
    assert (found["hate"], found["violence"]) == (1.0, 0.0)


def test_no_verdict_is_an_error_not_a_clean_bill() -> None:
    with pytest.raises(InvalidOutputError):
        tag_probabilities(ChatReply('{"jailbreak":false}'))
