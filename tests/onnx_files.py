"""ONNX models written byte by byte, so that tests need no package that writes them."""

import numpy as np

KINDS = {"f": 1, "u": 2}


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number, value):
    """A field of a message: a whole number, or text, bytes or a message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def fields(number, values):
    return b"".join(field(number, value) for value in values)


def tensor(name, array, file=None):
    """An initial value, in the model or in a file beside it."""
    head = fields(1, array.shape) + field(2, 1) + field(8, name)
    if file is None:
        return head + field(9, array.astype("<f4").tobytes())
    return head + field(13, field(1, "location") + field(2, file)) + field(14, 1)


def node(kind, inputs, outputs, **attributes):
    def attribute(name, value):
        many = isinstance(value, tuple)
        return field(1, name) + (fields(8, value) if many else field(3, value)) + field(20, 7 if many else 2)

    made = fields(1, inputs) + fields(2, outputs) + field(4, kind)
    return made + b"".join(field(5, attribute(*one)) for one in attributes.items())


def value(name, shape, kind="f"):
    """An input or output; sizes that are not numbers are left open."""
    sizes = b"".join(field(1, field(1, n) if isinstance(n, int) else field(2, n)) for n in shape)
    return field(1, name) + field(2, field(1, field(1, KINDS[kind]) + field(2, sizes)))


def model(nodes, inputs, outputs, tensors=()):
    graph = fields(1, nodes) + field(2, "g") + fields(5, tensors) + fields(11, inputs) + fields(12, outputs)
    return field(1, 8) + field(8, field(1, "") + field(2, 13)) + field(7, graph)


def patches(weight, shape=("n", 3, 32, 32), outputs=("pooled", "grid"), file=None):
    """A layer of squares of 8 x 8 pixels: relu(conv), (N, C, h, w), and the mean of it, (N, C)."""
    nodes = [
        node("Conv", ["x", "w"], ["a"], strides=(8, 8), kernel_shape=(8, 8)),
        node("Relu", ["a"], ["grid"]),
        node("GlobalAveragePool", ["grid"], ["mean"]),
        node("Flatten", ["mean"], ["pooled"]),
    ]
    shapes = {"pooled": ("n", len(weight)), "grid": ("n", len(weight), "h", "v")}
    outs = [value(name, shapes[name]) for name in outputs]
    return model(nodes, [value("x", shape)], outs, [tensor("w", weight, file)])


def patches_of_bytes(weight):
    """The same for bytes (N, S, S, 3), to (N, h, w, C)."""
    nodes = [
        node("Cast", ["x"], ["f"], to=1),
        node("Transpose", ["f"], ["t"], perm=(0, 3, 1, 2)),
        node("Conv", ["t", "w"], ["a"], strides=(8, 8), kernel_shape=(8, 8)),
        node("Transpose", ["a"], ["y"], perm=(0, 2, 3, 1)),
    ]
    inputs = [value("x", ("n", 32, 32, 3), "u")]
    return model(nodes, inputs, [value("y", ("n", "h", "v", len(weight)))], [tensor("w", weight)])


def by_hand(weight, x):
    """What `patches` computes of (N, S, S, 3), at each place in rows (N, K, C), before the relu."""
    n, side = len(x), x.shape[1] // 8
    squares = x.reshape(n, side, 8, side, 8, 3)
    return np.einsum("nhiwjc,dcij->nhwd", squares, weight).reshape(n, side * side, len(weight))
