"""Streaming speech services: text to sound (`tts`) and sound to text (`asr`) over WebSockets, for many connections at once."""
