"""Context overflows recognised in error messages, with the figures that the messages give.

Each list names a quantity in every wording that was seen (tests/backends/test_wordings.py has them with their sources);
of several that match, the first one counts.
"""

from __future__ import annotations

import re

from parlant_local.errors import ContextOverflowError

__all__ = ["SHORTER", "is_overflow", "overflow_of"]

SHORTER = "Shorten the prompt, or use a model with a larger context."

_OVERFLOW = re.compile(
    r"context[_ -]?length[_ -]?exceeded|context[_ ]window[_ ]exceeded|ContextWindowExceeded|exceed_context_size"
    r"|max(imum)?[_ ]prompt[_ ]tokens[_ ]exceeded|maximum (context|model|prompt|sequence) (length|window|size|limit)"
    r"|max_(model|seq|sequence)_len|context (length|size|window|limit)|too many (total )?(text )?tokens|token limit|max_num_tokens"
    r"|(prompt|input|message|request|content)s? (is|are|was|were) too (long|large)|prompt too long|too large for model"
    r"|prompt exceeds|exceeds? (the )?max(imum)? (length|number of tokens|allowed input length)"
    r"|(input|prompt) token count|input tokens exceed|must have less than \d+ tokens|`max_new_tokens` must be <="
    r"|reduce the (length|number) of|range of input length|request too large|too large to process|tokens to keep"
    r"|too many input tokens|exceeds? the maximum allowed length"
    r"|(total|input|prompt|context|sequence|requested|number of)\W{0,4}(token|length)[^.]{0,60}exceed"
    r"|(input|prompt|request) \(\d+ tokens\) is too long"
    r"|context overflow|n_prompt_tokens|(conversation|history|messages?|chat) (is |are |was )?too (long|large)"
    r"|sequence length \(?[\d,]+\)? is (larger|longer|greater)|shorten (your|the) (input|prompt|conversation|messages?)"
    r"|(prompt|inputs?|request|text)\b[^.]{0,40}\d tokens?\b[^.]{0,40}(limit|max|only|context|up to|window)"
    r"|(input|prompt|total)[^.]{0,20} tokens? \(?[\d,]+\)? ?>",
    re.IGNORECASE,
)
_OTHER_LIMIT = re.compile(
    r"tokens? per (minute|day|hour|second)|wait before|rate.?limit|quota|max_tokens.{0,40}(must be|should be) (at least|greater|positive)",
    re.IGNORECASE,
)
_NEVER_FITS = re.compile(r"request too large|(must|should) be reduced", re.IGNORECASE)

