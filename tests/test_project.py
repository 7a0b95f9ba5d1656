"""What files of the repository say of the same thing is the same."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

import fastnn

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(
    not (ROOT / ".github").exists(), reason="needs the repository"
)  # fmt: skip


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def project():
    return tomllib.loads(read("pyproject.toml"))


@pytest.fixture(scope="module")
def release_notes():
    spec = importlib.util.spec_from_file_location(
        "release_notes", ROOT / ".ci" / "release_notes.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_oldest_versions(project):
    """What the oldest versions' tests install is what is said to be enough."""
    needed = dict(line.split(">=") for line in project["project"]["dependencies"])
    oldest = dict(line.split("==") for line in read(".ci/oldest.txt").split())
    # SciPy comes with scikit-learn, which in 1.6 warns with a SciPy of today
    assert oldest.keys() == {*needed, "scipy"}
    for name in needed:
        assert re.fullmatch(rf"{re.escape(needed[name])}(\.0)*\.\*", oldest[name]), name


def test_python_versions(project):
    """In the classifiers, in wheels and in the workflow, from the oldest to the newest."""
    classified = {
        line.rpartition(" ")[2]
        for line in project["project"]["classifiers"]
        if re.search(r":: 3\.\d+$", line)
    }
    built = project["tool"]["cibuildwheel"]["build"]
    assert {f"cp{version.replace('.', '')}-*" for version in classified} | {"cp314t-*"} == {*built}
    oldest = min(classified, key=lambda version: int(version.partition(".")[2]))
    newest = max(classified, key=lambda version: int(version.partition(".")[2]))
    assert project["project"]["requires-python"] == f">={oldest}"
    assert f'python: ["{oldest}", "{newest}"]' in read(".github/workflows/checks.yml")
    assert project["tool"]["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"


def test_extras_that_overlap(project):
    """None names another by the distribution's name, which may change."""
    extras = project["project"]["optional-dependencies"]
    for name, needed in extras.items():
        assert not [one for one in needed if one.startswith(project["project"]["name"])], name
    assert {*extras["plot"], *extras["files"], *extras["onnx"]} <= {*extras["test"]}
    assert {*extras["plot"]} <= {*extras["notebooks"]}


def test_citation_has_this_version():
    assert f"\nversion: {fastnn.__version__}\n" in read("CITATION.cff")


def test_changelog_is_one_that_releases_understand(release_notes):
    parts = release_notes.parts(read("CHANGELOG.md"))
    assert next(iter(parts)) == "Unreleased"
    kinds = re.findall(r"^### (.*)$", read("CHANGELOG.md"), re.MULTILINE)
    assert {*kinds} <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    for version, (date, text) in parts.items():
        assert bool(date) == (version != "Unreleased"), version
        assert text or version == "Unreleased", version


def test_release_notes(release_notes, tmp_path, monkeypatch):
    monkeypatch.setattr(release_notes, "ROOT", tmp_path)
    (tmp_path / "fastnn").mkdir()
    (tmp_path / "fastnn" / "__init__.py").write_text('"""..."""\n__version__ = "1.2.0"\n')
    (tmp_path / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 1.2.0\n")
    log = tmp_path / "CHANGELOG.md"
    log.write_text(
        "# Changelog\n\n## Unreleased\n\n## 1.2.0\n\n- New\n\n## 1.1.0 - 2026-01-02\n\nOld\n"
    )
    with pytest.raises(SystemExit, match=r"has no part `## 1\.2\.0 - "):
        release_notes.notes("v1.2.0")
    log.write_text(log.read_text().replace("## 1.2.0", "## 1.2.0 - 2026-03-04"))
    assert release_notes.notes("v1.2.0") == "- New"
    with pytest.raises(SystemExit, match=r"the tag v1\.2\.1 is not v1\.2\.0"):
        release_notes.notes("v1.2.1")
    (tmp_path / "CITATION.cff").write_text("version: 1.1.0\n")
    with pytest.raises(SystemExit, match=r"says 1\.1\.0, not 1\.2\.0"):
        release_notes.notes("v1.2.0")


@pytest.mark.parametrize("name", ["checks", "codeql", "docs", "release", "wheels"])
def test_workflows(name):
    """Each begins without permissions, ends in time, keeps no credentials, names versions."""
    text = read(f".github/workflows/{name}.yml")
    assert "\npermissions: {}\n" in text
    runs = text.count("runs-on:")
    assert runs == text.count("timeout-minutes:")
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")
    for action in re.findall(r"uses: (\S+)", text):
        assert action.startswith("./") or re.search(r"@v\d+", action), action
    for script in re.findall(r"(?:\.ci|bench)/\w+(?:\.(?:py|txt))?", text):
        assert (ROOT / script).exists(), script


def test_extras_and_files_that_workflows_name(project):
    extras = project["project"]["optional-dependencies"].keys()
    text = "".join(path.read_text("utf-8") for path in (ROOT / ".github" / "workflows").iterdir())
    named = {extra for found in re.findall(r"\.\[([\w,]+)\]", text) for extra in found.split(",")}
    assert named
    assert named <= extras
    output = re.search(r"OUTPUT = (.+)", read("docs/__main__.py"))
    assert output
    assert output[1] == 'HERE.parent / "build" / "docs"'
    assert "path: build/docs/html\n" in read(".github/workflows/docs.yml")


def test_what_the_documentation_writes_is_in_no_distribution():
    """Pages that docs/conf.py writes are not git's, and MANIFEST.in leaves them out, too."""
    lines = read(".gitignore").splitlines()
    ignored = {line.lstrip("/") for line in lines if line.startswith("/docs/")}
    lines = [line for line in read("MANIFEST.in").splitlines() if not line.startswith("#")]
    left_out = {word for line in lines for word in line.split()[1:] if word.startswith("docs/")}
    assert {name.rstrip("/") for name in ignored} == left_out
