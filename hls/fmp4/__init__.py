"""Fragmented MP4 by hand: an init section per track and codec set-up, a moof and mdat per part. Nothing on the shelf can cut
fragments where we want them."""

from hls.fmp4.init import audio_init, video_init
from hls.fmp4.part import Sample, part

__all__ = ["Sample", "audio_init", "part", "video_init"]
