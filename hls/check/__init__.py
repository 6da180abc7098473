"""Checks a broadcast's HLS, ours or anybody's: a player that keeps all it was told, and rules that look at it afterwards.

recording = await watch(url, 60)      # hls.check.player
outcomes = check(recording)           # every rule: what it saw, what broke it
"""

from hls.check.checking import check
from hls.check.recording import Kind, Probe, Recording, Reply
from hls.check.rule import RULES, Finding, Outcome, Rule, Severity

__all__ = [
    "RULES",
    "Finding",
    "Kind",
    "Outcome",
    "Probe",
    "Recording",
    "Reply",
    "Rule",
    "Severity",
    "check",
]
