"""Files and iterables in, labelled datasets out."""
