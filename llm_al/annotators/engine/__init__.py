"""Asks a language model: fast, within the server's limits and the user's money, and never twice for the same answer."""
