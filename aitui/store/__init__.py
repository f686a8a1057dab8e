"""Data that is kept between runs."""
