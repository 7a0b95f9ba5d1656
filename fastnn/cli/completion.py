"""`fastnn completion`: a script with which a shell completes commands, options and values.

It is written from the parser, so that it has what `fastnn --help` has.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from fastnn.data import checks

PARSER = {
    "help": "print a script that completes commands and options in a shell",
    "description": "Print a script for the shell. For bash: eval \"$(fastnn completion bash)\" in "
    "~/.bashrc; for zsh the same with zsh in ~/.zshrc, after compinit; for fish: fastnn "
    "completion fish | source in ~/.config/fish/config.fish.",
}  # fmt: skip

FILES = "FILE", "MODEL", "SCRIPT"  # metavars of what is a file


def add_options(parser: argparse.ArgumentParser) -> None:
    """The shell."""
    parser.add_argument("shell", metavar="SHELL", help=f"one of {', '.join(SCRIPTS)}")


def main(options: argparse.Namespace, words: list[str]) -> int:
    """Print it."""
    script = checks.choice("SHELL", options.shell, SCRIPTS)
    print(script(list(_commands(options.parsers, options.values))))
    return 0


class Option(NamedTuple):
    """An option, and what comes after it."""

    names: tuple[str, ...]
    help: str
    takes: bool  # a value
    file: bool  # which is a file
    values: tuple[str, ...]  # if they are known


class Command(NamedTuple):
    """A command, its options, and what it takes without an option."""

    name: str
    help: str
    options: list[Option]
    file: bool
    values: tuple[str, ...]


def _commands(
    parsers: Mapping[str, tuple[str, argparse.ArgumentParser]],
    values: Mapping[str, Mapping[str, Iterable[str]]],
) -> Iterable[Command]:
    for name, (help, parser) in parsers.items():
        known = values.get(name, {})
        options: list[Option] = []
        file, words = False, tuple[str, ...]()
        for action in parser._actions:
            text = (action.help or "").partition(":")[0].partition(" (default")[0]
            of_files = action.metavar in FILES
            if action.option_strings:
                found = tuple(known.get(action.option_strings[-1], ()))
                takes = action.nargs != 0
                options.append(Option(tuple(action.option_strings), text, takes, of_files, found))
            else:
                file, words = file or of_files, tuple(known.get(str(action.metavar), words))
        yield Command(name, help, options, file, words)


def _quoted(words: Iterable[str]) -> str:
    return " ".join(shlex.quote(word) for word in words)


_BASH = """\
_fastnn() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words=""
    # bash cuts --option=value in three
    if [ "$current" = "=" ]; then current=""
    elif [ "$before" = "=" ]; then before=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    if [ "$COMP_CWORD" -eq 1 ]; then words="{commands} --help --version"
    else
        case "${{COMP_WORDS[1]}} $before" in
{values}
        *) case "${{COMP_WORDS[1]}}" in
{options}
            esac ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _fastnn fastnn"""


def _bash(commands: list[Command]) -> str:
    values, options = [], []
    for command in commands:
        for option in command.options:
            if option.takes:
                pattern = "|".join(f'"{command.name} {name}"' for name in option.names)
                rest = ":" if option.file else f'words="{" ".join(option.values)}"'
                # nothing is completed to what is neither a file nor known
                nothing = (
                    "; compopt +o default 2> /dev/null"
                    if not (option.file or option.values)
                    else ""
                )
                values.append(f"        {pattern}) {rest}{nothing} ;;")
        words = [name for option in command.options for name in option.names] + [*command.values]
        if command.file:  # options where one begins, else files
            text = f'case "$current" in -*) words="{" ".join(words)}" ;; esac'
        else:
            text = f'words="{" ".join(words)}"'
        options.append(f"            {command.name}) {text} ;;")
    return _BASH.format(
        commands=" ".join(command.name for command in commands),
        values="\n".join(values), options="\n".join(options),
    )  # fmt: skip


_ZSH = """\
#compdef fastnn
_fastnn() {{
    local -a found
    if (( CURRENT == 2 )); then
        found=({commands})
        _describe command found
        return
    fi
    case "$words[2] $words[CURRENT-1]" in
{values}
    esac
    case "$words[2]" in
{options}
    esac
}}
if [[ "$funcstack[1]" == _fastnn ]]; then _fastnn "$@"; else compdef _fastnn fastnn; fi"""


def _zsh(commands: list[Command]) -> str:
    values, options = [], []
    for command in commands:
        for option in command.options:
            if option.takes:
                pattern = "|".join(f'"{command.name} {name}"' for name in option.names)
                what = f"compadd -- {_quoted(option.values)}; " if option.values else ""
                values.append(f"    {pattern}) {'_files; ' if option.file else what}return ;;")
        shown = _quoted(f"{name}:{one.help}" for one in command.options for name in one.names)
        words = f"; compadd -- {_quoted(command.values)}" if command.values else ""
        files = "; [[ $PREFIX == -* ]] || _files" if command.file else ""
        options.append(
            f"    {command.name}) found=({shown}); _describe option found{words}{files} ;;"
        )
    return _ZSH.format(
        commands=_quoted(f"{command.name}:{command.help}" for command in commands),
        values="\n".join(values), options="\n".join(options),
    )  # fmt: skip


def _fish(commands: list[Command]) -> str:
    # in fish's single quotes only \\ and ' need a backslash
    def text(words: str) -> str:
        return "'" + words.replace("\\", "\\\\").replace("'", "\\'") + "'"

    lines = ["complete -c fastnn -f"]
    for command in commands:
        first = f"-a {command.name} -d {text(command.help)}"
        lines.append(f"complete -c fastnn -n __fish_use_subcommand {first}")
        when = f"complete -c fastnn -n '__fish_seen_subcommand_from {command.name}'"
        if command.file:
            lines.append(f"{when} -F")
        if command.values:
            lines.append(f"{when} -a {text(' '.join(command.values))}")
        for option in command.options:
            names = " ".join(
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                for name in option.names
            )
            value = ""
            if option.takes:
                value = " -r -F" if option.file else " -x"
            if option.values:
                value += f" -a {text(' '.join(option.values))}"
            lines.append(f"{when} {names}{value} -d {text(option.help)}")
    return "\n".join(lines)


SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
#: of the words without an option
VALUES = {"SHELL": tuple(SCRIPTS)}
