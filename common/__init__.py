"""What every role shares, one noun a file. Imports nothing of the roles."""
