"""Objects that act for the app with a connected session."""
