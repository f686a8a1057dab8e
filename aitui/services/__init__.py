"""What aitui does, without a screen: one module a feature."""
