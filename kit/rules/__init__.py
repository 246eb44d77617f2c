"""The rules of the built-in optimizers: one file per family, each rule written once for every backend."""

from kit.records import Hyperparameter
from kit.rules.adafactor import Adafactor
from kit.rules.adagrad import Adadelta, Adagrad, RMSprop
from kit.rules.adam import Adam, Adamax, AdamW, AMSGrad, NAdam
from kit.rules.gradient_descent import GradientDescent, MiniBatchGradientDescent, StochasticGradientDescent
from kit.rules.lamb import LAMB
from kit.rules.lion import Lion
from kit.rules.momentum import Momentum, Nesterov
from kit.rules.muon import Muon
from kit.rules.rule import LEARNING_RATE, Rule
from kit.rules.schedule_free import ScheduleFree, ScheduleFreeAdamW

ALL: tuple[type[Rule], ...] = (
    GradientDescent,
    StochasticGradientDescent,
    MiniBatchGradientDescent,
    Momentum,
    Nesterov,
    Adagrad,
    Adadelta,
    RMSprop,
    Adam,
    AMSGrad,
    Adamax,
    NAdam,
    AdamW,
    Lion,
    LAMB,
    Adafactor,
    Muon,
    ScheduleFree,
    ScheduleFreeAdamW,
)

__all__ = ["ALL", "LEARNING_RATE", "Hyperparameter", "Rule", *(rule.__name__ for rule in ALL)]
