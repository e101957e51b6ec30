"""Import this before torch: where the engine is held to an instruction set, all that compete are held to it, too.

``UNROLLED_CPU=avx2`` names it. oneDNN, torch's own kernels and JAX obey; MKL does so on Intel's processors alone.
"""

import os

PATH = os.environ.get("UNROLLED_CPU", "")
if PATH == "avx2":
    os.environ |= {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_max_isa=AVX2".strip(),
    }
