"""The memory that models use, and whether the next one fits."""
