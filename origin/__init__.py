"""The origin: runs avatars and sends their media to the SFU core."""
