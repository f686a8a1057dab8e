"""What is kept between two runs."""
