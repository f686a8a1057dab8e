"""How a conversation becomes rows of a terminal, piece by piece while it streams in."""
