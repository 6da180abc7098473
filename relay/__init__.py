"""The relay: pulls a stream when somebody watches, and fans it out."""
