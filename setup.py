"""Builds the extension modules: one kernel source, one module per instruction set.

All other facts about the package are in pyproject.toml. No flag may change the meaning of
floating-point arithmetic: linked with fast-math flags, a module sets flush-to-zero for the whole
process.

Two environment variables are for work on fastnn (see CONTRIBUTING.md):

FASTNN_BUILDS=avx2,baseline         build these instruction sets only
FASTNN_SANITIZE=address,undefined   checked builds, or "thread"
"""

import gzip
import os
import platform
import sys
import tarfile
from pathlib import Path
from typing import Any

import Cython
import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

# Flags of GCC and Clang. -ffp-contract=fast is GCC's default; it makes Clang fuse the same
# multiply-adds.
COMMON_FLAGS = [
    *("-O3", "-g0", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
    *("-Wno-unknown-pragmas", "-Wno-psabi", "-Werror=incompatible-pointer-types"),
]
# A write beyond an array on the stack, or beyond what the C library knows the size of, ends the
# process; addresses of functions are bound and made read-only when a module is loaded.
HARDENING = ["-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"]
HARDENED_LINK = ["-Wl,-z,relro,-z,now,-z,noexecstack"] if sys.platform == "linux" else []
# instruction set -> its module and flags; fastnn.kernels.MODULES has the same names
BUILDS_X86 = {
    "avx512": (
        "_kernels_avx512",
        [
            *("-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"),
            "-mprefer-vector-width=512",
        ],
    ),
    # loops that begin anywhere lose up to 10% when another hyperthread shares the core
    "avx2": ("_kernels_avx2", ["-mavx2", "-mfma", "-falign-loops=32"]),
    "baseline": (  # x86-64-v2
        "_kernels",
        ["-msse3", "-mssse3", "-msse4.1", "-msse4.2", "-mpopcnt"],
    ),
}
BUILDS_OTHER: dict[str, tuple[str, list[str]]] = {"baseline": ("_kernels", [])}

SANITIZERS = ("address", "undefined", "thread")
# -O1 keeps reports readable. A finding ends the process, so that no test can pass over it.
CHECKED_FLAGS = [
    *("-O1", "-g", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"),
    *("-DFASTNN_DEBUG", "-UNDEBUG"),  # Python builds its modules without assertions
]


def is_x86() -> bool:
    # A macOS build names its targets in ARCHFLAGS; x86-64 flags do not suit a build for both.
    target = (os.environ.get("ARCHFLAGS", "") or platform.machine()).lower()
    return ("x86_64" in target or "amd64" in target) and "arm64" not in target


def names_from_environment(variable: str, known: list[str]) -> list[str]:
    """The comma-separated names in an environment variable, in the order of `known`."""
    text = os.environ.get(variable, "")
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"{variable}={text}: no {unknown[0]!r}; there are: {', '.join(known)}")
    return [name for name in known if name in names]


# MSVC compiles the plain loops of simd.h, once.
BUILDS = BUILDS_X86 if is_x86() and sys.platform != "win32" else BUILDS_OTHER
CHOSEN = names_from_environment("FASTNN_BUILDS", list(BUILDS)) or list(BUILDS)
SANITIZE = names_from_environment("FASTNN_SANITIZE", list(SANITIZERS))
if "thread" in SANITIZE and len(SANITIZE) > 1:
    raise SystemExit("FASTNN_SANITIZE: thread goes with no other sanitizer")


# The date of all files in source distributions and wheels, so that two builds are the same bytes:
# 1980-01-01, the earliest that zip files can hold.
os.environ.setdefault("SOURCE_DATE_EPOCH", "315532800")


class BuildExt(build_ext):
    """Adds flags once the compiler is known, and compiles the modules side by side."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if self.parallel is None:
            self.parallel = min(4, os.cpu_count() or 1)

    def build_extensions(self) -> None:
        msvc = self.compiler.compiler_type == "msvc"
        if msvc and SANITIZE:
            raise SystemExit("FASTNN_SANITIZE needs GCC or Clang")
        compile_flags, link_flags = (["/std:c11"] if msvc else list(COMMON_FLAGS)), []
        if not (msvc or SANITIZE):  # which see more
            compile_flags, link_flags = COMMON_FLAGS + HARDENING, HARDENED_LINK
        if SANITIZE:
            link_flags = [f"-fsanitize={','.join(SANITIZE)}"]
            compile_flags += CHECKED_FLAGS + link_flags
        for extension in self.extensions:
            extension.extra_compile_args = compile_flags + extension.extra_compile_args
            extension.extra_link_args = link_flags + extension.extra_link_args
        super().build_extensions()


class Sdist(sdist):
    """Packs the same files into the same bytes, whenever and by whomever it is run."""

    def make_archive(self, base_name: Any, format: str, *args: Any, **options: Any) -> str:
        if format != "gztar":
            return super().make_archive(base_name, format, *args, **options)
        moment = int(os.environ["SOURCE_DATE_EPOCH"])

        def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
            info.mtime, info.uid, info.gid, info.uname, info.gname = moment, 0, 0, "", ""
            info.mode = 0o755 if info.mode & 0o100 else 0o644
            return info

        path, files = f"{base_name}.tar.gz", Path(options["base_dir"]).rglob("*")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with (
            open(path, "wb") as file,
            gzip.GzipFile("", "wb", 9, file, moment) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for each in sorted(one.as_posix() for one in files if one.is_file()):
                tar.add(each, filter=plain)
        return path


def write_settings() -> Path:
    """Write build/fastnn_builds.h, which tells _cpu.pyx what is built, if it has changed.

    Every module depends on it: other flags in the environment compile all of them again.
    """
    flags = {name: os.environ.get(name, "") for name in ("CC", "CFLAGS", "ARCHFLAGS")}
    text = (
        "// Written by setup.py.\n"
        f'#define FASTNN_BUILDS "{",".join(CHOSEN)}"\n'
        f'#define FASTNN_SANITIZERS "{" ".join(SANITIZE)}"\n'
        f"// environment: {flags}\n"
    )
    path = Path("build", "fastnn_builds.h")
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return path


def source_of(module: str, depends: list[str]) -> str:
    """The module's .c file if this Cython made it from what is there now, else its .pyx file.

    cythonize compares with the times of Cython's own files as well, which pip installs anew for
    every build, so that no build would be up to date.
    """
    pyx, c = (Path("fastnn", "kernels", f"{module}.{ending}") for ending in ("pyx", "c"))
    if not c.exists():
        return pyx.as_posix()
    with c.open() as file:
        by_this_cython = file.readline() == f"/* Generated by Cython {Cython.__version__} */\n"
    newest = max(Path(path).stat().st_mtime for path in [pyx, *depends, "setup.py"])
    return (c if by_this_cython and c.stat().st_mtime > newest else pyx).as_posix()


def extensions() -> list[Extension]:
    settings = write_settings()
    sources = Path("fastnn", "kernels")
    depends = sorted(
        path.as_posix() for ending in ("h", "pxi") for path in sources.rglob(f"*.{ending}")
    )
    depends += ["fastnn/kernels/_kernels.pyx", settings.as_posix()]
    modules = [
        Extension(
            "fastnn.kernels._cpu",
            [source_of("_cpu", [])],
            include_dirs=[settings.parent.as_posix(), sources.as_posix()],
            depends=[settings.as_posix(), "fastnn/kernels/planted.h"],
        )
    ]
    for name in CHOSEN:
        module, flags = BUILDS[name]
        modules.append(
            Extension(
                f"fastnn.kernels.{module}",
                [source_of(module, depends)],
                include_dirs=["fastnn/kernels", numpy.get_include()],
                define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
                depends=depends,
                extra_compile_args=flags,
            )
        )
    return cythonize(
        modules,
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
            "freethreading_compatible": True,
        },
    )


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildExt, "sdist": Sdist})
