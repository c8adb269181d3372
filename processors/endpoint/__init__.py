"""How text is generated: one client, and the servers that it starts."""
