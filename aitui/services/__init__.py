"""The features of aitui, without a screen: one module each."""
