"""Attack `fastnn.load` with files that were damaged: `python fuzz/files.py --files 1000000`.

Half of them are damaged as a disk or a network would do it: bits, bytes and blocks that are
another, missing, twice, or of another file. In the other half the checksum is right again, as
someone would send it who wants to do harm; there the damage is in the description, too, where
names, counts and kinds are exchanged.

Each must be refused by a ValueError of one line, within a second, and with memory of at most twice
the file's size; or, with a right checksum, give a model that predicts. A finding leaves its file.
"""

import argparse
import contextlib
import copy
import faulthandler
import hashlib
import json
import os
import random
import sys
import tempfile
import time
import tracemalloc
import warnings

import numpy as np

import fastnn
from fastnn.files import container

SLACK = 300_000  # bytes that any call may take: the interpreter's, of modules and of messages
ONE_SECOND = 1.0
#: of which one in so many is watched for memory, which takes time
WATCHED = 50


def models():
    """Some of every class, with everything that a file may hold."""
    rng = np.random.RandomState(0)
    X, y = rng.rand(30, 3), rng.rand(30)
    labels = np.array(["a", "b", "c"])[rng.randint(3, size=30)]
    yield fastnn.Network([3, 4, 1], "tanh", random_state=0)
    net = fastnn.Network([3, 5, 2], "silu", loss="quantile", quantile=[0.1, 0.9], dtype="f4",
                         random_state=np.random.default_rng(0))  # fmt: skip
    yield net.fit(X, y, max_iter=3, ema=0.9, dropout=0.1, X_val=X, y_val=y)
    yield fastnn.MLPClassifier((4,), max_iter=3, random_state=0).fit(X, labels)
    yield fastnn.MLPClassifier((4,), max_iter=3, early_stopping=True).fit(X, X > 0.5)
    yield fastnn.MLPRegressor(
        hidden_layer_sizes=[4], solver="sgd", max_iter=3,
        learning_rate=0.5 * fastnn.schedules.OneCycle(),
    ).fit(X, y)  # fmt: skip


def sealed(data):
    """The bytes with a checksum that is right, if there is a place for one."""
    found = container._CHECKSUM.search(data)
    if found is None:
        return data
    first, last = found.span(1)
    blank = data[:first] + b"0" * 64 + data[last:]
    return data[:first] + hashlib.sha256(blank).hexdigest().encode() + data[last:]


def damaged(data, other, rng):
    """Other bytes, in one way or several."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at, n = rng.randrange(len(data) + 1), rng.choice([1, 2, 8, 64])
        way = rng.randrange(7)
        if way == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif way == 1:
            data[at : at + n] = rng.randbytes(len(data[at : at + n]))
        elif way == 2:
            del data[at : at + n]
        elif way == 3:
            data[at:at] = rng.randbytes(n)
        elif way == 4:
            del data[at:]
        elif way == 5:
            data[at : at + n] = other[at : at + n]
        else:
            length = rng.choice([0, 1, 2**31, 2**63, len(data), max(len(data) - 8, 0)])
            data[:8] = length.to_bytes(8, "little")
        if not data:
            break
    return bytes(data)


ODD = [
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, 10**30, 0.5, -0.0, 1e308, "", "nan", "é",
    "tensor", "<U9999999999", [], [[]], {}, {"tensor": "coefs_.0"}, {"float": "inf"},
    {"tuple": []}, {"dict": [[[], 1]]}, {"object": ["RandomState", []]}, {"scalar": ["int8", 1e9]},
    {"strings": ["U1", [9**9], []]}, {"objects": [[2], [1, 2]]}, {"floats": "coefs_.0"},
]  # fmt: skip


def odd(rng, *more):
    """One of them, a copy: what is put into a description may be changed there later."""
    return copy.deepcopy(rng.choice([*ODD, *more]))


def places(value, found):
    """Every container in a description, and what is in it by which key."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in items:
        found.append((value, key))
        if isinstance(one, (dict, list)):
            places(one, found)
    return found


