"""Campaigns: the file a person writes, what is wrong with it, and what producers get of it."""
