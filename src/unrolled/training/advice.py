"""Advice that fits a run: what to try, given what is already set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from unrolled.training.options import TrainingOptions


@dataclass(frozen=True)
class Advice:
    """What to try when training goes wrong. It names no setting that the run has, and none that cannot be made.

    Fields:
        options: the settings of training.
        model: those of the task's model, by name: ``cell``, ``hidden``, ``layers``, ``dropout``, ``recurrent_init``,
            ``forget_bias`` and ``chrono``, as far as it has them.
        windows: whether sequences are cut into windows of --bptt; separate ones are read whole.
        chosen: the settings that the program chose. What is wrong with them is the program's fault, and it says so.
    """

    options: TrainingOptions
    model: Mapping[str, Any]
    windows: bool = True
    chosen: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Mapping[str, Any], model: Mapping[str, Any]) -> Advice:
        """From the sections of a run's configuration."""
        known = asdict(TrainingOptions()) | dict(settings)
        return cls(TrainingOptions(**{name: known[name] for name in asdict(TrainingOptions())}), model)

    # -- one for each cause

    def rate_too_high(self, highest: float) -> str:
        """``highest`` is the highest rate so far."""
        return f"a new run with a smaller rate, such as --lr {_floor(highest / 5)}{self._whose_rate()}"

    def rate_too_low(self, peak: float) -> str:
        if not peak:
            return "a new run without --lr; at a rate of 0 nothing is learnt"
        optimizer = self.options.optimizer or "adam"
        usual = f"with {optimizer}, an update usually changes the weights by about 1e-3 of their size"
        return f"a new run with a larger rate, such as --lr {peak * 10:.1g} ({usual}){self._whose_rate()}"

    def clipped(self, change: float | None) -> str:
        """``change``: of the weights, if the limit makes it that small."""
        kind, limit = self.options.clipping()
        larger = f"a larger limit than --clip {'value:' if kind == 'value' else ''}{limit:g} (see |g| in the reports)"
        if change is not None:
            return f"{larger}; clipping limits an update to {change:.0e} of the size of the weights"
        return f"{_either([*self._smaller_rate(), larger])}; clipping now sets the size of the steps"

    def not_finite(self) -> str:
        options = [*self._smaller_rate(), *self._clipping()]
        return _either(options) or "checking the divisions, logarithms and powers in the cell's equation"

    def vanishing(self, chunk: int, furthest: int, gated: bool) -> str:
        """``chunk`` steps a window; the gradient is felt over ``furthest``; whether gates keep the state."""
        options = self._open_gates(chunk) if gated else self._gates()
        window = max(10, 2 * furthest, self.options.update_every or 0)
        if self.windows and window < min(chunk, self.options.bptt or math.inf):
            options.append(f"--bptt {window} to save time")
        return f"{_either(options) or 'longer training'}; what lies further back is not learnt"

    def chunk_too_short(self, chunk: int) -> str:
        """Empty if a longer one cannot be had from --bptt."""
        if not self.windows or not self.options.bptt or chunk < self.options.bptt:
            return ""
        return f"--bptt {2 * self.options.bptt}; the model remembers for longer than the gradient reaches"

    def overfitting(self) -> str:
        options = ["more data"]
        dropout = self.model.get("dropout")
        if dropout is not None and dropout < 0.5:
            options.append(f"--dropout {0.3 if dropout < 0.3 else 0.5:g}")
        options += self._smaller("hidden")
        options += self._smaller("layers")
        for budget in ("epochs", "minutes"):
            if (value := getattr(self.options, budget)) is not None:
                options.append(f"fewer --{budget} than {value:g}")
        return f"{_either(options)}; the best weights so far are kept"

    def stuck(self) -> str:
        options = self._smaller_rate()
        if (bias := self.model.get("forget_bias")) is not None:
            options.append(f"a --forget-bias nearer to 0 than {bias:g}")
        elif (lag := self.model.get("chrono")) is not None and lag > 4:
            options.append(f"a shorter --chrono than {lag:g}")
        return f"{_either([*options, 'smaller initial weights'])}; a gate that never moves cannot learn"

    def dead(self) -> str:
        options = [*self._smaller_rate(), *self._smaller("hidden"), "another --seed"]
        return f"{_either(options)}; dead units carry no information"

    def for_gradient(self, kind: str, gated: bool, lag: int) -> str:
        """Of a trained model, whose gradient is ``"vanishing"`` or ``"exploding"`` over ``lag`` steps."""
        if kind == "vanishing":
            return _either(self._open_gates(lag) if gated else self._gates())
        first = self.model.get("recurrent_init", "orthogonal")
        calmer = [] if first == "orthogonal" else ["--recurrent-init orthogonal"]
        return _either([*self._clipping(), *self._smaller_rate(), *calmer])

    # -- parts

    def _whose_rate(self) -> str:
        return "; the rate was the program's choice, which does not suit these data" if "lr" in self.chosen else ""

    def _smaller_rate(self) -> list[str]:
        lr = self.options.lr
        return [] if lr == 0 else ["a smaller --lr" + (f" than {lr:g}" if lr else "")]

    def _smaller(self, name: str) -> list[str]:
        value = self.model.get(name)
        if value is None or value <= 1:
            return []
        return [f"{'fewer' if name == 'layers' else 'a smaller'} --{name} than {value}"]

    def _clipping(self) -> list[str]:
        kind, limit = self.options.clipping()
        return [] if kind == "norm" and limit <= 1 else ["--clip 1"]

    def _open_gates(self, lag: int) -> list[str]:
        """Of a cell with gates that keep its state: opened as far as ``lag`` steps."""
        chrono, bias = self.model.get("chrono"), self.model.get("forget_bias")
        if lag <= 2 or (chrono is not None and chrono >= lag):
            return []
        instead = f" in place of --forget-bias {bias:g}" if bias is not None else ""
        if chrono is not None:
            instead = f" in place of {chrono:g}"
        return [f"gates that start open (--chrono {lag}{instead})"]

    def _gates(self) -> list[str]:
        """Of a cell without such gates."""
        first = self.model.get("recurrent_init", "orthogonal")
        own = [] if first == "orthogonal" else ["--recurrent-init orthogonal"]
        gates = [f"--cell {cell}" for cell in ("lstm", "gru") if cell != self.model.get("cell")]
        return [f"gates ({_either(gates)})", *own]


def _floor(rate: float) -> str:
    """One digit, rounded down.

    >>> _floor(0.0028), _floor(1.0)
    ('0.002', '1')
    """
    if not rate > 0:
        return f"{rate:g}"
    unit = 10.0 ** math.floor(math.log10(rate) + 1e-9)
    return f"{math.floor(rate / unit + 1e-9) * unit:.1g}"


def _either(options: list[str]) -> str:
    """``a, b or c``."""
    return " or ".join(filter(None, [", ".join(options[:-1]), *options[-1:]]))
