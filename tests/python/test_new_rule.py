# SPDX-License-Identifier: MIT
"""What docs/adding-a-rule.md says is done: its file goes into a copy of the library, and everything finds the rule."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).parents[2]
BUILD = pathlib.Path(os.environ.get("ADABELIEF_PROGRAM", ROOT / "build" / "adabelief")).parent
PAGE = (ROOT / "docs" / "adding-a-rule.md").read_text()


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [text for name, text in fenced if name == language]


def run(*command: str | pathlib.Path, **more: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The library with Adam and the page's rule alone, which compiles in a minute, built in copy/build."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("CMakeLists.txt", "cmake", "include", "src", "tests/reference/problems.json"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, copy / name)
    rules = copy / "include/adabelief/rules"
    for file in rules.iterdir():
        if file.name != "adam.h":
            file.unlink()
    (rules / "signum.h").write_text(blocks("cpp")[0])

    cache = (BUILD / "CMakeCache.txt").read_text()
    torch = next(line.split("=", 1)[1] for line in cache.splitlines() if line.startswith("Torch_DIR:"))
    launcher = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if "/ccache" in cache else []
    again = os.environ | {"CCACHE_BASEDIR": str(copy), "CCACHE_NOHASHDIR": "1"}  # the folder is another in each run
    run("cmake", "-S", ROOT / "tests/new_rule", "-B", copy / "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
        f"-DROOT={ROOT}", f"-DCOPY={copy}", f"-DTorch_DIR={torch}", *launcher, env=again)  # fmt: skip
    run("cmake", "--build", copy / "build", "-j2", env=again)
    return copy


def outcome(copy: pathlib.Path) -> tuple[int, list[str], str]:
    """How many tests name the rule, the suites that fail, and what they say."""
    done = subprocess.run([copy / "build/test_rules", "--gtest_filter=*signum*"], capture_output=True, text=True)
    ran = re.search(r"(\d+) tests? from \d+ test suites? ran", done.stdout)
    assert ran, done.stdout + done.stderr
    return int(ran[1]), re.findall(r"^\[  FAILED  \] (\w+)/signum\.\w+, ", done.stdout, re.MULTILINE), done.stdout


def test_every_test_of_rules_runs_on_the_new_one_and_only_its_reference_is_missing(copy: pathlib.Path) -> None:
    (copy / "tests/reference/signum.json").unlink(missing_ok=True)
    count, failed, said = outcome(copy)
    assert count > 15
    assert set(failed) == {"Reference"}, said
    assert blocks("")[0].strip() in said


def test_with_the_reference_it_passes_them_all(copy: pathlib.Path) -> None:
    shutil.copy(ROOT / "tests/new_rule/signum.json", copy / "tests/reference")
    _, failed, said = outcome(copy)
    assert not failed, said


def test_its_description_fits_into_the_script_that_makes_references(tmp_path: pathlib.Path) -> None:
    script = tmp_path / "tests/reference/make.py"
    script.parent.mkdir(parents=True)
    shutil.copy(ROOT / "tests/reference/make.py", script)
    run("git", "apply", "-", cwd=tmp_path, input=blocks("diff")[0])
    run(sys.executable, "-m", "py_compile", script)
    assert '"signum"' in script.read_text()


def test_its_kernels_calculate_in_whole_registers(copy: pathlib.Path) -> None:
    run(sys.executable, ROOT / "tests/vectorized.py", "objdump", copy / "build/adabelief/libadabelief.a")


def test_its_page_is_printed_with_the_equations_that_were_promised(copy: pathlib.Path) -> None:
    run(copy / "build/print_rules", copy)
    page = (copy / "docs/rules/signum.md").read_text()
    assert page.startswith("# Signum\n")
    assert blocks("math")[0] in page
    assert "(signum.md)" in (copy / "docs/rules/README.md").read_text()
    module = (copy / "python/adabelief/rules/signum.py").read_text()
    assert "    m = beta * m + one_beta * g\n    x = x - lr * sign(m)\n    return x, m\n" in module
    assert "from .signum import Signum\n" in (copy / "python/adabelief/rules/__init__.py").read_text()


def test_the_libtorch_adapter_steps_by_it(copy: pathlib.Path) -> None:
    assert run(copy / "build/adapter") == "adam signum 0.5\n"
