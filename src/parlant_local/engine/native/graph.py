"""What a graph computes, node by node: ggml's tensors as an evaluation callback meets them."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_bool, c_char, c_char_p, c_int, c_int32, c_int64, c_size_t, c_void_p
from typing import Any

import numpy as np
import numpy.typing as npt

from parlant_local.engine.native.llama import library
from parlant_local.errors import ConfigurationError

__all__ = ["EvalCallback", "GraphReader", "Node"]

EvalCallback = ctypes.CFUNCTYPE(c_bool, c_void_p, c_bool, c_void_p)
"""Called with a node before it is computed (True: whether it is of interest) and after it (False: its inputs and result are there)."""

_DTYPES = {0: np.dtype("<f4"), 26: np.dtype("<i4")}
"""By GGML's number of the type."""


class _Tensor(ctypes.Structure):
    """``ggml_tensor``."""


_Tensor._fields_ = [
    ("type", c_int),
    ("buffer", c_void_p),
    ("ne", c_int64 * 4),
    ("nb", c_size_t * 4),
    ("op", c_int),
    ("op_params", c_int32 * 16),
    ("flags", c_int32),
    ("src", POINTER(_Tensor) * 10),
    ("view_src", c_void_p),
    ("view_offs", c_size_t),
    ("data", c_void_p),
    ("name", c_char * 64),
]

Node = Any
"""A :class:`_Tensor`."""
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "ggml_op_name": (c_char_p, [c_int]),
    "ggml_get_name": (c_char_p, [c_void_p]),
    "ggml_nbytes": (c_size_t, [c_void_p]),
    "ggml_backend_buffer_is_host": (c_bool, [c_void_p]),
    "ggml_backend_tensor_get": (None, [c_void_p, c_void_p, c_size_t, c_size_t]),
}
_MOST_OPERATIONS = 60


class GraphReader:
    """Reads nodes. The numbers of operations and the layout are checked against the library, which tells both."""

    def __init__(self) -> None:
        lib: Any = library()
        self._build = lib.build
        for name, (result, arguments) in _SIGNATURES.items():
            if (function := lib.function(name, result, arguments)) is None:
                raise ConfigurationError(f"The llama.cpp of {lib.build} lacks {name}.")
            setattr(self, name, function)
        names = [self.ggml_op_name(number) for number in range(_MOST_OPERATIONS)]
        self.multiplies, self.multiplies_some = names.index(b"MUL_MAT"), names.index(b"MUL_MAT_ID")
        """The operations of a weight matrix, and of the chosen ones of several (experts)."""
        self._known = False

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name} is not declared in engine/native/graph.py")

    def node(self, pointer: int) -> Node:
        found = ctypes.cast(pointer, POINTER(_Tensor)).contents
        if not self._known:
            if found.name != self.ggml_get_name(pointer):
                raise ConfigurationError(
                    f"The tensors of {self._build} are not laid out as they are known.",
                    hint=f"Reinstall it: `pip install --force-reinstall {self._build.package}=={self._build.version}`.",
                )
            self._known = True
        return found

    def values(self, node: Node) -> npt.NDArray[Any]:
        """The numbers of a node, slowest dimension first: a view where they are in this machine's memory."""
        dtype = _DTYPES[node.type]
        pointer = ctypes.addressof(node)
        size = int(self.ggml_nbytes(pointer))
        if node.buffer is None or self.ggml_backend_buffer_is_host(node.buffer):
            memory: Any = (c_char * size).from_address(node.data)
        else:
            memory = ctypes.create_string_buffer(size)
            self.ggml_backend_tensor_get(pointer, memory, 0, size)
        shape, strides = tuple(node.ne)[::-1], tuple(node.nb)[::-1]
        return np.ndarray(shape, dtype, memory, strides=strides)
