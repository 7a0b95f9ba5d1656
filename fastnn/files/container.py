"""The file: safetensors whose every byte is under a checksum, replaced as a whole.

The tensors are plain: any reader of safetensors opens them. Its metadata has one entry, "fastnn",
JSON that begins with a checksum: the SHA-256 of the whole file as it is with 64 zeros in place of
the checksum. A file is refused before anything else is read if its size, header or checksum is not
right, and nothing in it is ever executed.

It is written to a temporary file beside, flushed to the disk, and put in place by one rename: a
process that is killed, a full disk or another writer leave the file before or the new one, whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fastnn import pages

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: of what this version writes, and the latest that it reads
FORMAT = 1

_BLANK = "0" * 64
_MOST_HEADER = 100_000_000  # safetensors' own limit, in bytes
# JSON within JSON: how safetensors writes the entry
_CHECKSUM = re.compile(rb'"fastnn":"\{\\"checksum\\":\\"([0-9a-f]{64})\\"')
_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "U64": "<u8", "I32": "<i4",
    "U32": "<u4", "I16": "<i2", "U16": "<u2", "I8": "i1", "U8": "u1", "BOOL": "?",
}  # fmt: skip


def library() -> Any:
    """The module safetensors.

    Raises
    ------
    ImportError
        Without it.
    """
    try:
        import safetensors.numpy
    except ImportError as error:
        raise pages.missing("files need safetensors", "files") from error
    return safetensors


def write(
    path: str | os.PathLike[str],
    description: Mapping[str, Any],
    tensors: Mapping[str, NDArray[Any]],
) -> None:
    """Replace a file, or make a new one.

    Parameters
    ----------
    path : path-like
    description : mapping
        What JSON can hold, without numbers that are not finite.
    tensors : mapping of str to ndarray
        Contiguous, of numbers or booleans.

    Raises
    ------
    ImportError
        Without safetensors.
    OSError
        If it cannot be written; what was there stays.
    """
    text = json.dumps(
        {"checksum": _BLANK, "format": FORMAT, **description},
        allow_nan=False, separators=(",", ":"),
    )  # fmt: skip
    data = library().numpy.save(dict(tensors), {"fastnn": text})
    found = _CHECKSUM.search(data)
    assert found is not None
    checksum = hashlib.sha256(data).hexdigest().encode()
    whole = memoryview(data)
    replace_file(path, (whole[: found.start(1)], checksum, whole[found.end(1) :]))


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What `write` was given.

    Raises
    ------
    ImportError
        Without safetensors.
    ValueError
        If the file is damaged, of another kind, or of a format that came later.
    OSError
        If it cannot be read.
    """
    safetensors, path = library(), os.fspath(path)
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # a pipe would be waited for
        raise ValueError(f"{_shown(path)} is not a regular file")
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{_shown(path)} is not a regular file")
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > min(status.st_size - 8, _MOST_HEADER):
            raise _unreadable(path, "is not a file of fastnn, or it is cut short")
        header = file.read(length)
        found = list(_CHECKSUM.finditer(header))
        if len(found) != 1:
            raise _unreadable(path, "is not a file of fastnn, or its header is damaged")
        file.seek(0)
        data = file.read(status.st_size)  # once: models may be large
    whole = len(data) == status.st_size and data.startswith(start + header)
    if not (whole and _has_checksum(data, 8 + found[0].start(1))):
        raise _unreadable(path, "is damaged: its checksum is another")
    try:
        # the library looks at the header's bounds before it takes memory
        tensors = safetensors.deserialize(data)
        entry = json.loads(header)["__metadata__"]["fastnn"]
        description = json.loads(entry, parse_constant=_refuse_constant)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _unreadable(path, f"is damaged: {error}") from None
    del data
    if not isinstance(description, dict) or type(description.get("format")) is not int:
        raise _unreadable(path, "is damaged: it has no format")
    if not 1 <= description["format"] <= FORMAT:
        raise _unreadable(
            path,
            f"is of format {description['format']}, of another version of fastnn; this one reads "
            f"formats up to {FORMAT}",
        )
    return description, {name: _array(path, name, tensor) for name, tensor in tensors}


