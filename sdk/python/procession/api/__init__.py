"""What a client may ask of a server. Each question is written once, for sync and async clients."""
