"""What aitui keeps between two starts."""
