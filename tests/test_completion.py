"""`fastnn completion`: what shells make of it, as far as they are here."""

import shlex
import shutil
import subprocess

import pytest

from fastnn.cli.completion import SCRIPTS
from fastnn.cli.datasets import DATASETS
from fastnn.cli.main import COMMANDS, main


def script(shell, capsys):
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def need(shell):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell}")


OPTIONS_OF_DEMO = ["--activation", "--animate", "--dataset", "--dtype", "--epochs", "--help"]

# what is typed -> what is offered, whatever else; None: names of files
TYPED = [
    ("", list(COMMANDS)),
    ("de", ["demo"]),
    ("do", ["doctor"]),
    ("demo --", OPTIONS_OF_DEMO),
    ("demo --dat", ["--dataset"]),
    ("demo --dataset ", list(DATASETS)),
    ("demo --dataset mo", ["moons"]),
    ("demo --epochs 9 --dtype ", ["float32", "float64"]),
    ("export --to ", ["c"]),
    ("doctor --", ["--help", "--json"]),
    ("completion z", ["zsh"]),
    ("demo --output pic", None),
    ("export mod", None),
    ("run scr", None),
]


def offered_by_bash(text, typed, tmp_path):
    """As readline asks: the words, and which of them the cursor is in."""
    words = ["fastnn", *typed.split(" ")]
    program = text + (
        f"\ncd {shlex.quote(str(tmp_path))}\n"
        f"COMP_WORDS=({shlex.join(words)}) COMP_CWORD={len(words) - 1}\n"
        'compopt() { echo "compopt $*"; }\n_fastnn\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(["bash", "-uc", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(("typed", "wanted"), TYPED)
def test_bash(typed, wanted, capsys, tmp_path):
    need("bash")
    found = offered_by_bash(script("bash", capsys), typed, tmp_path)
    if wanted is None:  # `complete -o default` then takes files
        assert found == [""]
    else:
        assert set(wanted) <= set(found)
        prefix = typed.split(" ")[-1]
        assert all(word.startswith(prefix) for word in found)
        if not typed.endswith(("--", " ")) and typed:
            assert len(found) == len(wanted)


def test_bash_offers_nothing_for_a_number(capsys, tmp_path):
    need("bash")
    text = script("bash", capsys)
    assert offered_by_bash(text, "demo --epochs ", tmp_path) == ["compopt +o default", ""]
    assert "complete -o default -F _fastnn fastnn" in text


def test_bash_takes_values_after_an_equals_sign(capsys, tmp_path):
    need("bash")
    text = script("bash", capsys)  # bash hands over "--dataset", "=" and "mo"
    assert offered_by_bash(text, "demo --dataset = mo", tmp_path) == ["moons"]
    assert set(offered_by_bash(text, "demo --dataset =", tmp_path)) == set(DATASETS)


@pytest.mark.parametrize(("typed", "wanted"), TYPED)
def test_fish(typed, wanted, capsys, tmp_path):
    need("fish")
    (tmp_path / "picture.png").write_text("")
    (tmp_path / "model.fastnn").write_text("")
    (tmp_path / "script.py").write_text("")
    program = script("fish", capsys) + f"\ncomplete --do-complete={shlex.quote('fastnn ' + typed)}"
    done = subprocess.run(
        ["fish", "--no-config", "-c", program], capture_output=True, text=True, timeout=60,
        cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found = [line.split("\t")[0] for line in done.stdout.splitlines()]
    if wanted is None:
        wanted = {"pic": "picture.png", "mod": "model.fastnn", "scr": "script.py"}[typed[-3:]]
        assert wanted in found
    else:
        assert set(wanted) <= set(found)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_right_for_its_shell(shell, capsys):
    need(shell)
    program = script(shell, capsys)
    done = subprocess.run(
        [shell, "-n"], input=program, capture_output=True, text=True, timeout=60
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", SCRIPTS)
def test_every_command_and_option_is_there(shell, capsys):
    text = script(shell, capsys)
    for name in COMMANDS:
        assert name in text
    for option in [*OPTIONS_OF_DEMO, "--no-libm", "--json"]:
        assert (f"-l {option[2:]}" if shell == "fish" else option) in text


def test_known_values_are_of_options_that_are_there(capsys):
    for name, module in COMMANDS.items():
        with pytest.raises(SystemExit):
            main([name, "--help"])
        text = capsys.readouterr().out
        for option in getattr(module, "VALUES", {}):
            assert option in text


def test_another_shell_is_refused(capsys):
    assert main(["completion", "csh"]) == 2
    assert "SHELL must be one of 'bash', 'zsh', 'fish', got 'csh'" in capsys.readouterr().err
