"""A conversation with a model: asks, streams, meters, stores."""
