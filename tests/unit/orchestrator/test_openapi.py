"""The written page of the API names every route."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.app import ROUTES
from orchestrator.openapi import document

PAGE = Path(__file__).parents[3] / "docs/api.md"


def test_every_route_is_on_the_page_and_the_page_names_no_other() -> None:
    told = {
        (method, path.partition("?")[0])
        for method, path in re.findall(r"`(GET|POST|PUT|PATCH|DELETE|OPTIONS) (/[^`\s]*)`", PAGE.read_text())
    }
    assert told == {
        (method.upper(), path) for path, methods in document(ROUTES)["paths"].items() for method in methods
    }


def test_what_may_be_sent_twice_says_so() -> None:
    paths = document(ROUTES)["paths"]
    told = {
        (method, path)
        for path, methods in paths.items()
        for method, operation in methods.items()
        if any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ()))
    }
    assert ("post", "/api/broadcasts") in told and ("post", "/api/sessions") in told
    assert {method for method, _ in told} == {"post"}


def test_every_route_says_what_it_answers() -> None:
    for path, methods in document(ROUTES)["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["responses"], where
            for parameter in re.findall(r"\{(\w+)\}", path):
                assert parameter in {one["name"] for one in operation["parameters"]}, where


def test_no_two_models_have_one_name() -> None:
    told = document(ROUTES)["components"]["schemas"]
    assert not [name for name in told if "__" in name], (
        "models of one name are told by their modules: rename one"
    )


def test_the_statuses_of_codes_are_those_of_the_page_of_errors() -> None:
    page = (Path(__file__).parents[3] / "docs/errors.md").read_text()
    told = dict(re.findall(r"^\| `([a-z_0-9]+)` \| (\d{3}) \|", page, re.MULTILINE))
    for path, methods in document(ROUTES)["paths"].items():
        for method, operation in methods.items():
            for status, answer in operation["responses"].items():
                for code in re.findall(r"`([a-z0-9_]+)`", answer["description"]):
                    assert told.get(code) == status, (
                        f"{method} {path}: {code} is {told.get(code)} on the page, {status} here"
                    )
