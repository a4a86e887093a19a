# SPDX-License-Identifier: MIT
"""The rules, printed from include/adabelief/rules by `make docs`."""

from .acprop import ACProp
from .adabelief import AdaBelief
from .adabound import AdaBound
from .adam import Adam
from .adamw import AdamW
from .amsbelief import AMSBelief
from .amsbound import AMSBound
from .amsgrad import AMSGrad
from .eadam import EAdam
from .fromage import Fromage
from .lamb import LAMB
from .lion import Lion
from .msvag import MSVAG
from .nadam import NAdam
from .padam import Padam
from .radam import RAdam
from .rmsprop import RMSprop
from .sgd import SGD
from .yogi import Yogi

__all__ = [
    "LAMB",
    "MSVAG",
    "SGD",
    "ACProp",
    "AMSBelief",
    "AMSBound",
    "AMSGrad",
    "AdaBelief",
    "AdaBound",
    "Adam",
    "AdamW",
    "EAdam",
    "Fromage",
    "Lion",
    "NAdam",
    "Padam",
    "RAdam",
    "RMSprop",
    "Yogi",
]
