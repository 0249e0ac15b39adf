"""Measured advice: which retrieval setting to run."""
