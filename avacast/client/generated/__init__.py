"""Made by `make client`."""
