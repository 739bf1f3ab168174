"""Passwords and tokens: what is kept of them, and how they are compared."""

import hashlib
import secrets
import unicodedata
from typing import TYPE_CHECKING

from llm_al.errors import AccessError, MissingExtraError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

__all__ = ["PASSWORD_BYTES", "SHORTEST_PASSWORD", "Passwords", "digest", "new_token"]

SHORTEST_PASSWORD = 10
PASSWORD_BYTES = 1024


def new_token() -> str:
    """Return 256 random bits as text that can stand in an address."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """Return what is kept of a token.

    A token is 256 random bits, so that nobody finds it from a fast hash.

    Examples
    --------
    >>> digest("a")[:8], len(digest("a"))
    ('ca978112', 64)
    """
    return hashlib.sha256(token.encode("utf-8", errors="replace")).hexdigest()


class Passwords:
    """Argon2id [1]_ hashes.

    Parameters
    ----------
    hasher : PasswordHasher, optional
        Its costs; by default the second choice of RFC 9106: 64 MiB, three passes, four lanes.

    Raises
    ------
    MissingExtraError
        If the package argon2-cffi is absent; a project without accounts does without.

    References
    ----------
    .. [1] Biryukov, Dinu, Khovratovich & Josefsson (2021). Argon2 memory-hard function for password hashing and
           proof-of-work applications. RFC 9106.
    """

    def __init__(self, hasher: "PasswordHasher | None" = None) -> None:
        try:
            from argon2 import PasswordHasher
            from argon2.exceptions import InvalidHashError, VerificationError
        except ImportError as exc:
            raise MissingExtraError(
                'accounts need an extra package; install it with: pip install "llm_al[web]"'
            ) from exc
        self._misfits = (VerificationError, InvalidHashError)
        self._hasher = hasher or PasswordHasher()
        # Unknown names are checked against this one, so that they take as long as known ones.
        self._nobody = self._hasher.hash(new_token())

    def hash(self, password: str, *, name: str) -> str:
        """Return the slow hash of a new password.

        Raises
        ------
        AccessError
            If it is too short, too long, or the person's name.
        """
        plain = _normal(password)
        if len(plain) < SHORTEST_PASSWORD or len(plain.encode()) > PASSWORD_BYTES:
            raise AccessError(
                f"the password has {len(plain)} characters; take at least {SHORTEST_PASSWORD}, for example four words"
            )
        if plain.casefold() == name.casefold() or len(set(plain)) == 1:
            raise AccessError("the password is the name or one character; take something nobody guesses")
        return self._hasher.hash(plain)

    def is_right(self, password: str, kept: str | None) -> bool:
        """Return whether a password fits; as slow when there is none to compare with."""
        plain = _normal(password)
        if len(plain.encode()) > PASSWORD_BYTES:
            return False
        try:
            self._hasher.verify(kept or self._nobody, plain)
        except self._misfits:
            return False
        return kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Return whether a hash was made with other costs than today's."""
        return self._hasher.check_needs_rehash(kept)


def _normal(password: str) -> str:
    # The same password from another keyboard; half characters cannot be hashed.
    return unicodedata.normalize("NFKC", password.encode("utf-8", errors="replace").decode())
