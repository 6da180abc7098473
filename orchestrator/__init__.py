"""The orchestrator: who may, where to, WebRTC or HLS. Never on the media path; nothing stops when it does."""
