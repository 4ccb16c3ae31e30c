"""Figures of the engine, each against a peer or a baseline in the same run."""
