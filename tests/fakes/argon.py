"""Passwords at the lowest price, for tests."""

from argon2 import PasswordHasher

from llm_al.people.passwords import Passwords

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def cheap_passwords() -> Passwords:
    return Passwords(CHEAP)
