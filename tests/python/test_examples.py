# SPDX-License-Identifier: MIT
"""The examples print what their .output files say, and the README shows them as they are."""

import os
import pathlib
import re
import runpy
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
BUILD = pathlib.Path(os.environ.get("ADABELIEF_PROGRAM", ROOT / "build" / "adabelief")).parent
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.output"))


def source(name: str) -> str:
    """The example as the README shows it: without the lines of comment at its head."""
    lines = (ROOT / "examples" / f"{name}.cpp").read_text().splitlines(keepends=True)
    while lines[0].startswith("//"):
        lines.pop(0)
    return "".join(lines)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_prints_its_output(name: str) -> None:
    printed = subprocess.run([BUILD / "examples" / name], capture_output=True, text=True, check=True).stdout
    assert printed == (ROOT / "examples" / f"{name}.output").read_text()


@pytest.mark.parametrize("name", ["quadratic", "libtorch"])
def test_the_readme_shows_an_example_and_its_output_as_they_are(name: str) -> None:
    readme = (ROOT / "README.md").read_text()
    assert source(name) in readme
    assert (ROOT / "examples" / f"{name}.output").read_text() in readme


def test_the_readmes_python_prints_what_it_says() -> None:
    readme = (ROOT / "README.md").read_text()
    shown = re.search(r"^```python\n(.*?)^```\n\nprints\n\n```\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    assert shown
    program, printed = shown.groups()
    environment = os.environ | {"PYTHONPATH": str(ROOT / "python")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], check=False, capture_output=True, text=True, env=environment
    )
    assert (done.stdout, done.stderr) == (printed, "")


def test_the_page_of_the_belief_shows_the_output_of_its_example_and_pictures_of_it() -> None:
    assert (ROOT / "examples/belief.output").read_text() in (ROOT / "docs/belief.md").read_text()
    for name, content in runpy.run_path(str(ROOT / "tools/plot_belief.py"))["pictures"]().items():
        assert (ROOT / "docs" / name).read_text() == content, (
            f"docs/{name} is not of examples/belief.output; `make docs`"
        )


def test_the_readme_lists_the_rules_as_the_program_does() -> None:
    rules = subprocess.run([BUILD / "adabelief", "list", "rules"], capture_output=True, text=True, check=True).stdout
    assert rules in (ROOT / "README.md").read_text()


def test_a_project_of_its_own_finds_and_uses_an_installed_copy(tmp_path: pathlib.Path) -> None:
    installed, built = tmp_path / "installed", tmp_path / "built"
    cache = (BUILD / "CMakeCache.txt").read_text()
    torch = next(line.split("=", 1)[1] for line in cache.splitlines() if line.startswith("Torch_DIR:"))
    launcher = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if "/ccache" in cache else []

    def run(*command: str | pathlib.Path) -> str:
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("cmake", "--install", BUILD, "--prefix", installed)
    run("cmake", "-S", ROOT / "examples" / "package", "-B", built, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
        f"-DCMAKE_PREFIX_PATH={installed}", f"-DTorch_DIR={torch}", *launcher)  # fmt: skip
    run("cmake", "--build", built)
    for name in EXAMPLES:
        assert run(built / name) == (ROOT / "examples" / f"{name}.output").read_text()

    plain = tmp_path / "plain"  # of C alone
    plain.mkdir()
    (plain / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.22)\nproject(plain C)\nfind_package(adabelief REQUIRED)\n"
        f"add_executable(plain {ROOT}/examples/quadratic_c.c)\ntarget_link_libraries(plain PRIVATE adabelief::c)\n"
    )
    run("cmake", "-S", plain, "-B", plain / "built", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={installed}")
    run("cmake", "--build", plain / "built")
    assert run(plain / "built" / "plain") == (ROOT / "examples" / "quadratic_c.output").read_text()
