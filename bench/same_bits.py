"""Do two versions of fastnn train the same bits? `python bench/same_bits.py --python OTHER`.

Runs the fits of fits.py in this Python and in another one that has the other version installed,
once for each build of the kernels, each run in a fresh process. Trained parameters and predictions
must be equal byte for byte, with the exit status 1 if they are not. Losses may differ by rounding:
such differences are listed, and are errors above 1e-6 (float32: 1e-4), relatively.

Without --python this version is compared with itself: do results repeat? Fits that run with one
and with two threads must agree in any case.
"""

import argparse
import json
import math
import os
import subprocess
import sys
from pathlib import Path

FITS = Path(__file__).with_name("fits.py")
HASHED = ("params", "predictions")
# SciPy's L-BFGS-B, scikit-learn's splits and NumPy's exp take part in the results
LIBRARIES = ("NumPy", "SciPy", "scikit-learn")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="This Python keeps its PYTHONPATH, the other one has only what --path gives it.",
    )
    parser.add_argument("--python", metavar="OTHER", help="a Python with the other version")
    parser.add_argument("--path", metavar="FOLDER", help="PYTHONPATH of the other Python")
    parser.add_argument("--builds", metavar="A,B", help="all that both versions can run here")
    parser.add_argument("--only", default="", metavar="REGEX", help="fits with such names")
    parser.add_argument("--smoke", action="store_true", help="a few fits with the best build")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all hashes there")
    options = parser.parse_args()
    ours = Version(sys.executable, os.environ.get("PYTHONPATH"))
    theirs = Version(options.python, options.path) if options.python else ours
    try:
        builds = agreed(ours.versions, theirs.versions, same=theirs is ours)
    except ValueError as error:
        sys.exit(str(error))
    if options.builds:
        builds = options.builds.split(",")
    elif options.smoke:
        builds = builds[:1]
    other = "itself" if theirs is ours else theirs.versions["fastnn"]
    print(f"{ours.versions['fastnn']} against {other}")
    print(", ".join(f"{key} {ours.versions[key]}" for key in (*LIBRARIES, "CPU")))
    if ours.versions["threads"] < 2:
        print("one core: two threads were not tried")
    arguments = ["--only", options.only, *(["--smoke"] if options.smoke else [])]
    results, n_fits, n_wrong = {}, 0, 0
    for build in builds:
        one, other = (version.fits(build, arguments) for version in (ours, theirs))
        results[build] = [one["cases"], other["cases"]]
        wrong, rounded = compare(one["cases"], other["cases"])
        wrong += compare_threads(one["cases"])
        n_fits, n_wrong = n_fits + len(one["cases"]), n_wrong + len(wrong)
        print(
            f"{build}: {len(one['cases'])} fits in {one['seconds']:.0f} s and "
            f"{other['seconds']:.0f} s: {len(wrong)} differences, {len(rounded)} other roundings "
            "of losses"
        )
        for line in wrong:
            print(f"  DIFFERENT {line}")
        for line in rounded:
            print(f"  rounding  {line}")
    if options.json:
        versions = [ours.versions, theirs.versions]
        options.json.write_text(json.dumps({"versions": versions, "builds": results}, indent=1))
    if not n_fits:
        sys.exit("no fit was compared")
    print(f"{n_fits} fits compared, {n_wrong} differences")
    sys.exit(1 if n_wrong else 0)


class Version:
    """A Python that has a version of fastnn."""

    def __init__(self, python, path):
        self._python = python
        dropped = ("FASTNN_", "OMP_", "PYTHONPATH")
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        self._environment["OPENBLAS_NUM_THREADS"] = "1"
        if path:
            self._environment["PYTHONPATH"] = path
        self.versions = self._run("", ["--versions"])["versions"]

    def fits(self, build, arguments):
        """What fits.py answers with this build."""
        return self._run(build, arguments)

    def _run(self, build, arguments):
        command = [self._python, str(FITS), *arguments]
        environment = {**self._environment, "FASTNN_ISA": build}
        try:
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
        except OSError as error:
            sys.exit(f"{self._python} cannot be started: {error}")
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed with FASTNN_ISA={build}")
        return json.loads(done.stdout)


def agreed(ours, theirs, same=False):
    """The builds to compare, if these two versions can be compared."""
    for key in (*LIBRARIES, "threads", "builds"):
        if ours[key] != theirs[key]:
            raise ValueError(f"the two Pythons differ in {key}: {ours[key]} and {theirs[key]}")
    if not same and ours["fastnn"] == theirs["fastnn"]:
        raise ValueError(f"both Pythons import the fastnn in {ours['fastnn']}")
    return ours["builds"]


def compare(ours, theirs):
    """Lines for what must be the same and is not, and for losses that are rounded differently.

    Parameters
    ----------
    ours, theirs : dict
        Name of a fit -> hashes of "params" and "predictions", the "curve" of losses and its
        tolerance "rtol"; or what went wrong, "error".
    """
    wrong, rounded = [], []
    for name in {**ours, **theirs}:
        if name not in ours or name not in theirs:
            wrong.append(f"{name}: only one version has it")
            continue
        one, other = ours[name], theirs[name]
        errors = [side["error"] for side in (one, other) if "error" in side]
        if errors:
            wrong.append(f"{name}: {'; '.join(errors)}")
            continue
        different = [key for key in HASHED if one[key] != other[key]]
        difference = relative_difference(one["curve"], other["curve"])
        if difference:
            different.append(f"curve by {difference:.1e}")
        if different:
            fatal = different[0] in HASHED or not difference <= one["rtol"]
            (wrong if fatal else rounded).append(f"{name}: {', '.join(different)}")
    return wrong, rounded


def compare_threads(cases):
    """Lines for fits in which two threads come to other results than one."""
    wrong = []
    for name, one in cases.items():
        two = cases.get(name.replace(", 1 thread", ", 2 threads"))
        if two is None:
            wrong.append(f"{name}: not tried with two threads")
        elif one != two:
            wrong.append(f"{name}: two threads come to another result")
    return wrong


def relative_difference(a, b):
    """The largest between two lists of losses; infinite if they are not comparable."""
    if len(a) != len(b):
        return math.inf
    largest = 0.0
    for x, y in zip(a, b, strict=True):
        if x == y or (math.isnan(x) and math.isnan(y)):
            continue
        difference = abs(x - y) / max(abs(x), abs(y))
        largest = max(largest, difference if math.isfinite(difference) else math.inf)
    return largest


if __name__ == "__main__":
    main()
