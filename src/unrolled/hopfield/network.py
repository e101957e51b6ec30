"""The Hopfield network: patterns in, the nearest one out."""

from __future__ import annotations

import math
import warnings
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from unrolled.errors import UsageError
from unrolled.hopfield import checks, rules
from unrolled.hopfield.continuous import continuous
from unrolled.hopfield.dense import Dense
from unrolled.hopfield.dynamics import Course, asynchronous, synchronous
from unrolled.hopfield.outcome import Recall, judge
from unrolled.hopfield.wiring import Safety, Wiring, safety

if TYPE_CHECKING:
    from unrolled.hopfield.capacity import Capacity

UPDATES = ("asynchronous", "synchronous", "damped", "continuous")
ORDERS = ("random", "fixed")
UNITS = ("binary", "graded")
_REST = {torch.float64: 1e-9, torch.float32: 1e-5}
"""How far graded units may still move and be called at rest."""


class Hopfield:
    """The Hopfield network: it stores patterns, and recalls the one that a damaged copy is nearest to.

    Equation::

        X_{t+1} = phi(W X_t + Theta)                  binary: phi = sign; graded: phi(h) = tanh(gain h) or logistic
        du/dt = -u/tau + W v + Theta, v = phi(gain u)  graded, in continuous time
        E = -1/2 v^T W v - Theta^T v + 1/(gain tau) sum_i (integral of phi^-1 to v_i)

    A binary unit whose field is exactly 0 stays as it is. In graded networks the map's phi is that of gain tau.

    Shapes:
        patterns (P, N), or pictures of one size, flattened; states (N,) or (R, N).

    Arguments:
        patterns: what to store: -1 and 1 for binary units, from -1 to 1 for graded ones (0 to 1 with the logistic).
        rule: ``"hebb"``, ``"storkey"``, ``"projection"`` (the pseudo-inverse), ``"perceptron"`` (Gardner), or a dense
            associative memory: ``"dense"`` (a power, for binary units) or ``"softmax"`` (for both).
        units: ``"binary"`` (1982) or ``"graded"`` (1984).
        gain: of graded units; with ``"softmax"``, the inverse temperature.
        threshold: Theta, added to the field: one number, or one a unit.
        phi: of graded units, ``"tanh"`` or ``"logistic"``; the latter learns from 2 x - 1.
        self_connections: whether W keeps its diagonal.
        options: of the rule: ``margin``, ``symmetric`` and ``epochs`` of the perceptron; ``degree`` of ``"dense"``.
        tau: the time constant.
        dtype: of weights and states; ``torch.float32`` halves memory and time.

    Warns:
        UserWarning: more patterns than the rule is known to hold, with the figure; patterns that the perceptron rule
            could not make stable.

    Raises:
        UsageError: patterns of different sizes, values that the units cannot take, an unknown rule or option.

    Cost:
        N^2 numbers for W, none for the dense memories; the patterns are kept too.

    Source:
        J. J. Hopfield, PNAS 79 (1982) and PNAS 81 (1984).

    >>> patterns = torch.randint(0, 2, (5, 100), generator=torch.Generator().manual_seed(1)) * 2 - 1
    >>> net = Hopfield(patterns)
    >>> damaged = patterns[0].clone()
    >>> damaged[:15] *= -1
    >>> print(net.recall(damaged))
    recalled after 1 step: a stored pattern; pattern 1, overlap 1.000
    """

    def __init__(
        self,
        patterns: Any,
        rule: str = "hebb",
        units: str = "binary",
        gain: float = 4.0,
        threshold: Any = 0.0,
        phi: str = "tanh",
        self_connections: bool = False,
        options: dict[str, Any] | None = None,
        tau: float = 1.0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        if rule != "given":
            checks.one_of("rule", rule, (*rules.RULES, *rules.DENSE))
        checks.one_of("units", units, UNITS)
        checks.one_of("phi", phi, ("tanh", "logistic"))
        if dtype not in _REST:
            raise UsageError(f"Hopfield: dtype must be torch.float64 or torch.float32, got {dtype}")
        for name, value in (("gain", gain), ("tau", tau)):
            if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < math.inf:
                raise UsageError(f"Hopfield: {name} must be a number above 0, got {value!r}")
        if rule in rules.DENSE and (phi == "logistic" or (rule == "dense" and units == "graded")):
            raise UsageError(
                "Hopfield: rule='dense' has binary units, rule='softmax' binary or graded ones with phi='tanh'"
            )
        self.rule, self.units, self.gain, self.tau = rule, units, float(gain), float(tau)
        self.phi = phi if units == "graded" else "tanh"
        self.self_connections, self.dtype = bool(self_connections), dtype
        self.options = checks.as_options(rule, options or {})
        rows = checks.as_rows("patterns", patterns, dtype)
        self.patterns = checks.in_range("patterns", rows, units, self.phi)
        self.threshold = checks.as_threshold(threshold, self.patterns.shape[1], dtype)
        if rule == "softmax" and units == "graded" and bool(self.threshold.any()):
            raise UsageError("Hopfield: the graded softmax memory has no thresholds; leave threshold at 0")
        if rule != "given":
            self._learn()

    def __repr__(self) -> str:
        P, N = self.patterns.shape
        graded = f", gain={self.gain:g}, phi={self.phi!r}" if self.units == "graded" else ""
        return f"Hopfield({P:,} patterns of {N:,} units, rule={self.rule!r}, units={self.units!r}{graded})"

    @classmethod
    def from_weights(cls, weights: Any, patterns: Any = None, **settings: Any) -> Hopfield:
        """A network with a W of one's own, (N, N), instead of a learned one.

        Arguments:
            weights: W. One that is not symmetric is allowed; the network then has no energy, and may cycle.
            patterns: what to hold states against, if anything.
            settings: ``units``, ``gain``, ``threshold``, ``phi``, ``tau``, ``dtype``.

        Warns:
            UserWarning: W is not symmetric.

        >>> net = Hopfield.from_weights([[0.0, 1.0], [1.0, 0.0]])
        >>> net.recall([1.0, 1.0]).outcome
        ('spurious',)
        """
        dtype = settings.get("dtype", torch.float64)
        W = checks.as_weights(weights, dtype)
        if _same(W, W.T):
            W = (W + W.T) / 2
        given = torch.ones(1, len(W)) if patterns is None else patterns
        net = cls(given, rule="given", **settings)
        checks.as_rows("patterns", given, dtype, width=len(W))
        if patterns is None:
            net.patterns = net.patterns[:0]
        net._wire(rules.Learned(W[None]), centred=False)
        if not net.symmetric:
            warnings.warn(
                "Hopfield: W is not symmetric: the network has no energy and may cycle forever", stacklevel=2
            )
        elif bool((W.diagonal() < 0).any()):
            warnings.warn(
                "Hopfield: W has a negative self-connection: updates of single units may raise the energy and "
                "may not converge",
                stacklevel=2,
            )
        return net

    @property
    def weights(self) -> Tensor:
        """W (N, N), a copy: what multiplies the states. With the logistic it is that of 2 x - 1, twice as large."""
        return self._wired("weights").W[0] * self._wired("weights").scale

    @property
    def symmetric(self) -> bool:
        """Whether W is symmetric, and so has an energy; dense memories always have one."""
        return self._symmetric

    def add(self, pattern: Any) -> None:
        """Store one more pattern, (N,). Hebb's rule adds it to W; the others learn all again."""
        rows = checks.as_rows("patterns", pattern, self.dtype, width=self.patterns.shape[1])
        self._change(torch.cat([self.patterns, checks.in_range("patterns", rows, self.units, self.phi)]), rows, 1)

    def remove(self, index: int) -> None:
        """Take pattern number ``index``, from 0, out again. Hebb's rule subtracts it; the others learn all again."""
        if isinstance(index, bool) or not isinstance(index, Integral) or not 0 <= index < len(self.patterns):
            raise UsageError(
                f"Hopfield: there is no pattern {index!r} to remove; there are {len(self.patterns)}, counted from 0"
            )
        if len(self.patterns) == 1:
            raise UsageError("Hopfield: the last pattern cannot be removed; make a new network")
        gone = self.patterns[index : index + 1]
        self._change(torch.cat([self.patterns[:index], self.patterns[index + 1 :]]), gone, -1)

    def energy(self, x: Any) -> float | Tensor:
        """The energy of a state (N,), a number; or of states (R, N), a tensor (R,) in double precision.

        Raises:
            UsageError: W is not symmetric: there is no energy.
        """
        if not self.symmetric:
            raise UsageError("Hopfield: W is not symmetric, so the network has no energy")
        energy = self.network.energy(self._states(x).T[None])[0]
        return float(energy[0]) if _alone(x) else energy

    def safety(self) -> Safety:
        """Whether synchronous updates must end at rest, and at which gain and rate they do (see there)."""
        if not self.symmetric:
            raise UsageError("Hopfield: W is not symmetric; the condition on gain and eigenvalue is for symmetric W")
        return safety(self._wired("safety"))

    def recall(
        self,
        x: Any,
        update: str = "asynchronous",
        order: str = "random",
        steps: int | None = None,
        rate: float = 0.5,
        time: float = 1000.0,
        seed: int = 0,
        frames: int = 1,
        keep: bool = False,
    ) -> Recall:
        """Let the network run from a state, or from many at once, until it rests or cycles.

        Arguments:
            x: start states (N,) or (R, N).
            update: ``"asynchronous"``, one unit after the other; ``"synchronous"``, all at once; ``"damped"``,
                v <- (1 - rate) v + rate phi(...), graded; ``"continuous"``, the differential equation, graded.
            order: of asynchronous updates, ``"random"``, drawn anew for each sweep and shared by all states, or
                ``"fixed"``, from the first unit to the last.
            steps: sweeps, or steps, at most; 100 sweeps, 1,000 steps if None.
            rate: of the damped map.
            time: of continuous updates at most, in tau.
            seed: of the random order.
            frames: how often in a sweep the energy is noted.
            keep: whether the states at those times are kept.

        Warns:
            UserWarning: synchronous updates went into a cycle; says what would be safe.

        >>> patterns = torch.ones(1, 8)
        >>> Hopfield(patterns).recall([[1, 1, 1, 1, 1, 1, -1, -1], [-1, -1, -1, -1, -1, -1, 1, 1]]).outcome
        ('recalled', 'reversed')
        """
        checks.one_of("update", update, UPDATES)
        checks.one_of("order", order, ORDERS)
        self._check_update(update)
        for name, value, least in (("steps", steps, 1), ("frames", frames, 1), ("seed", seed, 0)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, Integral) or value < least):
                raise UsageError(f"Hopfield: {name} must be a whole number from {least}, got {value!r}")
        if not isinstance(rate, Real) or not 0 < rate <= 1:
            raise UsageError(f"Hopfield: rate must be more than 0 and at most 1, got {rate!r}")
        if not isinstance(time, Real) or not 0 < time < math.inf:
            raise UsageError(f"Hopfield: time must be more than 0, got {time!r}")
        v = self._states(x).T.contiguous()[None]
        frames = min(frames, v.shape[1])
        rest = _REST[self.dtype] if self.units == "graded" else 0.0
        energy = self.symmetric
        if update == "asynchronous":
            draw = torch.Generator().manual_seed(seed)
            N = v.shape[1]
            orders = (lambda: torch.randperm(N, generator=draw)) if order == "random" else (lambda: torch.arange(N))
            course = asynchronous(self.network, v, orders, steps or 100, rest, frames, keep, energy)
        elif update == "continuous":
            wiring = self._wired("continuous updates")
            inside = v.clamp(-1 + 1e-6, 1 - 1e-6) if self.phi == "tanh" else v.clamp(1e-6, 1 - 1e-6)
            u = torch.atanh(inside) if self.phi == "tanh" else torch.logit(inside)
            coarse = 1.0 if self.dtype == torch.float64 else 100.0
            course = continuous(wiring, u, time * self.tau, 1e-6 * coarse, 1e-7 * coarse, keep)
        else:
            course = synchronous(
                self.network, v, steps or 1000, rate if update == "damped" else 1.0, rest, keep, energy
            )
            self._warn_of_cycles(course)
        return self._result(x, course, energy)

    def capacity(self, loads: Any = None, flips: float = 0.15, trials: int = 100, seed: int = 0) -> Capacity:
        """Recall against load for a network like this one, on random patterns (`unrolled.hopfield.capacity.measure`).

        Arguments:
            loads: numbers of patterns; a range around what the rule holds if None.
            flips: the share of units that are flipped at the start.
            trials: recalls a load, each in a network of its own.

        >>> made = Hopfield(torch.ones(1, 50)).capacity(loads=[2, 20], trials=20)
        >>> made.points[0].rate > made.points[1].rate
        True
        """
        from unrolled.hopfield.capacity import measure

        if self.units != "binary" or self.rule == "given":
            raise UsageError("Hopfield: capacity is measured for binary units and a learning rule")
        if bool(self.threshold.any()):
            raise UsageError("Hopfield: capacity is measured without thresholds; leave threshold at 0")
        N = self.patterns.shape[1]
        return measure(N, loads, self.rule, flips, trials, seed, self.self_connections, self.options, self.gain)

    def _learn(self) -> None:
        if self.rule in rules.DENSE:
            graded, degree = self.units == "graded", self.options.get("degree", 3)
            theta = self.threshold[None, :, None]
            self._symmetric = True
            self.network: Wiring | Dense = Dense(self.patterns[None], theta, self.rule, graded, degree, self.gain)
            return
        centred = 2 * self.patterns - 1 if self.phi == "logistic" else self.patterns
        learned = rules.RULES[self.rule](centred[None], self.self_connections, **self.options)
        self._wire(learned, centred=True)
        self._warn_of_load()
        if learned.unstable:
            warnings.warn(
                f"Hopfield: the perceptron rule left {learned.unstable:,} of {len(self.patterns):,} patterns "
                "unstable. Use more epochs, a smaller margin or fewer patterns",
                stacklevel=3,
            )

    def _warn_of_load(self) -> None:
        P, N = self.patterns.shape
        known = rules.holds(self.rule, N)
        if known is not None and known[0] < P:
            warnings.warn(
                f"Hopfield: {P:,} patterns in {N:,} units; the {self.rule} rule can store about {known[0]:.3g} "
                f"random ones ({known[1]}). Use fewer patterns, more units or another rule",
                stacklevel=4,
            )

    def _wire(self, learned: rules.Learned, centred: bool) -> None:
        W, scale, theta = learned.W, learned.scale, self.threshold / learned.scale
        if centred and self.phi == "logistic":  # W (2v - 1) + theta = 2 W v + (theta - W 1)
            theta, scale = theta / 2 - W[0].sum(1) / 2, 2 * scale
        phi = self.phi if self.units == "graded" else "sign"
        dead = rules.Learned(W).dead if bool(theta.any()) else learned.dead
        self._symmetric = self.rule not in ("given", "perceptron") or _same(W[0], W[0].T)
        self.network = Wiring(W, theta[None, :, None], phi, self.gain, scale, self.tau, dead)

    def _change(self, patterns: Tensor, changed: Tensor, sign: int) -> None:
        if self.rule == "given":
            raise UsageError("Hopfield: W was given, not learned; patterns cannot be added or removed")
        self.patterns = patterns
        if self.rule == "hebb" and self.phi != "logistic":
            wired = self._wired("hebb")
            W = wired.W + sign * rules.hebb(changed[None], self.self_connections).W
            self._wire(rules.Learned(W, wired.scale, exact=True), centred=True)
            self._warn_of_load()
        else:
            self._learn()

    def _wired(self, what: str) -> Wiring:
        if isinstance(self.network, Dense):
            raise UsageError(f"Hopfield: rule={self.rule!r} has no matrix W, which {what} needs")
        return self.network

    def _check_update(self, update: str) -> None:
        if update in ("damped", "continuous") and (self.units == "binary" or isinstance(self.network, Dense)):
            raise UsageError(f"Hopfield: {update} updates need units='graded' and a rule with a matrix W")
        if update == "asynchronous" and isinstance(self.network, Dense) and self.network.graded:
            raise UsageError(
                "Hopfield: the graded softmax memory updates all units at once; use update='synchronous'"
            )

    def _states(self, x: Any) -> Tensor:
        rows = checks.as_rows("states", x, self.dtype)
        N = self.patterns.shape[1]
        if rows.shape[1] != N and rows.numel() == N:
            rows = rows.reshape(1, N)
        if rows.shape[1] != N:
            raise UsageError(f"Hopfield: states have {rows.shape[1]:,} units, the network has {N:,}")
        return checks.in_range("states", rows, self.units, self.phi)

    def _result(self, x: Any, course: Course, energy: bool) -> Recall:
        state = course.v[0].T
        shift = (lambda s: 2 * s - 1) if self.phi == "logistic" else (lambda s: s)
        found = judge(shift(state), shift(self.patterns), course.period[0], self.units == "binary")
        return Recall(
            state=state[0] if _alone(x) else state,
            steps=tuple(course.steps[0].tolist()),
            period=tuple(course.period[0].tolist()),
            times=tuple(course.times),
            energy=torch.stack(course.energies)[:, 0] if energy else None,
            states=torch.stack([s[0].T for s in course.states]) if course.states else None,
            **found,
        )

    def _warn_of_cycles(self, course: Course) -> None:
        longest = int(course.period.max())
        if longest < 2:
            return
        cycles = int((course.period > 1).sum())
        text = f"Hopfield: {cycles} of {course.period.numel()} states ended in a cycle of up to {longest} steps: "
        if isinstance(self.network, Dense) or not self.symmetric:
            text += "use update='asynchronous'" if self.symmetric else "W is not symmetric, so cycles are possible"
        else:
            known = safety(self.network)
            text += f"all units move at once, and the smallest eigenvalue of W is {known.smallest:.3g}. Use "
            text += "update='asynchronous'"
            if known.gain is not None:
                text += f", a gain below {known.gain:.3g}, or update='damped' with a rate below {known.rate:.3g}"
        warnings.warn(text, stacklevel=3)


def _same(W: Tensor, turned: Tensor) -> bool:
    """Whether they differ by rounding at most."""
    rounding = 1e4 * torch.finfo(W.dtype).eps * float(W.abs().max())
    return bool(((W - turned).abs() <= rounding).all())


def _alone(x: Any) -> bool:
    return (x.dim() if isinstance(x, Tensor) else np.ndim(x)) == 1
