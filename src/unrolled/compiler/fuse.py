"""Fusing: an operation that one other uses, and nobody else, becomes part of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from unrolled.compiler.program import Op, uses

_PATTERNS: dict[tuple[str, int, str], tuple[str, str]] = {
    # (user, which argument, producer): (fused, its arguments: u the user's, p the producer's)
    ("add", 0, "add"): ("add3", "p0 p1 u1"),
    ("add", 1, "add"): ("add3", "p0 p1 u0"),
    ("add", 0, "mul"): ("fma", "p0 p1 u1"),
    ("add", 1, "mul"): ("fma", "p0 p1 u0"),
    ("sigmoid", 0, "add"): ("sigmoid_add", "p0 p1"),
    ("sigmoid", 0, "add3"): ("sigmoid_add3", "p0 p1 p2"),
    ("tanh", 0, "add"): ("tanh_add", "p0 p1"),
    ("tanh", 0, "add3"): ("tanh_add3", "p0 p1 p2"),
    ("sigmoid_add", 0, "add"): ("sigmoid_add3", "p0 p1 u1"),
    ("sigmoid_add", 1, "add"): ("sigmoid_add3", "p0 p1 u0"),
    ("tanh_add", 0, "add"): ("tanh_add3", "p0 p1 u1"),
    ("tanh_add", 1, "add"): ("tanh_add3", "p0 p1 u0"),
    ("mul", 0, "tanh"): ("mul_tanh", "u1 p0"),
    ("mul", 1, "tanh"): ("mul_tanh", "u0 p0"),
    ("mul", 0, "sub"): ("sub_mul", "u1 p0 p1"),
    ("mul", 1, "sub"): ("sub_mul", "u0 p0 p1"),
    ("dsigmoid", 0, "mul"): ("dsigmoid_mul", "p0 p1 u1"),
    ("dtanh", 0, "mul"): ("dtanh_mul", "p0 p1 u1"),
    ("add", 0, "dtanh"): ("dtanh_add", "p0 p1 u1"),
    ("add", 1, "dtanh"): ("dtanh_add", "p0 p1 u0"),
}


def fuse(ops: tuple[Op, ...], kept: Collection[str]) -> tuple[Op, ...]:
    """The same values of ``kept`` by fewer operations."""
    made = {op.out: op for op in ops}
    users = {value: {op.out for op in using} for value, using in uses(ops).items()}
    for out in [op.out for op in ops]:
        # a fusion changes nothing for operations before it, so that one pass is enough
        while (found := _with_a_producer(made[out], made, users, kept)) is not None:
            fused, producer = found
            for value in made.pop(producer).values:
                users[value].discard(producer)
                users[value].add(out)
            made[out] = fused
    return tuple(made[op.out] for op in ops if op.out in made)


def _with_a_producer(
    op: Op, made: dict[str, Op], users: dict[str, set[str]], kept: Collection[str]
) -> tuple[Op, str] | None:
    """The operation with one that makes an argument of it in it, and that argument."""
    for k, a in enumerate(op.args):
        producer = made.get(a) if isinstance(a, str) else None
        if producer is None or producer.out in kept or len(users[producer.out]) > 1:
            continue
        if op.args.count(a) > 1 or producer.width != op.width:
            continue
        fused = _fused(op, k, producer)
        if fused is not None:
            return fused, producer.out
    return None


def _fused(user: Op, k: int, producer: Op) -> Op | None:
    if user.kind == "mul" and producer.kind == "sub" and producer.args[0] == 1.0:
        return replace(user, kind="mul_complement", args=(user.args[1 - k], producer.args[1]))
    if user.kind == "fma" and k == 2 and producer.kind == "mul_complement":
        other = next((i for i in (0, 1) if user.args[i] == producer.args[1]), None)
        if other is not None:  # a*b + (1-a)*c
            return replace(user, kind="lerp", args=(user.args[other], user.args[1 - other], producer.args[0]))
    pattern = _PATTERNS.get((user.kind, k, producer.kind))
    if pattern is None:
        return None
    source = {"u": user.args, "p": producer.args}
    return replace(user, kind=pattern[0], args=tuple(source[w[0]][int(w[1])] for w in pattern[1].split()))
