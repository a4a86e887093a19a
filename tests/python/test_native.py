# SPDX-License-Identifier: MIT
"""The C library through ctypes: plans over memory of the caller's, rules as data, and what is said where it fails."""

import math
import os
import pathlib
import subprocess
import sys
import threading

import numpy as np
import pytest
from adabelief._native import Failure, Library, Rounding, StateType, Type, load

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def library() -> Library:
    found = load()
    assert found, found.reason
    return found


def address(array: np.ndarray) -> int:
    return array.ctypes.data


def values(library: Library, **changed: float) -> list[float]:
    return [changed.get(option.name, option.value) for option in library.rules["adabelief"].options]


def test_a_plan_steps_by_algorithm_2_over_memory_of_the_callers(library: Library) -> None:
    generator = np.random.default_rng(1)
    x, m, s, steps = generator.normal(size=50), np.zeros(50), np.zeros(50), np.zeros(1)
    expected, mean, spread = x.copy(), m.copy(), s.copy()
    plan = library.plan("adabelief")
    plan.set_values(values(library, lr=0.1, eps=1e-8))
    plan.add(address(x), 50, Type.FLOAT64, [address(m), address(s)], address(steps), steps_type=Type.FLOAT64)
    for t in range(1, 6):
        g = generator.normal(size=50)
        plan.step([address(g)])
        mean = 0.9 * mean + 0.1 * g
        spread = 0.999 * spread + 0.001 * (g - mean) ** 2 + 1e-8
        expected -= 0.1 * (mean / (1 - 0.9**t)) / (np.sqrt(spread / (1 - 0.999**t)) + 1e-8)
    np.testing.assert_allclose(x, expected, rtol=1e-12)
    np.testing.assert_allclose(m, mean, rtol=1e-12)
    np.testing.assert_allclose(s, spread, rtol=1e-12)
    assert steps[0] == 5


@pytest.mark.parametrize(
    ("wanted", "told"), [("baseline", "baseline"), ("mmx", "ValueError: adabelief: ADABELIEF_ISA=mmx is none of base")]
)
def test_the_environment_chooses_the_instruction_set_or_is_told_what_there_is(wanted: str, told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from adabelief._native import load; print(load().isa)"],
        check=False, capture_output=True, text=True,
        env=os.environ | {"ADABELIEF_ISA": wanted, "PYTHONPATH": str(ROOT / "python")},
    )  # fmt: skip
    assert told in done.stdout + done.stderr
    assert done.returncode == (0 if wanted == "baseline" else 1), done.stderr


def test_groups_have_options_of_their_own_and_a_tensor_without_gradient_waits(library: Library) -> None:
    x, g = np.ones((3, 8), np.float32), np.ones(8, np.float32)
    states, steps = np.zeros((3, 2, 8), np.float32), np.zeros(3, np.float32)
    plan = library.plan("adabelief")
    assert plan.add_group() == 1
    plan.set_values(values(library, lr=0), group=1)
    for i, group in enumerate([0, 1, 0]):
        memory = [address(state) for state in states[i]]
        assert plan.add(address(x[i]), 8, Type.FLOAT32, memory, address(steps[i:]), group=group) == i
    plan.step([address(g), address(g), 0])
    assert (x[0] < 1).all() and (x[1:] == 1).all()
    assert steps.tolist() == [1, 1, 0]


def test_a_fold_scales_clips_and_skips(library: Library) -> None:
    x, g, momentum, steps = np.zeros(2), np.array([30.0, 40.0]), np.zeros(2), np.zeros(1, np.float32)
    plan = library.plan("sgd")
    plan.set_values([1, 0, 0, 0, 0, 0])
    plan.add(address(x), 2, Type.FLOAT64, [address(momentum)], address(steps))
    assert math.isnan(plan.norm)
    plan.set_fold(scale=-0.1, max_norm=1, skip_nonfinite=True, zero_gradients=True)
    plan.step([address(g)])
    np.testing.assert_allclose(x, [0.6, 0.8])
    assert plan.norm == pytest.approx(5)
    assert g.tolist() == [0, 0]
    g[:] = math.inf
    plan.step([address(g)])
    np.testing.assert_allclose(x, [0.6, 0.8])
    assert (plan.skipped, steps[0]) == (1, 1)


