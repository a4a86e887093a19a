# SPDX-License-Identifier: MIT
"""AdaBelief and its rivals as torch.optim.Optimizer: from adabelief import AdaBelief."""

from . import rules
from ._optimizer import Optimizer
from .rules import *

__all__ = ["Optimizer"]
__all__ += rules.__all__
