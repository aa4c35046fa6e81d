"""Configuration as text: what a file declares, checked, compared, applied whole, and written again."""
