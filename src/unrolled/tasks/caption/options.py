"""What a person can say about captions. No torch here, so that help is instant."""

from __future__ import annotations

from dataclasses import dataclass

from unrolled.options import check, check_one_of, check_share, check_types, option, percentages

IMAGES = ("first", "state", "attention")
UNITS = ("words", "subwords")
PIXELS = "pixels"


@dataclass(frozen=True)
class CaptionOptions:
    """Settings of the caption task; None where the program is to choose.

    ``image`` is how the network comes to know the picture: as its first input (Vinyals et al. 2015), as its initial
    state (Karpathy & Fei-Fei 2015), or by attention over a grid of places (Xu et al. 2015). ``features`` are
    ``pixels``, for a convolutional network that is trained with the rest, ``efficientnet``, an ONNX file, or a file
    of ready ones. ``augment`` keeps words from depending on the place of what is seen, and ``word_noise`` from
    depending on the words before where they should depend on the picture. Words of fewer than ``rare`` captions of
    the training part are unknown.
    """

    image: str = option("attention", "How it is seen: first, state or attention (default).", metavar="WHICH")
    features: str | None = option(
        None, "pixels, efficientnet, an ONNX file, or ready .npy or .safetensors.", metavar="KIND", is_name=True
    )
    size: int | None = option(None, "Side of the pictures in pixels, for --features pixels (64).")
    augment: bool = option(True, "Shift pictures a little in training, for pixels.")
    word_noise: float = option(0.1, "Share of the words before that are exchanged in training (0.1).")
    units: str = option("words", "words (default) or subwords.", metavar="KIND")
    rare: int | None = option(
        None, "Words of fewer captions are unknown (1; 2 from 1,000 captions on, 5 from 20,000)."
    )
    vocabulary_size: int | None = option(None, "At most so many words or subwords (20,000 and 2,000).")
    split: str = option("80/10/10", "Training/validation/test in percent (80/10/10).", metavar="A/B/C")
    beam_width: int = option(3, "Hypotheses of the search for captions (3).")
    length_penalty: float = option(0.7, "Power of the length that log probabilities are divided by (0.7).")

    def __post_init__(self) -> None:
        check_types(self)
        check_one_of(self, "image", IMAGES)
        check_one_of(self, "units", UNITS)
        check_share(self, "word_noise")
        fits = self.size is None or (16 <= self.size <= 512 and self.size % 8 == 0)
        check(fits, "size", f"must be a multiple of 8 from 16 to 512, got {self.size}")
        check(self.rare is None or self.rare >= 1, "rare", f"must be a whole number from 1, got {self.rare}")
        many = self.vocabulary_size is None or 2 <= self.vocabulary_size <= 200_000
        check(many, "vocabulary_size", f"must be from 2 to 200,000, got {self.vocabulary_size}")
        check(1 <= self.beam_width <= 100, "beam_width", f"must be from 1 to 100, got {self.beam_width}")
        mild = 0 <= self.length_penalty <= 10
        check(mild, "length_penalty", f"must be from 0 to 10, got {self.length_penalty}")
        self.shares()

    def shares(self) -> tuple[int, int, int]:
        """The split as three whole percentages."""
        return percentages(self.split, "80/10/10")
