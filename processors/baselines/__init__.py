"""Methods that others are compared with: Evol-Instruct."""
