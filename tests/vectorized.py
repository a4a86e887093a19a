# SPDX-License-Identifier: MIT
"""Fails where a kernel of the compiled library (x86-64) does not calculate in whole registers of its instruction set.

python vectorized.py OBJDUMP LIBRARY
"""

from __future__ import annotations

import re
import subprocess
import sys

REGISTER = {"Baseline": "xmm", "Avx2": "ymm", "Avx512": "zmm"}
SUFFIX = {"float": "s", "double": "d"}
KERNELS = [(isa, number) for isa in REGISTER for number in SUFFIX]
HEAD = re.compile(r"<void adabelief::cpu::detail::(\w+)::update<([\w:]+), (float|double)>\(.*>:$")
ARITHMETIC = "add|sub|mul|div|sqrt|min|max"


def complaint(isa: str, number: str, code: str) -> str:
    """What is scalar in the code of one kernel, or ""."""
    packed = set(re.findall(rf"\bv?({ARITHMETIC})p{SUFFIX[number]}\b.*%{REGISTER[isa]}", code))
    # What follows the last whole register is done one by one, so that scalars are there too, but in no other operation.
    scalar = set(re.findall(rf"\bv?({ARITHMETIC})s{SUFFIX[number]}\b", code))
    if not packed:
        return f"no arithmetic on {REGISTER[isa]} registers"
    if scalar - packed:
        return f"{', '.join(sorted(scalar - packed))} not on {REGISTER[isa]} registers"
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
            kernels.setdefault(head[2], {})[head[1], head[3]] = "\n".join(lines[1:])
    good = bool(kernels)
    if not kernels:
        print(f"{library}: no kernels found")
    for rule, found in kernels.items():
        for isa, number in KERNELS:
            code = found.get((isa, number))
            why = "not found" if code is None else complaint(isa, number, code)
            if why:
                print(f"{rule}, {isa}, {number}: {why}")
                good = False
    print(f"{len(kernels)} rules, {len(KERNELS)} kernels each")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
