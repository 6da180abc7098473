"""A visitor who speaks: Chromium's microphone plays a film's sound, the page shows what was understood, the avatar answers."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Playwright, expect

from speech.marks import SAMPLE_RATE
from speech.piper import Piper
from tests.harness.browser import launch, viewer
from tests.harness.up import RunningUp

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

QUESTION = "What is your name?"


@pytest.fixture(scope="module")
def speaking(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser whose microphone asks the question every ten seconds, first after four."""
    file = tmp_path_factory.mktemp("voice") / "question.wav"
    pcm = Piper().synthesise(QUESTION).pcm
    sound = np.concatenate([np.zeros(4 * SAMPLE_RATE), pcm, np.zeros(6 * SAMPLE_RATE)])
    write(file, sound)
    browser = launch(playwright, extra=[f"--use-file-for-fake-audio-capture={file}"])
    yield browser
    browser.close()


def write(file: Path, sound: np.ndarray) -> None:
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes((sound * 32767).astype("<i2").tobytes())


def test_a_spoken_question_is_shown_and_answered(up: RunningUp, speaking: Browser) -> None:
    with viewer(speaking, f"{up.url}/", size=(1100, 700)) as page:
        page.first_picture()
        button = page.page.get_by_role("button", name="Speak to Ava")
        expect(button).to_have_attribute("aria-pressed", "false")
        button.focus()
        page.page.keyboard.press("Enter")
        status = page.page.locator(".mic-status")
        expect(status).to_have_text("Just speak. You can interrupt Ava.", timeout=30_000)
        # While the question is spoken, the button shows how loud it is.
        page.wait_until(
            "+getComputedStyle(document.querySelector('.mic')).getPropertyValue('--level') > 0.3", 30
        )
        page.page.locator(".bubble.partial").wait_for()
        spoken = page.page.locator(f".bubble.you.sent:has-text('{QUESTION}')").first
        spoken.wait_for()
        answer = page.page.locator(f".bubble.you:has-text('{QUESTION}') ~ .bubble.ava").first
        expect(answer).to_contain_text("Ava", timeout=30_000)
        page.page.get_by_role("button", name="Turn the microphone off").click()
        expect(page.page.get_by_role("button", name="Speak to Ava")).to_be_visible()
        expect(status).to_be_empty()


def test_a_microphone_that_is_forbidden_says_what_to_do(up: RunningUp, playwright: Playwright) -> None:
    browser = launch(playwright, without="--use-fake-ui-for-media-stream")
    try:
        with viewer(browser, f"{up.url}/", size=(1100, 700)) as page:
            page.page.get_by_role("button", name="Speak to Ava").click()
            status = page.page.locator(".mic-status")
            expect(status).to_contain_text("Allow it beside the address, then press again.", timeout=30_000)
            expect(page.page.get_by_role("button", name="Speak to Ava")).to_be_visible()
    finally:
        browser.close()
