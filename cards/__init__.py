"""Cards: a release folder with its dataset card, pictures and manifest."""
