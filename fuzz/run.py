"""Attack fastnn with random calls: `python fuzz/run.py --seconds 20`.

First `machines`, sequences of public calls held to the oracle, then `from_bytes`, rows, states and
arguments made of bytes. It prints how many public calls were made, of which names, and what was
found. A finding ends with the command that makes it again, and with exit code 1; so does a public
name that a long run has never called. A call that takes too long ends the process with the
stacks of all threads; the last calls before a crash are in the file that is named at first.
"""

import argparse
import collections
import contextlib
import faulthandler
import inspect
import mmap
import os
import sys
import tempfile
import time
import traceback

LONG = 100_000  # calls from which on every public name must have come
HANGS = 120.0  # seconds that one machine, about 40 calls, may take
N_LINES, WIDTH = 64, 64

#: classes that are not attacked by themselves, and why
OF_OTHERS = {
    "BaggedMLPClassifier": "scikit-learn's bagging of MLPClassifier, to which tests hold it",
    "BaggedMLPRegressor": "scikit-learn's bagging of MLPRegressor, to which tests hold it",
    "NetworkEnsemble": "fit_many of networks, to which tests hold it",
}

#: public names that are not called, and why
LEFT_OUT = {
    f"{cls}.{name}": why
    for cls in ("MLPClassifier", "MLPRegressor")
    for name, why in {
        "get_metadata_routing": "scikit-learn's own, of no arithmetic",
        "set_fit_request": "scikit-learn's own; needs its metadata routing switched on",
        "set_partial_fit_request": "scikit-learn's own; needs its metadata routing switched on",
        "set_score_request": "scikit-learn's own; needs its metadata routing switched on",
    }.items()
} | {
    "MLPRegressor.set_predict_request": "scikit-learn's own, for return_std",
    **dict.fromkeys(("from_keras", "from_onnx", "from_torch"), "reads other libraries' models"),
    **dict.fromkeys(("to_c", "to_onnx"), "writes for other programs, which tests run"),
    "to_sklearn": "copies objects of scikit-learn's",
}


class Trail:
    """The last calls, in a file that outlives a crash of the process."""

    def __init__(self):
        handle, self.path = tempfile.mkstemp(prefix="fastnn-fuzz-", suffix=".txt")
        os.ftruncate(handle, N_LINES * WIDTH)
        self.memory = mmap.mmap(handle, N_LINES * WIDTH)
        os.close(handle)
        self.at = 0

    def __call__(self, text):
        start = self.at % N_LINES * WIDTH
        line = f"{self.at:9d} {text}".encode()[: WIDTH - 1].ljust(WIDTH - 1) + b"\n"
        self.memory[start : start + WIDTH] = line
        self.at += 1

    def last(self, n=12):
        with contextlib.suppress(ValueError):
            lines = bytes(self.memory).replace(b"\0", b" ").decode().splitlines()
            lines = [line.strip() for line in lines if line.strip()]
            return sorted(lines, key=lambda line: int(line.split()[0]))[-n:]
        return []

    def close(self):
        self.memory.close()
        os.unlink(self.path)


def public_names():
    """Every public callable of fastnn and of its classes."""
    import fastnn

    names = []
    for name in set(fastnn.__all__) - OF_OTHERS.keys():
        one = getattr(fastnn, name)
        if inspect.isclass(one):
            names.append(name)
            names += [
                f"{name}.{attribute}" for attribute in dir(one)
                if not attribute.startswith("_")
                and callable(getattr(one, attribute, None))
            ]  # fmt: skip
        elif callable(one):
            names.append(name)
    return names


def report(error, trail, again):
    print(f"\nFOUND {type(error).__name__}: {error}")
    traceback.print_exception(error, limit=-9)
    print("the last calls:", *trail.last(), sep="\n    ")
    print(f"again: {again}", flush=True)


def watched(trail, function, *args):
    """Call it under the watchdog; what it raises, or None."""
    trail(f"-- {args[:2]}")
    faulthandler.dump_traceback_later(HANGS, exit=True, file=sys.__stderr__)
    try:
        function(*args)
    except Exception as error:
        return error
    finally:
        faulthandler.cancel_dump_traceback_later()
    return None


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, help="how long")
    parser.add_argument("--steps", type=int, help="how many public calls, in place of seconds")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--machine", type=int, help="this machine alone")
    parser.add_argument("--bytes", type=int, help="these bytes alone, by their number")
    parser.add_argument("--first", type=int, default=0, help="the machine to begin with")
    parser.add_argument("--most", type=int, default=5, help="findings after which it ends")
    options = parser.parse_args(arguments)

    import from_bytes
    import machines

    from fastnn import kernels

    faulthandler.enable(sys.__stderr__)
    trail = Trail()
    print(f"{kernels.ISA} against reference, seed {options.seed}; last calls in {trail.path}")
    calls, findings, begun = collections.Counter(), 0, time.perf_counter()
    seconds = options.seconds if options.seconds or options.steps else 20.0

    def ended(share):
        """Whether this share of the run is done."""
        if findings >= options.most:
            return True
        if options.steps:
            return calls.total() >= share * options.steps
        return time.perf_counter() - begun >= share * seconds

    def note(error, kind, number):
        nonlocal findings
        if error is not None:
            findings += 1
            report(error, trail, f"python fuzz/run.py --seed {options.seed} --{kind} {number}")

    def one_machine(seed, number):
        machines.drive(seed, number, log=trail, calls=calls)

    def one_input(seed, number):
        from_bytes.number(seed, number, log=trail, calls=calls)

    if options.machine is not None:
        note(
            watched(trail, one_machine, options.seed, options.machine), "machine", options.machine
        )
    elif options.bytes is not None:
        note(watched(trail, one_input, options.seed, options.bytes), "bytes", options.bytes)
    else:
        number = options.first
        while not ended(0.8):
            note(watched(trail, one_machine, options.seed, number), "machine", number)
            number += 1
        number = 0
        while not ended(1.0):
            note(watched(trail, one_input, options.seed, number), "bytes", number)
            number += 1

    taken, total = time.perf_counter() - begun, calls.total()
    for name, n in sorted(calls.items()):
        print(f"{n:9d} {name}")
    missing = [name for name in public_names() if name not in calls and name not in LEFT_OUT]
    for name, why in {**OF_OTHERS, **LEFT_OUT}.items():
        print(f"        - {name}: {why}")
    if missing:
        print("never called:", ", ".join(missing))
    print(f"{total} steps in {taken:.1f} s, {total / taken:.0f} a second; {findings} findings")
    trail.close()
    return 1 if findings or (missing and total >= LONG) else 0


if __name__ == "__main__":
    sys.exit(main())
