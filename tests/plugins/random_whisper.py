"""Writes the weights of a tiny Whisper of random numbers: it hears words that nobody said.

    python random_whisper.py FOLDER

Run by the interpreter of the plugin's own environment, with the packages that the plugin uses. So
what the plugin does with weights is tested with the real library where no real ones are at hand.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy
from ctranslate2.specs import WhisperSpec
from faster_whisper.tokenizer import _LANGUAGE_CODES as LANGUAGES
from tokenizers import AddedToken, Tokenizer, models

WIDTH = 32
MELS = 80  # bands of sound that a Whisper hears
WORDS = [f"word{number}" for number in range(200)]
SPECIAL = [
    *("<|endoftext|>", "<|startoftranscript|>"),
    *(f"<|{language}|>" for language in LANGUAGES),
    *("<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"),
    "<|notimestamps|>",
    *(f"<|{number * 0.02:.2f}|>" for number in range(1501)),
]

chance = numpy.random.default_rng(1)


def numbers(*shape: int) -> Any:
    return chance.normal(0, 0.3, shape).astype(numpy.float32)


def fill(layer: Any, *shape: int) -> None:
    layer.weight, layer.bias = numbers(*shape), numpy.zeros(shape[0], numpy.float32)


def even(norm: Any) -> None:
    norm.gamma, norm.beta = numpy.ones(WIDTH, numpy.float32), numpy.zeros(WIDTH, numpy.float32)


def write(folder: Path) -> None:
    spec = WhisperSpec(1, 2, 1, 2)
    hears, speaks = spec.encoder, spec.decoder
    fill(hears.conv1, WIDTH, MELS, 3)
    fill(hears.conv2, WIDTH, WIDTH, 3)
    hears.position_encodings.encodings = numbers(1500, WIDTH)
    speaks.position_encodings.encodings = numbers(448, WIDTH)
    even(hears.layer_norm)
    even(speaks.layer_norm)
    speaks.embeddings.weight = numbers(len(WORDS + SPECIAL), WIDTH)
    fill(speaks.projection, len(WORDS + SPECIAL), WIDTH)
    speaks.projection.bias[: len(WORDS)] = 5.0  # it would rather say a word than anything else
    for layer in hears.layer + speaks.layer:
        even(layer.self_attention.layer_norm)
        fill(layer.self_attention.linear[0], 3 * WIDTH, WIDTH)
        fill(layer.self_attention.linear[1], WIDTH, WIDTH)
        even(layer.ffn.layer_norm)
        fill(layer.ffn.linear_0, 2 * WIDTH, WIDTH)
        fill(layer.ffn.linear_1, WIDTH, 2 * WIDTH)
    for layer in speaks.layer:
        even(layer.attention.layer_norm)
        for place, height in enumerate((WIDTH, 2 * WIDTH, WIDTH)):
            fill(layer.attention.linear[place], height, WIDTH)
    tokens = WORDS + SPECIAL
    spec.register_vocabulary(tokens)
    spec.config.suppress_ids = spec.config.suppress_ids_begin = []
    spec.config.lang_ids = [tokens.index(f"<|{language}|>") for language in LANGUAGES]
    spec.config.alignment_heads = [(0, 0)]
    spec.validate()
    spec.save(str(folder))
    known = {token: place for place, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token=WORDS[0]))
    tokenizer.add_special_tokens([AddedToken(one, special=True) for one in SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
