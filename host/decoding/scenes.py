"""Pictures of coloured shapes with questions and answers, drawn from a seed: a toy world for models that see.

A picture has 4 by 4 places of 8 by 8 pixels, each empty or with a shape. A model sees 64 patches of 4 by 4 pixels: place by place
in reading order, the four patches of a place together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["COLOURS", "END", "IMAGE", "PATCHES", "PATCH_WIDTH", "QUESTIONS", "SHAPES", "WORDS", "Scene", "answer", "draw", "encode",
           "prompt"]

#: Rows that a picture takes in a prompt, and numbers of each: 4 by 4 pixels of three colours, 0 to 1 but for noise.
PATCHES, PATCH_WIDTH = 64, 48
COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0), "white": (1, 1, 1), "purple": (1, 0, 1)}
SHAPES = ("circle", "square", "triangle", "cross")
#: Questions of seven words: about the whole picture, about half of it, and one that needs no picture.
QUESTIONS = ("describe all the places of the picture", "describe the lower half of the picture", "how do you look at a picture")
_MANNER = ("i begin at the top and go from left to right , place by place and row by row , until i reach the end of the lower "
           "row . then i say what i saw in words .")
#: The vocabulary: a row of a picture, the end of an answer, and words.
IMAGE, END = 0, 1
WORDS = ("<image>", "<end>",
         *sorted({*" ".join(QUESTIONS).split(), *_MANNER.split(), *COLOURS, *SHAPES, *"a an empty place , .".split()}))
_IDS = {word: number for number, word in enumerate(WORDS)}


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture.

    Attributes
    ----------
    places : colour and shape of each of the 16 places, None where one is empty.
    patches : float32 (PATCHES, PATCH_WIDTH).

    """

    places: tuple[tuple[str, str] | None, ...]
    patches: NDArray[np.float32]


def draw(seed: int, *, empty: float = 0.3, noise: float = 0.05) -> Scene:
    """The picture of a seed; a place is empty with a probability, and the noise is that of each pixel's colours."""
    rng = np.random.default_rng([seed, 64])
    colours = list(COLOURS)
    places: list[tuple[str, str] | None] = []
    pixels = rng.normal(0, noise, (16, 8, 8, 3))
    for place in range(16):
        colour, shape = colours[rng.integers(len(colours))], SHAPES[rng.integers(len(SHAPES))]
        if rng.random() < empty:
            places.append(None)
            continue
        places.append((colour, shape))
        pixels[place] += _mask(shape)[..., None] * np.array(COLOURS[colour])
    # Of each place, rows and columns of patches, then pixels within one.
    patches = pixels.reshape(16, 2, 4, 2, 4, 3).transpose(0, 1, 3, 2, 4, 5).reshape(PATCHES, PATCH_WIDTH)
    return Scene(tuple(places), patches.astype(np.float32))


def _mask(shape: str) -> NDArray[np.bool_]:
    y, x = np.mgrid[:8, :8] - 3.5
    return {"circle": x * x + y * y <= 10, "square": np.maximum(abs(x), abs(y)) < 3, "triangle": abs(x) <= (y + 3.5) / 2,
            "cross": np.minimum(abs(x), abs(y)) < 1}[shape]


def answer(scene: Scene, question: str) -> str:
    """What is true; one of `QUESTIONS` is answered in 32 words or more."""
    if question == QUESTIONS[2]:
        return _MANNER
    said = [f"a {place[0]} {place[1]}" if place else "an empty place" for place in scene.places]
    return " , ".join(said[8:] if question == QUESTIONS[1] else said) + " ."


def encode(text: str) -> list[int]:
    """Token ids of words that are parted by blanks; KeyError for an unknown one."""
    return [_IDS[word] for word in text.split()]


def prompt(question: str) -> list[int]:
    """Token ids of a picture's rows and a question."""
    return [IMAGE] * PATCHES + encode(question)