_N = r"((?>\d[\d,_.]*\d|\d))"  # atomic: the whole figure, or none
_LIMIT = (
    rf"context length is only {_N}",
    rf"cannot exceed {_N}",
    rf"maximum (?:context|prompt|model|input|sequence|allowed input) (?:length|window|limit)(?: is| of|:)? \(?{_N}",
    rf"max_seq(?:uence)?_len\W{{1,4}}{_N}",
    rf"max_model_len=(?:\w+=)?{_N}",
    rf"with {_N} maximum",
    rf"available context size \({_N}",
    rf"context (?:length|size|window)(?: is)?(?: of)?(?: only)? \(?(?:n_ctx: )?{_N}",
    rf"n_ctx\W{{1,4}}{_N}",
    rf"must (?:be <=|have less than) {_N}",
    rf"tokens allowed \(?{_N}",
    rf"(?<!window )exceed(?:s|ing)? (?:[a-z'_-]+ ){{0,5}}?(?:limit|maximum|length)(?: of|:)? \(?{_N}(?! \+)",
    rf"max input tokens: {_N}",
    rf"configured limit of {_N}",
    rf"token limit: {_N}",
    rf"supports up to {_N}",
    rf"limit(?: is)? {_N}",
    rf"max_num_tokens \({_N}",
    rf"\[1, ?{_N}\]",
    rf"> {_N}",
    rf"batch size: {_N}",
)
_PROMPT = (
    rf"{_N} (?:tokens )?(?:in the messages|in your prompt|in the prompt|of text input|from the input messages)",
    rf"prompt contains (?:at least )?{_N}",
    rf"(?:decoder )?prompt \((?:total )?(?:length )?{_N}",
    rf"(?:request|prompt|input(?: length| prompt)?) \({_N} tokens\)",
    rf"(?:your request|prompt|request) (?:has|contains) {_N}",
    rf"input length \(?{_N}",
    rf"passed {_N} input tokens",
    rf"input token (?:count|length)(?: is|:)? \(?{_N}",
    rf"(?:input|prompt) tokens \(?{_N}",
    rf"received {_N}",
    rf"prompt token count of {_N}",
    rf"{_N} `inputs` tokens",
    rf"messages resulted in {_N}",
    rf"too long: {_N}",
    rf"n_prompt_tokens\W{{1,4}}{_N}",
    rf"less than \d+ tokens\. Given: {_N}",
    rf"current length is {_N}",
    rf"n_keep: {_N}",
    rf"keep the first {_N} tokens",
    rf"prompt length \({_N}",
    rf"context limit: {_N} \+",
)
_ANSWER = (
    rf"{_N} (?:tokens )?(?:in the completion|in the output|for the completion|`max_new_tokens`)",
    rf"requested {_N} output tokens",
    rf"max_tokens asks for {_N}",
    rf"plus {_N} 'max_tokens'",
    rf"is too large: {_N}",
    rf"max_tokens=?\s?\(?{_N}",
    rf"context limit: \d+ \+ {_N}",
)
_NEEDED = (
    rf"total of (?:at least )?{_N} tokens",
    rf"requested (?:about |a total of )?{_N} tokens",
    rf"requested tokens \({_N}",
    rf"total (?:number of )?tokens?(?: count)?:? \(?{_N}",
    rf"maximum number of tokens: {_N}",
    rf"requested:? {_N}(?! output)",
)
_SUM = re.compile(rf"\({_N} ?\+ ?{_N}\) exceeds? {_N}", re.IGNORECASE)
_COMPARED = re.compile(rf"{_N}\)? ?(?:>=?|/) ?(?:[a-z_]+ )?\(?{_N}", re.IGNORECASE)
_OVER = (rf"(?:exceeded .{{0,40}}|limit exceeded )by {_N} tokens",)


def is_overflow(status: int, text: str) -> bool:
    if status not in (0, 400, 413, 422, 429, 500) or not _OVERFLOW.search(text):
        return False
    # More than a minute's allowance can't pass by waiting; less than that can.
    return bool(_NEVER_FITS.search(text)) if status == 429 or _OTHER_LIMIT.search(text) else True


def overflow_of(target: str, text: str, n_ctx: int | None, reason_given: str) -> ContextOverflowError:
    limit, prompt, answer = _figure(_LIMIT, text), _figure(_PROMPT, text), _figure(_ANSWER, text)
    available = limit or n_ctx  # the error is more recent than the model list
    needed = _figure(_NEEDED, text) or ((prompt or 0) + (answer or 0) or None)
    if needed is None and available is not None and (over := _figure(_OVER, text)):
        needed = prompt = available + over
    if needed and limit and needed <= limit and not answer:
        needed = prompt = None  # the words were misread
    if not (needed and limit) and (pair := _pair(text)):
        needed, available = pair
        prompt, answer = needed, None
    if summed := _SUM.search(text):
        prompt, answer, available = (_number(figure) for figure in summed.groups())
        needed = (prompt or 0) + (answer or 0)
    asked = f"{needed} tokens do" if needed else "The prompt does"
    room = f" of {available}" if available else ""
    reason = "" if needed and available else f" ({reason_given})"
    return ContextOverflowError(
        f"{asked} not fit in the context{room} of {target}{reason}.",
        needed=needed,
        available=available,
        prompt=prompt,
        hint=SHORTER,
    )


def _figure(patterns: tuple[str, ...], text: str) -> int | None:
    for pattern in patterns:
        if (found := re.search(pattern, text, re.IGNORECASE)) is not None:
            return _number(found.group(1))
    return None


def _number(figure: str) -> int | None:
    digits = re.sub(r"[,_]|\.\d*$", "", figure)
    return (int(digits) or None) if digits.isdigit() and len(digits) < 10 else None


_LEAST = 500
"""Of a context, as a figure whose meaning nothing tells; less than that is a status or a number of something else."""


def _pair(text: str) -> tuple[int, int] | None:
    """What was needed and what there is, where two figures stand in words that nobody knows: the larger one did not fit."""
    compared = _COMPARED.search(text)
    found = compared.groups() if compared else re.findall(_N, text)
    figures = {number for figure in found if (number := _number(figure)) and number > _LEAST}
    return (max(figures), min(figures)) if len(figures) == 2 else None
