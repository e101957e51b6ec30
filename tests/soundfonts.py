"""A SoundFont of one instrument, a sine that goes on while its key is down."""

import struct

import numpy as np

RATE = 44_100
_PERIODS, _LENGTH = 440, 44_100


def chunk(name, content):
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def listed(kind, *chunks):
    return chunk(b"LIST", kind + b"".join(chunks))


def sine():
    """The bytes of the file: SoundFont 2.01, the sample's pitch is A4."""
    wave = np.sin(2 * np.pi * _PERIODS * np.arange(_LENGTH) / _LENGTH)
    sample = (wave * 20_000).astype("<i2").tobytes() + bytes(2 * 46)
    header, instrument, shape = struct.Struct("<20sHHHIII"), struct.Struct("<20sH"), struct.Struct("<20sIIIIIBbHH")
    headers = header.pack(b"sine", 0, 0, 0, 0, 0, 0) + header.pack(b"EOP", 0, 0, 1, 0, 0, 0)
    instruments = instrument.pack(b"sine", 0) + instrument.pack(b"EOI", 1)
    samples = shape.pack(b"sine", 0, _LENGTH, 0, _LENGTH, RATE, 69, 0, 0, 1)
    samples += shape.pack(b"EOS", 0, 0, 0, 0, 0, 0, 0, 0, 0)
    version = chunk(b"ifil", struct.pack("<HH", 2, 1))
    content = listed(b"INFO", version, chunk(b"isng", b"EMU8000\0"), chunk(b"INAM", b"sine\0\0"))
    content += listed(b"sdta", chunk(b"smpl", sample))
    content += listed(
        b"pdta",
        chunk(b"phdr", headers),
        chunk(b"pbag", struct.pack("<HHHH", 0, 0, 1, 0)),
        chunk(b"pmod", bytes(10)),
        chunk(b"pgen", struct.pack("<HHHH", 41, 0, 0, 0)),  # the instrument
        chunk(b"inst", instruments),
        chunk(b"ibag", struct.pack("<HHHH", 0, 0, 2, 0)),
        chunk(b"imod", bytes(10)),
        chunk(b"igen", struct.pack("<HHHHHH", 54, 1, 53, 0, 0, 0)),  # it loops; the sample
        chunk(b"shdr", samples),
    )
    return chunk(b"RIFF", b"sfbk" + content)
