"""Rollouts: a new version of a pool gets its users bucket by bucket, and is taken back by itself when it does badly."""
