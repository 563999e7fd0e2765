"""Byte-level BPE of 2,048 tokens, trained on the training books only."""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from terntable.models.kjv_recipe.data import BOS, EOS

VOCABULARY = 2048


def train_tokenizer(chapters: Iterable[str], *, vocabulary: int = VOCABULARY) -> Tokenizer:
    """Return a tokenizer of exactly `vocabulary` tokens: `<|bos|>` 0, `<|eos|>` 1, 256 bytes, then merges.

    ValueError when the text is too small to fill the vocabulary.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(chapters, trainer)
    if tokenizer.get_vocab_size() != vocabulary:
        raise ValueError(f"the text gives only {tokenizer.get_vocab_size()} of {vocabulary} tokens")
    # An encoded prompt starts a document, as every chapter did in training.
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return tokenizer


def load_or_train(path: Path, chapters: Iterable[str]) -> Tokenizer:
    """Return the tokenizer stored at `path`, or train it from `chapters` and store it there."""
    if path.exists():
        return Tokenizer.from_file(str(path))
    tokenizer = train_tokenizer(chapters)
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))
    return tokenizer
