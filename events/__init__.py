"""The contract between Jetpost's services: what is said on the bus, under which names, and how it is kept.

Services import this package and nothing of each other; it imports none of them.
"""
