"""Where ESPs call: their callbacks are verified and stored, and nothing else. `reception.py` reads first.

What a callback means is found out behind it (`analytics.hearing`).
"""
