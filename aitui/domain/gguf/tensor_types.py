"""How many bytes the tensors of each ggml type take."""

import math
from collections.abc import Sequence

# `ggml_type` of ggml.h and GGML_QUANT_SIZES of gguf-py: values a block, bytes a block. Types that
# were withdrawn (31 to 33, 36 to 38) are packed like those they came from.
_BLOCKS: dict[int, tuple[int, int]] = {
    0: (1, 4),  # F32
    1: (1, 2),  # F16
    2: (32, 18),  # Q4_0
    3: (32, 20),  # Q4_1
    6: (32, 22),  # Q5_0
    7: (32, 24),  # Q5_1
    8: (32, 34),  # Q8_0
    9: (32, 36),  # Q8_1
    10: (256, 84),  # Q2_K
    11: (256, 110),  # Q3_K
    12: (256, 144),  # Q4_K
    13: (256, 176),  # Q5_K
    14: (256, 210),  # Q6_K
    15: (256, 292),  # Q8_K
    16: (256, 66),  # IQ2_XXS
    17: (256, 74),  # IQ2_XS
    18: (256, 98),  # IQ3_XXS
    19: (256, 50),  # IQ1_S
    20: (32, 18),  # IQ4_NL
    21: (256, 110),  # IQ3_S
    22: (256, 82),  # IQ2_S
    23: (256, 136),  # IQ4_XS
    24: (1, 1),  # I8
    25: (1, 2),  # I16
    26: (1, 4),  # I32
    27: (1, 8),  # I64
    28: (1, 8),  # F64
    29: (256, 56),  # IQ1_M
    30: (1, 2),  # BF16
    31: (32, 18),
    32: (32, 18),
    33: (32, 18),
    34: (256, 54),  # TQ1_0
    35: (256, 66),  # TQ2_0
    36: (32, 18),
    37: (32, 18),
    38: (32, 18),
    39: (32, 17),  # MXFP4
    40: (64, 36),  # NVFP4
    41: (128, 18),  # Q1_0
}

CACHE_TYPES: dict[str, tuple[int, int]] = {
    "f32": _BLOCKS[0],
    "f16": _BLOCKS[1],
    "bf16": _BLOCKS[30],
    "q8_0": _BLOCKS[8],
    "q4_0": _BLOCKS[2],
    "q4_1": _BLOCKS[3],
    "iq4_nl": _BLOCKS[20],
    "q5_0": _BLOCKS[6],
    "q5_1": _BLOCKS[7],
}
"""What llama-server takes for `--cache-type-k` and `-v`: values and bytes a block."""


def tensor_bytes(kind: int, shape: Sequence[int]) -> int | None:
    """The bytes of a tensor, None for a type that isn't known here.

    Its rows, the first dimension, are made of whole blocks.
    """
    block = _BLOCKS.get(kind)
    if block is None:
        return None
    values, size = block
    row = shape[0] if shape else 1
    return -(-row // values) * size * math.prod(shape[1:])
