"""What a language model does beside labelling: it proposes, names, chooses and writes; people decide."""
