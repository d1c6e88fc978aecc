"""The usual set of measurements, several times, compared with those of another time."""
