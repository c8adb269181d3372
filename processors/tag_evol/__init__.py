"""Tag-Evol: a pool of fine-grained tags by aspect, and instructions that take up as many of them as a budget allows."""
