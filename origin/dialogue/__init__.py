"""What an avatar says: personas, brains that answer, turns and interruption."""
