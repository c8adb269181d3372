"""#InsTag (Lu et al., 2023): tag instructions, normalise the tags, analyse and select in tag space."""
