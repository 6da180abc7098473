"""The multivariant playlist: variants of video with an audio group each, or of audio alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AudioRendition:
    """One EXT-X-MEDIA of type audio; `folder` is the rendition's."""

    folder: str
    group: str
    name: str
    codec: str
    bandwidth_bps: int
    average_bps: int
    channels: int = 2
    language: str = "und"


@dataclass(frozen=True, slots=True)
class SubtitleRendition:
    """One EXT-X-MEDIA of type subtitles. `language`: BCP 47, "und" when it is not known."""

    folder: str
    group: str
    name: str
    language: str


@dataclass(frozen=True, slots=True)
class Variant:
    """One video rendition."""

    folder: str
    codec: str
    bandwidth_bps: int
    average_bps: int
    width: int
    height: int
    frame_rate: float
    key_bps: int = 0
    """Peak bitrate of its key frames alone, 0 while there are none; `key_average_bps` their mean."""
    key_average_bps: int = 0


KEY_FRAMES = "iframes-"


def key_frames_name(folder: str) -> str:
    """The playlist of the key frames of a video rendition, beside its folder."""
    return f"{KEY_FRAMES}{folder}.m3u8"


_TRANSCRIPT = "public.accessibility.transcribes-spoken-dialog"


def multivariant(
    videos: Sequence[Variant],
    audios: Sequence[AudioRendition],
    playlist: str,
    *,
    independent: bool = True,
    subtitles: SubtitleRendition | None = None,
    session: str = "",
) -> str:
    """The text. `playlist` is the file name of the media playlists that it refers to (low-latency or plain), `session` a line for all
    variants, such as the players' settings. One video is offered with every audio group, the first pair being what a player starts with.
    Of several each is offered once, the smallest with the last group and the others with the first: a player that leaves a video which
    has a gap would only meet it again with other sound. Without video each audio is a variant."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:6"]
    if independent:
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    if session:
        lines.append(session)
    # A group that no variant names is not there.
    offered = {audio.group for video in videos for audio in _sounds(video, videos, audios) if audio}
    if videos:
        lines += [
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{audio.group}",NAME="{audio.name}",LANGUAGE="{audio.language}",'
            f'DEFAULT=YES,AUTOSELECT=YES,CHANNELS="{audio.channels}",URI="{audio.folder}/{playlist}"'
            for audio in audios
            if audio.group in offered
        ]
    written = ""
    if subtitles:
        written = f',SUBTITLES="{subtitles.group}"'
        # Not DEFAULT: who wants captions has them by a button or by the settings of the system, the others load nothing.
        lines.append(
            f'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="{subtitles.group}",NAME="{subtitles.name}",LANGUAGE="{subtitles.language}",'
            f'DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,CHARACTERISTICS="{_TRANSCRIPT}",URI="{subtitles.folder}/{playlist}"'
        )
    for video in videos:
        for audio in _sounds(video, videos, audios):
            bandwidth = video.bandwidth_bps + (audio.bandwidth_bps if audio else 0)
            average = video.average_bps + (audio.average_bps if audio else 0)
            codecs = video.codec + (f",{audio.codec}" if audio else "")
            group = f',AUDIO="{audio.group}"' if audio else ""
            lines.append(
                f'#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},AVERAGE-BANDWIDTH={average},CODECS="{codecs}",'
                f"RESOLUTION={video.width}x{video.height},FRAME-RATE={video.frame_rate:.3f}{group}{written},CLOSED-CAPTIONS=NONE"
            )
            lines.append(f"{video.folder}/{playlist}")
    lines += [
        f"#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={video.key_bps},AVERAGE-BANDWIDTH={video.key_average_bps},"
        f'CODECS="{video.codec}",RESOLUTION={video.width}x{video.height},URI="{key_frames_name(video.folder)}"'
        for video in videos
        if video.key_bps
    ]
    if not videos:
        for audio in audios:
            lines.append(
                f'#EXT-X-STREAM-INF:BANDWIDTH={audio.bandwidth_bps},AVERAGE-BANDWIDTH={audio.average_bps},CODECS="{audio.codec}"{written}'
            )
            lines.append(f"{audio.folder}/{playlist}")
    return "\n".join(lines) + "\n"


def _sounds(
    video: Variant, videos: Sequence[Variant], audios: Sequence[AudioRendition]
) -> Sequence[AudioRendition | None]:
    if not audios:
        return (None,)
    if len(videos) == 1:
        return audios
    audios = [audio for audio in audios if audio.codec.startswith("mp4a")]
    smallest = min(videos, key=lambda one: one.width * one.height)
    return (audios[-1 if video is smallest else 0],)