@pytest.mark.parametrize("form", StateType)
def test_states_are_read_and_written_as_numbers_in_every_form(library: Library, form: StateType) -> None:
    n = 5000
    kept, size = library.state_form(form, Type.BFLOAT16, n)
    bytes_of_all = {StateType.FULL: 4 * n, StateType.BFLOAT16: 2 * n, StateType.BITS8: 20 * (256 + 2)}
    assert (kept, size) == (form, bytes_of_all[form])
    assert library.state_form(form, Type.BFLOAT16, 100)[0] == (StateType.BFLOAT16 if form == 1 else StateType.FULL)
    x, g = np.full(n, 0x3F80, np.uint16), np.linspace(-1, 1, n, dtype=np.float32)
    memory, rest, steps = np.zeros((2, size), np.uint8), np.zeros(n, np.int16), np.zeros(1, np.float32)
    plan = library.plan("adabelief", states=form, weights=Rounding.EXACT, seed=3)
    plan.add(address(x), n, Type.BFLOAT16, [address(state) for state in memory], address(steps),
             gradient_type=Type.FLOAT32, rest=address(rest))  # fmt: skip
    plan.step([address(g)])
    assert rest.any()
    numbers = np.zeros(n)
    plan.read_state(0, "exp_avg", address(numbers), n, Type.FLOAT64)
    np.testing.assert_allclose(numbers, 0.1 * g, atol=0.01)
    memory[0] = 0
    plan.write_state(0, "exp_avg", address(numbers), n, Type.FLOAT64)
    again = np.zeros(n, np.float32)
    plan.read_state(0, "exp_avg", address(again), n)
    assert (again == numbers).all()


def test_rules_are_data(library: Library) -> None:
    rule = library.rules["adabelief"]
    assert rule.states == ("exp_avg", "exp_avg_var") and rule.norms == ()
    assert [option.name for option in rule.options][-2:] == ["weight_decay", "decay"]
    assert rule.options[-1].choices == ("coupled", "decoupled", "fixed")
    assert "pytorch-0.2.1" in [preset.name for preset in rule.presets]
    assert library.rules["lamb"].norms
    assert library.effective_eps("adabelief", values(library, eps=1e-8)) == pytest.approx(1e-8 + 1e-8**0.5 / 0.001**0.5)


def test_what_does_not_fit_is_a_value_error_with_the_library_s_words(library: Library) -> None:
    with pytest.raises(ValueError, match="no rule named 'adabelif'; did you mean adabelief?"):
        library.plan("adabelif")
    plan = library.plan("adabelief")
    with pytest.raises(ValueError, match=r"adabelief: lr must lie in \[0, inf\), got -1"):
        plan.set_values(values(library, lr=-1))
    with pytest.raises(ValueError, match="no group 1"):
        plan.set_values(values(library), group=1)
    x = np.zeros(2, np.float32)
    with pytest.raises(ValueError, match="no address for the state exp_avg_var"):
        plan.add(address(x), 2, Type.FLOAT32, [address(x)], address(x))
    steps = np.full(1, -1, np.float32)
    plan.add(address(x), 2, Type.FLOAT32, [address(x), address(x)], address(steps))
    with pytest.raises(ValueError, match="the steps of tensor 0 must lie in"):
        plan.step([address(x)])


def test_a_message_reaches_the_thread_that_asked(library: Library) -> None:
    found: list[str] = []

    def ask() -> None:
        try:
            library.use_isa("avx3")
        except ValueError as error:
            found.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert found and found[0].startswith("adabelief: no instruction set named 'avx3'")


@pytest.mark.parametrize(
    ("path", "reason"), [("/nowhere/libadabelief_c.so", "cannot open"), ("libc.so.6", "undefined symbol")]
)
def test_a_library_that_cannot_be_loaded_is_a_failure_with_a_reason(path: str, reason: str) -> None:
    program = "from adabelief import _native; found = _native.load(); print(bool(found), found.reason)"
    environment = os.environ | {"ADABELIEF_LIBRARY": path, "PYTHONPATH": str(ROOT / "python")}
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True,
                             env=environment).stdout  # fmt: skip
    assert printed.startswith("False ") and reason in printed
    assert not Failure("why")
