"""What a user may want to know, each thing once."""

__all__ = ["Notes"]


class Notes(list[str]):
    """Lines in the order in which they came; a line that is there already is not added again."""

    def append(self, line: str) -> None:
        """Add a line, unless it is there."""
        if line not in self:
            super().append(line)