def described_otherwise(data, rng):
    """The file with another description, its lengths and checksum being right."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    if rng.random() < 0.2:  # the tensors' own entries
        spots = [spot for spot in places(header, []) if spot[1] != "__metadata__"]
        spots = [spot for spot in spots if spot[0] is not header.get("__metadata__")]
        where, key = rng.choice(spots)
        where[key] = odd(rng, [0, 8], "F64", "F32", "BF16", "I64")
    else:
        description = json.loads(header["__metadata__"]["fastnn"])
        for _ in range(rng.choice([1, 1, 2, 4])):
            where, key = rng.choice(places(description, []))
            other, other_key = rng.choice(places(description, []))
            if rng.random() < 0.5:
                where[key] = odd(rng)
            elif rng.random() < 0.5 and isinstance(where, dict):
                where[f"{key}x"] = where.pop(key)
            else:
                where[key] = json.loads(json.dumps(other[other_key]))
        text = json.dumps(description, separators=(",", ":"))
        header["__metadata__"]["fastnn"] = text
    packed = json.dumps(header, separators=(",", ":")).encode()
    return sealed(len(packed).to_bytes(8, "little") + packed + data[8 + length :])


def attack(data, path, whole, memory):
    """Load damaged bytes; what is wrong about how that went, or None."""
    with open(path, "wb") as file:
        file.write(data)
    model = error = None
    if memory:
        tracemalloc.start()
    begun = time.perf_counter()
    try:
        model = fastnn.load(path)
    except ValueError as refused:
        error = refused
    except BaseException as other:
        return f"{type(other).__name__}: {other}"
    finally:
        taken = time.perf_counter() - begun
        peak = tracemalloc.get_traced_memory()[1] if memory else 0
        tracemalloc.stop()
    if taken > ONE_SECOND:
        return f"took {taken:.1f} s"
    if peak > 2 * len(data) + SLACK:
        return f"took {peak} bytes of memory for a file of {len(data)}"
    if error is not None:
        return f"several lines: {error}" if "\n" in str(error) else None
    if not whole and sealed(data) != data:
        return "was taken, with another checksum"
    try:
        if isinstance(model, fastnn.Network) or hasattr(model, "coefs_"):
            n = model.coefs_[0].shape[0]
            model.predict(np.zeros((2, n)))
            if hasattr(model, "partial_fit") and isinstance(model, fastnn.Network):
                model.copy()
    except (ValueError, TypeError) as refused:
        # names of features that these rows do not have, a number of threads
        return f"several lines: {refused}" if "\n" in str(refused) else None
    except BaseException as other:
        return f"predicts: {type(other).__name__}: {other}"
    return None


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    faulthandler.enable(sys.__stderr__)
    warnings.simplefilter("ignore")
    rng, findings, taken, begun = random.Random(options.seed), 0, 0, time.perf_counter()
    with contextlib.ExitStack() as ends:
        folder = ends.enter_context(tempfile.TemporaryDirectory(
            prefix="fastnn-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None
        ))  # fmt: skip
        path, whole = os.path.join(folder, "model.fastnn"), []
        for model in models():
            model.save(path)
            with open(path, "rb") as file:
                whole.append(file.read())
            assert attack(whole[-1], path, True, True) is None
        for i in range(options.files):
            if i % 100 == 0:
                faulthandler.dump_traceback_later(100, exit=True, file=sys.__stderr__)
            data, other = rng.choice(whole), rng.choice(whole)
            if rng.random() < 0.5:
                data = damaged(data, other, rng)
            elif rng.random() < 0.5:
                data = sealed(damaged(data, other, rng))
            else:
                data = described_otherwise(data, rng)
            what = attack(data, path, data in whole, i % WATCHED == 0)
            taken += len(data)
            if what is not None:
                findings += 1
                kept = f"finding-{options.seed}-{i}.fastnn"
                with open(kept, "wb") as file:
                    file.write(data)
                print(f"FOUND {what:.500}; the file is {kept}", flush=True)
                if findings >= 5:
                    break
        faulthandler.cancel_dump_traceback_later()
    seconds = time.perf_counter() - begun
    print(f"{i + 1} files, {taken} bytes in {seconds:.1f} s; {findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
