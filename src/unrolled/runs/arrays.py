"""Named arrays with a JSON part, as one safetensors file with a checksum over all of it.

The file is ordinary safetensors: any reader of that format opens it. Its metadata holds ``json`` and
``sha256``. Equal contents give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from unrolled.errors import RunError
from unrolled.runs.files import write_atomically

Arrays = dict[str, np.ndarray]


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Replace ``path`` by these arrays and this JSON object, in one step."""
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    text = json.dumps(about, sort_keys=True)
    metadata = {"json": text, "sha256": digest(contiguous, text)}
    write_atomically(path, *_ordered(save(contiguous, metadata=metadata)))


def read_arrays(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and the JSON object of a file that `write_arrays` wrote.

    Raises:
        RunError: the file is missing, cut short or altered.
    """
    if path.is_dir():
        raise RunError(f"{path} is a folder, expected a file")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}") from error
    text = metadata.get("json", "")
    if metadata.get("sha256") != digest(arrays, text):
        raise RunError(f"{path} is damaged: its checksum does not match its content")
    return arrays, json.loads(text)


def read_about(path: Path) -> dict[str, Any]:
    """The JSON object alone, without reading the arrays; the checksum is not verified."""
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {})["json"])
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing") from error
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise RunError(f"{path} is damaged: {error}") from error
    return about


def _ordered(content: bytes) -> tuple[bytes, memoryview]:
    """A safetensors file, as its header and its data, with the header's keys in a fixed order.

    The library takes the metadata from a hash table, so that their order differs from one call to the next.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the data are aligned
    return len(header).to_bytes(8, "little") + header, memoryview(content)[end:]


def digest(arrays: Mapping[str, np.ndarray], text: str = "") -> str:
    """The sha256 of the arrays, with their names and shapes, and of a text."""
    checksum = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        checksum.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        checksum.update(array.tobytes())
    return checksum.hexdigest()
