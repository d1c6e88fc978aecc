"""Limits that all senders keep together: rates, daily caps, connections; per pool, per lane and per campaign."""
