"""What a task says that can be cross-validated."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from unrolled.models.model import Model


class CrossValidation:
    """The part of a `Task` that cuts its data into folds; by default there are none.

    Attributes:
        candidates: by name, options of which one is to be chosen by cross-validation within the training part; none
            where nothing is left open.
        inner_folds: into how many folds a training part is cut to choose.
    """

    candidates: Mapping[str, Any] = MappingProxyType({})
    inner_folds = 5

    @property
    def folds(self) -> int:
        """Into how many folds the data that were read are cut; 0 for no cross-validation."""
        return 0

    @property
    def seeds(self) -> int:
        """How many models are trained in each fold."""
        return 1

    def read_fold(self, data: str, fold: int | None, inner: int | None = None) -> int:
        """As `Task.read`, with the training part of one fold; nothing else is learnt from the sequences held out.

        Arguments:
            fold: None for the training part that `Task.read` makes.
            inner: that training part is itself cut into ``inner_folds``, and this one is held out.
        """
        raise NotImplementedError

    def held_out(self, model: Model) -> Any:
        """What a model of the fold that was read says of the sequences held out, as JSON has it."""
        raise NotImplementedError

    def score_folds(self, found: Mapping[tuple[int, int], Any]) -> dict[str, Any]:
        """Scores of all folds, with the metrics among them, from what `held_out` gave by fold and seed."""
        raise NotImplementedError

    def rank(self, figures: Mapping[str, Any]) -> Any:
        """The smaller, the better such scores are, to choose among the candidates."""
        raise NotImplementedError

    def take(self, name: str, figures: Mapping[str, Mapping[str, Any]]) -> None:
        """Use one of the candidates from now on; ``figures`` are the scores of each of them."""
        raise NotImplementedError
