"""What a finished run looks like: figures, the HTML report, the model card and terminal tables."""
