"""The pages as HTML, judged by the Nu HTML checker."""

from pathlib import Path

import ran
from markup import problems


def test_html_validates(built: Path, tmp_path: Path) -> None:
    assert problems(ran.pages(built), tmp_path) == 0