def _has_checksum(data: bytes, at: int) -> bool:
    """Whether the checksum at this place is that of the rest."""
    end, rest = at + len(_BLANK), memoryview(data)
    checksum = hashlib.sha256(rest[:at])
    checksum.update(_BLANK.encode())
    checksum.update(rest[end:])
    return checksum.hexdigest().encode() == data[at:end]


def _shown(path: str | os.PathLike[str]) -> str:
    return repr(os.fspath(path))


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} in its description")


def _unreadable(path: str | os.PathLike[str], why: str) -> ValueError:
    return ValueError(pages.see("file", f"{_shown(path)} {why}"))


def _array(path: str | os.PathLike[str], name: str, tensor: Mapping[str, Any]) -> NDArray[Any]:
    if tensor["dtype"] not in _TYPES:
        raise ValueError(f"{_shown(path)}: fastnn has no tensors of {tensor['dtype']}, as {name}")
    stored: NDArray[Any] = np.frombuffer(tensor["data"], _TYPES[tensor["dtype"]])
    return stored.reshape(tensor["shape"]).astype(stored.dtype.newbyteorder("="), copy=False)


# ---- writing ------------------------------------------------------------------------------------


def replace_file(path: str | os.PathLike[str], parts: Iterable[bytes | memoryview]) -> None:
    """Put a file with these bytes in the place of another, or of none, in one step.

    Raises
    ------
    OSError
        If it cannot be written; what was there stays.
    """
    target = check_path(path)
    with _temporary_file(target) as (file, temporary):
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())
        if fcntl is None:
            file.close()  # Windows renames no open file
        os.replace(temporary, target)
    if fcntl is not None:
        with contextlib.suppress(OSError):  # the file is there, whatever this says
            folder = os.open(os.path.dirname(target), os.O_RDONLY)
            try:
                os.fsync(folder)  # the rename, too
            finally:
                os.close(folder)
        _remove_abandoned(target)


def check_path(path: str | os.PathLike[str]) -> str:
    """Where a file of this path will be: what a link leads to, not in its place.

    Raises
    ------
    OSError
        If that is no regular file, or in no folder.
    """
    target = os.path.realpath(path)
    if os.path.isdir(target):
        raise IsADirectoryError(f"{_shown(path)} is a folder")
    if os.path.exists(target) and not os.path.isfile(target):
        raise OSError(f"{_shown(path)} is not a regular file")
    if not os.path.isdir(os.path.dirname(target)):
        raise FileNotFoundError(f"{_shown(path)}: there is no such folder")
    return target


@contextlib.contextmanager
def _temporary_file(target: str) -> Iterator[tuple[IO[bytes], str]]:
    """A new file beside target, locked while this process has it, and removed if not renamed."""
    while True:
        temporary = f"{_prefix(target)}{secrets.token_hex(4)}.tmp"
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        with os.fdopen(handle, "wb") as file:
            try:
                with contextlib.suppress(OSError):  # as private as the one before
                    os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
                if fcntl is not None:
                    with contextlib.suppress(OSError):  # a file system without locks
                        fcntl.flock(file, fcntl.LOCK_EX)
                    if os.fstat(file.fileno()).st_nlink == 0:
                        continue  # somebody took it for abandoned before it was locked
                yield file, temporary
                return
            except BaseException:
                with contextlib.suppress(OSError):  # on a full disk what is left in the buffer
                    file.close()
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                raise


_BINARY = getattr(os, "O_BINARY", 0)


def _prefix(target: str) -> str:
    folder, name = os.path.split(target)
    return os.path.join(folder, f".{name}.")


def _remove_abandoned(target: str) -> None:
    """Remove temporary files of processes that were killed, whose locks are gone with them."""
    folder, start = os.path.split(_prefix(target))
    pattern = re.compile(re.escape(start) + r"[0-9a-f]{8}\.tmp")
    for name in filter(pattern.fullmatch, os.listdir(folder)):
        with contextlib.suppress(OSError), open(os.path.join(folder, name), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(os.path.join(folder, name))
