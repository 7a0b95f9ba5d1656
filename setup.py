"""Builds the extension modules: one kernel source, one module per instruction set.

Everything else about the package is in pyproject.toml. No flag here may change what floating-point
arithmetic means: fast-math flags at the link set flush-to-zero for the whole process.
"""

import os
import platform
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# name of the module -> flags of GCC and Clang. -ffp-contract=fast is GCC's own default, said so
# that Clang fuses the same multiply-adds.
COMMON_FLAGS = [
    *("-O3", "-g0", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
    *("-Wno-unknown-pragmas", "-Wno-psabi", "-Werror=incompatible-pointer-types"),
]
BUILDS_X86 = {
    "_kernels": ["-msse3", "-mssse3", "-msse4.1", "-msse4.2", "-mpopcnt"],  # x86-64-v2
    "_kernels_avx2": ["-mavx2", "-mfma"],
    "_kernels_avx512": [
        *("-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"),
        "-mprefer-vector-width=512",
    ],
}
BUILDS_OTHER = {"_kernels": []}


def is_x86():
    # ARCHFLAGS is how a macOS build says what for; x86-64 flags suit no build for both.
    target = (os.environ.get("ARCHFLAGS", "") or platform.machine()).lower()
    return ("x86_64" in target or "amd64" in target) and "arm64" not in target


class BuildExt(build_ext):
    """Adds flags once the compiler is known, and compiles the modules side by side."""

    def finalize_options(self):
        super().finalize_options()
        if self.parallel is None:
            self.parallel = min(4, os.cpu_count() or 1)

    def build_extensions(self):
        common = ["/std:c11"] if self.compiler.compiler_type == "msvc" else COMMON_FLAGS
        for extension in self.extensions:
            extension.extra_compile_args = common + extension.extra_compile_args
        super().build_extensions()


def extensions():
    # MSVC compiles the plain loops of simd.h, once.
    builds = BUILDS_X86 if is_x86() and sys.platform != "win32" else BUILDS_OTHER
    sources = sorted(
        str(path)
        for pattern in ("*.pyx", "*.pxi", "*.h", "simd/*.h")
        for path in Path("fastnn/kernels").glob(pattern)
    )
    modules = [Extension("fastnn.kernels._cpu", ["fastnn/kernels/_cpu.pyx"])]
    for name, flags in builds.items():
        modules.append(
            Extension(
                f"fastnn.kernels.{name}",
                [f"fastnn/kernels/{name}.pyx"],
                include_dirs=["fastnn/kernels"],
                depends=sources,
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


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildExt})
