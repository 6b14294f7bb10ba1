"""llama.cpp, as one of the supported builds brings it: the only room that speaks C.

``builds`` names them, ``functions`` and ``structs`` declare what is called, ``checking`` compares that with the library, and
``library`` loads it.
"""

from parlant_local.engine.native.abort import AbortFlag
from parlant_local.engine.native.llama import clear_log, library, system_info
from parlant_local.engine.native.log import recent_log, set_verbose

__all__ = ["AbortFlag", "clear_log", "library", "recent_log", "set_verbose", "system_info"]
