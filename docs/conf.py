"""The site of the documentation: ``python -m sphinx -W --keep-going docs docs/_build/html``."""

import os
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_ext"))

import api_pages
import inventories
from sphinx.application import Sphinx

from sknpcnn.version import __version__

project = "sknpcnn"
author = "The sknpcnn developers"
copyright = author  # noqa: A001
release = version = __version__

CODE_HOST = ""
"""Where the repository can be read, up to the branch, such as ``https://HOST/NAME/blob/main``.
Without one, links to source files lead to copies within the site."""

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx.ext.intersphinx",
    "numpydoc",
    "myst_nb",
    "sphinx_gallery.gen_gallery",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinx-mathjax-offline",
    # of docs/_ext
    "code_links",
    "api_links",
    "figure_words",
    "rooms",
]
exclude_patterns = ["_build", "gallery/backreferences", "**.ipynb"]
templates_path = ["_templates"]
suppress_warnings = ["toc.empty_glob"]

# Markdown
myst_enable_extensions = ["colon_fence", "dollarmath", "amsmath", "deflist", "attrs_inline"]
myst_heading_anchors = 4
code_host = CODE_HOST
code_pages = {
    "README.md": "index",
    "CHANGELOG.md": "changes",
    "CONTRIBUTING.md": "contributing",
    "benchmarks/README.md": "benchmarking",
    "examples": "gallery/index",
}

# The book: notebooks, executed once and again when they change
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 180
nb_execution_show_tb = True
nb_merge_streams = True

# The API
autosummary_generate = api_pages.write(DOCS / "api" / "modules")
autosummary_context = {"with_members": api_pages.with_members()}
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# The gallery
sphinx_gallery_conf = {
    "examples_dirs": ["../examples"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"/plot_|/own_photos",
    "ignore_pattern": r"/browser/|__init__\.py",
    "within_subsection_order": "gallery_data.Order",
    "default_thumb_file": str(DOCS / "_static" / "thumbnail.png"),
    "reset_argv": "gallery_data.arguments",
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("sknpcnn",),
    "reference_url": {"sknpcnn": None},
    "image_srcset": ["2x"],
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
}

# The gallery as notebooks that run in the browser, on request: CONTRIBUTING.md says what they need.
if os.environ.get("SKNPCNN_JUPYTERLITE"):
    extensions.append("jupyterlite_sphinx")
    sphinx_gallery_conf["jupyterlite"] = {
        "use_jupyter_lab": True,
        "jupyterlite_contents": "_build/jupyterlite_contents",
        "notebook_modification_function": "gallery_data.prepare_for_the_browser",
    }
    jupyterlite_dir = str(DOCS / "_build" / "jupyterlite")
    Path(jupyterlite_dir).mkdir(parents=True, exist_ok=True)
    wheels = sorted((DOCS / "_build" / "wheels").glob("sknpcnn-*.whl"))
    jupyterlite_build_command_options = {"piplite-wheels": str(wheels[-1])}

# Names of other packages lead to their documentation, if that can be reached now.
intersphinx_mapping = inventories.reachable(
    DOCS / "_build" / "inventories",
    {
        "python": "https://docs.python.org/3/",
        "numpy": "https://numpy.org/doc/stable/",
        "sklearn": "https://scikit-learn.org/stable/",
        "pandas": "https://pandas.pydata.org/docs/",
        "joblib": "https://joblib.readthedocs.io/en/stable/",
    },
)

# The pages
html_theme = "pydata_sphinx_theme"
html_title = "sknpcnn"
html_favicon = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {
        "text": "sknpcnn",
        "image_light": "_static/logo.svg",
        "image_dark": "_static/logo.svg",
        "alt_text": "sknpcnn, the front page",
    },
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_prev_next": True,
    "show_toc_level": 2,
    "secondary_sidebar_items": {"**": ["page-toc", "sg_download_links"], "index": []},
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}
html_sidebars = {"index": [], "changes": [], "contributing": []}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"


def setup(app: Sphinx) -> None:
    """Make the folder that the theme writes its logo to even if the build fails before."""
    Path(app.outdir, "_static").mkdir(parents=True, exist_ok=True)
