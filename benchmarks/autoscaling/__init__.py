"""Senders that are started and stopped as `senders_wanted` says, processes in place of pods."""
