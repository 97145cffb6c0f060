"""The documentation site: `make docs` builds it into build/site.

The repository itself is Sphinx's source folder, so that a link between two pages is the same on disk and in the site.
What is special to this project lies in docs/_site.
"""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
# This checkout's code, and what the site needs beside Sphinx; also for the code that autodoc imports.
sys.path[:0] = [str(ROOT), str(ROOT / "jobs"), str(ROOT / "docs" / "_site")]

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "FaViT-ProbSparse"
author = "The FaViT-ProbSparse developers"
release = PROJECT["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "links", "navigation"]
root_doc = "docs/index"
include_patterns = ["README.md", "CHANGELOG.md", "docs/**.md", "jobs/*.md", "jobs/docs/*.md",
                    "results/README.md"]  # fmt: skip
# Folders in which there is nothing to look for: a walk through an environment takes longer than all the rest.
exclude_patterns = [".*", "**/.*", "build", "data", "dist", "docs/_site", "favit", "tests", "benchmarks", "workflow",
                    "results/[!R]*", "jobs/tests"]  # fmt: skip

# Links to what is no page lead to the repository where pyproject.toml names one, else to a copy of the file.
repository = PROJECT.get("urls", {}).get("Repository", "")

smartquotes = False  # of `--stale` in a sentence it would make a dash
myst_heading_anchors = 4
myst_enable_extensions = ["html_image"]
highlight_language = "text"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = project
html_copy_source = False
html_static_path = ["_site/static"]
html_css_files = ["site.css"]
