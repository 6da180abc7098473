"""The page of settings is made from the models, and is the one in docs/."""

from pathlib import Path

from avacast.reference import page

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_page_in_docs_is_the_one_that_the_models_make() -> None:
    assert PAGE.read_text() == page(), "run: python -m avacast.reference > docs/configuration.md"


def test_every_setting_has_a_sentence() -> None:
    assert "None |" not in page()
