"""What a person can say about a model, whatever the task. No torch here, so that help is instant."""

from __future__ import annotations

import math
from dataclasses import dataclass

from unrolled.errors import UsageError
from unrolled.options import check, check_one_of, check_share, check_types, option

MOST_LAYERS = 1_000
DIRECTIONS = ("forward", "both", "alternating")
RECURRENT_INITS = ("orthogonal", "identity", "glorot")


@dataclass(frozen=True)
class ModelOptions:
    """The recurrent layers of a model; None where the program is to choose.

    ``variational_dropout``, ``weight_drop`` and ``zoneout`` wrap every cell: see `unrolled.VariationalDropout`,
    `unrolled.WeightDrop` and `unrolled.Zoneout`; ``layer_norm`` puts a `layers.LayerNorm` before every layer.
    ``recurrent_init``, ``forget_bias`` and ``chrono`` (the longest lag, in steps) are of the first weights.
    """

    cell: str = option(
        "lstm", "lstm (default), gru, elman, lstm1997, or FILE.py:Class.", metavar="CELL", is_name=True
    )
    hidden: int | None = option(None, "Width of each hidden layer.")
    layers: int | None = option(None, "Hidden layers.")
    direction: str | None = option(
        None, "forward; both: bidirectional layers; alternating: layers backward and forward.", metavar="WHICH"
    )
    dropout: float | None = option(None, "Dropout between layers and before the output.")
    variational_dropout: float = option(0.0, "Dropout on the hidden state, one mask per sequence (0).")
    weight_drop: float = option(0.0, "Dropout on the recurrent weights (0).")
    zoneout: float = option(0.0, "Share of state values kept from the step before (0).")
    layer_norm: bool = option(False, "Layer norm of what each recurrent layer reads.")
    recurrent_init: str = option(
        "orthogonal", "Initial W_hh: orthogonal (default), identity, glorot.", metavar="KIND"
    )
    forget_bias: float | None = option(None, "Initial bias of the forget or update gate (lstm 1, gru 0).")
    chrono: float | None = option(None, "Initial gate biases for memories of up to LAG steps.", metavar="LAG")

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("hidden", "layers"):
            value = getattr(self, name)
            check(value is None or value >= 1, name, f"must be a whole number from 1, got {value}")
        few = self.layers is None or self.layers <= MOST_LAYERS
        check(few, "layers", f"must be at most {MOST_LAYERS:,}, got {self.layers or 0:,}")
        for name in ("dropout", "variational_dropout", "weight_drop", "zoneout"):
            check_share(self, name)
        if self.direction is not None:
            check_one_of(self, "direction", DIRECTIONS)
        one_way = self.direction == "alternating" and self.layers == 1
        check(not one_way, "direction", "alternating needs two layers: say --layers 2, or more")
        check_one_of(self, "recurrent_init", RECURRENT_INITS)
        far = self.chrono is None or 2 < self.chrono < math.inf
        check(far, "chrono", f"must be the longest lag in steps, above 2, got {self.chrono}")
        finite = self.forget_bias is None or math.isfinite(self.forget_bias)
        check(finite, "forget_bias", f"must be a number, got {self.forget_bias}")
        if self.chrono is not None and self.forget_bias is not None:
            raise UsageError("--chrono sets the forget gates' biases itself: leave out --forget-bias or --chrono")
