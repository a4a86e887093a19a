# SPDX-License-Identifier: MIT
"""Fails where a kernel of the compiled library (x86-64) does not calculate in whole registers of its instruction set.

python vectorized.py OBJDUMP LIBRARY
"""

from __future__ import annotations

import itertools
import re
import subprocess
import sys

REGISTER = {"Baseline": "xmm", "Avx2": "ymm", "Avx512": "zmm"}
SUFFIX = {"float": "s", "double": "d"}
HALF = "unsigned short"
FORMS = [("float", "0"), (HALF, "0"), ("float", "1"), (HALF, "1"), ("float", "2"), (HALF, "2")]  # of weights; StateType
HEAD = re.compile(
    r"<void adabelief::cpu::detail::(\w+)::update(?:_form)?<([\w:]+), "
    r"(float|double|unsigned short)(?:, \(adabelief::StateType\)(\d))?>\(.*>:$"
)
ARITHMETIC = "add|sub|mul|div|sqrt|min|max"


def complaint(isa: str, suffix: str, code: str) -> str:
    """What is scalar in the code of one kernel of numbers of that suffix, or ""."""
    packed = set(re.findall(rf"\bv?({ARITHMETIC})p{suffix}\b.*%{REGISTER[isa]}", code))
    # What follows the last whole register is done one by one, so that scalars are there too, but in no other operation.
    scalar = set(re.findall(rf"\bv?({ARITHMETIC})s{suffix}\b", code))
    if not packed:
        return f"no arithmetic on {REGISTER[isa]} registers"
    if scalar - packed:
        return f"{', '.join(sorted(scalar - packed))} not on {REGISTER[isa]} registers"
    if re.search(r"\bimul\b.*85ebca6b", code):
        return "draws random bits one by one"
    if call := re.search(r"\bcall\b.*<(.*)>", code):
        return f"calls {call[1]}"
    return ""


def main(objdump: str, library: str) -> int:
    text = subprocess.run(
        [objdump, "-d", "-C", "-r", "--no-show-raw-insn", library], capture_output=True, text=True, check=True
    ).stdout
    kernels = {}
    for block in text.split("\n\n"):
        lines = block.strip().split("\n")
        if head := HEAD.search(lines[0]):
            isa, rule, *numbers = (part for part in head.groups() if part)
            kernels.setdefault(rule, {})[isa, *numbers] = "\n".join(lines[1:])
    good = bool(kernels)
    if not kernels:
        print(f"{library}: no kernels found")
    for rule, found in kernels.items():
        has_states = any(len(key) == 3 and key[2] != "0" for key in found)
        forms = FORMS if has_states else FORMS[:2]
        for isa, numbers in itertools.product(REGISTER, [*((number,) for number in SUFFIX), *forms]):
            code = found.get((isa, *numbers))
            why = "not found" if code is None else complaint(isa, SUFFIX.get(numbers[0], "s"), code)
            if why:
                print(f"{rule}, {isa}, {' '.join(numbers)}: {why}")
                good = False
    print(f"{len(kernels)} rules, {sum(map(len, kernels.values()))} kernels")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
