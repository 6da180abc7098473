"""HLS of live broadcasts. The pure part (grid, segmenter, governor, sync, h264, aac, fmp4, playlist, rendition) knows neither
sockets nor RTP nor a clock; packager and app are the shells around it."""
