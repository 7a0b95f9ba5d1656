"""`fastnn config`: which build of the kernels runs here."""

import argparse

from fastnn import show_config

PARSER = {"help": "print which build of the kernels runs here"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """It has none."""


def main(options: argparse.Namespace, words: list[str]) -> int:
    """Print it."""
    show_config()
    return 0
