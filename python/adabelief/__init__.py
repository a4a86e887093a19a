# SPDX-License-Identifier: MIT
"""AdaBelief and its rivals as torch.optim.Optimizer: from adabelief import AdaBelief."""

from ._optimizer import Optimizer
from .rules import *  # noqa: F403
from .rules import __all__ as _rules

__all__ = ["Optimizer", *_rules]
