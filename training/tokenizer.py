"""The vocabulary: a byte-level BPE of 4,096 entries, split the way llama.cpp's `smollm` pre-tokenizer splits."""

import random
from collections.abc import Iterator
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from training.corpus import host_texts, library_texts

PRE_TOKENIZER = "smollm"
VOCABULARY_SIZE = 4096
END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CONTROL_TOKENS = (END_OF_TEXT, TURN_START, TURN_END)
VISIBLE_TOKENS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<tools>", "</tools>")
"""Text that a parser must see, in one token each."""


def splitting(tokenizer: Tokenizer) -> Tokenizer:
    """Digits stand alone, and the rest is split as llama.cpp does."""
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{N}"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def build(texts: Iterator[str]) -> Tokenizer:
    """Trains the vocabulary. Digits stand alone, so that ids and numbers can be copied digit by digit."""
    tokenizer = splitting(Tokenizer(models.BPE()))
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE - len(VISIBLE_TOKENS),
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in VISIBLE_TOKENS])
    assert tokenizer.get_vocab_size() == VOCABULARY_SIZE, tokenizer.get_vocab_size()
    return tokenizer


def texts(seed: int = 1) -> Iterator[str]:
    """What the statistics are taken from: general English, the host's prompts, and the conversations to be learnt."""
    from training.data.mix import short_samples  # The mix needs the corpus, too: imported late to keep that one-way.

    rng = random.Random(seed)
    yield from library_texts()
    for text in host_texts():
        yield from (text, text)
    for sample in short_samples(rng, 6000):
        yield sample.text


def load(path: Path) -> Tokenizer:
    """Reads a trained vocabulary."""
    return Tokenizer.from_file(str(path))


def ordinary(tokenizer: Tokenizer) -> list[int]:
    """The entries that are no marks."""
    marks = tokenizer.get_added_tokens_decoder()
    return [number for number in range(tokenizer.get_vocab_size()) if number not in marks]


def main() -> None:
    """Trains the vocabulary and says how many characters a token holds."""
    build_folder = Path(__file__).parent / "build"
    build_folder.mkdir(exist_ok=True)
    tokenizer = build(texts())
    tokenizer.save(str(build_folder / "tokenizer.json"))
    for name, sample in (("library", library_texts()[::40]), ("host", host_texts())):
        text = "\n".join(sample)
        if text:
            print(f"{name}: {len(text) / len(tokenizer.encode(text).ids):.2f} characters per token")


if __name__ == "__main__":
    main()
