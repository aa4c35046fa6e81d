"""The languages that builders know are those that a job's settings and the forms of pages have."""

from typing import get_args

from app.domain.job.spec import BuildMode
from app.web.pages.formatting import LANGUAGES
from builders.plan import Mode
from builders.runtimes import RUNTIMES


def test_settings_have_the_modes_of_builders() -> None:
    assert get_args(BuildMode) == get_args(Mode)
    assert set(get_args(Mode)) == {"auto", "dockerfile", *(each.name for each in RUNTIMES)}


def test_forms_have_every_language_by_its_name() -> None:
    of_no_language = {"shell", "procfile"}
    assert {each.name: each.title for each in RUNTIMES if each.name not in of_no_language} == LANGUAGES
