"""Tag-Instruct (Zhu et al., 2025): compress instructions to tags, expand by utility, decode, iterate."""
