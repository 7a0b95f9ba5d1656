"""Sphinx's configuration. `python -m docs` builds the site; CONTRIBUTING.md tells how.

Nothing here opens the network: the pages, formulas, fonts and scripts are those of the site
itself, and what it knows of NumPy's or scikit-learn's pages is in _extensions/other_projects.txt.
"""

import os
import sys
import warnings
from pathlib import Path

import matplotlib

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))
matplotlib.use("agg")
os.environ.pop("MPLBACKEND", None)  # notebooks would inherit it, and show no pictures
# of libraries while Sphinx imports them
warnings.filterwarnings("ignore", category=DeprecationWarning)

import borrowed  # noqa: E402
import catalog_pages  # noqa: E402
import drawings  # noqa: E402

import fastnn  # noqa: E402

project = "fastnn"
author = "the fastnn developers"
copyright = "the fastnn developers"
version = release = fastnn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "accessible",
    "borrowed",
    "mathml",
    "references",
]
root_doc = "index"
exclude_patterns = ["_*", "**.ipynb_checkpoints"]
templates_path = ["_templates"]
nitpicky = True
default_role = "obj"

# pages that are drawn or copied from elsewhere in the repository
borrowed.write(HERE)
catalog_pages.write(HERE)
drawings.write(HERE)

# -- docstrings
autosummary_generate = True
autosummary_imported_members = True
autodoc_typehints = "none"  # numpydoc's Parameters have the types
autodoc_member_order = "groupwise"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False

extlinks = {  # of scikit-learn's docstrings
    "arxiv": ("https://arxiv.org/abs/%s", "arXiv:%s"),
    "doi": ("https://doi.org/%s", "doi:%s"),
}

# -- pages
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4  # as repository pages have them
suppress_warnings = ["myst.header"]  # the changelog of a repository page may skip a level
nb_execution_mode = os.environ.get("FASTNN_DOCS_NOTEBOOKS", "cache")
nb_execution_cache_path = str(HERE.parent / "build" / "docs" / "notebooks")
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_merge_streams = True
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# -- the site
html_theme = "pydata_sphinx_theme"
html_title = f"fastnn {release}"
html_static_path = ["_static"]
html_css_files = ["fastnn.css"]
html_favicon = "_static/favicon.svg"
html_copy_source = html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "fastnn", "image_light": "_static/favicon.svg",
             "image_dark": "_static/favicon.svg", "alt_text": ""},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "footer_start": ["copyright"],
    "footer_end": [],
    # of pages with wide tables the whole width is for these
    "secondary_sidebar_items": {"**": ["page-toc"], "catalog": [], "benchmarks": []},
}  # fmt: skip
html_sidebars = {"index": [], "es/index": [], "gallery": []}  # none is below these

# The list of versions is one for all of them, at the root of where they are: a build for such a
# place is told by FASTNN_DOCS_URL=https://host/fastnn/ and has the switcher, any other has not.
if place := os.environ.get("FASTNN_DOCS_URL"):
    html_baseurl = f"{place.rstrip('/')}/{os.environ.get('FASTNN_DOCS_VERSION', 'dev')}/"
    html_theme_options["switcher"] = {
        "json_url": f"{place.rstrip('/')}/switcher.json",
        "version_match": os.environ.get("FASTNN_DOCS_VERSION", "dev"),
    }
    html_theme_options["check_switcher"] = False  # it would be fetched
    html_theme_options["navbar_start"] = ["navbar-logo", "version-switcher"]
